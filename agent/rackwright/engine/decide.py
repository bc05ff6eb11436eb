"""Decide which changes of a plan may go ahead: guard and gate together, before anything is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rackwright.engine import gate, guard
from rackwright.engine.declared import Declarations
from rackwright.engine.ledger import Ledger
from rackwright.engine.plan import missing
from rackwright.engine.ports import Ports
from rackwright.model.address import Address
from rackwright.model.bundle import Gates
from rackwright.model.change import Change, Plan
from rackwright.model.report import State
from rackwright.model.resource import Resource


class Held(msgspec.Struct, frozen=True):
    """Why a resource is not, or not yet, what is declared."""

    state: State
    why: str
    waits_for: tuple[str, ...] = ()


FORCED = frozenset({"force_off", "graceful_off"})
"""What the site says as ``power`` of an outlet or a blade where it means to switch off a node that
answers: at once, or by asking that node to shut down by itself."""


class Decision(msgspec.Struct, frozen=True):
    """What will be done, and what will not and why."""

    plan: Plan = Plan()
    held: Mapping[Address, Held] = {}

    @property
    def allowed(self) -> tuple[Change, ...]:
        """The changes to make, in order."""
        return tuple(change for change in self.plan.changes if change.address not in self.held)


def decide(
    plan: Plan,
    said: Declarations,
    observed: Mapping[Address, Resource],
    ledger: Ledger,
    gates: Gates,
    *,
    carriers: Mapping[Address, str] | None = None,
    undoes: bool = False,
    refused: Mapping[Address, str] | None = None,
    ports: Ports | None = None,
    node: str = "",
) -> Decision:
    """``carriers`` carry our path to the device (see `guard.refusals`), ``undoes`` says that the
    platform takes back what is not confirmed, ``refused`` is what the platform itself will not have of
    ``plan``, ``ports`` what ``gates`` say of the ports of ``node``, by the addresses that these have."""
    ports = ports or Ports()
    held: dict[Address, Held] = {
        address: Held("failed", f"the device has no {address}")
        for address in missing(said.items, observed)
    }
    destroy = {item.address for item in said.items if item.declared.destroy}
    destroy |= {entry.address for entry in ledger.entries.values() if entry.destroy}
    guarded = guard.refusals(
        plan.changes, observed=observed, carriers=carriers or {}, undoes=undoes, destroy=destroy
    )
    linked = gate.refusals(plan.changes, ports.contradicted)
    forced = {item.address for item in said.items if item.declared.data.get("power") in FORCED}
    feeds = guard.last_feeds(plan.changes, ports.last_feeds, forced)
    for address, why in {**(refused or {}), **feeds, **linked, **guarded}.items():
        held.setdefault(address, Held("refused", why))
    digests = {item.address: item.declared.digest for item in said.items}
    for address, why in gate.later(plan.changes, digests, said.names, ledger, gates).items():
        held.setdefault(address, Held("blocked", why))
    needs = {item.address: item.declared.needs for item in said.items}
    for address, waits in gate.waits(plan.changes, needs, said.names, gates).items():
        held.setdefault(address, Held("blocked", "", waits))
    for address, (why, waits) in gate.unheard(plan.changes, needs, ledger, gates).items():
        held.setdefault(address, Held("blocked", why, waits))
    owned = {*digests, *(entry.address for entry in ledger.entries.values())}
    turns = gate.out_of_turn(plan.changes, ports, said.names, node, owned)
    for address, (why, waits) in turns.items():
        held.setdefault(address, Held("blocked", why, waits))
    for change in plan.changes:
        if change.address not in held and (waits := unmet(change, plan, said, held)):
            held[change.address] = Held("blocked", "", waits)
    return Decision(plan, held)


def unmet(
    change: Change, plan: Plan, said: Declarations, held: Mapping[Address, Held]
) -> tuple[str, ...]:
    """What of this node ``change`` rests on and that is held."""
    if change.action in ("release", "notify"):
        return ()
    first = set(plan.needs.get(change.address, ()))
    if change.action != "remove":
        first |= said.needs.get(change.address, frozenset())
    waits = [
        said.names.get(need, str(need))
        for need in sorted(first)
        if need in held or said.pending(need)
    ]
    return tuple(waits)
