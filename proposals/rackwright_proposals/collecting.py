"""Making much that stays, without Python's garbage collector walking it again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No cycles are looked for meanwhile, in the whole process; a sixth of the time to compile a large
    site. May overlap in several threads: the last that found collections on turns them on again."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
