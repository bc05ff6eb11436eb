"""What is counted of a simulated switch: its sessions, its command lines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

WRITING = frozenset({"config", "save", "reload"})
"""Kinds of command that could change the device."""


@dataclass(slots=True)
class Counters:
    """What was done to the device since it started, or since they were reset."""

    sessions: int = 0
    refused: int = 0
    open: int = 0
    peak: int = 0
    """Most sessions open at once."""
    commands: dict[str, int] = field(default_factory=dict)
    """By kind: show, config (every line that configures, and ``configure terminal``), save,
    reload, other."""
    config_lines: int = 0
    """Configuring lines that were accepted."""
    rejected: int = 0
    """Lines answered with an error."""
    bytes_in: int = 0
    bytes_out: int = 0

    @property
    def writes(self) -> int:
        """Commands that could change the device. Zero after a dry run, or when all is in sync."""
        return sum(count for kind, count in self.commands.items() if kind in WRITING)

    def as_json(self) -> dict[str, Any]:
        """All of them, `writes` too."""
        return {**asdict(self), "writes": self.writes}
