"""What the command line of an EqualLogic PS Series group answers, as values. Pure.

The forms are those of dialogues in public drivers and scripts (OpenStack Cinder's PS Series driver and
its guide, libsan): tables whose columns are as wide as the hyphens below their heads and whose cells go
on in the next line, which is indented; sections with a title between underscores; ``Name: value``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
"""A group counts in powers of 1024 (Group Manager Administrator's Guide)."""

_SIZE = re.compile(r"(\d+)(?:\.(\d+))?\s*(KB|MB|GB|TB)", re.IGNORECASE)
_RULE = re.compile(r"-+(?: +-+)*\s*")
_TITLE = re.compile(r"_+ *([^_]*?) *_*\s*")
_PAIR = re.compile(r"([A-Za-z][\w ?-]*):(?: +(.*))?")


@dataclass(frozen=True, slots=True)
class Row:
    """A line of ``volume show``."""

    name: str
    size: int
    """Bytes, as shown."""
    online: bool
    read_only: bool
    thin: bool | None
    connections: int


@dataclass(frozen=True, slots=True)
class Record:
    """An access record of a volume."""

    id: str
    initiator: str
    """Empty: any that meets the rest."""
    address: str
    chap: str
    """Empty: no CHAP."""
    applies: str
    """``volume``, ``snapshot`` or ``both``."""

    @property
    def lets_in(self) -> bool:
        """Whether it is about the volume itself, not its snapshots alone."""
        return self.applies.lower() != "snapshot"


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool; sizes in bytes."""

    size: int
    free: int


def size(text: str) -> int:
    """Bytes. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size")
    whole, part, unit = found[1], found[2] or "", found[3].upper()
    return int(whole + part) * UNITS[unit] // int(10 ** len(part))


def tables(output: str) -> Iterator[dict[str, str]]:
    """The rows of every table, by the heads of its columns."""
    columns: list[tuple[str, int, int | None]] = []
    before = ""
    row: list[str] = []
    for line in [*output.splitlines(), ""]:
        goes_on = bool(row) and line[:1] == " " and line.strip()
        if row and not goes_on:
            yield {
                head: "".join(part[first:last].strip() for part in row)
                for head, first, last in columns
            }
            row = []
        if _RULE.fullmatch(line) and before.strip():
            columns = _columns(before, line.rstrip())
        elif not line.strip() or line.startswith("_"):
            columns = []
        elif columns:
            row.append(line)
        before = line


def _columns(heads: str, rule: str) -> list[tuple[str, int, int | None]]:
    spans = [found.span() for found in re.finditer(r"-+", rule)]
    ends = [*(first for first, _ in spans[1:]), None]
    return [
        (heads[first:last].strip(), first, last)
        for (first, _), last in zip(spans, ends, strict=True)
    ]


def pairs(output: str) -> dict[str, str]:
    """``Name: value`` lines of the first section; a value may go on in the next line."""
    found: dict[str, str] = {}
    name, titles = "", 0
    for line in output.splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            titles += bool(title[1])
            if titles > 1:
                break
            continue
        pair = _PAIR.fullmatch(line.rstrip())
        if pair:
            name = pair[1]
            found[name] = (pair[2] or "").strip()
        elif name and line.strip():
            found[name] += line.strip()
    return found


def volumes(output: str) -> dict[str, Row]:
    """``volume show``. Raises ValueError for what is no such table."""
    found = {}
    for row in tables(output):
        name = row["Name"]
        thin = row.get("TP", "").upper()
        try:
            found[name] = Row(
                name=name,
                size=size(row["Size"]),
                online=row["Status"].lower().startswith("online"),
                read_only=row["Permission"].lower() == "read-only",
                thin={"Y": True, "N": False}.get(thin),
                connections=int(row["Connections"]),
            )
        except (KeyError, ValueError):
            raise ValueError(f"volume show: {row}") from None
    return found


def records(output: str) -> tuple[Record, ...]:
    """``volume select NAME access show``. Raises ValueError for what is no such table."""
    found = []
    for row in tables(output):
        number, method = row.get("ID", ""), row.get("AuthMethod", "").lower()
        if not number.isdecimal():
            raise ValueError(f"access show: {row}")
        initiator = row.get("Initiator", "")
        found.append(
            Record(
                id=number,
                initiator="" if initiator == "*" else initiator.lower(),
                address=row.get("Ipaddress", ""),
                chap=row.get("UserName", "") if method == "chap" else "",
                applies=row.get("Apply-To", ""),
            )
        )
    return tuple(found)


def accounts(output: str) -> frozenset[str]:
    """``chapuser show``."""
    return frozenset(row["Name"] for row in tables(output) if row.get("Name"))


def pools(output: str) -> dict[str, Pool]:
    """``show pool``."""
    found = {}
    for row in tables(output):
        try:
            found[row["Name"]] = Pool(size(row["Capacity"]), size(row["FreeSpace"]))
        except (KeyError, ValueError):
            continue  # a pool whose members are away has no sizes
    return found
