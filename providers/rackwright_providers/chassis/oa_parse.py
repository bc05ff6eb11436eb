"""What an HPE Onboard Administrator answers, as values.

The forms are those of its command line interface user guide and of answers that public tools recorded
or look for (``show server names``, ``show server boot``, ``show oa status``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rackwright_providers.chassis.cli_chassis import Power, Slot

POWER: Mapping[str, Power] = {"ON": "on", "OFF": "off"}
BOOT = (
    (re.compile(r"PXE", re.IGNORECASE), "pxe"),
    (re.compile(r"Hard (?:Drive|Disk)|HDD", re.IGNORECASE), "disk"),
    (re.compile(r"CD-?ROM|DVD", re.IGNORECASE), "cdrom"),
    (re.compile(r"USB", re.IGNORECASE), "usb"),
)
"""Devices as the boot order shows them, and our names."""

_RULE = re.compile(r"\s*-{2,}(?: +-{2,})+\s*")
_BAY = re.compile(r"\d{1,2}[A-Z]?")
_ORDER = re.compile(r"IPL Devices \(Boot Order\):[^\n]*\n((?:[^\n]*\n?)*)")
_BLADE = re.compile(r"^.*\bServer Blade #(\d+[A-Z]?) Information:.*$", re.MULTILINE)
_PAIR = re.compile(r"^[ \t]*([A-Z][\w. /()-]*?)[ \t]*:[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
NOTHING = frozenset({"", "[Unknown]", "Unknown", "N/A"})


def slots(answer: str) -> tuple[dict[str, Slot], dict[str, str]]:
    """``show server names``: the bays, and the names of the servers in them. The rule under the
    headings says where each column is. Raises ValueError when there is no table."""
    columns: list[tuple[int, int]] = []
    found: dict[str, Slot] = {}
    names: dict[str, str] = {}
    for line in answer.splitlines():
        if _RULE.fullmatch(line):
            columns = [part.span() for part in re.finditer(r"-+", line)]
            continue
        if len(columns) < 5:
            continue
        bay, name, serial, status, power = (line[start:end].strip() for start, end in columns[:5])
        if not _BAY.fullmatch(bay):
            continue
        present = bool(serial or status) and name != "[Absent]"
        found[bay] = Slot(
            name=bay,
            present=present,
            power=POWER.get(power.upper()) if present else None,
            serial="" if serial in NOTHING else serial,
            health="" if status in NOTHING else status,
        )
        if present and name not in NOTHING:
            names[bay] = name
    if len(columns) < 5:
        raise ValueError("show server names without its table")
    return found, names


def boot(answer: str) -> str | None:
    """``show server boot``: the first device of the order; None when there is no such order (a blade
    that starts by UEFI has another) or the device has no name here."""
    order = _ORDER.search(answer)
    first = next((line for line in (order[1] if order else "").split("\n") if line.strip()), "")
    return next((name for pattern, name in BOOT if pattern.search(first)), None)


def standby(answer: str) -> bool:
    """``show oa status``: whether this is the one of two that takes no commands for blades."""
    found = re.search(r"^\s*Role\s*:\s*(\w+)", answer, re.MULTILINE)
    return bool(found and found[1].lower() == "standby")


def pairs(answer: str) -> dict[str, str]:
    """``Name: value`` lines of ``show … info``. The first of a name counts."""
    found: dict[str, str] = {}
    for name, value in _PAIR.findall(answer):
        found.setdefault(name, value)
    return found


def blades(answer: str) -> dict[str, dict[str, str]]:
    """``show server info all``: the pairs of each bay with a blade."""
    parts = _BLADE.split(answer)
    return {bay: pairs(text) for bay, text in zip(parts[1::2], parts[2::2], strict=True)}
