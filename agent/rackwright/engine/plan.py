"""Plan: (declared, observed, ledger) → changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rackwright.engine.ledger import Entry, Ledger
from rackwright.engine.order import arrange, predecessors
from rackwright.model.address import Address
from rackwright.model.bundle import Declared
from rackwright.model.change import Change, Plan
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource, declared_fields, secret_fields
from rackwright.model.secret import MASK, names_in

SHOWN_LIMIT = 16_384
"""Longer values are shown by their beginning: reports are for people."""


class Item(msgspec.Struct, frozen=True):
    """One declared resource, ready to be compared."""

    declared: Declared
    resource: Resource
    """Canonical, secrets in clear."""
    entry: Entry
    """Canonical, secrets as markers: what the ledger will say of it."""
    needs: frozenset[Address]
    """Of this node: declared and implied."""
    address: Address
    """Canonical, that of `resource`."""
    before: Entry | None = None
    """What the ledger said of it before this run."""

    def hides(self, field: str) -> bool:
        """Whether ``field`` holds a secret, or held one when it was last applied."""
        return any(
            entry is not None and bool(names_in(entry.data.get(field)))
            for entry in (self.entry, self.before)
        )


def differences(item: Item, observed: Resource) -> tuple[FieldChange, ...]:
    """The declared fields that ``observed`` does not have, masked for showing."""
    hidden = secret_fields(type(item.resource))
    found = []
    for name, wanted in declared_fields(item.resource).items():
        seen = getattr(observed, name)
        if seen == wanted:
            continue
        if name in hidden or item.hides(name):
            found.append(FieldChange(field=name, old=MASK if seen else None, new=MASK))
        else:
            found.append(FieldChange(field=name, old=shown(seen), new=shown(wanted)))
    return tuple(found)


def shown(value: Any) -> Any:
    """Plain data of ``value``, cut to a length that people read."""
    if isinstance(value, str) and len(value) > SHOWN_LIMIT:
        return f"{value[:SHOWN_LIMIT]}… ({len(value)} characters)"
    return msgspec.to_builtins(value)


def creation(item: Item) -> tuple[FieldChange, ...]:
    """What a create is shown as: every declared field, from nothing."""
    hidden = secret_fields(type(item.resource))
    return tuple(
        FieldChange(
            field=name,
            new=MASK if name in hidden or item.hides(name) else shown(value),
        )
        for name, value in declared_fields(item.resource).items()
    )


def make_plan(
    items: Sequence[Item],
    observed: Mapping[Address, Resource],
    ledger: Ledger,
    *,
    purge: Collection[str] = (),
    waiting: Collection[str] = (),
    reserved: Collection[Address] = (),
) -> Plan:
    """The ordered changes from ``observed`` to ``items``.

    ``purge`` are types whose undeclared rest is ours too. ``waiting`` are addresses (or ``type/?``)
    of deferred resources and of declared ones that cannot be used in this run: nothing of these is
    removed because it seems undeclared. ``reserved`` are the platform's own and never go.
    A fixture (a port) that is declared and not there has no change and is not in sync: see `missing`.
    """
    changes: list[Change] = []
    in_sync: list[Address] = []
    needs: dict[Address, frozenset[Address]] = {}
    declared = {item.address for item in items}
    rested = _rested(ledger)

    for item in items:
        address, seen = item.address, observed.get(item.address)
        needs[address] = item.needs
        if item.resource.ensure == "absent":
            if seen is None:
                in_sync.append(address)
            else:
                changes.append(Change("remove", address, before=seen))
        elif seen is None:
            if not item.resource.fixture:
                changes.append(Change("create", address, None, item.resource, creation(item)))
        else:
            fields = differences(item, seen)
            if fields:
                changes.append(Change("update", address, seen, item.resource, fields))
            else:
                in_sync.append(address)

    for entry in ledger.entries.values():
        address = entry.address
        if address in declared or _waits(address, waiting):
            continue
        seen = observed.get(address)
        needs[address] = rested[address]
        if seen is not None and entry.made:
            changes.append(Change("remove", address, before=seen))
        else:
            changes.append(Change("release", address, before=seen))

    handled = {change.address for change in changes} | declared
    for address, seen in observed.items():
        if (
            address.type in purge
            and address not in handled
            and address not in reserved
            and not seen.fixture
            and not _waits(address, waiting)
        ):
            changes.append(Change("remove", address, before=seen))

    before = predecessors(changes, needs, rested)
    return Plan(arrange(changes, before), tuple(in_sync), before)


def missing(items: Iterable[Item], observed: Mapping[Address, Resource]) -> list[Address]:
    """Declared fixtures that the device does not have."""
    return [
        item.address
        for item in items
        if item.resource.fixture
        and item.resource.ensure == "present"
        and item.address not in observed
    ]


def _rested(ledger: Ledger) -> dict[Address, frozenset[Address]]:
    """What each of our resources was last declared to rest on, of the same node."""
    entries = ledger.entries.values()
    ours = {Address.parse(entry.called): entry.address for entry in entries if entry.called}
    found = {}
    for entry in entries:
        here = [Address.parse(need) for need in entry.needs if ":" not in need.partition("/")[0]]
        found[entry.address] = frozenset(ours.get(need, need) for need in here)
    return found


def _waits(address: Address, waiting: Collection[str]) -> bool:
    return str(address) in waiting or f"{address.type}/?" in waiting
