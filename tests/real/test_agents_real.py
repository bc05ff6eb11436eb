"""SNMP against net-snmp's snmpd on real ports, and LLDP as lldpd finds it, through the providers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.model.errors import Permanent, Rejected, Unreachable
from rackwright.model.facts import FoundLink
from rackwright.model.site import Snmp, Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.openvswitch import OpenVSwitch
from rackwright_providers.transport.snmp import SnmpReader, SnmpSession, integer, octets, open_snmp
from tests.real import agents, parts

NEEDS = ("snmpd", "snmpget", "lldpd", "lldpcli", "sshd", "ovs-vswitchd", "unshare", "setpriv")
pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(bool(parts.missing(*NEEDS)), reason=parts.missing(*NEEDS)),
]

IF_NAME = "1.3.6.1.2.1.2.2.1.2"
IF_ADMIN = "1.3.6.1.2.1.2.2.1.7"


@pytest.fixture
def switch(namespaces: None, tmp_path: Path) -> Iterator[tuple[str, agents.Snmpd]]:
    """A namespace with port p1, and its agent."""
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("sw"))
        far = stack.enter_context(parts.namespace("far"))
        parts.cable(ns, "p1", far, "eth0")
        address = stack.enter_context(parts.management(ns))
        yield ns, stack.enter_context(agents.snmpd(tmp_path / "snmpd", ns=ns, host=address))


@contextlib.contextmanager
def opened(options: dict[str, object], state: Path, *, writable: bool) -> Iterator[Any]:
    around = Surroundings(state=state, writable=writable)
    session = open_snmp(msgspec.convert(options, Snmp), around)
    try:
        yield session
    finally:
        session.close()


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_a_set_really_downs_the_port(
    switch: tuple[str, agents.Snmpd], version: str, tmp_path: Path
) -> None:
    ns, agent = switch
    with opened(getattr(agent, version)(), tmp_path, writable=True) as session:
        assert type(session) is SnmpSession
        names = session.walk(IF_NAME)
        (index,) = (oid.rpartition(".")[2] for oid, name in names.items() if name == octets("p1"))
        assert session.get(f"{IF_ADMIN}.{index}") == {f"{IF_ADMIN}.{index}": integer(1)}
        session.set({f"{IF_ADMIN}.{index}": integer(2)})
        assert "state DOWN" in parts.command(["ip", "link", "show", "p1"], ns=ns)
        with pytest.raises(Rejected, match="wrongType"):
            session.set({f"{IF_ADMIN}.{index}": octets("down")})


@pytest.mark.parametrize("version", ["v2c", "v3"])
def test_a_reader_reads(switch: tuple[str, agents.Snmpd], version: str, tmp_path: Path) -> None:
    _, agent = switch
    with opened(getattr(agent, version)(), tmp_path, writable=False) as session:
        assert type(session) is SnmpReader
        assert session.get(agents.SYS_NAME) == {agents.SYS_NAME: octets("rack-snmpd")}
        assert session.alive()


def test_wrong_credentials(switch: tuple[str, agents.Snmpd], tmp_path: Path) -> None:
    _, agent = switch
    quick: dict[str, Any] = {"timeout": 0.3, "retries": 0}
    for options, kind in (
        (agent.v2c(community="wrong-staple", **quick), Unreachable),
        (agent.v3(auth="wrong-staple-auth", **quick), Permanent),
        (agent.v3(username="wrong-staple-user", **quick), Permanent),
    ):
        with pytest.raises(kind) as caught, opened(options, tmp_path, writable=False):
            pass
        for secret in ("wrong-staple-auth", agent.auth, agent.priv, agent.community):
            assert secret not in str(caught.value)


def test_a_switch_finds_its_lldp_neighbour(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        ovs = stack.enter_context(parts.open_vswitch(tmp_path / "ovs"))
        web1 = stack.enter_context(parts.host(ovs.ns, "p1", "192.0.2.1/24"))
        ovs.plug("p1")
        near = stack.enter_context(agents.lldpd(ovs.ns, "sw-a1", "p1"))
        far = stack.enter_context(agents.lldpd(web1.ns, "web1", "eth0"))
        parts.until(lambda: "web1" in near.neighbours(), timeout=30)
        parts.until(lambda: "sw-a1" in far.neighbours(), timeout=30)
        address = stack.enter_context(parts.management(ovs.ns))
        door = stack.enter_context(
            parts.sshd(tmp_path / "sshd", ns=ovs.ns, host=address, env={**ovs.env, **near.env})
        )
        provider = OpenVSwitch()
        way = Way(transport="ssh", options=door.options())
        session = provider.open(way, Surroundings(state=tmp_path / "state"))
        stack.callback(session.close)
        facts = provider.discover(session)
        assert FoundLink(port="p1", peer="web1", peer_port="eth0") in facts.links
