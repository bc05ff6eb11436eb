"""vpcd itself on a pty, and our stand-in for it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.vpcd import Vpcd, VpcdLine
from tests.real import power


class Unit:
    """The stand-in."""

    secrets: Mapping[str, str] = {}

    def __init__(self, line: VpcdLine) -> None:
        self.unit = line.box
        self.ways = {"serial": Way(transport="serial", options={"port": str(line.link)})}

    def state(self) -> dict[str, Any]:
        return {f"outlet/{number}": state for number, state in self.unit.plugs.items()}

    def writes(self) -> int:
        return self.unit.counters.writes

    def reject(self, address: str) -> None:
        number = address.rpartition("/")[2]
        self.unit.faults = Faults(reject_only=rf" {number}$" if number else "")

    def lose(self, after: int) -> None:
        self.unit.faults = replace(self.unit.faults, drop_before=after)


class RealUnit:
    """vpcd itself."""

    secrets: Mapping[str, str] = {}

    def __init__(self, line: power.Line) -> None:
        self.line = line
        self.ways = {"serial": Way(transport="serial", options={"port": line.path})}

    def state(self) -> dict[str, Any]:
        return {f"outlet/{number}": state for number, state in self.line.plugs().items()}


@contextlib.contextmanager
def unit(run: Path) -> Iterator[Unit]:
    with VpcdLine(Vpcd(), run / "vpcd") as line:
        yield Unit(line)


@contextlib.contextmanager
def real(run: Path) -> Iterator[RealUnit]:
    with power.vpcd(run) as line:
        yield RealUnit(line)


RIGS = {"sim": unit, "real": real}
PROVEN = {"sim": "simulator", "real": "real: vpcd (powerman)"}
