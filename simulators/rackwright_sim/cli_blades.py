"""The blades of a simulated chassis: what is in each slot, and how its power changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rackwright_sim.cli_box import Access, Box
from rackwright_sim.faults import Faults

Power = Literal["on", "off", "going_on", "going_off"]


@dataclass(frozen=True, slots=True)
class ChassisOptions:
    """What the chassis is. Times in seconds."""

    name: str = "chassis"
    serial: str = "5QRWQ3J"
    slots: int = 16
    occupied: Sequence[int] = (1, 2, 3, 4, 5, 8, 16)
    model: str = "PowerEdge M630"
    lag: float = 0.0
    """From a blade's command to its power; real ones take seconds."""
    shutdown: float = 0.05
    """That a system takes to shut down by itself."""
    deaf: Sequence[int] = ()
    """Slots whose systems do not do so."""


class BladeBox(Box):
    """A chassis. ``data["slots"]`` holds each slot by its number: change it to play a person at the
    rack."""

    def __init__(
        self,
        options: ChassisOptions | None = None,
        *,
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        self.options = options or ChassisOptions()
        slots = {str(number): self._new(number) for number in range(1, self.options.slots + 1)}
        super().__init__({"slots": slots, "due": {}}, access=access, faults=faults, state=state)

    def _new(self, number: int) -> dict[str, Any]:
        options = self.options
        return {
            "present": number in options.occupied,
            "power": "on" if number in options.occupied else "",
            "serial": f"{number:X}C2A3B{number:X}" if number in options.occupied else "",
            "label": f"SLOT-{number:02d}",
            "host": f"host{number}" if number in options.occupied else "",
            "priority": 1,
            "boot": "",
            "once": 0,
        }

    @property
    def slots(self) -> dict[str, dict[str, Any]]:
        """The slots as they are now."""
        with self._lock:
            now = time.time()
            for number, (due, power) in list(self.data["due"].items()):
                if now >= due:
                    self.data["slots"][number]["power"] = power
                    del self.data["due"][number]
            found: dict[str, dict[str, Any]] = self.data["slots"]
            return found

    def power(self, number: str) -> Power | Literal[""]:
        """Empty without a blade."""
        held: Power | Literal[""] = self.slots[number]["power"]
        due = self.data["due"].get(number)
        if due is None or due[1] == held or due[0] - time.time() > self.options.lag:
            return held  # a system that shuts down by itself is on until it is off
        return "going_on" if due[1] == "on" else "going_off"

    def command(self, number: str, action: Literal["on", "off", "shutdown"]) -> None:
        """Carried out after the chassis' lag; a shutdown only if the system obeys."""
        options = self.options
        if action == "shutdown" and int(number) in options.deaf:
            return
        wait = options.lag + (options.shutdown if action == "shutdown" else 0)
        self.data["due"][number] = (time.time() + wait, "on" if action == "on" else "off")
