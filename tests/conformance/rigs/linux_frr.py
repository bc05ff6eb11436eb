"""Our simulated FRR router, and FRR's own zebra and vtysh behind OpenSSH and behind a getty."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.linux_frr import FrrDevice, FrrOptions
from rackwright_sim.linux_frr_lines import FrrSerial, FrrSsh
from tests.real import consoles, parts

OVER = {"real": ("ssh",)}
"""A console takes two seconds for each login; tests/real has it over a pty and over ser2net."""
PROVEN = {"sim": "simulator", "real": "real: FRR vtysh"}
PORTS = ("lan0", "lan1", "lan2", "lan3")
PASSWORD = "s3cret-console"


class Simulated:
    """A router with four ports; we reach it on lan0."""

    secrets: Mapping[str, str] = {"password": PASSWORD}

    def __init__(self, device: FrrDevice, ssh: FrrSsh, line: FrrSerial) -> None:
        self.device = device
        login = {"username": "rack", "password": PASSWORD}
        at = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        self.ways = {
            "ssh": Way(transport="ssh", options={**at, **login}),
            "serial": Way(transport="serial", options={"port": str(line.link), **login}),
        }

    def state(self) -> dict[str, Any]:
        return {
            f"port/{name}": (port.description, port.shutdown, port.real)
            for name, port in self.device.ports.items()
        }

    def writes(self) -> int:
        return self.device.counters.writes

    def reject(self, address: str) -> None:
        port = address.rpartition("/")[2]
        pattern = f"^interface {re.escape(port)}$" if port else ""
        self.device.faults = Faults(reject_only=pattern)

    def lose(self, after: int) -> None:
        self.device.faults = replace(self.device.faults, drop_before=after)


@contextlib.contextmanager
def simulated(base: Path) -> Iterator[Simulated]:
    options = FrrOptions(hostname="r1", password=PASSWORD, ports=PORTS, addresses=())
    device = FrrDevice(options)
    with FrrSsh(device) as ssh, FrrSerial(device, base / "ttyS0") as line:
        yield Simulated(device, ssh, line)


class Real:
    """FRR in a network namespace."""

    def __init__(self, router: consoles.Frr, door: parts.Sshd, line: str) -> None:
        self.router = router
        self.secrets: Mapping[str, str] = {"password": PASSWORD, "key": door.key}
        serial = {"port": line, "username": "rack", "password": PASSWORD}
        self.ways = {
            "ssh": Way(transport="ssh", options=door.options()),
            "serial": Way(transport="serial", options=serial),
        }

    def state(self) -> dict[str, Any]:
        shown = parts.command([*self.router.vtysh, "-c", "show running-config"])
        found: dict[str, Any] = {f"port/{name}": ["kernel up"] for name in PORTS[1:]}
        for name in PORTS[1:]:
            if not self.router.is_up(name):
                found[f"port/{name}"] = ["kernel down"]
        section = "rest"
        for line in shown.splitlines():
            section = f"port/{line.split()[1]}" if line.startswith("interface ") else section
            if line.startswith(" "):
                found.setdefault(section, []).append(line.strip())
            elif not line.startswith("interface "):
                section = "rest"
                found.setdefault(section, []).append(line)
        # A section that is there for nothing but its head and end leaves a `!` or not.
        found["rest"] = [line for line in found.get("rest", []) if line not in ("!", "exit")]
        return found


@contextlib.contextmanager
def real(base: Path) -> Iterator[Real]:
    needed = parts.no_namespaces() or parts.missing("sshd", *consoles.NEEDS)
    if needed:
        pytest.skip(needed)
    with contextlib.ExitStack() as stack:
        ns = stack.enter_context(parts.namespace("router"))
        far = stack.enter_context(parts.namespace("far"))
        for number, port in enumerate(PORTS[1:]):
            parts.cable(ns, port, far, f"eth{number}")
        router = stack.enter_context(consoles.frr(ns))
        with (router.run / "vtysh.conf").open("a") as settings:
            settings.write("service integrated-vtysh-config\n")
        address = stack.enter_context(parts.management(ns))
        force = f"ForceCommand env PAGER=cat {shlex.join(router.vtysh)}"
        door = stack.enter_context(parts.sshd(base / "sshd", ns=ns, host=address, lines=[force]))
        line = stack.enter_context(consoles.console(router, base / "console", password=PASSWORD))
        # Somebody has to have the line open, or it hangs up when our end is closed.
        stack.enter_context(open(line, "r+b", buffering=0))  # noqa: PTH123
        yield Real(router, door, line)


RIGS = {"sim": simulated, "real": real}
