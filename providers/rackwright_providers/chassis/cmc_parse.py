"""What a Dell CMC answers to racadm, as values.

The tables' columns are headed ``<module> <presence> <pwrState> <health> <svcTag>``,
``<Slot #> <Slot Name> <Host Name>`` and ``<Server> <iDRAC Version> <Blade Type> …``; the transient states
are ``Powering ON`` and ``Powering OFF`` (CMC user's guide, power management; what public tools that read
CMCs look for).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rackwright_providers.chassis.cli_chassis import Power, Slot

POWER: Mapping[str, Power] = {
    "ON": "on",
    "OFF": "off",
    "POWERING ON": "going_on",
    "POWERING OFF": "going_off",
}
BOOT: Mapping[str, str] = {
    "NO-OVERRIDE": "none",
    "NONE": "none",
    "PXE": "pxe",
    "HDD": "disk",
    "CD-DVD": "cdrom",
    "VCD-DVD": "cdrom",
    "BIOS": "bios",
}
"""cfgServerFirstBootDevice, in capitals."""

_SERVER = re.compile(r"server-(\d+[a-d]?)", re.IGNORECASE)
_GAP = re.compile(r"\s{2,}|\t+")
_OBJECT = re.compile(r"^[ \t]*#?[ \t]*([A-Za-z][\w /]*?)[ \t]*=[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"<[^<>]+>")
NOTHING = frozenset({"", "N/A", "NA"})


def slots(answer: str) -> dict[str, Slot]:
    """``getmodinfo``: the servers' slots. Raises ValueError when there is no table."""
    if "<module>" not in answer.lower():
        raise ValueError("getmodinfo without its table")
    found: dict[str, Slot] = {}
    for line in answer.splitlines():
        name, *cells = _GAP.split(line.strip())
        server = _SERVER.fullmatch(name)
        if server is None:
            continue
        presence, power, health, tag = (*cells, "", "", "", "")[:4]
        found[server[1]] = Slot(
            name=server[1],
            # The other half of a blade that takes two slots has a word of its own.
            present=presence == "Present",
            power=POWER.get(power.upper()),
            serial="" if tag in NOTHING else tag,
            health="" if health in NOTHING else health,
        )
    return found


def labels(answer: str) -> dict[str, str]:
    """``getslotname``: the slots' names. They may hold spaces, so the columns count. Raises
    ValueError when there is no table."""
    found: dict[str, str] = {}
    starts: list[int] = []
    for line in answer.splitlines():
        headings = _HEADING.findall(line)
        if len(headings) > 1:
            starts = [line.index(heading) for heading in headings]
        elif starts and (number := line[: starts[1]].strip()):
            end = starts[2] if len(starts) > 2 else None
            found[number] = line[starts[1] : end].strip()
    if not starts:
        raise ValueError("getslotname without its table")
    return found


def models(answer: str) -> dict[str, str]:
    """``getversion``: the blades' models by slot; what is not in the table is left out."""
    found: dict[str, str] = {}
    for line in answer.splitlines():
        cells = _GAP.split(line.strip())
        server = _SERVER.fullmatch(cells[0])
        if server and len(cells) > 2 and cells[2] not in NOTHING:
            found[server[1]] = cells[2]
    return found


def objects(answer: str) -> dict[str, str]:
    """``name = value`` lines: of ``getconfig -g GROUP -i N`` and of ``getsysinfo``. Lines of
    read-only objects begin with ``#``. The first of a name counts."""
    found: dict[str, str] = {}
    for name, value in _OBJECT.findall(answer):
        found.setdefault(name, value)
    return found


def boot(config: Mapping[str, str]) -> str | None:
    """The device that a blade starts from until it is told otherwise, of cfgServerInfo; None when
    what is set holds for the next start alone, or is a device that has no name here."""
    device = BOOT.get(config.get("cfgServerFirstBootDevice", "").upper())
    once = config.get("cfgServerBootOnce", "0") == "1"
    return None if once and device != "none" else device


def priority(config: Mapping[str, str]) -> int | None:
    """cfgServerPriority."""
    value = config.get("cfgServerPriority", "")
    return int(value) if value.isdecimal() else None
