"""Changes as steps of IOS configuration lines. Pure.

VLANs that are made without a title, or removed, go by lists: ``vlan 100-199,300``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.resource import Resource
from rackwright_providers.switch import ios_management, ios_ports, vlanset
from rackwright_providers.switch.resources import Lag, Port, Vlan

EXTENDED = 1006
"""From this id on a VLAN is really made only when its configuration mode is left, and may fail
then: so it is left at once, while the answer still belongs to this VLAN."""
TOGETHER = 256
"""VLANs of one line at most: a switch is to answer well within the time that it is given, and what
it refuses is looked for among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IosStep(Step):
    """Configuration lines for one resource, or for many VLANs."""

    lines: tuple[str, ...]


def steps(changes: Sequence[Change], observed: Mapping[Address, Resource]) -> list[IosStep]:
    """The steps of ``changes``, in their order; a change that sends nothing has none."""
    made: list[IosStep] = []
    scene = ios_ports.Scene(changes, observed)
    acting = (change for change in changes if change.action in ("create", "update", "remove"))
    for together, some in itertools.groupby(acting, key=_list_command):
        if together:
            made.extend(_lists(together, list(some)))
            continue
        for change in some:
            lines = _lines(change, scene)
            if lines:
                made.append(_step([change.address], lines))
    return made


def _step(addresses: Iterable[Address], lines: Sequence[str]) -> IosStep:
    return IosStep(addresses=tuple(addresses), text="\n".join(lines), lines=tuple(lines))


def _list_command(change: Change) -> str:
    """The command that takes a list, for changes that need no more than it; the lists of normal and
    of extended VLANs are apart, since a switch may refuse all of the latter (VTP versions 1 and 2)."""
    if change.address.type != Vlan.kind:
        return ""
    titled = isinstance(change.after, Vlan) and change.after.title is not None
    if change.action == "update" or titled:
        return ""
    command = "no vlan" if change.action == "remove" else "vlan"
    return f"{command} extended" if int(change.address.name) >= EXTENDED else command


def _lists(kind: str, changes: Sequence[Change]) -> list[IosStep]:
    command = kind.removesuffix(" extended")
    leave = [" exit"] if kind == "vlan extended" else []
    made = []
    for start in range(0, len(changes), TOGETHER):
        some = {int(change.address.name): change.address for change in changes[start:][:TOGETHER]}
        for line in ios_ports.chunks(command, some):
            named = vlanset.parse(line.removeprefix(f"{command} "))
            made.append(_step([some[vlan] for vlan in some if vlan in named], [line, *leave]))
    return made


def _lines(change: Change, scene: ios_ports.Scene) -> list[str]:
    after, before = change.after, change.before or scene.observed.get(change.address)
    if change.action == "remove" and isinstance(before, Lag):
        return ios_ports.lag_gone(before, scene)
    if isinstance(after, Vlan):
        return _vlan(after, change)
    if isinstance(after, Port):
        return ios_ports.port_lines(
            after, before if isinstance(before, Port) else None, change, scene
        )
    if isinstance(after, Lag):
        return ios_ports.lag_lines(
            after, before if isinstance(before, Lag) else None, change, scene
        )
    return ios_management.lines(change)


def _vlan(vlan: Vlan, change: Change) -> list[str]:
    lines = [f"vlan {vlan.name}"]
    if vlan.title is not None and (change.action == "create" or "title" in change.field_names):
        title = f'"{vlan.title}"' if " " in vlan.title else vlan.title
        lines.append(f" name {title}")
    if vlan.id >= EXTENDED:
        lines.append(" exit")
    return lines
