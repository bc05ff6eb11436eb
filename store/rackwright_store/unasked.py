"""Nodes for which their host does not ask, though it could have them. Pure.

A host whose agent is dead, or in a long run, lives on as far as its leases tell, and starts nothing.
"""

from __future__ import annotations

from collections.abc import Collection

TAKEOVER = 120.0
"""Seconds that a host has to ask for the lease of a node which it is told to converge."""


class Unasked:
    """Since when each is left out, and by whom. Times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, float]] = {}

    def note(self, host: str, left_out: Collection[str], now: float) -> bool:
        """``host`` has asked, and ``left_out`` is what of its nodes it did not ask for; whether some of that
        is new."""
        known = {node for node, (by, _) in self._since.items() if by == host}
        for node in known.difference(left_out):
            del self._since[node]
        new = set(left_out) - known
        for node in new:
            self._since[node] = (host, now)
        return bool(new)

    def late(self, now: float) -> list[tuple[str, str]]:
        """(node, host) of what has been left out for too long. It counts from anew then."""
        found = [
            (node, host) for node, (host, since) in self._since.items() if now - since > TAKEOVER
        ]
        for node, _ in found:
            del self._since[node]
        return found

    def due(self) -> list[float]:
        """When the time alone makes some late."""
        return [since + TAKEOVER for _, since in self._since.values()]
