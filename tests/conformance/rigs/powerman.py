"""powermand driving vpcd, reached over OpenSSH, and our stand-in for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.faults import Faults
from rackwright_sim.powerman import PowermanHost
from tests.real import power

NODES = ("a", "web1", "web2", "web3", "db-a.rack", f"n{'-0123456789' * 5}-0123456")


class Host:
    """The stand-in."""

    def __init__(self, server: BoxSsh, host: PowermanHost) -> None:
        self.host = host
        self.secrets: Mapping[str, str] = {"password": host.access.password}
        options = {
            "host": server.host,
            "port": server.port,
            "username": host.access.username,
            "password": host.access.password,
            "host_key": server.host_key,
        }
        self.ways = {"ssh": Way(transport="ssh", options=options)}

    def state(self) -> dict[str, Any]:
        return {f"outlet/{name}": state for name, state in self.host.nodes.items()}

    def writes(self) -> int:
        return self.host.counters.writes

    def reject(self, address: str) -> None:
        name = address.rpartition("/")[2].replace(".", "[.]")
        self.host.faults = Faults(reject_only=rf" {name}$" if name else "")

    def lose(self, after: int) -> None:
        self.host.faults = replace(self.host.faults, drop_before=after)


class RealHost:
    """powermand itself."""

    def __init__(self, host: power.Host) -> None:
        self.host = host
        self.ways = {"ssh": Way(transport="ssh", options=host.options)}
        self.secrets: Mapping[str, str] = {"key": str(host.options["key"])}

    def state(self) -> dict[str, Any]:
        return {f"outlet/{name}": state for name, state in self.host.nodes().items()}


@contextlib.contextmanager
def host(_: Path) -> Iterator[Host]:
    box = PowermanHost(NODES)
    with BoxSsh(box, shell=False) as server:
        yield Host(server, box)


@contextlib.contextmanager
def real(run: Path) -> Iterator[RealHost]:
    with power.powermand(run, NODES) as found:
        yield RealHost(found)


RIGS = {"sim": host, "real": real}
PROVEN = {"sim": "simulator", "real": "real: powermand with vpcd"}
