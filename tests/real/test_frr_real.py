"""linux_frr on FRR's own zebra and vtysh, behind OpenSSH and on a getty's line: what the conformance
suite does not ask."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Wanted
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.linux_frr import LinuxFrr
from rackwright_providers.switch.resources import Hostname, Port
from tests.conformance.converging import Delegate, states
from tests.conformance.platforms import cases
from tests.real import consoles, parts

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing("sshd", *consoles.NEEDS)),
        reason=parts.missing("sshd", *consoles.NEEDS),
    ),
]
PROVIDER = LinuxFrr()


class Router:
    """A router that we reach over SSH."""

    def __init__(self, frr: consoles.Frr, door: parts.Sshd) -> None:
        self.frr, self.host = frr, door.host
        self.ways = {"ssh": Way(transport="ssh", options=door.options())}
        self.secrets = {"key": door.key}

    def state(self) -> dict[str, Any]:
        return {}

    @contextlib.contextmanager
    def session(self, state: Path) -> Iterator[Any]:
        session = PROVIDER.open(self.ways["ssh"], Surroundings(state=state))
        try:
            yield session
        finally:
            session.close()


@pytest.fixture
def router(namespaces: None, tmp_path: Path) -> Iterator[Router]:
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("router"))
        far = stack.enter_context(parts.namespace("far"))
        for number in (1, 2):
            parts.cable(ns, f"lan{number}", far, f"eth{number}")
        frr = stack.enter_context(consoles.frr(ns))
        with (frr.run / "vtysh.conf").open("a") as settings:
            settings.write("service integrated-vtysh-config\n")
        address = stack.enter_context(parts.management(ns))
        force = f"ForceCommand env PAGER=cat {shlex.join(frr.vtysh)}"
        door = stack.enter_context(
            parts.sshd(tmp_path / "sshd", ns=ns, host=address, lines=[force])
        )
        yield Router(frr, door)


def delegate(router: Router, state: Path) -> Delegate:
    return Delegate(cases()["linux_frr"], router, "ssh", state)


@pytest.mark.proves("linux_frr", "hostname", "port", over="ssh", on="real", by="FRR vtysh")
def test_what_it_reads_and_finds(router: Router, tmp_path: Path) -> None:
    with router.session(tmp_path) as session:
        found = PROVIDER.read(session, Wanted(PROVIDER.resources, {}))
        facts = PROVIDER.discover(session)
        assert PROVIDER.carriers(session, found) == {Address("port", "mgmt0")}
    assert found[Address("hostname", "system")] == Hostname(name="system", value="r1")
    assert found[Address("port", "lan1")] == Port(name="lan1", admin="up", description="")
    assert {address.name for address in found if address.type == "port"} == {
        "lo",
        "lan1",
        "lan2",
        "mgmt0",
    }
    assert facts.values["hostname"] == "r1"
    assert facts.values["version"] in parts.command([*router.frr.vtysh, "-c", "show version"])
    assert facts.values["ports"]["mgmt0"]["addresses"] == [f"{router.host}/30"]
    assert facts.values["ports"]["lan1"]["mtu"] == 1500


def test_what_somebody_does_with_ip_link_is_drift(router: Router, tmp_path: Path) -> None:
    lan1, lan2 = {"port": "lan1", "admin": "up"}, {"port": "lan2", "admin": "down"}
    agent = delegate(router, tmp_path / "state")
    assert states(agent.run([lan1, lan2])) == {"port/lan1": "in_sync", "port/lan2": "changed"}
    for port, state in (("lan1", "down"), ("lan2", "up")):
        parts.command(["ip", "link", "set", port, state], ns=router.frr.ns)

    def noticed() -> bool:
        shown = parts.command([*router.frr.vtysh, "-c", "show interface brief"])
        state = {line.split()[0]: line.split()[1] for line in shown.splitlines() if line.split()}
        return (state["lan1"], state["lan2"]) == ("down", "up")

    parts.until(noticed, what="zebra knows")
    assert set(states(agent.run([lan1, lan2])).values()) == {"changed"}
    assert router.frr.is_up("lan1")
    assert not router.frr.is_up("lan2")
    assert set(states(agent.run([lan1, lan2])).values()) == {"in_sync"}


def test_the_port_that_carries_us_is_not_shut(router: Router, tmp_path: Path) -> None:
    agent = delegate(router, tmp_path / "state")
    report = agent.run([{"port": "mgmt0", "admin": "down"}])
    assert states(report) == {"port/mgmt0": "refused"}
    assert router.frr.is_up("mgmt0")


def test_what_is_saved_is_there_after_a_restart(router: Router, tmp_path: Path) -> None:
    agent = delegate(router, tmp_path / "state")
    report = agent.run([{"port": "lan1", "admin": "down", "description": "to web1"}])
    assert report.saved
    saved = (router.frr.run / "frr.conf").read_text()
    assert "interface lan1\n description to web1\n shutdown\n" in saved


def test_a_port_that_is_not_there_is_not_made(router: Router, tmp_path: Path) -> None:
    agent = delegate(router, tmp_path / "state")
    assert states(agent.run([{"port": "lan7", "description": "x"}])) == {"port/lan7": "failed"}
    assert "lan7" not in parts.command([*router.frr.vtysh, "-c", "show running-config"])
    # Somebody's pseudo interface is not one either.
    by_hand = ["configure terminal", "interface lan7", "description x"]
    parts.command([*router.frr.vtysh, *(word for text in by_hand for word in ("-c", text))])
    with router.session(tmp_path) as session:
        found = PROVIDER.read(session, Wanted(PROVIDER.resources, {}))
    assert Address("port", "lan7") not in found
