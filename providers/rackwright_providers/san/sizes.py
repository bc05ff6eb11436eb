"""Sizes: ``10GiB`` and bytes."""

from __future__ import annotations

import re

UNITS = {
    "B": 1,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
    "PIB": 2**50,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "PB": 10**15,
}
"""IEC 80000-13: powers of 1024 have an ``i``."""
LARGEST = 2**63 - 1

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")


def parse(size: str | int) -> int:
    """Bytes. Raises ValueError that says how a size is written."""
    if isinstance(size, str):
        found = _SIZE.fullmatch(size.strip())
        unit = UNITS.get(found[2].upper() or "B") if found else None
        if found is None or unit is None:
            raise ValueError(f"{size!r} is not a size: write bytes, or a number with {_units()}")
        whole, _, part = found[1].partition(".")
        count, rest = divmod(int(whole + part) * unit, int(10 ** len(part)))
        if rest:
            raise ValueError(f"{found[0]!r} is not a whole number of bytes")
    else:
        count = int(size)
    if not 0 < count <= LARGEST:
        raise ValueError(f"a size is 1 to {LARGEST} bytes, not {count}")
    return count


def round_up(size: int, unit: int) -> int:
    """``size`` in whole ``unit``s."""
    return -(-size // unit) * unit


def show(size: int) -> str:
    """For people: the largest binary unit that divides it, or two decimals."""
    for name in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        unit = UNITS[name.upper()]
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.2f} {name}"
    return f"{size} B"


def spell(size: int) -> str:
    """As a site may write it, to the byte: in the largest binary unit that divides it."""
    for name in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        unit = UNITS[name.upper()]
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


def _units() -> str:
    return ", ".join(("KiB", "MiB", "GiB", "TiB", "GB", "TB"))
