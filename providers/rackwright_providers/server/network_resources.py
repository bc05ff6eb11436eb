"""The nouns of a server's network."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.server.resource_words import END, require

_INTERFACE = re.compile(r"[^\s/:]{1,15}")
_HOST_NAME = r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*"


class HostEntry(Resource, frozen=True, kw_only=True):
    """An address of ``/etc/hosts`` with its names. Its name is the IP address."""

    kind: ClassVar[str] = "host_entry"

    hostnames: tuple[Annotated[str, Meta(pattern=rf"^{_HOST_NAME}{END}")], ...] | None = None
    """All names of that address, the canonical one first."""

    def __post_init__(self) -> None:
        try:
            short = str(ipaddress.ip_address(self.name))
        except ValueError:
            raise ValueError(f"{self.name!r} is not an IP address") from None
        require(short == self.name, f"write {self.name!r} as {short!r}")
        require(self.hostnames or self.ensure == "absent", "a host entry needs hostnames")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("file", "/etc/hosts"),)


class Interface(Resource, frozen=True, kw_only=True):
    """A network interface. It is always there; undeclared fields are left alone."""

    kind: ClassVar[str] = "interface"
    fixture: ClassVar[bool] = True

    state: Literal["up", "down"] | None = None
    mtu: Annotated[int, Meta(ge=68, le=65536)] | None = None
    addresses: tuple[str, ...] | None = None
    """All its addresses, with prefix lengths: ``10.0.0.5/24``. Link-local IPv6 is left alone."""

    def __post_init__(self) -> None:
        require(_INTERFACE.fullmatch(self.name), f"{self.name!r} cannot be an interface's name")
        if self.addresses is not None:
            found = set()
            for text in self.addresses:
                require("/" in text, f"{text!r} lacks its prefix length: write {text}/24")
                found.add(ipaddress.ip_interface(text))
            ordered = sorted(found, key=lambda one: (one.version, int(one), one.network.prefixlen))
            force_setattr(self, "addresses", tuple(str(one) for one in ordered))

    def severs(self, before: Resource | None) -> bool:
        if not isinstance(before, Interface):
            return True
        if self.state == "down" and before.state != "down":
            return True
        if self.mtu is not None and before.mtu is not None and self.mtu < before.mtu:
            return True
        return self.addresses is not None and bool(set(before.addresses or ()) - {*self.addresses})


class Route(Resource, frozen=True, kw_only=True):
    """A route. Its name is its destination: ``10.0.0.0/8``, ``default`` or ``::/0``."""

    kind: ClassVar[str] = "route"

    via: str | None = None
    """The gateway's address."""
    dev: Annotated[str, Meta(pattern=rf"^[^\s/:]{{1,15}}{END}")] | None = None
    """The interface."""
    metric: Annotated[int, Meta(ge=0, le=4294967295)] | None = None
    table: Annotated[int, Meta(ge=1, le=4294967295)] | None = None
    """The routing table's number; the main table (254) when undeclared."""

    def __post_init__(self) -> None:
        if self.name != "default":
            try:
                short = str(ipaddress.ip_network(self.name))
            except ValueError as error:
                raise ValueError(f"a route's name is a network or 'default': {error}") from None
            require(short == self.name, f"write {self.name!r} as {short!r}")
        if self.via is not None:
            force_setattr(self, "via", str(ipaddress.ip_address(self.via)))
        require(self.via or self.dev or self.ensure == "absent", "a route needs via or dev")

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("interface", self.dev),) if self.dev else ()

    def severs(self, before: Resource | None) -> bool:
        if self.ensure == "absent" or not isinstance(before, Route):
            return self.ensure == "absent"
        return any(
            mine is not None and mine != getattr(before, field)
            for field in ("via", "dev", "metric", "table")
            for mine in (getattr(self, field),)
        )
