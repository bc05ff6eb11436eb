"""VLAN id sets as users and devices write them: ``10,20-29``, ``all``, ``none``."""

from __future__ import annotations

from collections.abc import Iterable

FIRST, LAST = 1, 4094  # IEEE 802.1Q: 0 and 4095 are reserved


def parse(text: str | int | Iterable[int | str]) -> frozenset[int]:
    """Ids in ``text``. Raises ValueError that names the wrong part."""
    if isinstance(text, int):
        text = str(text)
    if not isinstance(text, str):
        return frozenset().union(*(parse(item) for item in text))
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
        first, last = int(low), int(high or low)
        if not FIRST <= first <= last <= LAST:
            raise ValueError(f"{part!r} is not within {FIRST}-{LAST}")
        ids.update(range(first, last + 1))
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
