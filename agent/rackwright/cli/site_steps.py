"""What was read of each node of a site, as the steps of a plan. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry, Ledger
from rackwright.model.bundle import Bundle
from rackwright.model.report import Outcome
from rackwright.model.standing import Standing

COMING = ("changed", "removed", "released")
"""States of what a converge would do."""
WRONG = ("failed", "refused")
"""States of what it would not."""
By = Literal["live", "report", "ledger", "nothing"]
"""What a node's changes were told from: a read just now, its last report, its ledger on this host."""


class NodeRead(msgspec.Struct, frozen=True, kw_only=True):
    """How one node was read, and what came of it."""

    node: str
    type: str
    platform: str
    by: By
    at: float | None = None
    """When it was read, or when it last reported, in Unix seconds."""
    via: str = ""
    error: str = ""
    """Why it could not be read just now, where that was tried; else why its last run could not be done."""
    kind: str = ""
    """Of `error`, as a report has it."""
    outcomes: tuple[Outcome, ...] = ()
    """Without the waves of rollouts."""

    @property
    def away(self) -> bool:
        """Whether nobody can say that anything will be done on it soon."""
        return self.by != "live" and bool(self.error)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something on one node that is not as declared."""

    node: str
    outcome: Outcome
    key: str
    """The ``type/name``, or ``type/*``, by which rollouts have a say in it; empty: none has."""
    waits: frozenset[str]
    """Whole addresses, as the node itself says it."""
    goes: bool
    """It goes, or is tried, once it waits for nothing."""
    counts: bool
    """What waits for it elsewhere may count on it: its node is there, and it did not fail before."""
    drift: bool
    """It was seen as it is declared now, and is not so any more: no commit brings that change."""
    last: Standing | None
    """It failed when it was last tried as it is declared now."""


def whole(address: str, node: str) -> str:
    """``address`` with its node, which is ``node`` where it names none."""
    return address if ":" in address.partition("/")[0] else f"{node}:{address}"


def steps_of(read: NodeRead, bundle: Bundle, about: Known) -> dict[str, Step]:
    """The steps of one node, by whole address; what is in sync is none."""
    entries = (about.ledger or Ledger()).entries
    owned = {entry.called or key: entry for key, entry in entries.items()}
    declared = {f"{item.type}/{item.data['name']}" for item in bundle.resources}
    found = {}
    for outcome in read.outcomes:
        if outcome.state == "in_sync":
            continue
        step, address = f"{read.node}:{outcome.address}", outcome.address
        drift = _drifted(outcome, owned.get(address))
        last = None if outcome.state in WRONG else _failed(outcome, about)
        key = address
        if address not in declared and address not in owned:  # by `purge`
            key = f"{address.partition('/')[0]}/*"
        stuck = outcome.state == "blocked" and not outcome.waits_for
        found[step] = Step(
            node=read.node,
            outcome=outcome,
            key="" if drift else key,
            waits=frozenset(whole(need, read.node) for need in outcome.waits_for) - {step},
            goes=outcome.state not in WRONG and not stuck,
            counts=last is None and not read.away,
            drift=drift,
            last=last,
        )
    return found


def _drifted(outcome: Outcome, entry: Entry | None) -> bool:
    return (
        outcome.action in ("create", "update")
        and entry is not None
        and bool(outcome.digest)
        and entry.seen == outcome.digest
    )


def _failed(outcome: Outcome, about: Known) -> Standing | None:
    last = about.standing.get(outcome.address)
    if last is None or last.state != "failed":
        return None
    if outcome.action == "remove":
        return last if last.action == "remove" else None
    return last if last.digest == outcome.digest else None
