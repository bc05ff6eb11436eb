"""The qbridge provider against net-snmp's snmpd, through the whole engine, proven by real packets.

IF-MIB is snmpd's own, on real ports; LLDP-MIB is lldpd's, over AgentX; BRIDGE-MIB and Q-BRIDGE-MIB are
those of an Open vSwitch, glued on by `qbridge_pass`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.facts import FoundLink
from rackwright.model.report import Report
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.qbridge import QBridge
from tests.conformance.converging import Delegate, states, told
from tests.conformance.rig import Case, Written
from tests.real import agents, parts

NEEDS = ("snmpd", "snmpget", "lldpd", "lldpcli", "ovs-vswitchd", "ping", "unshare", "setpriv")
pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(bool(parts.missing(*NEEDS)), reason=parts.missing(*NEEDS)),
]
GLUE = Path(__file__).with_name("qbridge_pass.py")
PORTS = ("p1", "p2", "p3")


@dataclass
class Rack:
    """A switch with three hosts on it, and its delegate by each version of SNMP."""

    ovs: parts.Ovs
    hosts: tuple[parts.Host, ...]
    ways: Mapping[str, Way]
    secrets: Mapping[str, str]
    base: Path
    agentx: Path

    def state(self) -> dict[str, Any]:
        return {name: self.ovs.vsctl("list", "Port", name) for name in PORTS}

    def converge(self, version: str, *written: Written) -> Report:
        delegate = Delegate(
            Case(platform="qbridge", declare=()), self, version, self.base / "state"
        )
        return delegate.run(written)


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    with contextlib.ExitStack() as stack:
        ovs = stack.enter_context(parts.open_vswitch(tmp_path / "ovs"))
        address = stack.enter_context(parts.management(ovs.ns))
        hosts = tuple(
            stack.enter_context(parts.host(ovs.ns, port, f"192.0.2.{number}/24"))
            for number, port in enumerate(PORTS, start=1)
        )
        for port in PORTS:
            ovs.plug(port, "tag=1", "external_ids:owner=someone")
        ovs.vsctl("set", "Bridge", "br0", "external_ids:vlan-300=theirs")
        ovs.vsctl("set", "Port", "p3", "tag=300")
        glue = f"pass_persist .1.3.6.1.2.1.17 {sys.executable} {GLUE} {ovs.run}/db.sock"
        agent = stack.enter_context(
            agents.snmpd(
                tmp_path / "snmpd",
                ns=ovs.ns,
                host=address,
                lines=[glue, "master agentx", "agentXPerms 0777 0777"],
            )
        )
        ways = {
            "v2c": Way(transport="snmp", options=agent.v2c()),
            "v3": Way(transport="snmp", options=agent.v3()),
        }
        secrets = {"community": agent.community, "auth": agent.auth, "priv": agent.priv}
        yield Rack(ovs, hosts, ways, secrets, tmp_path, tmp_path / "snmpd" / "agentx")


@pytest.mark.proves("qbridge", "vlan", "port", over="snmp", on="real", by="net-snmp snmpd")
@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_two_hosts_meet_in_a_vlan_and_part_again(rack: Rack, version: str) -> None:
    h1, h2, h3 = rack.hosts
    foreign = rack.state()["p3"]
    assert h1.pings(h2.address)

    parted = [{"vlan": "10", "title": "storage"}, {"port": "p1", "access_vlan": 10}]
    report = rack.converge(version, *parted)
    assert set(states(report).values()) == {"changed"}, told(report)
    assert not h1.pings(h2.address, within=1)
    again = rack.converge(version, *parted)
    assert set(states(again).values()) == {"in_sync"}, told(again)

    met = [*parted, {"port": "p2", "access_vlan": 10, "description": "to h2"}]
    report = rack.converge(version, *met)
    assert report.exit_code == 0, told(report)
    assert h1.pings(h2.address)
    assert not h1.pings(h3.address, within=1)
    assert rack.ovs.vsctl("get", "Port", "p1", "tag").strip() == "10"

    trunk = {"port": "p2", "native_vlan": 1, "allowed_vlans": "1,10"}
    report = rack.converge(version, *parted, trunk)
    assert report.exit_code == 0, told(report)
    assert not h1.pings(h2.address, within=1)  # h2 sends untagged
    assert json.loads(rack.ovs.vsctl("get", "Port", "p2", "trunks")) == [1, 10]

    back = [{"port": name, "access_vlan": 1} for name in ("p1", "p2")]
    report = rack.converge(version, *back)
    assert report.exit_code == 0, told(report)
    assert h1.pings(h2.address)
    notes = rack.ovs.vsctl("get", "Bridge", "br0", "external_ids")
    assert "vlan-10" not in notes
    assert "vlan-300" in notes
    assert rack.state()["p3"] == foreign


@pytest.mark.proves("qbridge", "port", over="snmp", on="real", by="net-snmp snmpd")
def test_a_port_is_really_shut(rack: Rack) -> None:
    h1, h2, _ = rack.hosts
    assert h1.pings(h2.address)
    report = rack.converge("v2c", {"port": "p1", "admin": "down"})
    assert states(report) == {"port/p1": "changed"}, told(report)
    assert not h1.pings(h2.address, within=1)
    assert "state DOWN" in parts.command(["ip", "link", "show", "p1"], ns=rack.ovs.ns)
    assert rack.converge("v2c", {"port": "p1", "admin": "up"}).exit_code == 0
    assert h1.pings(h2.address)


def test_a_vlan_that_is_in_use_stays(rack: Rack) -> None:
    """The last port that carries it untagged is not ours to move."""
    report = rack.converge("v2c", {"vlan": "300", "ensure": "absent"})
    assert states(report) == {"vlan/300": "refused"}
    assert "p3" in report.outcomes[0].why
    assert "vlan-300" in rack.ovs.vsctl("get", "Bridge", "br0", "external_ids")


def test_neighbours_are_found_by_lldp(rack: Rack) -> None:
    with contextlib.ExitStack() as stack:
        near = stack.enter_context(agents.lldpd(rack.ovs.ns, "sw-a1", *PORTS, agentx=rack.agentx))
        for number, host in enumerate(rack.hosts[:2], start=1):
            stack.enter_context(agents.lldpd(host.ns, f"web{number}", "eth0"))
        provider = QBridge()
        session = provider.open(rack.ways["v2c"], Surroundings(state=rack.base))
        stack.callback(session.close)
        parts.until(lambda: all(name in near.neighbours() for name in ("web1", "web2")))
        wanted = {
            FoundLink(port="p1", peer="web1", peer_port="eth0"),
            FoundLink(port="p2", peer="web2", peer_port="eth0"),
        }
        parts.until(lambda: wanted <= set(provider.discover(session).links))
        facts = provider.discover(session)
        assert facts.values["ports"]["p1"]["link"] == "up"
        assert facts.values["name"] == "rack-snmpd"
        assert provider.recognises(session)
