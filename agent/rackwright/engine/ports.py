"""What the gates say of a node's ports, slots and outlets, by the resources that are at them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec

from rackwright.engine.declared import Platform
from rackwright.model.address import Address
from rackwright.model.bundle import Gates
from rackwright.model.errors import Permanent
from rackwright.model.resource import Resource
from rackwright.model.site import Node

T = TypeVar("T")
ANY = "*"
"""In `Gates.turns` as the name of what `rackwright.model.bundle.Bundle.purge` takes away."""


class Ports(msgspec.Struct, frozen=True):
    """What the gates say of our ports, by the addresses of the resources at them."""

    contradicted: Mapping[Address, str] = {}
    turns: Mapping[Address, tuple[str, ...]] = {}
    given: frozenset[Address] = frozenset()
    last_feeds: Mapping[Address, str] = {}


def ports_of(gates: Gates, platform: Platform) -> Ports:
    """What ``gates`` say, in the spelling of ``platform``."""
    kinds = [kind for kind in platform.resources if kind.linked]

    def by_address(ports: Mapping[str, T]) -> dict[Address, T]:
        return {
            address: said
            for port, said in ports.items()
            for address in _called(port, kinds, platform)
        }

    def through(keys: Iterable[str]) -> dict[str, Address]:
        """What several ports run through, by its ``type/name``."""
        found = {}
        for key in keys:
            kind, _, name = key.partition("/")
            noun = nouns.get(kind)
            if noun is None or noun.linked:
                continue
            if name == ANY:
                found[key] = Address(kind, ANY)
            else:
                with suppress(Permanent, ValueError):
                    found[key] = platform.canonical(noun(name=name)).address
        return found

    nouns = {kind.kind: kind for kind in platform.resources}
    shared = through(gates.turns)
    return Ports(
        contradicted=by_address(gates.contradicted),
        turns=by_address({port: said for port, said in gates.turns.items() if port not in shared})
        | {address: gates.turns[key] for key, address in shared.items()},
        given=frozenset(through(gates.given).values()),
        last_feeds=by_address(gates.last_feeds),
    )


def leading_to(here: str, node: Node, gates: Gates, platform: Platform) -> dict[Address, str]:
    """The resources of ``node`` that lead to the host ``here``, by its links and paths, and the host; to
    every host that reaches it, where that is not known."""
    # A MAC table may have a host behind a LAG, which no link names.
    kinds = [kind for kind in platform.resources if kind.fixture or kind.kind == "lag"]
    found: dict[Address, str] = {}
    for host in [here] if here in gates.paths else gates.paths:
        for port in gates.paths[host]:
            vlan = port.removeprefix("vlan/")
            if vlan != port:
                found.setdefault(Address("vlan", vlan), host)
            else:
                found.update(dict.fromkeys(_called(port, kinds, platform), host))
    for link in node.links:
        if link.peer == here:
            found.update(dict.fromkeys(_called(link.port, kinds, platform), here))
    return found


def _called(port: str, kinds: Iterable[type[Resource]], platform: Platform) -> Iterator[Address]:
    """What a link's port is called as a resource of one of ``kinds``."""
    for kind in kinds:
        # A noun may have no such name: an outlet is not called eth0.
        with suppress(Permanent, ValueError):
            yield platform.canonical(kind(name=port)).address
