"""The command line transport against FRR: a getty's login on a serial line, and sshd."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Permanent, Rejected
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.cisco_ios import DIALECT
from rackwright_providers.transport.cli import CliReader, CliSession, open_cli
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


@pytest.fixture
def router(namespaces: None) -> Iterator[consoles.Frr]:
    with parts.namespace("router") as ns, parts.namespace("far") as far:
        parts.cable(ns, "p1", far, "eth0")
        with consoles.frr(ns) as running:
            yield running


@pytest.fixture(params=["serial", "ssh"])
def way(request: pytest.FixtureRequest, router: consoles.Frr, tmp_path: Path) -> Iterator[Way]:
    with contextlib.ExitStack() as stack:
        options: dict[str, Any]
        if request.param == "serial":
            line = stack.enter_context(consoles.console(router, tmp_path / "console"))
            options = {"port": line, "username": "rack", "password": "staple"}
        else:
            address = stack.enter_context(parts.management(router.ns))
            force = f"ForceCommand env PAGER=cat {shlex.join(router.vtysh)}"
            door = stack.enter_context(
                parts.sshd(tmp_path / "sshd", ns=router.ns, host=address, lines=[force])
            )
            options = door.options()
        yield Way(transport=request.param, options=options)


@contextlib.contextmanager
def session(way: Way, state: Path, *, writable: bool) -> Iterator[Any]:
    made = open_cli(way, Surroundings(state=state, writable=writable), DIALECT)
    try:
        yield made
    finally:
        made.close()


def test_a_reader_logs_in_and_reads(way: Way, tmp_path: Path) -> None:
    with session(way, tmp_path / "state", writable=False) as reader:
        assert type(reader) is CliReader
        assert "FRRouting" in reader.run("show version")
        ports = reader.run("show interface brief").splitlines()
        assert any(line.split()[:2] == ["p1", "up"] for line in ports)
        with pytest.raises(Rejected, match="Unknown command"):
            reader.run("show nonsense")
        with pytest.raises(Permanent, match="not a command that only reads"):
            reader.run("configure terminal")
        assert reader.alive()


def test_shutdown_really_downs_the_port(way: Way, router: consoles.Frr, tmp_path: Path) -> None:
    with session(way, tmp_path / "state", writable=True) as writer:
        assert type(writer) is CliSession
        assert router.is_up("p1")
        writer.configure(["interface p1", "description to web1", "shutdown"])
        parts.until(lambda: not router.is_up("p1"))
        assert " shutdown\n" in writer.run("show running-config")
        writer.configure(["interface p1", "no shutdown"])
        parts.until(lambda: router.is_up("p1"))
        with pytest.raises(Rejected):
            writer.configure(["interface p1", "switchport mode access"])


def test_it_logs_in_again_after_it_has_left(way: Way, router: consoles.Frr, tmp_path: Path) -> None:
    for _ in range(3):
        parts.until(lambda: not router.in_use())
        with session(way, tmp_path / "state", writable=True) as writer:
            assert "FRRouting" in writer.run("show version")


def test_a_wrong_password_on_the_line(router: consoles.Frr, tmp_path: Path) -> None:
    with consoles.console(router, tmp_path / "console") as line:
        options = {"port": line, "username": "rack", "password": "wrong-staple"}
        with pytest.raises(Permanent, match="wrong") as caught:
            open_cli(
                Way(transport="serial", options=options), Surroundings(state=tmp_path), DIALECT
            )
        assert "wrong-staple" not in str(caught.value)
