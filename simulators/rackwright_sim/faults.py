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
    lie: bool = False
    """Accepts configuration, says so, and does not apply it."""
    drop_after: int | None = None
    """Cuts the session right after its N-th configuring command was applied."""
    drop_always: bool = False
    """With `drop_after`: in every session, not in the first one only."""
