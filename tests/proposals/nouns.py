"""Nouns for these tests: small, and independent of what the providers can do."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright.model.secret import Secret


class Vlan(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "vlan"
    listed: ClassVar[bool] = True
    title: Annotated[str, Meta(max_length=32)] | None = None

    def __post_init__(self) -> None:
        if not self.name.isdecimal():
            raise ValueError(f"{self.name!r} is not a VLAN's number")


class Port(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True
    description: str | None = None
    mode: Literal["access", "trunk"] | None = None
    access_vlan: Annotated[int, Meta(ge=1, le=4094)] | None = None

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("vlan", str(self.access_vlan)),) if self.access_vlan else ()


class File(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "file"
    content: str | None = None
    owner: str | None = None
    mode: Annotated[str, Meta(pattern="^[0-7]{3,4}$")] | None = None
    tags: dict[str, str] | None = None
    lines: tuple[str | int | bool, ...] | None = None

    def __post_init__(self) -> None:
        if not self.name.startswith("/"):
            raise ValueError(f"{self.name!r} is not an absolute path")


class Service(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "service"
    enabled: bool | None = None


class User(Resource, frozen=True, kw_only=True):
    kind: ClassVar[str] = "user"
    password_hash: Annotated[str, Secret] | None = None
    comment: str | None = None


NOUNS = {noun.kind: noun for noun in (Vlan, Port, File, Service, User)}
PLATFORMS = ("cisco_ios", "linux", "apc_rpdu")
