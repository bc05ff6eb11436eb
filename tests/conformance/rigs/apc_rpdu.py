"""Our simulated APC rPDU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.apc_rpdu import ApcRpdu, RpduOptions
from rackwright_sim.faults import Faults
from rackwright_sim.snmp_agent import Access, User


class Unit:
    """A unit of 24 outlets."""

    secrets: Mapping[str, str] = {"community": "s3cret-write"}

    def __init__(self, unit: ApcRpdu) -> None:
        self.unit = unit
        # One request, one answer: a SET that is not answered is a session that is lost.
        options = {"host": "127.0.0.1", "port": unit.port, "retries": 0, "timeout": 1.5}
        community = self.secrets["community"]
        self.ways = {"snmp": Way(transport="snmp", options={**options, "community": community})}

    def state(self) -> dict[str, Any]:
        return {f"outlet/{number}": asdict(outlet) for number, outlet in self.unit.outlets.items()}

    def writes(self) -> int:
        return self.unit.counters.writes

    def reject(self, address: str) -> None:
        number = address.rpartition("/")[2]
        self.unit.faults = Faults(reject_only=rf"\.{number}=" if number else "")

    def lose(self, after: int) -> None:
        self.unit.faults = replace(self.unit.faults, drop_before=after)


@contextlib.contextmanager
def unit(_: Path) -> Iterator[Unit]:
    access = Access(read=(), write=("s3cret-write",), users=(User("rack", "rack-auth-1"),))
    with ApcRpdu(RpduOptions(access=access)) as found:
        yield Unit(found)


RIGS = {"sim": unit}
PROVEN = {"sim": "simulator"}
