"""VLAN id sets as users and devices write them: ``10,20-29``, ``all``, ``none``."""

from __future__ import annotations

import functools
from collections.abc import Iterable

FIRST, LAST = 1, 4094  # IEEE 802.1Q: 0 and 4095 are reserved


def parse(text: str | int | Iterable[int | str]) -> frozenset[int]:
    """Ids in ``text``. Raises ValueError that names the wrong part."""
    if isinstance(text, str):
        return _parsed(text)
    if isinstance(text, int):
        return _parsed(str(text))
    ids: set[int] = set()
    for item in text:
        if type(item) is int and FIRST <= item <= LAST:  # most are, and there may be thousands
            ids.add(item)
        else:
            ids |= _parsed(str(item))
    return frozenset(ids)


@functools.lru_cache(maxsize=512)
def _parsed(text: str) -> frozenset[int]:
    """Of one text; a list is looked at many times in a run."""
    ids: set[int] = set()
    for part in text.replace(" ", "").lower().split(","):
        if part in ("", "none"):
            continue
        if part == "all":
            ids.update(range(FIRST, LAST + 1))
            continue
        low, dash, high = part.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(f"{part!r} is not a VLAN id or a range of them")
        first = int(low)
        last = int(high) if dash else first
        if not FIRST <= first <= last <= LAST:
            raise ValueError(f"{part!r} is not within {FIRST}-{LAST}")
        if dash:
            ids.update(range(first, last + 1))
        else:
            ids.add(first)
    return frozenset(ids)


def ranges(ids: Iterable[int]) -> list[str]:
    """Ascending ranges: ``['1', '10-12']``."""
    out: list[str] = []
    start = previous = -1
    for vlan in sorted(set(ids)):
        if vlan != previous + 1:
            if start > 0:
                out.append(_range(start, previous))
            start = vlan
        previous = vlan
    if start > 0:
        out.append(_range(start, previous))
    return out


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"


def show(ids: Iterable[int]) -> str:
    """The canonical spelling, the one in which two equal sets are equal texts."""
    ids = frozenset(ids)
    if len(ids) == LAST:
        return "all"
    return ",".join(ranges(ids)) or "none"
