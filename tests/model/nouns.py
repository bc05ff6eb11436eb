"""The nouns of the model: a rack as small as it can be and still have all kinds of needs."""

from __future__ import annotations

from typing import ClassVar, Literal

from rackwright.model.address import Address
from rackwright.model.resource import Resource


class Vlan(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "vlan"
    listed: ClassVar[bool] = True


class Port(Resource, frozen=True, kw_only=True):
    """Always there; in a VLAN, and a server loses its path when it is put into another."""

    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    access_vlan: int | None = None

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("vlan", str(self.access_vlan)),) if self.access_vlan else ()

    def severs(self, before: Resource | None) -> bool:
        old = before.access_vlan if isinstance(before, Port) else None
        return self.access_vlan is not None and old not in (None, self.access_vlan)


class Outlet(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "outlet"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    state: Literal["on", "off"] | None = None

    def severs(self, before: Resource | None) -> bool:
        return self.state == "off" and getattr(before, "state", "on") != "off"


class Share(Resource, frozen=True, kw_only=True):
    """A volume of an array, for one server."""

    kind: ClassVar[str] = "share"
    listed: ClassVar[bool] = True
    size: int | None = None


class Blade(Resource, frozen=True, kw_only=True):
    """A slot of a chassis; a server has its power through it alone."""

    kind: ClassVar[str] = "blade"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    power: Literal["on", "off"] | None = None

    def severs(self, before: Resource | None) -> bool:
        return self.power == "off" and getattr(before, "power", "on") != "off"


class Volume(Resource, frozen=True, kw_only=True):
    """Holds data that nobody can make again."""

    kind: ClassVar[str] = "volume"
    listed: ClassVar[bool] = True
    size: int | None = None

    def loses(self, before: Resource) -> str:
        old = getattr(before, "size", None) or 0
        if self.ensure == "absent" or (self.size is not None and self.size < old):
            return f"{before.address} holds data"
        return ""


class Nic(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "nic"
    vlan: int | None = None


class Mount(Resource, frozen=True, kw_only=True):
    """What a server makes of its share."""

    kind: ClassVar[str] = "mount"
    size: int | None = None


class Mark(Resource, frozen=True, kw_only=True):
    """A server says that it is up."""

    kind: ClassVar[str] = "mark"


class App(Resource, frozen=True, kw_only=True):
    """Something that another server must be up for."""

    kind: ClassVar[str] = "app"
    after: str | None = None


class Setting(Resource, frozen=True, kw_only=True):
    """What a rollout changes."""

    kind: ClassVar[str] = "setting"
    value: int | None = None


class Delegate(Resource, frozen=True, kw_only=True):
    """On an admin host: the delegate of a managed node is to run there."""

    kind: ClassVar[str] = "delegate"
    listed: ClassVar[bool] = True


NOUNS: dict[str, type[Resource]] = {
    noun.kind: noun
    for noun in (
        *(Vlan, Port, Outlet, Blade, Share, Volume),
        *(Nic, Mount, Mark, App, Setting, Delegate),
    )
}
