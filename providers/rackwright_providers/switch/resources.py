"""The nouns of switches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, structs

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource, declared_fields
from rackwright_providers.switch import vlanset

VLAN_ID = Meta(ge=vlanset.FIRST, le=vlanset.LAST)


class Vlan(Resource, frozen=True, kw_only=True):
    """A VLAN. Its name in the address is the id: ``vlan/666``."""

    kind: ClassVar[str] = "vlan"
    listed: ClassVar[bool] = True

    title: Annotated[str, Meta(max_length=32)] | None = None
    """The VLAN's name on the switch. Users write it as ``title``."""

    def __post_init__(self) -> None:
        plain = self.name.isascii() and self.name.isdecimal()
        if not plain or not vlanset.FIRST <= int(self.name) <= vlanset.LAST:
            low, high = vlanset.FIRST, vlanset.LAST
            raise ValueError(f"a VLAN's name is its id, {low} to {high}, not {self.name!r}")

    @property
    def id(self) -> int:
        """The VLAN id."""
        return int(self.name)


class Port(Resource, frozen=True, kw_only=True):
    """A physical or logical port. It is always there; undeclared fields are left alone."""

    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True

    admin: Literal["up", "down"] | None = None
    description: Annotated[str, Meta(max_length=240)] | None = None
    mode: Literal["access", "trunk", "dynamic", "routed"] | None = None
    """``dynamic``: negotiated with the far end. ``routed`` is only ever observed."""
    access_vlan: Annotated[int, VLAN_ID] | None = None
    native_vlan: Annotated[int, VLAN_ID] | None = None
    allowed_vlans: str | int | tuple[int | str, ...] | None = None
    """The whole list: ``10,20-29``, a list, ``all`` or ``none``. Canonical: `vlanset.show`."""
    mtu: Annotated[int, Meta(ge=68, le=65535)] | None = None

    def vlans(self) -> frozenset[int]:
        """VLANs that it names, the hidden default ``all`` left out."""
        ids = {vlan for vlan in (self.access_vlan, self.native_vlan) if vlan}
        if self.allowed_vlans not in (None, "all"):
            ids |= vlanset.parse(self.allowed_vlans)
        return frozenset(ids)

    def implied_needs(self) -> tuple[Address, ...]:
        return tuple(Address("vlan", str(vlan)) for vlan in sorted(self.vlans()))

    def severs(self, before: Resource | None) -> bool:
        if not isinstance(before, Port):
            return True
        changed = [
            name
            for name in ("mode", "access_vlan", "native_vlan", "mtu")
            if getattr(self, name) is not None and getattr(self, name) != getattr(before, name)
        ]
        if self.allowed_vlans is not None and before.allowed_vlans is not None:
            gone = vlanset.parse(before.allowed_vlans) - vlanset.parse(self.allowed_vlans)
            if gone:
                changed.append("allowed_vlans")
        return bool(changed) or (self.admin == "down" and before.admin != "down")

    def untagged_vlan(self) -> int | None:
        """The VLAN of untagged frames; None where that cannot be told, or there is none."""
        if self.mode == "routed":
            return None
        return self.native_vlan if self.mode == "trunk" else self.access_vlan


def vlan_in_use(
    changes: Iterable[Change], observed: Mapping[Address, Resource]
) -> dict[Address, str]:
    """Removals of VLANs that a port would still carry untagged after all of ``changes``, each with
    its reason. Such a port would fall silent, with nothing in the configuration that says why."""
    ports = {address: seen for address, seen in observed.items() if isinstance(seen, Port)}
    removed: dict[str, Address] = {}
    for change in changes:
        if change.action == "remove" and change.address.type == Vlan.kind:
            removed[change.address.name] = change.address
        elif isinstance(change.after, Port) and change.action in ("create", "update"):
            before = ports.get(change.address, Port(name=change.address.name))
            ports[change.address] = structs.replace(before, **declared_fields(change.after))
    users: dict[str, list[str]] = {}
    for port in ports.values():
        users.setdefault(str(port.untagged_vlan()), []).append(port.name)
    return {
        address: f"still carried untagged by {_some(users[vlan])}"
        for vlan, address in removed.items()
        if vlan in users
    }


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


NOUNS = (Vlan, Port)
