"""Changes as steps: rows of the static VLAN table, and what a port is to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.resources import Hostname, Port, Vlan

ROWS = 96
"""VLANs in one step; how many go into one SET is the agent's to say."""


@dataclass(frozen=True, slots=True)
class VlanRow:
    """What is done to one row. ``title`` None: its name is left alone."""

    address: Address
    action: Literal["create", "rename", "destroy"]
    title: str | None = None

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
class PortStep(Step):
    """What is done to one port; None where nothing is."""

    name: str
    admin: str | None = None
    alias: str | None = None
    vlans: Membership | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostnameStep(Step):
    """The new sysName."""

    value: str


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[Step]:
    """The steps, in the order of ``changes``. VLANs that follow each other share one, save those that
    a port is just leaving: their removal waits for that port alone."""
    left = {
        vlan
        for change in changes
        if isinstance(change.before, Port) and change.action == "update"
        for vlan in change.before.vlans()
    }
    found: list[Step] = []
    rows: list[VlanRow] = []

    def flush() -> None:
        if rows:
            found.append(_vlan_step(tuple(rows)))
            rows.clear()

    for change in changes:
        if change.action not in ("create", "update", "remove"):
            continue
        if change.address.type == Vlan.kind:
            row = _row(change)
            alone = row.id in left
            if rows and (alone or row.action != rows[0].action or len(rows) == ROWS):
                flush()
            rows.append(row)
            if not alone:
                continue
        flush()
        if isinstance(change.after, Port) and isinstance(change.before, Port):
            found.append(_port_step(change, change.before, change.after))
        elif isinstance(change.after, Hostname):
            value = change.after.value or ""
            text = f"sysName.0 = {value!r}"
            found.append(HostnameStep(addresses=(change.address,), text=text, value=value))
    flush()
    return found


def _row(change: Change) -> VlanRow:
    if change.action == "remove":
        return VlanRow(change.address, "destroy")
    title = change.after.title if isinstance(change.after, Vlan) else None
    if change.action == "update":
        return VlanRow(change.address, "rename", title)
    # Many agents take no row without a name; this is what Cisco and H3C call one by themselves.
    made = title if title is not None else f"VLAN{int(change.address.name):04d}"
    return VlanRow(change.address, "create", made)


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


def _port_step(change: Change, before: Port, after: Port) -> PortStep:
    fields, name = change.field_names, before.name
    lines = []
    admin = after.admin if "admin" in fields else None
    alias = after.description if "description" in fields else None
    if admin:
        lines.append(f"ifAdminStatus.{name} = {admin}")
    if alias is not None:
        lines.append(f"ifAlias.{name} = {alias!r}")
    vlans = None
    if fields & {"mode", "access_vlan", "native_vlan", "allowed_vlans"}:
        vlans = membership(before, after)
        lines += _shown(name, vlans)
    return PortStep(
        addresses=(change.address,),
        text="\n".join(lines),
        name=name,
        admin=admin,
        alias=alias,
        vlans=vlans,
    )


def _shown(name: str, vlans: Membership) -> list[str]:
    egress, untagged = mib.NAMES[mib.VLAN_EGRESS], mib.NAMES[mib.VLAN_UNTAGGED]
    lines = [
        (egress, "+", vlans.joins),
        (untagged, "+", vlans.untagged),
        (mib.NAMES[mib.PVID], "=", frozenset({vlans.pvid} if vlans.pvid else ())),
        (untagged, "-", vlans.tags),
        (egress, "-", vlans.leaves),
    ]
    return [
        f"dot1qPvid.{name} = {vlanset.show(ids)}"
        if sign == "="
        else f"{what}.{vlanset.show(ids)} {sign}= {name}"
        for what, sign, ids in lines
        if ids
    ]


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
