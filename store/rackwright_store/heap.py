"""What is in force lives long: it is kept out of Python's garbage collections, which would walk all of it and
stop the store meanwhile (0.6 s with 100,000 resources)."""

from __future__ import annotations

import gc
from collections.abc import Iterable

from rackwright.model.bundle import Bundle

WORTH = 10_000
"""Resources from which on it is worth a collection of its own."""


def settle(bundles: Iterable[Bundle]) -> None:
    """These are in force, most of them newly. What was in force before is collected; from now on only
    what comes after is looked through."""
    if sum(len(bundle.resources) for bundle in bundles) < WORTH:
        return
    gc.unfreeze()
    gc.collect()
    gc.freeze()
