"""What tgtd, its configuration files and the pools hold, parsed from what commands print.

The layout of ``tgtadm --op show --mode target``: ``tgt_target_show_all`` in usr/target.c of tgt 1.0.85
(the same in 1.0.97); of ``--mode account``: ``account_show``; of ``--op stat``: ``tgt_stat_line``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_TARGET = re.compile(r"Target (\d+): (\S+)")
_INITIATOR_NAME = re.compile(r"(?:iqn|eui|naa)\.")
"""How an ACL entry that is a name begins (RFC 7143, 4.2.7); the others are addresses."""
_BACKING = re.compile(r"(\d+) (\d+) (/.*\.img)")


@dataclass(frozen=True, slots=True)
class Lun:
    """A logical unit with a backing store."""

    number: int
    path: str
    kind: str = "rdwr"
    """The backing store's type."""
    read_only: bool = False
    size: str = ""
    """As tgtd shows it: `shown_size`."""
    scsi_id: str = ""
    scsi_sn: str = ""


@dataclass(frozen=True, slots=True)
class Nexus:
    """An initiator's session with its connections."""

    number: int
    initiator: str
    connections: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """A target of the running tgtd."""

    tid: int
    iqn: str
    driver: str = "iscsi"
    luns: tuple[Lun, ...] = ()
    sessions: tuple[Nexus, ...] = ()
    accounts: tuple[str, ...] = ()
    """That initiators log in with."""
    outgoing: str = ""
    """That the target proves itself with."""
    initiators: tuple[str, ...] = ()
    """Let in by name."""
    addresses: tuple[str, ...] = ()
    """Let in by address, whatever their name."""

    def lun_of(self, path: str) -> Lun | None:
        """The logical unit that shows the file ``path``."""
        return next((lun for lun in self.luns if lun.path == path), None)


@dataclass(frozen=True, slots=True)
class Backing:
    """A file of a pool."""

    path: str
    size: int
    """Bytes."""
    allocated: int
    """Bytes that it takes up on the disk."""


@dataclass(frozen=True, slots=True)
class State:
    """What tgtd holds, what it will hold when it starts again, and the files in the pools."""

    targets: Mapping[str, LiveTarget] = field(default_factory=dict)
    """By IQN."""
    accounts: frozenset[str] = frozenset()
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration files by path: ours whole, of others what names targets and files."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the files of our CHAP accounts, in hexadecimal, by path."""
    backings: tuple[Backing, ...] = ()

    @property
    def next_tid(self) -> int:
        """A target number that nobody has."""
        return max((target.tid for target in self.targets.values()), default=0) + 1


def targets(output: str) -> dict[str, LiveTarget]:
    """``tgtadm --op show --mode target``, by IQN."""
    found = {}
    for block in _blocks(output.splitlines(), _TARGET):
        head = _TARGET.match(block[0])
        if head:
            target = _target(int(head[1]), head[2], block[1:])
            found[target.iqn] = target
    return found


def _target(tid: int, iqn: str, lines: list[str]) -> LiveTarget:
    parts = _sections(lines)
    acl = [line.strip() for line in parts.get("ACL information", ())]
    accounts = [line.strip() for line in parts.get("Account information", ())]
    outgoing = [
        name.removesuffix(" (outgoing)") for name in accounts if name.endswith("(outgoing)")
    ]
    system = _fields(parts.get("System information", []))
    return LiveTarget(
        tid=tid,
        iqn=iqn,
        driver=system.get("Driver", ""),
        luns=tuple(_luns(parts.get("LUN information", []))),
        sessions=tuple(_sessions(parts.get("I_T nexus information", []))),
        accounts=tuple(name for name in accounts if not name.endswith(" (outgoing)")),
        outgoing=outgoing[0] if outgoing else "",
        initiators=tuple(name for name in acl if _INITIATOR_NAME.match(name)),
        addresses=tuple(name for name in acl if name and not _INITIATOR_NAME.match(name)),
    )


def _sections(lines: list[str]) -> dict[str, list[str]]:
    """Lines below each heading, which is indented by four."""
    found: dict[str, list[str]] = {}
    title = ""
    for line in lines:
        if re.match(r" {4}\S.*:$", line):
            title = line.strip()[:-1]
            found[title] = []
        elif title:
            found[title].append(line)
    return found


def _luns(lines: list[str]) -> Iterator[Lun]:
    for block in _blocks(lines, re.compile(r"\s+LUN: \d+")):
        held = _fields(block)
        path = held.get("Backing store path", "None")
        if path != "None":
            yield Lun(
                number=int(block[0].rpartition(" ")[2]),
                path=path,
                kind=held.get("Backing store type", ""),
                read_only=held.get("Readonly") == "Yes",
                size=held.get("Size", "").partition(",")[0],
                scsi_id=held.get("SCSI ID", ""),
                scsi_sn=held.get("SCSI SN", ""),
            )


def _sessions(lines: list[str]) -> Iterator[Nexus]:
    for block in _blocks(lines, re.compile(r"\s+I_T nexus: \d+")):
        initiator = ""
        connections = []
        for line in block[1:]:
            name, _, value = line.strip().partition(": ")
            if name == "Initiator":
                initiator = value.partition(" alias: ")[0]
            elif name == "Connection" and value.isdecimal():
                connections.append(int(value))
        yield Nexus(int(block[0].rpartition(" ")[2]), initiator, tuple(connections))


def _fields(lines: list[str]) -> dict[str, str]:
    pairs = (line.strip().partition(":") for line in lines)
    return {name: value.strip() for name, _, value in pairs}


def _blocks(lines: list[str], head: re.Pattern[str]) -> Iterator[list[str]]:
    """Lines from one that matches ``head`` to the next."""
    block: list[str] = []
    for line in lines:
        if head.match(line):
            if block:
                yield block
            block = [line]
        elif block:
            block.append(line)
    if block:
        yield block


def accounts(output: str) -> frozenset[str]:
    """``tgtadm --op show --mode account``: a heading, and a name a line."""
    return frozenset(line.strip() for line in output.splitlines() if line.startswith(" "))


def idle(output: str, lun: int) -> str | None:
    """The counters of ``lun`` in ``tgtadm --op stat --mode target``, one line a session; None while
    a command is being carried out. Each pair is bytes and commands: of reads submitted, reads done,
    writes submitted, writes done."""
    mine = []
    for line in output.splitlines():
        numbers = line.split()
        if len(numbers) >= 11 and numbers[1] == str(lun):
            if numbers[3:5] != numbers[5:7] or numbers[7:9] != numbers[9:11]:
                return None
            mine.append(" ".join(numbers))
    return "\n".join(mine)


def shown_size(size: int) -> str:
    """``size`` bytes as tgtd shows it (``print_disksize``): so far as it can be told, whether tgtd
    has noticed that a file has grown."""
    sectors = size // 512
    return f"{(sectors - (sectors // 625 - 974)) // 1950} MB"


def files(output: bytes) -> dict[str, str]:
    """``grep -rsZH ''``: path, NUL, line; by path."""
    found: dict[str, list[str]] = {}
    for line in output.decode("utf-8", "replace").splitlines():
        path, _, text = line.partition("\0")
        found.setdefault(path, []).append(text)
    return {path: "".join(f"{line}\n" for line in lines) for path, lines in found.items()}


def digests(output: str) -> dict[str, str]:
    """``sha256sum``: digest, two spaces, path; by path."""
    rows = (line.partition("  ") for line in output.splitlines())
    return {path: digest for digest, _, path in rows if path}


def backings(output: str) -> tuple[Backing, ...]:
    """``find -printf '%s %b %p\\n'``: size, blocks of 512 bytes, path."""
    rows = (_BACKING.fullmatch(line) for line in output.splitlines())
    return tuple(Backing(row[3], int(row[1]), int(row[2]) * 512) for row in rows if row)
