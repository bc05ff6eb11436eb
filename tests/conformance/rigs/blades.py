"""What the rigs of simulated chassis share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.cli_blades import BladeBox
from rackwright_sim.faults import Faults


class ChassisRig:
    """A chassis; ``refused`` is the pattern of commands that concern a slot, with its number as {}."""

    def __init__(self, box: BladeBox, ways: Mapping[str, dict[str, Any]], refused: str) -> None:
        self.box, self.refused = box, refused
        self.secrets: Mapping[str, str] = {"password": box.access.password}
        login = {"username": box.access.username, "password": box.access.password}
        self.ways = {
            name: Way(transport=name, options={**options, **login})
            for name, options in ways.items()
        }

    def state(self) -> dict[str, Any]:
        return {f"blade/{number}": dict(slot) for number, slot in self.box.slots.items()}

    def writes(self) -> int:
        return self.box.counters.writes

    def reject(self, address: str) -> None:
        number = address.rpartition("/")[2]
        self.box.faults = Faults(reject_only=self.refused.format(number) if number else "")

    def lose(self, after: int) -> None:
        self.box.faults = replace(self.box.faults, drop_before=after)
