"""What ``ovs-vsctl --format=json list`` prints, as plain values (RFC 7047 §5.1 notation)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rackwright.model.errors import Permanent

READ_COLUMNS: Mapping[str, Sequence[str]] = {
    "Open_vSwitch": ("external_ids",),
    "Bridge": ("name", "ports"),
    "Port": (
        "_uuid",
        "name",
        "vlan_mode",
        "tag",
        "trunks",
        "external_ids",
        "interfaces",
    ),
    "Interface": (
        "_uuid",
        "name",
        "ofport",
        "admin_state",
        "link_state",
        "link_speed",
        "mac_in_use",
        "mtu",
    ),
}
"""The columns we read of each table; those that count packets would change in every exchange."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tables:
    """One consistent snapshot: all of it comes from one ``ovs-vsctl``."""

    root: Row
    bridges: Sequence[Row]
    ports: Sequence[Row]
    interfaces: Mapping[str, Row]
    """By UUID."""

    def interface(self, port: Row) -> Row:
        """The interface that carries ``port``; empty for a bond, which has several."""
        members = as_list(port["interfaces"])
        return self.interfaces.get(members[0], {}) if len(members) == 1 else {}

    def bridges_by_port(self) -> dict[str, str]:
        """Name of each port → name of the bridge that it is on."""
        names = {port["_uuid"]: str(port["name"]) for port in self.ports}
        return {
            names[uuid]: str(bridge["name"])
            for bridge in self.bridges
            for uuid in as_list(bridge["ports"])
            if uuid in names
        }


def read_argv(timeout: int) -> list[str]:
    """The one command that reads everything."""
    argv = ["ovs-vsctl", f"--timeout={timeout}", "--format=json"]
    for table, columns in READ_COLUMNS.items():
        argv += ["--", f"--columns={','.join(columns)}", "list", table]
    return argv


def parse(output: bytes) -> Tables:
    """The answer to `read_argv`: one JSON table a line. Raises Permanent for anything else."""
    try:
        tables = [_rows(json.loads(line)) for line in output.splitlines() if line.strip()]
        root, bridges, ports, interfaces = tables
        return Tables(root[0], bridges, ports, {row["_uuid"]: row for row in interfaces})
    except (ValueError, LookupError, TypeError) as error:
        text = output[:200].decode("utf-8", "replace")
        raise Permanent(f"ovs-vsctl answered what is not its JSON ({error}): {text!r}") from None


def _rows(table: Any) -> list[Row]:
    names = table["headings"]
    return [
        {name: _value(cell) for name, cell in zip(names, row, strict=True)} for row in table["data"]
    ]


def _value(cell: Any) -> Any:
    """A set of one is written as the bare value, so an optional value is that value or ``[]``."""
    if isinstance(cell, list) and len(cell) == 2:
        kind, content = cell
        if kind == "set":
            return [_value(item) for item in content]
        if kind == "map":
            return {str(_value(key)): _value(value) for key, value in content}
        if kind in ("uuid", "named-uuid"):
            return content
    return cell


def as_list(value: Any) -> list[Any]:
    """The members of a set, however many there are."""
    return value if isinstance(value, list) else [value]


def optional(value: Any) -> Any:
    """The value of an optional column, or None."""
    members = as_list(value)
    return members[0] if members else None
