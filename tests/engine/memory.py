"""A device in memory and its provider: nouns small enough to hold in the head."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import msgspec

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Gates, Need, Origin
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource, digest
from rackwright.model.secret import Secret
from rackwright.model.site import Link, Node


class Thing(Resource, frozen=True, kw_only=True):
    """Can be made and removed."""

    kind: ClassVar[str] = "thing"
    listed: ClassVar[bool] = True
    size: int | None = None
    note: str | None = None
    key: Annotated[str, Secret] | None = None
    on: str | None = None
    """Another thing that it rests on."""

    def implied_needs(self) -> tuple[Address, ...]:
        return (Address("thing", self.on),) if self.on else ()

    def loses(self, before: Resource) -> str:
        old = getattr(before, "size", None) or 0
        if self.ensure == "absent" and old >= 100:
            return f"{before.address} holds data"
        if self.size is not None and self.size < old and old >= 100:
            return f"{before.address} would shrink from {old} to {self.size}"
        return ""


class Plug(Resource, frozen=True, kw_only=True):
    """Always there."""

    kind: ClassVar[str] = "plug"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    directives: ClassVar[frozenset[str]] = frozenset({"power"})
    state: str | None = None
    power: str | None = None

    def severs(self, before: Resource | None) -> bool:
        return self.state == "off"


NOUNS: dict[str, type[Resource]] = {"thing": Thing, "plug": Plug}


@dataclass
class Device:
    """The device: its state, and what may go wrong on it."""

    state: dict[Address, Resource] = field(default_factory=dict)
    startup: dict[Address, Resource] = field(default_factory=dict)
    reject: set[str] = field(default_factory=set)
    lie: set[str] = field(default_factory=set)
    lose_before: int | None = None
    """Lose the session before the N-th step."""
    lose_after: int | None = None
    writes: list[str] = field(default_factory=list)
    saves: int = 0
    reads: int = 0
    notified: list[str] = field(default_factory=list)


@dataclass
class Line:
    """A session."""

    device: Device
    via: str = "memory"

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Write(Step):
    change: Change


class Memory:
    """The provider."""

    platform = "memory"
    resources: frozenset[type[Resource]] = frozenset({Thing, Plug})
    transports = frozenset({"local"})
    atomic = False
    undoes = False
    carried: Collection[Address] = ()

    def canonical(self, resource: Resource) -> Resource:
        if resource.name.startswith("reserved"):
            raise Permanent(f"{resource.address} is the platform's own")
        return msgspec.structs.replace(resource, name=resource.name.lower())

    def open(self, way: Any, around: Any) -> Any:
        raise AssertionError("the engine opens nothing")

    def read(self, session: Line, wanted: Wanted) -> Mapping[Address, Resource]:
        session.device.reads += 1
        return {
            address: thing
            for address, thing in session.device.state.items()
            if type(thing) in wanted.types
        }

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        return [
            Write(addresses=(c.address,), text=f"{c.action} {c.address} {c.after}", change=c)
            for c in changes
        ]

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        device = session.device
        for step in steps:
            assert isinstance(step, Write)
            change = step.change
            if device.lose_before == len(device.writes):
                raise Unreachable("the line went dead")
            device.writes.append(f"{change.action} {change.address}")
            if str(change.address) in device.reject:
                raise Rejected(f"rejected {change.address}")
            if str(change.address) not in device.lie:
                apply(device, change)
            if device.lose_after == len(device.writes):
                raise Unreachable("the line went dead")

    def save(self, session: Line) -> bool:
        session.device.saves += 1
        session.device.startup = dict(session.device.state)
        return True

    def carriers(self, session: Line, observed: Mapping[Address, Resource]) -> Collection[Address]:
        return self.carried

    def discover(self, session: Line) -> Facts:
        return Facts()


def apply(device: Device, change: Change) -> None:
    if change.action == "notify":
        device.notified.append(str(change.address))
    elif change.action == "remove":
        device.state.pop(change.address, None)
    else:
        assert change.after is not None
        old = device.state.get(change.address)
        new = {
            name: value
            for name in change.after.__struct_fields__
            if (value := getattr(change.after, name)) is not None
        }
        device.state[change.address] = (
            msgspec.structs.replace(old, **new) if old else type(change.after)(**new)
        )


def thing(text: str, **fields: Any) -> Resource:
    """``thing('plug/1', state='on')``"""
    address = Address.parse(text)
    return NOUNS[address.type](name=address.name, **fields)


def declare(text: str, **fields: Any) -> Declared:
    """A declaration; ``needs``, ``notifies`` and ``destroy`` may be among the fields. A need of
    another node may be given with its digest: ``('sw:vlan/1', 'abc')``."""
    address = Address.parse(text)
    needs = tuple(
        Need(address=need) if isinstance(need, str) else Need(address=need[0], digest=need[1])
        for need in fields.pop("needs", ())
    )
    notifies, destroy = tuple(fields.pop("notifies", ())), fields.pop("destroy", False)
    data = {"name": address.name, **fields}
    return Declared(
        type=address.type,
        data=data,
        digest=digest(address.type, data),
        origin=Origin(file="site.yaml", line=1),
        needs=needs,
        notifies=notifies,
        destroy=destroy,
    )


def bundle(*resources: Declared, **more: Any) -> Bundle:
    links = tuple(Link(**link) for link in more.pop("links", ()))
    node = Node(name="dev1", type="switch", platform="memory", links=links)
    return Bundle(node=node, revision="r1", resources=resources, **more)


__all__ = ["Device", "Gates", "Line", "Memory", "bundle", "declare", "thing"]
