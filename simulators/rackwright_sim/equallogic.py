"""An EqualLogic PS Series group: its Group Manager's command line over SSH.

Answers are in the form of dialogues in public drivers and scripts (OpenStack Cinder's driver for these
arrays and its guide, libsan). Tables wrap long cells into the next line, whatever the width.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from rackwright_sim.cli_box import Access, Box, Reply
from rackwright_sim.faults import Faults

MB = 2**20
UNIT = 15
"""MB to which sizes are rounded up."""
MOST = 15 * 2**20
"""MB of the largest volume."""
UNITS = {"": 1, "M": 1, "MB": 1, "G": 2**10, "GB": 2**10, "T": 2**20, "TB": 2**20}
"""In MB; without a unit it is MB."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,62}")
VOLUMES = (15, 10, 9, 7, 10, 11, 2)
RECORDS = (3, 29, 15, 10, 10, 8)


class EqualLogic(Box):
    """One group. ``data["volumes"]`` holds each volume by its name; its size in MB."""

    writing: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:volume (?:create|delete|select \S+ (?:access (?:create|delete)|size|online|offline|pool))"
        r"|chapuser (?:create|delete|select))\b"
    )
    refusal = Reply("% Error - The request could not be carried out.")

    def __init__(
        self,
        name: str = "group-0",
        *,
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
        pools: Sequence[str] = ("default",),
        capacity: int = 16 * 2**20,
    ) -> None:
        """``capacity`` of each pool, in MB."""
        self.name = name
        self.capacity = capacity
        self.settings: dict[str, str] = {}
        """What sessions have set, by ``cli-settings``."""
        data = {"volumes": {}, "chap": {}, "pools": list(pools), "made": 0}
        super().__init__(data, access=access, faults=faults, state=state)

    @property
    def volumes(self) -> dict[str, dict[str, Any]]:
        """By name. Change them to play an administrator, or an initiator that logs in."""
        found: dict[str, dict[str, Any]] = self.data["volumes"]
        return found

    @property
    def prompt(self) -> str:
        return f"{self.name}> "

    def greeting(self) -> str:
        return (
            "\n           Welcome to Group Manager\n\n        Copyright 2001-2014 Dell Inc.\n\n\n"
        )

    def put(self, name: str, size: int, *, pool: str = "default", thin: bool = False) -> None:
        """Make a volume of ``size`` MB."""
        self.data["made"] += 1
        mark = f"{zlib.crc32(name.encode()):08x}c-{self.data['made']:012x}"
        self.volumes[name] = {
            "size": -(-size // UNIT) * UNIT,
            "pool": pool,
            "thin": thin,
            "online": True,
            "read_only": False,
            "connections": 0,
            "iqn": f"iqn.2001-05.com.equallogic:0-8a0906-{mark}-{name.lower()}",
            "records": {},
        }

    def answer(self, line: str) -> Reply:
        """What the command line says. A word may be given in quotes."""
        words = [word.strip('"') for word in line.split()]
        match words:
            case []:
                return Reply()
            case ["cli-settings", setting, ("on" | "off") as value]:
                self.settings[setting] = value
                return Reply()
            case ["stty", _, _]:
                return Reply()
            case ["volume", "show"]:
                return Reply(self._volumes())
            case ["volume", "create", name, size, *more]:
                return self._create(name, size, more)
            case ["volume", "delete", name] if name in self.volumes:
                return self._delete(name)
            case ["volume", "select", name, *rest] if name in self.volumes:
                return self._select(name, rest)
            case ["volume", "select" | "delete", name, *_]:
                return _error(f"Volume {name} does not exist.")
            case ["chapuser", *rest]:
                return self._chap(rest)
            case ["show", "pool"]:
                return Reply(self._pools())
            case ["grpparams", "show"]:
                return Reply(
                    "_______________________________ Group Information _______________________________\n"
                    f"Group-Name: {self.name}\nGroup-Ipaddress: 10.0.1.6\nDescription:\n"
                )
        return Reply(f"% Error - Bad command: {line}\n")

    def _size(self, megabytes: int) -> str:
        if self.settings.get("displayinMB") == "on" or megabytes < 2**10:
            return f"{megabytes}MB"
        number, unit = (
            (megabytes / 2**20, "TB") if megabytes >= 2**20 else (megabytes / 2**10, "GB")
        )
        return f"{number:.2f}".rstrip("0").rstrip(".") + unit

    def _volumes(self) -> str:
        heads = ("Name", "Size", "Snapshots", "Status", "Permission", "Connections", "TP")
        rows = [
            (
                name,
                self._size(held["size"]),
                "0",
                "online" if held["online"] else "offline",
                "read-only" if held["read_only"] else "read-write",
                str(held["connections"]),
                "Y" if held["thin"] else "N",
            )
            for name, held in self.volumes.items()
        ]
        return table(heads, VOLUMES, rows)

    def _pools(self) -> str:
        rows = []
        for pool in self.data["pools"]:
            mine = [held for held in self.volumes.values() if held["pool"] == pool]
            used = sum(held["size"] for held in mine if not held["thin"])
            sizes = self._size(self.capacity), self._size(max(0, self.capacity - used))
            rows.append((pool, str(pool == "default").lower(), "1", str(len(mine)), *sizes))
        heads = ("Name", "Default", "Members", "Volumes", "Capacity", "FreeSpace")
        return table(heads, (20, 7, 7, 7, 10, 10), rows)

    def _create(self, name: str, size: str, more: list[str]) -> Reply:
        megabytes = _megabytes(size)
        pool = more[more.index("pool") + 1] if "pool" in more[:-1] else "default"
        if not NAME.fullmatch(name):
            return _error(f"Invalid volume name {name}.")
        if name in self.volumes:
            return _error(f"Volume {name} already exists.")
        if pool not in self.data["pools"]:
            return _error(f"Pool {pool} does not exist.")
        if not 0 < megabytes <= MOST:
            return _error(f"Invalid size {size}.")
        self.put(name, megabytes, pool=pool, thin="thin-provision" in more)
        iqn = self.volumes[name]["iqn"]
        return Reply(f"Volume creation succeeded.\niSCSI target name is {iqn}.\n")

    def _delete(self, name: str) -> Reply:
        if self.volumes[name]["online"]:
            return _error(f"Volume {name} is online and cannot be deleted.")
        del self.volumes[name]
        return Reply("Volume deletion succeeded.\n")

    def _select(self, name: str, rest: list[str]) -> Reply:
        held = self.volumes[name]
        match rest:
            case ["show"]:
                return Reply(self._information(name))
            case ["size", size]:
                megabytes = _megabytes(size)
                if not 0 < megabytes <= MOST:
                    return _error(f"Invalid size {size}.")
                held["size"] = -(-megabytes // UNIT) * UNIT
                return Reply()
            case [("online" | "offline") as wanted]:
                held["online"] = wanted == "online"
                held["connections"] = held["connections"] if held["online"] else 0
                return Reply()
            case ["access", "show"]:
                return Reply(self._records(name))
            case ["access", "delete", number] if number in held["records"]:
                del held["records"][number]
                return Reply()
            case ["access", "create", *pairs]:
                return self._access(held, pairs)
        return Reply("% Error - Bad command.\n")

    def _access(self, held: dict[str, Any], pairs: list[str]) -> Reply:
        given = dict(zip(pairs[::2], pairs[1::2], strict=False))
        allowed = {"initiator", "ipaddress", "authmethod", "username", "apply-to"}
        if len(pairs) % 2 or not given or set(given) - allowed:
            return Reply("% Error - Bad command.\n")
        record = {
            "initiator": given.get("initiator", ""),
            "address": given.get("ipaddress", "*.*.*.*"),
            "method": given.get("authmethod", "none"),
            "user": given.get("username", ""),
            "applies": given.get("apply-to", "both"),
        }
        if record in held["records"].values():
            return _error("Access record already exists.")
        number = next(str(n) for n in range(1, 17) if str(n) not in held["records"])
        held["records"][number] = record
        return Reply(f"Access control record created with ID {number}.\n")

    def _records(self, name: str) -> str:
        heads = ("ID", "Initiator", "Ipaddress", "AuthMethod", "UserName", "Apply-To")
        keys = ("initiator", "address", "method", "user", "applies")
        rows = [
            (number, *(str(record[key]) for key in keys))
            for number, record in self.volumes[name]["records"].items()
        ]
        return table(heads, RECORDS, rows)

    def _information(self, name: str) -> str:
        held = self.volumes[name]
        size = self._size(held["size"])
        title = (
            "_______________________________ Volume Information ________________________________"
        )
        second = (
            "_________________________________ Access Records __________________________________"
        )
        state = "online" if held["online"] else "offline"
        return (
            f"{title}\nName: {name}\nSize: {size}\nVolReserve: {size}\nVolReserveInUse: 0MB\n"
            f"iSCSI Alias: {name}\niSCSI Name: {held['iqn']}\nActualMembers: 1\nDescription:\n"
            f"Permission: {'read-only' if held['read_only'] else 'read-write'}\n"
            f"DesiredStatus: {state}\nStatus: {state}\nConnections: {held['connections']}\n"
            f"Snapshots: 0\nBind:\nType: not-replicated\nPool: {held['pool']}\n"
            f"Thin-Provision: {'enabled' if held['thin'] else 'disabled'}\n"
            f"{second}\n{self._records(name)}"
        )

    def _chap(self, rest: list[str]) -> Reply:
        accounts: dict[str, str] = self.data["chap"]
        match rest:
            case ["show"]:
                rows = [(name, "enabled") for name in accounts]
                return Reply(table(("Name", "Status"), (63, 8), rows))
            case ["show", name] if name in accounts:
                title = (
                    "___________________________ CHAP User Information ___________________________"
                )
                return Reply(
                    f"{title}\nUserName: {name}\nPassword: {accounts[name]}\nStatus: enabled\n"
                )
            case ["create", name, "password", password, *_] if name not in accounts:
                accounts[name] = password
                return Reply(f"Password is {password}\n")
            case ["select", name, "password", password] if name in accounts:
                accounts[name] = password
                return Reply()
            case ["delete", name] if name in accounts:
                del accounts[name]
                return Reply("CHAP user deletion succeeded.\n")
            case ["create", name, *_]:
                return _error(f"CHAP user {name} already exists.")
            case ["select" | "delete", name, *_]:
                return _error(f"CHAP user {name} does not exist.")
        return Reply("% Error - Bad command.\n")


def table(heads: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> str:
    """As the command line shows one: a long cell goes on in the next line, indented by two."""
    lines = [_line(heads, widths), " ".join("-" * width for width in widths)]
    for row in rows:
        cells = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(len(cell) for cell in cells)):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append(_line(parts, widths))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return " ".join(f"{cell:<{width}}" for cell, width in pairs).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    parts, rest = [cell[:width]], cell[width:]
    while rest:
        parts.append("  " + rest[: width - 2])
        rest = rest[width - 2 :]
    return parts


def _megabytes(size: str) -> int:
    """0 for what is no size."""
    found = re.fullmatch(r"(\d+)([A-Za-z]*)", size)
    return int(found[1]) * UNITS.get(found[2].upper(), 0) if found else 0


def _error(text: str) -> Reply:
    return Reply(f"% Error - {text}\n")
