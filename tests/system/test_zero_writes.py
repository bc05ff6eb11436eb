"""What is in sync is not written again, and what must not write cannot: counted at the devices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Permanent
from rackwright.model.site import Way
from rackwright.provider import Registry, Surroundings
from rackwright_providers.chassis.redfish_session import RedfishReader, RedfishWriter
from rackwright_providers.pdu.powerman_session import PowermanReader, PowermanWriter
from rackwright_providers.pdu.vpcd_session import VpcdReader, VpcdWriter
from rackwright_providers.san.dothill_session import DotHillReader, DotHillWriter
from rackwright_providers.san.tgt_session import TgtReader, TgtWriter
from rackwright_providers.switch.ovs_session import OvsReader, OvsWriter
from rackwright_providers.transport.cli import CliReader, CliSession
from rackwright_providers.transport.ipmi import IpmiReader, IpmiSession
from rackwright_providers.transport.local import Host, Reader
from rackwright_providers.transport.snmp import SnmpReader, SnmpSession

from .forker import Forked, Forker
from .simulators import PASSWORD, Devices, pdu, reach, simulated, switch
from .sites import deployed, write_secrets, write_site

NODES = ("sw1", "pdu1", "web1")
WRITING = {
    "act", "backup", "change", "commit", "configure", "cycle", "execute", "mkdir", "post", "put",
    "remove", "request", "rmdir", "save", "send", "set", "switch", "symlink", "tell", "transact", "write",
}  # fmt: skip
"""What methods that write are called."""
TYPES: dict[str, tuple[type, type]] = {
    "apc_rpdu": (SnmpReader, SnmpSession),
    "apc_rpdu2": (SnmpReader, SnmpSession),
    "arista_eos": (CliReader, CliSession),
    "cisco_ios": (CliReader, CliSession),
    "dell_cmc": (CliReader, CliSession),
    "dell_os10": (CliReader, CliSession),
    "dothill": (DotHillReader, DotHillWriter),
    "eaton_epdu": (SnmpReader, SnmpSession),
    "equallogic": (CliReader, CliSession),
    "hpe_oa": (CliReader, CliSession),
    "ipmi": (IpmiReader, IpmiSession),
    "linux": (Reader, Host),
    "linux_frr": (CliReader, CliSession),
    "openvswitch": (OvsReader, OvsWriter),
    "powerman": (PowermanReader, PowermanWriter),
    "qbridge": (SnmpReader, SnmpSession),
    "raritan_pdu2": (SnmpReader, SnmpSession),
    "redfish": (RedfishReader, RedfishWriter),
    "servertech_sentry3": (SnmpReader, SnmpSession),
    "servertech_sentry4": (SnmpReader, SnmpSession),
    "tgt": (TgtReader, TgtWriter),
    "vpcd": (VpcdReader, VpcdWriter),
}
"""What a platform's session is of when it must not write, and when it may."""
COMMANDS = {"cisco_ios": "configure terminal", "linux": "touch /x"}
"""Sessions that run commands run reading ones alone."""


@dataclass
class Rack:
    """A switch, a PDU and a server under a root directory, and their site."""

    forker: Forker
    devices: Devices
    site: Path
    state: Path
    root: Path

    def converge(self, *more: str) -> list[dict[str, Any]]:
        """Run all three once; their reports."""
        where = ("--once", "--json", "--site", str(self.site), "--state", str(self.state))
        agent = ("agent", "--node", "web1", "--root", str(self.root))
        return [
            *reports(self.forker.run("delegate", "sw1", "pdu1", *where, *more)),
            *reports(self.forker.run(*agent, *where, *more)),
        ]

    def plan(self) -> list[dict[str, Any]]:
        """What ``rackwright plan`` says of all three."""
        where = ("--site", str(self.site), "--state", str(self.state), "--root", str(self.root))
        return reports(self.forker.run("plan", *NODES, "--json", *where))

    def plan_site(self) -> set[str]:
        """What ``rackwright plan`` says of the site: the states of its changes."""
        where = ("--site", str(self.site), "--state", str(self.state), "--root", str(self.root))
        run = self.forker.run("plan", "--at", "web1", "--json", *where)
        assert run.status == 0, run.said() + run.out.read_text()
        waves = json.loads(run.out.read_text())["waves"]
        return {change["state"] for wave in waves for change in wave["changes"]}

    def files(self, *more: Path) -> dict[str, tuple[int, ...]]:
        """Everything under the root, and under ``more``, by what changes when it is written."""
        found = {}
        roots = (self.root, *more)
        for path in (*roots, *(path for root in roots for path in root.rglob("*"))):
            status = path.lstat()
            found[str(path)] = (
                status.st_ino,
                status.st_mode,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
        return found

    def ledgers(self) -> dict[str, tuple[int, str]]:
        """The ledgers, and when they were written."""
        return {
            str(path): (path.stat().st_mtime_ns, path.read_text())
            for path in self.state.glob("*/ledger.json")
        }


def reports(run: Forked) -> list[dict[str, Any]]:
    assert run.status == 0, run.said() + run.out.read_text()
    found: list[dict[str, Any]] = json.loads(run.out.read_text())
    return found


def states(found: list[dict[str, Any]]) -> set[str]:
    return {outcome["state"] for report in found for outcome in report.get("outcomes", [])}


@pytest.fixture
def rack(tmp_path: Path, state: Path, forker: Forker) -> Iterator[Rack]:
    nodes = (switch("sw1"), pdu("pdu1"))
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "hosts").write_text("127.0.0.1\tlocalhost\n")
    write_secrets(state)
    with simulated(tmp_path / "devices", *nodes) as devices:
        port = {"port": "Gi1/0/1", "mode": "trunk", "allowed_vlans": [30, "10-12"], "admin": "up"}
        vlans = [{"vlan": str(vlan), "title": f"net-{vlan}"} for vlan in (10, 11, 12, 30, 2000)]
        outlets = [{"outlet": "1", "state": "off", "label": "web1"}, {"outlet": "2", "on_delay": 5}]
        files = [
            {"directory": "/srv", "mode": "0750"},
            {"file": "/srv/a", "content": "a\n", "mode": "0600"},
            {"file": "/srv/empty"},
            {"symlink": "/srv/b", "target": "a"},
            {"line_in_file": "x", "path": "/etc/shared", "line": "x=1", "match": "^x="},
            {"host_entry": "10.0.0.1", "hostnames": ["web1"]},
        ]
        write_site(
            tmp_path / "site",
            *(reach(node, devices) for node in nodes),
            {"node": "web1", "type": "server"},
            *deployed("net", "switch", "sw1", [*vlans, port]),
            *deployed("power", "pdu", "pdu1", outlets),
            *deployed("files", "server", "web1", files),
        )
        yield Rack(forker, devices, tmp_path / "site", state, root)


def test_the_second_run_of_everything_changes_and_writes_nothing(rack: Rack) -> None:
    assert states(rack.converge()) == {"changed"}
    assert all(rack.devices.writes().values())
    writes, files, ledgers = rack.devices.writes(), rack.files(), rack.ledgers()
    again = rack.converge()
    assert states(again) == {"in_sync"}
    assert not any(report.get("saved") for report in again)
    assert rack.devices.writes() == writes
    assert rack.files() == files
    assert rack.ledgers() == ledgers, "a ledger that says the same was written again"


def test_plan_and_why_run_write_nothing_anywhere(rack: Rack) -> None:
    rack.plan()  # the host key of the switch is seen for the first time
    kept = {str(path.relative_to(rack.state)) for path in rack.state.rglob("*") if path.is_file()}
    assert kept == {"secrets", "sw1/known_hosts"}
    before = rack.files()
    everything = rack.files(rack.state, rack.site)
    assert rack.plan_site() == {"changed"}
    assert rack.files(rack.state, rack.site) == everything
    for found in (rack.plan(), rack.converge("--why-run")):
        assert {report["node"] for report in found} == set(NODES)
        assert all(report["why_run"] for report in found)
        assert states(found) == {"changed"}
        assert rack.devices.writes() == {"sw1": 0, "pdu1": 0}
        assert rack.devices.counters()["sw1"]["sessions"] > 0
        assert rack.files() == before
        assert rack.ledgers() == {}
        assert list(rack.state.glob("*/reports/*")) == []
    # And the same where there is something to lose.
    rack.converge()
    writes, files, ledgers = rack.devices.writes(), rack.files(), rack.ledgers()
    text = (rack.site / "site.yaml").read_text()
    (rack.site / "site.yaml").write_text(text.replace("net-10", "other").replace('"off"', '"on"'))
    everything = rack.files(rack.state, rack.site)
    assert rack.plan_site() == {"changed"}
    assert states(rack.plan()) == {"changed", "in_sync"}
    assert rack.devices.writes() == writes
    assert rack.files(rack.state, rack.site) == everything
    for found in (rack.plan(), rack.converge("--why-run")):
        assert states(found) == {"changed", "in_sync"}
        assert rack.devices.writes() == writes
        assert rack.files() == files
        assert rack.ledgers() == ledgers


def test_every_platform_has_its_types_in_the_table() -> None:
    assert {*TYPES, "auto"} == set(Registry.installed().platforms)


@pytest.mark.parametrize("platform", TYPES)
def test_a_session_that_is_not_to_write_has_no_method_for_it(platform: str) -> None:
    reader, writer = TYPES[platform]
    assert issubclass(writer, reader)
    assert {name for name in set(dir(writer)) - set(dir(reader)) if not name.startswith("_")}
    assert WRITING & set(dir(reader)) == set()


def test_sessions_opened_to_plan_are_of_the_type_that_cannot_write(
    rack: Rack, tmp_path: Path
) -> None:
    ports = rack.devices.ports
    ssh = {"host": "127.0.0.1", "port": ports["sw1"], "username": "rack", "password": PASSWORD}
    snmp = {"host": "127.0.0.1", "port": ports["pdu1"], "version": "2c", "community": PASSWORD}
    ways = {
        "cisco_ios": Way(transport="ssh", options=ssh),
        "apc_rpdu": Way(transport="snmp", options=snmp),
        "linux": Way(transport="local", options={}),
    }
    for platform, way in ways.items():
        provider = Registry.installed().provider(platform)
        reader, _ = TYPES[platform]
        session = provider.open(way, Surroundings(state=tmp_path, root=rack.root))
        try:
            assert type(session) is reader
            if hasattr(session, "run"):
                with pytest.raises(Permanent):
                    session.run(COMMANDS[platform])
        finally:
            session.close()
    assert rack.devices.writes() == {"sw1": 0, "pdu1": 0}
