"""One converge, and what came of each resource."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

State = Literal["in_sync", "changed", "blocked", "failed", "refused", "removed", "released"]
"""``released``: adopted before, no longer declared, let go without touching it."""


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field's old and new value, secrets masked."""

    field: str
    old: Any = None
    new: Any = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of one resource."""

    address: str
    state: State
    action: Literal["", "create", "update", "remove", "release", "notify"] = ""
    """What was (or, when `Report.why_run`, would be) done."""
    digest: str = ""
    """Of the declared resource; `state` in_sync or changed says that it was verified."""
    changes: tuple[FieldChange, ...] = ()
    commands: tuple[str, ...] = ()
    """What was (or would be) sent for it, for people; secrets masked."""
    why: str = ""
    """Reason of blocked, failed, refused, for a person."""
    waits_for: tuple[str, ...] = ()
    """Addresses, when blocked."""
    origin: str = ""
    """file:line@commit."""
    severs: bool = False
    """The change cuts traffic or power that ran through the resource (or would)."""
    seconds: float = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run. Times are Unix seconds."""

    id: str
    node: str
    revision: str = ""
    started: float
    finished: float
    why_run: bool = False
    via: str = ""
    """The way that reached the device: ``ssh 10.0.0.2:22``, ``serial /dev/ttyUSB0``, ``local``."""
    outcomes: tuple[Outcome, ...] = ()
    error: str = ""
    """Why the run as a whole could not be done, for a person; empty when it could."""
    kind: Literal["", "input", "unreachable", "device", "interrupted"] = ""
    """Of `error`."""
    asked: bool = True
    """Whether the device is what could not be reached, if anything: not the store, nor was a lease over."""
    saved: bool = False
    """Running configuration was saved to startup in this run."""
    facts_at: float = 0.0
    """When the node's facts were last found to be as they were sent; 0 when that is not known."""
    epoch: int = 0
    """Of the lease under which the run was made; 0 where none is needed."""

    def count(self, *states: State) -> int:
        """How many outcomes are in one of ``states``."""
        return sum(outcome.state in states for outcome in self.outcomes)

    @property
    def exit_code(self) -> int:
        """0 converged, 1 the input is wrong, 2 a resource failed, 3 blocked on a need, 4 unreachable."""
        if self.error:
            return {"input": 1, "unreachable": 4}.get(self.kind, 2)
        if self.count("failed", "refused"):
            return 2
        if self.count("blocked"):
            return 3
        return 0
