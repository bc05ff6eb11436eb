"""The nouns of switches."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.switch import vlanset

VLAN_ID = Meta(ge=vlanset.FIRST, le=vlanset.LAST)


class Vlan(Resource, frozen=True, kw_only=True):
    """A VLAN. Its name in the address is the id: ``vlan/666``."""

    kind: ClassVar[str] = "vlan"

    title: Annotated[str | None, Meta(max_length=32)] = None
    """The VLAN's name on the switch. Users write it as ``title``."""

    @property
    def id(self) -> int:
        """The VLAN id."""
        return int(self.name)


class Port(Resource, frozen=True, kw_only=True):
    """A physical or logical port. It is always there; undeclared fields are left alone."""

    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True

    admin: Literal["up", "down"] | None = None
    description: Annotated[str | None, Meta(max_length=240)] = None
    mode: Literal["access", "trunk"] | None = None
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


NOUNS = (Vlan, Port)
