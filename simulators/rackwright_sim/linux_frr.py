"""A Linux router whose command line is FRR's vtysh: what it holds, and what its lines answer.

Modelled on FRR 8.4: its host name lasts as long as a session, an interface that is named and not
there becomes a pseudo interface, what follows ``|`` is a filter.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rackwright_sim.faults import Faults

VERSION = "8.4.4"
HELLO = f"""
Hello, this is FRRouting (version {VERSION}).
Copyright 1996-2005 Kunihiro Ishiguro, et al.

"""
_FILTER = re.compile(r"\s*\|\s*(\S*)\s*(.*)")


@dataclass(frozen=True, slots=True)
class FrrOptions:
    """What the router is."""

    hostname: str = "router"
    username: str = "rack"
    password: str = "rack"
    ports: tuple[str, ...] = ("eth0", "eth1", "eth2", "eth3")
    addresses: tuple[tuple[str, str], ...] = (("eth0", "10.0.0.1/24"),)
    """Port and its address."""
    latency: float = 0.0
    """Seconds from a line to its answer."""


@dataclass(slots=True)
class FrrPort:
    """An interface. ``real``: the kernel has it."""

    description: str = ""
    shutdown: bool = False
    real: bool = True


@dataclass(slots=True)
class FrrCounters:
    """What was done to the router since it started."""

    sessions: int = 0
    writes: int = 0
    """Commands that could change it. Zero after a dry run, or when all is in sync."""
    rejected: int = 0
    log: list[str] = field(default_factory=list)
    """Every line."""

    def as_json(self) -> dict[str, Any]:
        """All of them but the lines."""
        return {"sessions": self.sessions, "writes": self.writes, "rejected": self.rejected}


class FrrDevice:
    """One router. Sessions read and change it."""

    def __init__(
        self, options: FrrOptions, state: Path | None = None, faults: Faults | None = None
    ) -> None:
        """``state``: a JSON file that keeps what was saved and the host key."""
        self.options = options
        self.faults = faults or Faults()
        """May be replaced while it runs."""
        self.counters = FrrCounters()
        self._state = state
        self._kept: dict[str, str] = {}
        if state and state.exists():
            self._kept = json.loads(state.read_text())
        self.ports = {name: FrrPort() for name in options.ports}
        if self.startup:
            session = FrrSession(self)
            session.node = "config"
            for line in self.startup.splitlines():
                session.configure(line.strip())

    @property
    def startup(self) -> str:
        """What was saved; empty when nothing was."""
        return self._kept.get("startup", "")

    @property
    def host_key(self) -> str:
        """The private host key, PEM; empty when there is none yet."""
        return self._kept.get("host_key", "")

    def keep(self, key: str, value: str) -> None:
        """Remember ``value`` (``startup``, ``host_key``), after a restart too."""
        self._kept[key] = value
        if self._state:
            new = self._state.with_suffix(".new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(self._kept, file)
            new.replace(self._state)

    def text(self, hostname: str) -> str:
        """The configuration, as a session that calls the router ``hostname`` shows it."""
        lines = ["!", f"frr version {VERSION}", "frr defaults traditional"]
        lines += [f"hostname {hostname}", "service integrated-vtysh-config", "!"]
        for name, port in self.ports.items():
            said = [f" description {port.description}"] if port.description else []
            said += [" shutdown"] if port.shutdown else []
            if said or not port.real:
                lines += [f"interface {name}", *said, "exit", "!"]
        return "".join(f"{line}\n" for line in [*lines, "end"])


class Cut(Exception):
    """The session is gone at once, without a word."""


class FrrSession:
    """Somebody's vtysh."""

    def __init__(self, device: FrrDevice) -> None:
        self.device = device
        self.hostname = device.options.hostname
        self.node = ""
        """``""``, ``config`` or ``config-if``."""
        self.ended = False
        self._port = ""

    @property
    def prompt(self) -> str:
        """As it is shown."""
        return f"{self.hostname}({self.node})# " if self.node else f"{self.hostname}# "

    def run(self, line: str) -> str:
        """What ``line`` answers; empty for nothing. Raises Cut."""
        line = " ".join(line.split())
        self.device.counters.log.append(line)
        if not line or line[0] in "!#":
            return ""
        command, filter_ = line, None
        if (found := _FILTER.search(line)) is not None:
            command, filter_ = line[: found.start()], found
            if found[1] != "include":
                return self._no(f"% Unknown action '{found[1]}'")
        answer = self._command(command)
        if filter_ is None:
            return answer
        return "".join(f"{one}\n" for one in answer.splitlines() if re.search(filter_[2], one))

    def _command(self, line: str) -> str:
        if line in ("end", "exit", "quit"):
            self._leave(line)
            return ""
        if self.node:
            return self._configure(line)
        if line.startswith("show interface ") and (name := line.split()[2]) in self.device.ports:
            return self._interfaces(name)
        action = self._commands.get(line)
        return action(self) if action else self._no(f"% Unknown command: {line}")

    def _leave(self, word: str) -> None:
        if not self.node:
            self.ended = word != "end"
        elif self.node == "config-if" and word != "end":
            self.node = "config"
        else:
            self.node = ""

    def _no(self, text: str) -> str:
        self.device.counters.rejected += 1
        return f"{text}\n"

    def _configure(self, line: str) -> str:
        device = self.device
        device.counters.writes += 1
        faults = device.faults
        if faults.drop_before is not None:
            left = faults.drop_before - 1
            device.faults = replace(faults, drop_before=left if left >= 0 else None)
            if left < 0:
                raise Cut
        if faults.reject or (faults.reject_only and re.search(faults.reject_only, line)):
            return self._no("% Configuration failed.\n\nError type: validation")
        return self.configure(line)

    def configure(self, line: str) -> str:
        """One configuring line, in the node where we are; what it answers."""
        ports = self.device.ports
        if line.startswith("interface ") and len(line.split()) == 2:
            self._port = line.split()[1]
            self.node = "config-if"
            ports.setdefault(self._port, FrrPort(real=False))
            return ""
        if line.startswith("hostname ") and len(line.split()) == 2:
            self.hostname = line.split()[1]
            return ""
        if self.node == "config-if":
            return self._configure_port(line)
        return self._no(f"% Unknown command: {line}")

    def _configure_port(self, line: str) -> str:
        port = self.device.ports[self._port]
        if self.device.faults.lie:
            port = FrrPort()
        if line in ("shutdown", "no shutdown"):
            port.shutdown = line == "shutdown"
        elif line.startswith("description "):
            port.description = line.removeprefix("description ")
        elif line.startswith("no description"):
            port.description = ""
        elif line == "description":
            return self._no(f"% Command incomplete: {line}")
        else:
            return self._no(f"% Unknown command: {line}")
        return ""

    def _configuring(self) -> str:
        self.device.counters.writes += 1
        self.node = "config"
        return ""

    def _save(self) -> str:
        self.device.counters.writes += 1
        self.device.keep("startup", self.device.text(self.device.options.hostname))
        return (
            "Note: this version of vtysh never writes vtysh.conf\nBuilding Configuration...\n"
            "Integrated configuration saved to /etc/frr/frr.conf\n[OK]\n"
        )

    def _running(self) -> str:
        return f"Building configuration...\n\nCurrent configuration:\n{self.device.text(self.hostname)}"

    def _version(self) -> str:
        return (
            f"FRRouting {VERSION} ({self.hostname}) on Linux(6.1.0).\n"
            "Copyright 1996-2005 Kunihiro Ishiguro, et al.\n"
        )

    def _interfaces(self, only: str = "") -> str:
        text = ""
        for index, (name, port) in enumerate(self.device.ports.items(), start=2):
            if only and name != only:
                continue
            up = port.real and not port.shutdown
            text += f"Interface {name} is {'up, line protocol is up' if up else 'down'}\n"
            text += "  Link ups:       0    last: (never)\n  Link downs:     0    last: (never)\n"
            text += "  vrf: default\n"
            text += f"  Description: {port.description}\n" if port.description else ""
            if not port.real:
                text += "  pseudo interface\n"
                continue
            mac = zlib.crc32(f"{self.device.options.hostname} {name}".encode()).to_bytes(4, "big")
            text += f"  index {index} metric 0 mtu 1500 speed 10000 \n"
            text += f"  flags: <{'UP,' if up else ''}BROADCAST,MULTICAST>\n  Type: Ethernet\n"
            text += f"  HWaddr: 52:54:{mac.hex(':')}\n"
            for owner, address in self.device.options.addresses:
                text += f"  inet {address}\n" if owner == name else ""
            text += "  Interface Type Other\n  Interface Slave Type None\n  protodown: off \n"
        return text

    def _quiet(self) -> str:
        return ""

    _commands: dict[str, Callable[[FrrSession], str]] = {  # noqa: RUF012  a table, never changed
        "configure terminal": _configuring,
        "configure": _configuring,
        "write memory": _save,
        "write": _save,
        "copy running-config startup-config": _save,
        "show running-config": _running,
        "show version": _version,
        "show interface": _interfaces,
        "show interface vrf all": _interfaces,
        "terminal length 0": _quiet,
        "enable": _quiet,
    }
