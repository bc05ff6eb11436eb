"""Changes as IOS configuration lines. Pure.

The order inside a port keeps it out of wrong states: what a mode will use is set before the port
goes into it, a trunk's new VLANs are let in before old ones are shut out, a port is shut first and
opened last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset
from rackwright_providers.switch.resources import Port, Vlan

LINE = 220
"""Characters of a line that every IOS takes whole."""
MODE_LINES = {
    "access": "switchport mode access",
    "trunk": "switchport mode trunk",
    "dynamic": "switchport mode dynamic auto",
}
EXTENDED = 1006
"""From this id on a VLAN is really made only when its configuration mode is left, and may fail
then: so it is left at once, while the answer still belongs to this VLAN."""

_ALL = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class IosStep(Step):
    """Configuration lines for one resource."""

    lines: tuple[str, ...]


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[IosStep]:
    """One step a change, in their order; a change that sends nothing has none."""
    made = []
    for change in changes:
        if change.action not in ("create", "update", "remove"):
            continue
        lines = _lines(change, observed)
        if lines:
            made.append(
                IosStep(addresses=(change.address,), text="\n".join(lines), lines=tuple(lines))
            )
    return made


def _lines(change: Change, observed: Mapping[Address, Resource]) -> list[str]:
    after = change.after
    if change.address.type == Vlan.kind:
        if change.action == "remove":
            return [f"no vlan {change.address.name}"]
        if isinstance(after, Vlan):
            return _vlan(after, change)
    if isinstance(after, Port):
        before = change.before or observed.get(change.address)
        return _port(after, before if isinstance(before, Port) else None, change)
    return []


def _vlan(vlan: Vlan, change: Change) -> list[str]:
    lines = [f"vlan {vlan.name}"]
    if vlan.title is not None and (change.action == "create" or "title" in change.field_names):
        title = f'"{vlan.title}"' if " " in vlan.title else vlan.title
        lines.append(f" name {title}")
    if vlan.id >= EXTENDED:
        lines.append(" exit")
    return lines


def _port(port: Port, before: Port | None, change: Change) -> list[str]:
    fields = change.field_names
    lines: list[str] = []
    if "description" in fields:
        lines.append(f"description {port.description}" if port.description else "no description")
    if "admin" in fields and port.admin == "down":
        lines.append("shutdown")
    if "mtu" in fields:
        lines.append(f"mtu {port.mtu}")
    if before is not None and before.mode == "routed" and fields & _SWITCHING:
        lines.append("switchport")
    trunk = _trunk(port, before, fields)
    access = [f"switchport access vlan {port.access_vlan}"] if "access_vlan" in fields else []
    mode = [MODE_LINES[port.mode]] if "mode" in fields and port.mode in MODE_LINES else []
    trunking = (port.mode or (before.mode if before else None)) == "trunk"
    lines += [*trunk, *mode, *access] if trunking else [*access, *mode, *trunk]
    if "admin" in fields and port.admin == "up":
        lines.append("no shutdown")
    return [f"interface {port.name}", *(f" {line}" for line in lines)] if lines else []


_SWITCHING = frozenset({"mode", "access_vlan", "native_vlan", "allowed_vlans"})


def _trunk(port: Port, before: Port | None, fields: frozenset[str]) -> list[str]:
    gained: list[str] = []
    lost: list[str] = []
    if "allowed_vlans" in fields and port.allowed_vlans is not None:
        old = before.allowed_vlans if before else None
        gained, lost = allowed(
            None if old is None else vlanset.parse(old), vlanset.parse(port.allowed_vlans)
        )
    native = [f"switchport trunk native vlan {port.native_vlan}"] if "native_vlan" in fields else []
    return [*gained, *native, *lost]


def allowed(before: frozenset[int] | None, after: frozenset[int]) -> tuple[list[str], list[str]]:
    """Lines that let VLANs in, and lines that shut VLANs out."""
    command = "switchport trunk allowed vlan"
    if after == _ALL or not after:
        return [f"{command} {vlanset.show(after)}"], []
    whole = f"{command} {vlanset.show(after)}"
    if before is None or before in (_ALL, frozenset()):
        if len(whole) < LINE:
            return [whole], []
        if before == _ALL:  # a set in several lines would shut out for a moment what stays
            return [], _chunks(f"{command} remove", before - after)
        first, *more = _chunks(command, after)
        return [first, *(line.replace(command, f"{command} add", 1) for line in more)], []
    return _chunks(f"{command} add", after - before), _chunks(f"{command} remove", before - after)


def _chunks(command: str, ids: Iterable[int]) -> list[str]:
    lines: list[str] = []
    for part in vlanset.ranges(ids):
        # 5 stands for the blank and an " add" that may still be put in.
        if lines and len(lines[-1]) + 1 + len(part) + 5 <= LINE:
            lines[-1] += f",{part}"
        else:
            lines.append(f"{command} {part}")
    return lines
