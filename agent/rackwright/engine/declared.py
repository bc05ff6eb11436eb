"""From a bundle's declarations to items that can be compared. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import msgspec

from rackwright.engine.ledger import Entry, Ledger, entry_of
from rackwright.engine.plan import Item
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, RackwrightError
from rackwright.model.resource import Resource, from_data, to_data
from rackwright.model.secret import names_in, reveal


class Platform(Protocol):
    """What of a provider needs no device."""

    platform: str
    resources: frozenset[type[Resource]]

    def canonical(self, resource: Resource) -> Resource:
        """As `rackwright.provider.Provider` has it."""

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """As `rackwright.provider.Provider` has it."""


class Declarations(msgspec.Struct, frozen=True, dict=True):
    """All that one run knows of what is declared, before it looks at the device."""

    items: tuple[Item, ...]
    unusable: Mapping[str, str]
    """Declared address → why it cannot be used on this platform, or now."""
    ledger_only: Mapping[Address, Resource]
    """What the ledger names and nothing declares to be there, as last applied, secrets in clear where
    they are still known: a provider may need one to find what is to go."""
    waiting: frozenset[str]
    """Addresses of which nothing may be removed: deferred or unusable."""
    called: Mapping[Address, str] = {}
    """What the ledger says of the names that the site has, or had, for canonical addresses."""

    @cached_property
    def needs(self) -> dict[Address, frozenset[Address]]:
        """Canonical address → what it rests on, of this node."""
        return {item.address: item.needs for item in self.items}

    def pending(self, need: Address) -> bool:
        """Whether ``need`` is declared and cannot be used yet, by whatever name."""
        return str(need) in self.waiting and need not in self.needs

    @cached_property
    def names(self) -> dict[Address, str]:
        """Canonical address → the address as the site writes it, by which other nodes know it."""
        declared = {item.address: str(item.declared.address) for item in self.items}
        return {**self.called, **declared}


def prepare(
    bundle: Bundle, provider: Platform, ledger: Ledger, secrets: Mapping[str, str]
) -> Declarations:
    """Type, reveal and canonicalise what ``bundle`` declares.

    A resource that cannot be used (a type that the platform lacks, a secret that is missing, a value
    that the device can never hold) is set aside with its reason and hinders no other.
    """
    kinds = {kind.kind: kind for kind in provider.resources}
    unusable: dict[str, str] = {}
    waiting = {item.address for item in bundle.deferred}
    for deferred in bundle.deferred:
        waiting |= _spellings(Address.parse(deferred.address), {}, kinds, provider)
    typed: list[tuple[Declared, dict[str, Any], Resource]] = []
    aliases: dict[Address, Address] = {}
    taken: dict[Address, str] = {}
    for declared in bundle.resources:
        kind = kinds.get(declared.type)
        name = str(declared.address)
        if kind is None:
            unusable[name] = f"{provider.platform} has no {declared.type}"
            waiting.add(name)
            continue
        hidden = names_in(declared.data)
        try:
            revealed = reveal(declared.data, secrets) if hidden else declared.data
            resource = provider.canonical(from_data(kind, revealed))
            shown = to_data(resource)
            if hidden:
                shown |= {key: value for key, value in declared.data.items() if names_in(value)}
            if names_in(shown["name"]):
                # Addresses stand in ledgers, reports and logs.
                raise Permanent("a secret cannot be in the name of a resource")
        except (RackwrightError, msgspec.ValidationError, ValueError) as error:
            unusable[name] = str(error)
            # An unusable declaration is still a declaration: what it once made must not go
            # because of it, by whatever name the ledger has it.
            waiting |= {name} | _spellings(declared.address, declared.data, kinds, provider)
            continue
        address = resource.address
        if address in taken:
            unusable[name] = f"it is the same resource as {taken[address]}"
            continue
        taken[address] = name
        aliases[declared.address] = address
        typed.append((declared, shown, resource))

    items = tuple(
        Item(
            declared,
            resource,
            entry_of(declared, shown),
            _needs_here(declared, resource, aliases),
            resource.address,
            ledger.get(resource.address),
        )
        for declared, shown, resource in typed
    )
    known = {item.address for item in items}
    present = {item.address for item in items if item.resource.ensure == "present"}
    for key, entry in ledger.entries.items():
        if entry.made and entry.address not in known and key not in waiting:
            why = _hindrance(entry, kinds, provider)
            if why:
                unusable[key] = f"it is no longer declared, and cannot be removed now: {why}"
                waiting.add(key)
    return Declarations(
        items,
        unusable,
        {
            entry.address: resource
            for entry in ledger.entries.values()
            if entry.address not in present
            for resource in (_last_applied(entry, kinds, secrets),)
            if resource is not None
        },
        frozenset(waiting),
        {entry.address: entry.called for entry in ledger.entries.values() if entry.called},
    )


def _spellings(
    address: Address,
    data: Mapping[str, Any],
    kinds: Mapping[str, type[Resource]],
    provider: Platform,
) -> set[str]:
    """The canonical addresses that a resource which cannot be used may have."""
    kind = kinds.get(address.type)
    found: set[str] = set()
    if kind is None or address.name == "?":
        return found
    for fields in (data, {}):
        try:
            resource = from_data(kind, {**fields, "name": address.name})
            found.add(str(resource.address))
            found.add(str(provider.canonical(resource).address))
        except (RackwrightError, msgspec.ValidationError, ValueError):
            continue
    return found


def _hindrance(entry: Entry, kinds: Mapping[str, type[Resource]], provider: Platform) -> str:
    """Why the platform cannot look at or remove ``entry`` now; empty when it can, or never could."""
    kind = kinds.get(entry.type)
    if kind is None:
        return ""
    for fields in (entry.data, {}):
        try:
            provider.canonical(from_data(kind, {**fields, "name": entry.data["name"]}))
        except (RackwrightError, msgspec.ValidationError, ValueError) as error:
            why = str(error)
        else:
            return ""
    return why


def _needs_here(
    declared: Declared, resource: Resource, aliases: Mapping[Address, Address]
) -> frozenset[Address]:
    said: Sequence[Address] = [Address.parse(need.address) for need in declared.needs]
    here = {aliases.get(need, need) for need in said if not need.node}
    return frozenset(here | {aliases.get(need, need) for need in resource.implied_needs()})


def _last_applied(
    entry: Entry, kinds: Mapping[str, type[Resource]], secrets: Mapping[str, str]
) -> Resource | None:
    kind = kinds.get(entry.type)
    if kind is None:
        return None
    data = entry.data
    if names_in(data):
        with contextlib.suppress(RackwrightError):  # a secret that is gone stays a marker
            data = reveal(data, secrets)
    try:
        return from_data(kind, data)
    except msgspec.ValidationError:
        # Written by another version whose noun had other fields: the name is what counts.
        return kind(name=str(entry.data["name"]), ensure="absent")
