"""Plans as values: the ordered changes from observed to declared, and the steps that make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from rackwright.model.address import Address
from rackwright.model.report import FieldChange
from rackwright.model.resource import Resource

Action = Literal["create", "update", "remove", "release", "notify"]


class Change(msgspec.Struct, frozen=True):
    """One change. ``after`` is what is declared, ``before`` what was observed; both hold secrets in
    clear, so neither is ever shown: `fields` is what people see, masked.

    ========  =====================  =====================================================
    action    before                 after
    ========  =====================  =====================================================
    create    None                   declared
    update    observed               declared; only `fields` differ and only they are written
    remove    observed               None
    release   observed               None; nothing is done to the device
    notify    observed (or None)     declared; restart or reload once
    ========  =====================  =====================================================
    """

    action: Action
    address: Address
    before: Resource | None = None
    after: Resource | None = None
    fields: tuple[FieldChange, ...] = ()

    @property
    def field_names(self) -> frozenset[str]:
        """Names of the fields to write."""
        return frozenset(change.field for change in self.fields)


class Plan(msgspec.Struct, frozen=True):
    """The changes in the order in which they are to be made, and what needs none."""

    changes: tuple[Change, ...] = ()
    in_sync: tuple[Address, ...] = ()
    needs: Mapping[Address, frozenset[Address]] = {}
    """Of each change: the addresses of this node that must have gone well before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a provider would send for one or more changes. Providers subclass it with a payload.

    ``text`` is what people see of it (the commands, the OIDs). It may hold secrets in clear: the
    engine masks it before it is shown.
    """

    addresses: tuple[Address, ...]
    text: str


class Wanted(msgspec.Struct, frozen=True):
    """What a provider is asked to read."""

    types: frozenset[type[Resource]]
    """Every type that is declared, in the ledger, or purged. A provider that can list a type
    returns all that the device has of it, ours or not."""
    resources: Mapping[Address, Resource]
    """Declared resources, and for those in the ledger alone what was last applied. A provider
    that cannot list (files, commands) reads these."""
