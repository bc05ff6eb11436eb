"""What the store says of leases: the right to converge a managed node, held by one process at a time."""

from __future__ import annotations

import msgspec

DELEGATE_HOST = "delegate-host"
"""The role of a server that converges managed nodes."""
EPOCH_HEADER = "Rackwright-Epoch"
"""Carries the epoch of the lease under which a host acts for a managed node."""
LEASE_SECONDS = 15.0
"""How long a lease lasts from when it was asked for, where the site says nothing else."""
SHORTEST_LEASE, LONGEST_LEASE = 2.0, 300.0
GRACE = 1.0
"""Seconds after the end of a lease in which nobody gets it: clocks run at different rates."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """Why a lease was not given."""

    why: str
    by: str = ""
    """The node whose credential holds it, if somebody holds it."""
    retry: float = 0.0
    """Seconds after which asking again may help."""


class Leases(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a request for leases."""

    ttl: float
    """Seconds that a lease lasts, from the moment *before the request was sent*."""
    held: dict[str, int] = {}
    """Node → epoch, of what was granted or renewed. Another epoch than the one known is a new tenure."""
    refused: dict[str, Refused] = {}
    """Node → why not, of the rest of what was wanted."""
    leaving: dict[str, str] = {}
    """Node → where it is to go, in words, of what is held: finish what is in hand and give it back."""
