"""Ports and VLANs of Open vSwitch: columns to nouns, and changes of nouns to ovs-vsctl commands.

Rules of ovs-vswitchd.conf.db(5), table Port: an empty ``vlan_mode`` means access where ``tag`` is
set and trunk where it is not; empty ``trunks`` means all; ``tag`` must be empty on a trunk and
``trunks`` on an access port; a native VLAN is always trunked.

Open vSwitch has no VLAN objects. A VLAN is there while a port carries it, or while the key
``rackwright-vlan-N`` stands in the ``external_ids`` of the Open_vSwitch record; its value is the
title. The key is on that record and not on a bridge, so a VLAN is of the whole switch, as on any
other switch, however many bridges there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.ovs_tables import Row, Tables, as_list, optional
from rackwright_providers.switch.resources import Port, Vlan

VLAN_KEY = "rackwright-vlan-"
DESCRIPTION_KEY = "description"
NO_VLAN = 4095
"""The only member of ``trunks`` when none is allowed: empty means all, and 802.1Q reserves 4095, so
no frame carries it."""

VLAN_COLUMNS = frozenset({"mode", "access_vlan", "native_vlan"})
"""Fields that share the columns ``vlan_mode`` and ``tag``."""


def observe(tables: Tables) -> dict[Address, Resource]:
    """Every VLAN and port of the switch."""
    found: dict[Address, Resource] = {}
    titles = vlan_titles(tables.root)
    carried = {vlan for row in tables.ports for vlan in carried_vlans(row)}
    for vlan in sorted(carried | titles.keys()):
        noun = Vlan(name=str(vlan), title=titles.get(vlan, ""))
        found[noun.address] = noun
    for row in tables.ports:
        port = port_of(row, tables.interface(row))
        found[port.address] = port
    return found


def vlan_titles(root: Row) -> dict[int, str]:
    """VLANs that were made here, with their titles."""
    found = {}
    for key, title in root["external_ids"].items():
        number = key.removeprefix(VLAN_KEY)
        if number != key and number.isdecimal() and vlanset.FIRST <= int(number) <= vlanset.LAST:
            found[int(number)] = str(title)
    return found


def carried_vlans(row: Row) -> Iterator[int]:
    """VLANs that a port names, whatever its mode."""
    for vlan in (*as_list(row["tag"]), *as_list(row["trunks"])):
        if vlanset.FIRST <= vlan <= vlanset.LAST:
            yield vlan


def port_of(row: Row, interface: Row) -> Port:
    """A row of Port and its interface (empty for a bond) as the noun."""
    tag = optional(row["tag"])
    kind = optional(row["vlan_mode"]) or ("trunk" if tag is None else "access")
    tag = tag or None  # VLAN 0 is no VLAN
    # native-tagged and dot1q-tunnel are neither access nor trunk: where a mode is declared, that
    # is a change that people see.
    mode: Literal["access", "trunk"] | None = None
    access = native = allowed = None
    if kind == "access":
        mode, access = "access", tag
    elif kind == "dot1q-tunnel":
        access = tag
    elif kind == "native-tagged":
        allowed = _allowed(row, also=tag)
    elif kind == "native-untagged":
        mode, native, allowed = "trunk", tag, _allowed(row)
    else:
        mode, allowed = "trunk", _allowed(row)
    return Port(
        name=row["name"],
        admin=optional(interface.get("admin_state", [])),
        description=str(row["external_ids"].get(DESCRIPTION_KEY, "")),
        mode=mode,
        access_vlan=access,
        native_vlan=native,
        allowed_vlans=allowed,
        mtu=optional(interface.get("mtu", [])),
    )


def _allowed(row: Row, also: int | None = None) -> str:
    trunks = as_list(row["trunks"])
    if not trunks:
        return "all"
    wanted = [vlan for vlan in (*trunks, also or 0) if vlanset.FIRST <= vlan <= vlanset.LAST]
    return vlanset.show(wanted)


def vlan_command(change: Change) -> tuple[str, ...]:
    """The command that makes, renames or removes a VLAN."""
    key = f"{VLAN_KEY}{change.address.name}"
    if change.after is None:
        return ("remove", "Open_vSwitch", ".", "external_ids", key)
    title = getattr(change.after, "title", None) or ""
    return ("set", "Open_vSwitch", ".", f"external_ids:{key}={quoted(title)}")


def port_commands(
    name: str, before: Port, after: Port, fields: frozenset[str]
) -> list[tuple[str, ...]]:
    """The commands that write ``fields`` of a port (admin apart: it is no column)."""
    columns: list[str] = []
    commands: list[tuple[str, ...]] = []
    if fields & VLAN_COLUMNS:
        columns += _vlan_columns(before, after, fields)
    if "allowed_vlans" in fields and after.allowed_vlans is not None:
        columns.append(f"trunks={_trunks(after.allowed_vlans)}")
    if "description" in fields:
        if after.description:
            columns.append(f"external_ids:{DESCRIPTION_KEY}={quoted(after.description)}")
        else:
            commands.append(("remove", "Port", name, "external_ids", DESCRIPTION_KEY))
    if columns:
        commands.insert(0, ("set", "Port", name, *columns))
    if "mtu" in fields:
        commands.append(("set", "Interface", name, f"mtu_request={after.mtu}"))
    return commands


def _vlan_columns(before: Port, after: Port, fields: frozenset[str]) -> list[str]:
    mode = after.mode or before.mode
    if mode == "access":
        vlan = after.access_vlan or before.access_vlan
        return ["vlan_mode=access", f"tag={vlan or '[]'}", "trunks=[]"]
    native = after.native_vlan or before.native_vlan
    columns = [f"vlan_mode={'native-untagged' if native else 'trunk'}", f"tag={native or '[]'}"]
    if before.mode is None and before.allowed_vlans is not None and "allowed_vlans" not in fields:
        # native-tagged trunks its tag whether listed or not; now it has to be listed.
        columns.append(f"trunks={_trunks(before.allowed_vlans)}")
    return columns


def _trunks(allowed: str | int | tuple[int | str, ...]) -> str:
    ids = vlanset.parse(allowed)
    if len(ids) == vlanset.LAST:
        return "[]"
    return f"[{','.join(str(vlan) for vlan in sorted(ids)) or NO_VLAN}]"


def still_trunked(
    changes: Sequence[Change], observed: Mapping[Address, Resource]
) -> dict[Address, str]:
    """Removals of VLANs that stand in a port's list after all of ``changes``, each with its reason.
    Other switches stop such a VLAN; here it would go on, since the list is all there is of it."""
    lists: dict[str, frozenset[int]] = {}
    after = {c.address: c.after for c in changes if c.action in ("create", "update")}
    for address, seen in observed.items():
        wanted = after.get(address)
        if not isinstance(seen, Port):
            continue
        allowed = seen.allowed_vlans
        if isinstance(wanted, Port):
            allowed = wanted.allowed_vlans if wanted.allowed_vlans is not None else allowed
            allowed = None if wanted.mode == "access" else allowed
        if allowed not in (None, "all"):
            lists[seen.name] = vlanset.parse(allowed)
    return {
        change.address: f"port {', '.join(users)} would still carry it: take it out of allowed_vlans"
        for change in changes
        if change.action == "remove" and change.address.type == Vlan.kind
        for users in ([name for name, ids in lists.items() if int(change.address.name) in ids],)
        if users
    }


_SHARED = {"set": 3, "remove": 4}
"""Leading words that two commands must share to be one: verb, table, record (and column)."""


def merged(commands: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """The same with neighbours of one record joined: 4,094 VLANs take ovs-vsctl 3 s one by one."""
    out: list[list[str]] = []
    for command in commands:
        head = _SHARED.get(command[0], len(command))
        if out and out[-1][:head] == list(command[:head]):
            out[-1].extend(command[head:])
        else:
            out.append(list(command))
    return [tuple(command) for command in out]


def quoted(text: str) -> str:
    """A string as ovs-vsctl reads it whatever is in it: a JSON string."""
    return json.dumps(text)
