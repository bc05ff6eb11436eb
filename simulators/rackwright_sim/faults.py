"""Faults that a simulated device can be told to have, at its start or while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """How a device misbehaves. All off: it behaves."""

    hang: bool = False
    """Takes connections and input, and never answers."""
    garbage: bool = False
    """Random bytes in and between its answers."""
    refuse: bool = False
    """Takes no session (SNMP: answers no request)."""
    reject: bool = False
    """Answers every configuring command with an error."""
    reject_only: str = ""
    """A regular expression: only commands in which it is found are answered with an error. Of SNMP it
    is looked for in ``OID=value`` of every binding."""
    lie: bool = False
    """Accepts configuration, says so, and does not apply it."""
    drop_after: int | None = None
    """Cuts the session right after its N-th configuring command was applied."""
    drop_before: int | None = None
    """Cuts the session, once, instead of carrying out its N-th configuring command (0: the first);
    counted from when the fault is set."""
    drop_always: bool = False
    """With `drop_after`: in every session, not in the first one only."""
