"""Where a resource stands, by what was reported of it last."""

from __future__ import annotations

import msgspec

from rackwright.model.report import State

RUN = ""
"""The key under which the run as a whole stands when it could not be done."""


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was reported of one resource last, unless it was in sync."""

    state: State
    action: str = ""
    digest: str = ""
    """At which it was tried; empty: it is to go."""
    why: str = ""
    waits_for: tuple[str, ...] = ()
    """Whole addresses."""
    since: float
    """Unix seconds (the store's clock, where there is one): when it was first reported like this, and ever
    since."""
    at: float
    """When it was reported last."""
