"""Names as people meet them: the nearest right one, lists of them, their natural order."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from functools import lru_cache

_DIGITS = re.compile(r"(\d+)")
_LISTED = 12


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The name of ``known`` that is most like ``name``; empty when none is."""
    by_lower = {item.lower(): item for item in known}
    found = get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else ""


def suggest(name: str, known: Collection[str], what: str = "there are") -> str:
    """A hint: the nearest right name, or all names where they are few."""
    if close := nearest(name, known):
        return f"did you mean {close!r}?"
    if not known:
        return ""
    names = sorted(known, key=natural)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{what}: {', '.join(names[:_LISTED])}{more}"


@lru_cache(maxsize=1 << 16)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which ``Ethernet2`` comes before ``Ethernet10``."""
    return tuple(
        (0, int(part) if len(part) < 20 else 10**20, part)
        if part.isdecimal() and part.isascii()
        else (1, 0, part)
        for part in _DIGITS.split(text)
        if part
    )
