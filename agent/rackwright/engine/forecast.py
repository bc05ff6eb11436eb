"""What a converge would do, told from what is known of a node instead of a read of it. Pure.

The same decisions as in a run: what is remembered takes the place of what is observed. What only the
device can tell (the path by which it is reached, what it has besides) is not in it.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from rackwright.engine.decide import decide
from rackwright.engine.declared import Declarations, Platform, prepare
from rackwright.engine.known import Known
from rackwright.engine.ledger import Ledger
from rackwright.engine.outcomes import Progress, outcomes
from rackwright.engine.plan import Item, make_plan
from rackwright.engine.ports import ports_of
from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.change import Change
from rackwright.model.report import Outcome
from rackwright.model.resource import Resource, declared_fields
from rackwright.model.secret import reveal


class AnyPlatform:
    """Stands for the platform of a device that nobody has identified yet: takes what is written."""

    platform = "auto"

    def __init__(self, nouns: Collection[type[Resource]]) -> None:
        self.resources = frozenset(nouns)

    def canonical(self, resource: Resource) -> Resource:
        """``resource`` as it is."""
        return resource

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Nothing."""
        return {}


class _StandIns(dict[str, str]):
    """A text for every secret: whether two are the same can be told without knowing them. Twelve
    letters and digits, which every platform takes for a password."""

    def __missing__(self, name: str) -> str:
        return f"s{hashlib.sha256(name.encode()).hexdigest()[:11]}"


def forecast(bundle: Bundle, gates: Gates, provider: Platform, known: Known) -> tuple[Outcome, ...]:
    """One outcome a resource, as a dry run gives them. A field whose value nobody knows is shown with
    nothing as its old value; of a node that was never seen everything is to be made, and severs nothing.
    """
    before: Mapping[Address, Item] = {}
    if known.ledger is None or _changed(bundle, known):
        before = _declared_before(known, provider)
    ledger = known.ledger if known.ledger is not None else _ledger_of(before, known)
    said = prepare(bundle, provider, ledger, _StandIns())
    observed = _remembered(said, ledger, before, known)
    plan = make_plan(said.items, observed, ledger, waiting=said.waiting)
    decision = decide(
        plan,
        said,
        observed,
        ledger,
        gates,
        refused=provider.refuse(plan.changes, observed),
        ports=ports_of(gates, provider),
        node=bundle.node.name,
    )
    found = outcomes(said, decision, Progress(held=dict(decision.held)), ledger)
    if known.seen:
        return found
    return tuple(msgspec.structs.replace(outcome, severs=False) for outcome in found)


def _changed(bundle: Bundle, known: Known) -> bool:
    """Whether anything is declared otherwise than it was verified: then what it was is looked up."""
    verified = known.verified
    return any(
        verified.get(f"{item.type}/{item.data['name']}", item.digest) != item.digest
        for item in bundle.resources
    )


def _declared_before(known: Known, provider: Platform) -> dict[Address, Item]:
    """What the bundle in force declares, by canonical address."""
    if known.bundle is None:
        return {}
    said = prepare(known.bundle, provider, Ledger(), _StandIns())
    return {item.address: item for item in said.items}


def _ledger_of(before: Mapping[Address, Item], known: Known) -> Ledger:
    """In the place of a ledger that was never mirrored: what was verified as it is in force."""
    return Ledger(
        entries={
            str(address): msgspec.structs.replace(item.entry, made=not item.resource.fixture)
            for address, item in before.items()
            if item.resource.ensure == "present"
            and known.verified.get(str(item.declared.address)) == item.declared.digest
        }
    )


def _remembered(
    said: Declarations, ledger: Ledger, before: Mapping[Address, Item], known: Known
) -> dict[Address, Resource]:
    """What is there as far as anybody knows; the fields that nobody knows are None."""
    found: dict[Address, Resource] = {}
    for item in said.items:
        digest = known.verified.get(str(item.declared.address))
        entry = ledger.get(item.address)
        if digest == item.declared.digest:
            if item.resource.ensure == "present":
                found[item.address] = item.resource
        elif digest is not None and entry is not None and entry.digest == digest:
            last = said.ledger_only.get(item.address) or _typed(item, entry.data)
            found[item.address] = last or _unknown(item.resource)
        elif digest is not None and item.address in before:
            earlier = before[item.address]
            if earlier.declared.digest != digest:
                found[item.address] = _unknown(item.resource)
            elif earlier.resource.ensure == "present":
                found[item.address] = earlier.resource
        elif digest is not None or _was_there(item, ledger):
            found[item.address] = _unknown(item.resource)
    for address, resource in said.ledger_only.items():
        found.setdefault(address, resource)
    return found


def _was_there(item: Item, ledger: Ledger) -> bool:
    entry = ledger.get(item.address)
    return item.resource.fixture or (entry is not None and entry.intent != "create")


def _typed(item: Item, data: Mapping[str, Any]) -> Resource | None:
    try:
        return typed.convert(reveal(data, _StandIns()), type(item.resource))
    except msgspec.ValidationError:
        return None  # written by another version whose noun had other fields


def _unknown(resource: Resource) -> Resource:
    """``resource`` with every field not known."""
    bare = copy.copy(resource)  # which checks nothing: what nobody knows need not be complete
    for field in declared_fields(resource):
        msgspec.structs.force_setattr(bare, field, None)
    return bare
