"""What the management controller of a Dot Hill array answers, as values. Pure.

An answer is a set of tables by *basetype*, one of them ``status``. Firmware that knows JSON gives a list
of objects a basetype, nested ones inside their parents; older firmware gives XML whatever is asked for,
in which nested objects may follow their parent instead. Names of properties are those of the API
basetypes in the vendors' CLI reference guides.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BLOCK = 512
"""Bytes: what ``…-numeric`` sizes are counted in, where no blocksize stands beside them."""
FOLLOWS = {"volume-view-mappings": "volume-view"}
"""Objects that follow their parent in older XML."""
OK, EXISTS, NOT_FOUND, NOT_LOGGED_IN = 0, -10186, -10075, -10027
UNKNOWN_INITIATOR = -10386
"""``The initiator nickname or identifier was not found``; seen in Seagate's and in public clients."""

Table = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    success: bool
    code: int
    """``return-code`` of the status."""
    words: str = field(repr=False)
    """``response`` of the status; of a login: the session key."""
    tables: Mapping[str, Table] = field(repr=False)

    def table(self, basetype: str) -> Table:
        """Its rows; none when the answer has no such table."""
        return self.tables.get(basetype, ())


@dataclass(frozen=True, slots=True)
class Disk:
    """A volume."""

    name: str
    size: int
    """Bytes."""
    pool: str
    thin: bool | None
    """Whether its pool is virtual, which is where thin volumes are."""


@dataclass(frozen=True, slots=True)
class Map:
    """That a volume is shown to somebody."""

    volume: str
    initiator: str
    """Its IQN where it is one initiator's; else what the array calls whom it is for."""
    lun: int | None
    read_only: bool
    default: bool
    """It is for all initiators that have none of their own."""


@dataclass(frozen=True, slots=True)
class Initiator:
    """One that the array knows."""

    id: str
    nickname: str
    seen: bool
    """It is logged in to a host port now."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; sizes in bytes."""

    size: int
    free: int
    virtual: bool


def said(text: str) -> Said:
    """Raises ValueError for what no management controller says."""
    tables = _xml(text) if text.lstrip().startswith("<") else _json(text)
    status = tables.get("status", ())
    if not status:
        raise ValueError("an answer without a status")
    last = status[-1]
    kind = _text(last, "response-type").lower()
    number = last.get("response-type-numeric")
    code = _number(last, "return-code")
    # With information or a warning a command has been carried out too.
    success = kind in ("success", "info", "warning") or (not kind and str(number) == "0")
    if not kind and number is None:  # seen in older XML
        success = code == OK
    return Said(success, code if code is not None else 0, _text(last, "response"), tables)


def _json(text: str) -> dict[str, Table]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"neither JSON nor XML: {text[:60]!r}") from None
    if not isinstance(data, dict):
        raise ValueError(f"no object: {text[:60]!r}")
    return {name: _rows(value) for name, value in data.items()}


def _rows(value: Any) -> Table:
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, dict)]


def _xml(text: str) -> dict[str, Table]:
    if re.search(r"<!(?:DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("XML with declarations of its own")
    try:
        root = ET.fromstring(text)  # noqa: S314  it has no entities of its own, see above
    except ET.ParseError as error:
        raise ValueError(f"broken XML: {error}") from None
    tables: dict[str, list[dict[str, Any]]] = {}
    for element in root.iter("OBJECT"):
        basetype = element.get("basetype", "")
        row: dict[str, Any] = {
            one.get("name", ""): (one.text or "").strip() for one in element.findall("PROPERTY")
        }
        parents = tables.get(FOLLOWS.get(basetype, ""))
        if parents:
            parents[-1].setdefault(basetype, []).append(row)
        else:
            tables.setdefault(basetype, []).append(row)
    return dict(tables)


def disks(answer: Said) -> dict[str, Disk]:
    """``show volumes``. Raises ValueError."""
    found = {}
    for row in answer.table("volumes"):
        name = _text(row, "volume-name") or _text(row, "name")
        blocks, blocksize = _number(row, "blocks"), _number(row, "blocksize")
        size = _number(row, "size-numeric")
        if size is None:
            size = _number(row, "total-size-numeric")
        if blocks is not None and blocksize:
            held = blocks * blocksize
        elif size is not None:
            held = size * BLOCK
        else:
            raise ValueError(f"show volumes: {name} has no size")
        kind = _text(row, "storage-type").lower()
        pool = _text(row, "storage-pool-name") or _text(row, "virtual-disk-name")
        found[name] = Disk(name, held, pool, kind == "virtual" if kind else None)
    return found


def maps(answer: Said, known: Mapping[str, Initiator]) -> tuple[Map, ...]:
    """``show maps``. A row that maps nothing stands for the default mapping of each volume."""
    names = {one.nickname: one.id for one in known.values() if one.nickname}
    found = []
    for view in answer.table("volume-view"):
        volume = _text(view, "volume-name")
        for row in _rows(view.get("volume-view-mappings", [])):
            access = _text(row, "access").lower()
            lun = _number(row, "lun")
            if access in ("not-mapped", "no-access", "") or _text(row, "access-numeric") == "0":
                continue
            whose = _text(row, "identifier") or _text(row, "port-wwn")
            nickname = _text(row, "nickname")
            default = "other" in whose.lower() and " " in whose
            found.append(
                Map(
                    volume=volume,
                    initiator=names.get(whose, names.get(nickname, whose)).lower(),
                    lun=lun,
                    read_only=access in ("read-only", "ro"),
                    default=default,
                )
            )
    return tuple(found)


def initiators(answer: Said) -> dict[str, Initiator]:
    """``show initiators``, by identifier."""
    found = {}
    for row in answer.table("initiator"):
        name = _text(row, "id").lower()
        ports = [_number(row, f"host-port-bits-{controller}") for controller in "ab"]
        discovered = _text(row, "discovered").lower() == "yes"
        seen = discovered and (any(ports) or None in ports)
        found[name] = Initiator(name, _text(row, "nickname"), seen)
    return found


def pools(answer: Said) -> dict[str, Pool]:
    """``show pools``."""
    found = {}
    for row in answer.table("pools"):
        unit = _number(row, "blocksize") or BLOCK
        size, free = _number(row, "total-size-numeric"), _number(row, "total-avail-numeric")
        virtual = _text(row, "storage-type").lower() == "virtual"
        found[_text(row, "name")] = Pool((size or 0) * unit, (free or 0) * unit, virtual)
    return found


def secrets(answer: Said) -> dict[str, str | None]:
    """``show chap-records``: the secret by the initiator's name; None where it is not shown."""
    found: dict[str, str | None] = {}
    for row in answer.table("chap-records"):
        name, secret = _text(row, "initiator-name"), _text(row, "initiator-secret")
        if name:
            found[name] = secret if secret.strip("*") else None
    return found


def first(answer: Said, basetype: str, *names: str) -> str:
    """The first property of the first row that is not empty."""
    for row in answer.table(basetype):
        for name in names:
            if _text(row, name):
                return _text(row, name)
    return ""


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip()


def _number(row: Mapping[str, Any], name: str) -> int | None:
    text = _text(row, name)
    return int(text) if re.fullmatch(r"-?\d+", text) else None
