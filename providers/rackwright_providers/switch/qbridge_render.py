"""Changes as steps: rows of the static VLAN table, and what a port is to be. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.resources import Hostname, Port, Vlan

ROWS = 96
"""VLANs in one step; how many go into one SET is the agent's to say."""
PORTS = 16
"""Ports in one step: the list of a VLAN is written once for all of them."""

SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VlanRow:
    """What is done to one row."""

    address: Address
    action: Literal["create", "rename", "destroy"]
    title: str = ""
    members: bool = False
    """Of one that goes: whether there are ports in it."""

    @property
    def id(self) -> int:
        """The VLAN id, which is the row's index."""
        return int(self.address.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class VlanStep(Step):
    """Rows of one action."""

    rows: tuple[VlanRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """In which VLANs a port is to be."""

    egress: frozenset[int]
    untagged: frozenset[int]
    pvid: int | None
    joins: frozenset[int]
    """VLANs of `egress` that it is not in yet."""
    leaves: frozenset[int]
    tags: frozenset[int]
    """VLANs that may be untagged on it now and are not to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortChange:
    """What is done to one port; None where nothing is."""

    name: str
    admin: str | None = None
    alias: str | None = None
    vlans: Membership | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortStep(Step):
    """Ports that rest on the same VLANs."""

    ports: tuple[PortChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostnameStep(Step):
    """The new sysName."""

    value: str


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[Step]:
    """The steps, in the order of ``changes``. What follows each other and rests on the same shares
    one: VLANs, save those that a port is just leaving (their removal waits for that port alone), and
    ports that are to be in the same VLANs."""
    left = {
        vlan
        for change in changes
        if isinstance(change.before, Port) and change.action == "update"
        for vlan in change.before.vlans()
    }
    in_use = {
        vlan for port in observed.values() if isinstance(port, Port) for vlan in carried(port)
    }
    found: list[Step] = []
    for _, same in itertools.groupby(changes, lambda change: _shared(change, left)):
        group = list(same)
        after = group[0].after
        if group[0].action not in ("create", "update", "remove"):
            continue
        if group[0].address.type == Vlan.kind:
            rows = [_row(change, in_use) for change in group]
            found += [_vlan_step(tuple(some)) for some in _split(rows, ROWS)]
        elif isinstance(after, Port):
            found += [_port_step(some) for some in _split(group, PORTS)]
        elif isinstance(after, Hostname):
            value = after.value or ""
            text = f"{mib.NAMES[mib.SYS_NAME]} = {value!r}"
            found.append(HostnameStep(addresses=(group[0].address,), text=text, value=value))
    return found


def _shared(change: Change, left: Collection[int]) -> tuple[object, ...]:
    """Changes that follow each other and have the same of this share a step."""
    kind, name = change.address.type, change.address.name
    if kind == Vlan.kind:
        return (kind, change.action, name if int(name) in left else "")
    rests_on = change.after.vlans() if isinstance(change.after, Port) else None
    return (kind, change.action, rests_on, bool(change.field_names & SWITCHING))


def _split(items: Sequence[T], most: int) -> list[Sequence[T]]:
    return [items[at : at + most] for at in range(0, len(items), most)]


def _row(change: Change, in_use: Collection[int]) -> VlanRow:
    address = change.address
    if change.action == "remove":
        return VlanRow(address, "destroy", members=int(address.name) in in_use)
    title = change.after.title if isinstance(change.after, Vlan) else None
    if change.action == "update":
        return VlanRow(address, "rename", title or "")
    # Many agents take no row without a name; this is what Cisco and H3C call one by themselves.
    return VlanRow(address, "create", f"VLAN{int(address.name):04d}" if title is None else title)


def _vlan_step(rows: tuple[VlanRow, ...]) -> VlanStep:
    addresses = tuple(row.address for row in rows)
    which = vlanset.show(row.id for row in rows)
    name, status = mib.NAMES[mib.VLAN_NAME], mib.NAMES[mib.VLAN_STATUS]
    title = repr(rows[0].title) if len(rows) == 1 else "as declared"
    lines = {
        "create": [f"{status}.{which} = createAndGo(4)", f"{name}.{which} = {title}"],
        "rename": [f"{name}.{which} = {title}"],
        "destroy": [f"{status}.{which} = destroy(6)"],
    }[rows[0].action]
    return VlanStep(addresses=addresses, text="\n".join(lines), rows=rows)


def _port_step(changes: Sequence[Change]) -> PortStep:
    ports = tuple(
        _port_change(change.before, change.after, change.field_names)
        for change in changes
        if isinstance(change.before, Port) and isinstance(change.after, Port)
    )
    return PortStep(
        addresses=tuple(change.address for change in changes),
        text="\n".join(_shown(ports)),
        ports=ports,
    )


def _port_change(before: Port, after: Port, fields: frozenset[str]) -> PortChange:
    return PortChange(
        name=before.name,
        admin=after.admin if "admin" in fields else None,
        alias=after.description if "description" in fields else None,
        vlans=membership(before, after) if fields & SWITCHING else None,
    )


def _shown(ports: Sequence[PortChange]) -> list[str]:
    """What is sent, the same for several ports in one line."""
    egress, untagged = mib.NAMES[mib.VLAN_EGRESS], mib.NAMES[mib.VLAN_UNTAGGED]
    lines = [f"{mib.NAMES[mib.IF_ADMIN_STATUS]}.{p.name} = {p.admin}" for p in ports if p.admin]
    lines += [
        f"{mib.NAMES[mib.IF_ALIAS]}.{port.name} = {port.alias!r}"
        for port in ports
        if port.alias is not None
    ]
    phases: list[tuple[str, Callable[[Membership], Iterable[int]]]] = [
        (f"{egress}.{{ids}} += {{ports}}", lambda vlans: vlans.joins),
        (f"{untagged}.{{ids}} += {{ports}}", lambda vlans: vlans.untagged),
        (f"{mib.NAMES[mib.PVID]}.{{ports}} = {{ids}}", lambda v: {v.pvid} if v.pvid else ()),
        (f"{untagged}.{{ids}} -= {{ports}}", lambda vlans: vlans.tags),
        (f"{egress}.{{ids}} -= {{ports}}", lambda vlans: vlans.leaves),
    ]
    for form, ids in phases:
        named: dict[str, list[str]] = {}
        for port in ports:
            if port.vlans and ids(port.vlans):
                named.setdefault(vlanset.show(ids(port.vlans)), []).append(port.name)
        lines += [form.format(ids=text, ports=", ".join(some)) for text, some in named.items()]
    return lines


def membership(before: Port, after: Port) -> Membership:
    """Where a port that is ``before`` has to be so that it is ``after``, whose mode `canonical` has
    said wherever it says anything of VLANs."""
    egress = carried(before)
    own = before.access_vlan or before.native_vlan
    if (after.mode or before.mode) == "access":
        own = after.access_vlan or own
        if own is None:
            raise Permanent(f"port {after.name}: it is in no VLAN: say `access_vlan`")
        wanted = frozenset({own})
    else:
        own = after.native_vlan or own
        declared = after.allowed_vlans
        wanted = egress if declared is None else vlanset.parse(declared)
    untagged = frozenset({own}) & wanted if own else frozenset[int]()
    joins = wanted - egress
    # Of a port that is access or trunk, the PVID's VLAN is the only one that is untagged.
    bare = {vlan for vlan in (before.access_vlan, before.native_vlan) if vlan}
    if before.mode is None:
        bare |= egress
    return Membership(
        egress=wanted,
        untagged=untagged,
        pvid=own,
        joins=joins,
        leaves=egress - wanted,
        tags=(joins | bare) - untagged,
    )


def carried(port: Port) -> frozenset[int]:
    """The VLANs that a port is in, as observed."""
    if port.allowed_vlans is not None:
        return vlanset.parse(port.allowed_vlans)
    return frozenset({port.access_vlan} if port.access_vlan else ())


def absent(changes: Iterable[Change], observed: Mapping[Address, Resource]) -> dict[Address, str]:
    """Changes of ports that would be in VLANs which are not there, each with its reason: a port is
    put into a row of the VLAN's own, so there must be one."""
    changes = list(changes)
    there = {int(address.name) for address in observed if address.type == Vlan.kind}
    there |= {int(c.address.name) for c in changes if c.address.type == Vlan.kind}
    found = {}
    for change in changes:
        after = change.after
        if not isinstance(after, Port) or change.action != "update":
            continue
        missing = (after.vlans() | carried(after)) - there
        if missing:
            few = vlanset.show(missing)
            found[change.address] = f"VLAN {few} is not on the switch: declare it as well"
    return found
