"""What the store notes of its own doings: commits, retirements, drains. Plain frozen values."""

from __future__ import annotations

import msgspec

from rackwright.model.errors import Problem


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """One commit that was looked at, and what came of it."""

    commit: str
    accepted: bool
    problems: tuple[Problem, ...] = ()
    at: float


class Retirement(msgspec.Struct, frozen=True, kw_only=True):
    """A node that is gone for good: who said so, when and why, and what this let go of."""

    node: str
    at: float
    who: str
    why: str
    released: tuple[str, ...] = ()
    """Addresses on other nodes that it rested on, by its ledger's mirror."""


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is to hold nothing: who said so, and when (Unix seconds)."""

    at: float
    who: str
