"""What people are told of nodes, links and revisions, as plain data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from rackwright.model.bundle import Bundle
from rackwright.model.errors import Problem
from rackwright_store.placement import Whereabouts
from rackwright_store.records import Revision
from rackwright_store.runs import RunSummary
from rackwright_store.spans import span

STALE_AFTER = 900.0
"""Seconds without a sign of life from an agent. One that is well holds a long poll, which it renews
every minute or so."""

NOWHERE = Whereabouts()

NodeState = Literal[
    "never seen",
    "stale",
    "unreachable",
    "failed",
    "refused",
    "blocked",
    "changed",
    "converged",
    "retired",
    "unplaced",
    "place",
]
"""``place``: a room or a rack; there is nothing in it to converge."""


def node_state(last: RunSummary | None, *, silent: float) -> NodeState:
    """One word for a node: what came of its last run, unless there was none or its agent has been
    ``silent`` for too many seconds."""
    if last is None:
        return "never seen"
    if silent > STALE_AFTER:
        return "stale"
    if last.kind == "unreachable":
        return "unreachable"
    if last.kind or last.counts.get("failed"):
        return "failed"
    for state in ("refused", "blocked"):
        if last.counts.get(state):
            return state
    return "changed" if last.counts.get("changed") or last.counts.get("removed") else "converged"


def outstanding(
    bundle: Bundle, verified: Mapping[str, str], last: RunSummary | None
) -> tuple[str, ...]:
    """The resources that the bundle declares and the node has not verified as they are declared,
    and those that it holds and that are not declared any more."""
    removed = set(last.removed) if last else set()
    declared = {str(item.address): item for item in bundle.resources}
    waiting = {item.address for item in bundle.deferred}
    return (
        *(
            address
            for address, item in declared.items()
            if verified.get(address) != item.digest
            and not (item.data.get("ensure") == "absent" and address in removed)
        ),
        *(
            address
            for address in sorted(verified.keys() - declared.keys() - waiting)
            if f"{address.partition('/')[0]}/?" not in waiting
        ),
    )


def node_status(
    bundle: Bundle,
    last: RunSummary | None,
    verified: Mapping[str, str],
    *,
    heard: float,
    silent: float,
    enrolled: bool,
    commit: str,
    facts_problems: Sequence[Problem],
    at: Whereabouts = NOWHERE,
) -> dict[str, Any]:
    """One line of ``rackwright status``. ``heard`` is when its agent last gave a sign of life, and
    ``silent`` for how many seconds it could have given one and did not."""
    state = node_state(last, silent=silent)
    error = last.error if last else ""
    if state == "stale":
        error = f"nothing heard from its agent for {span(silent)}" + (f"; before that: {error}" if error else "")  # fmt: skip
    if not (bundle.node.platform or bundle.resources or last):
        state = "place"
    if at.unplaced:
        state, error = "unplaced", at.unplaced
    elif at.unreached:
        state, error = "unreachable", at.unreached
    if facts_problems and not error:
        error = f"its facts do not compile: {facts_problems[0]}"
    waiting = outstanding(bundle, verified, last)
    return {
        "node": bundle.node.name,
        "type": bundle.node.type,
        "platform": bundle.node.platform,
        "managed": bundle.node.managed,
        "enrolled": enrolled,
        "at": at.holder if at.holder != bundle.node.name else "",
        "placed": at.host,
        "state": state,
        "revision": last.stands if last else "",
        "current": commit,
        "pending": commit if waiting else "",
        "outstanding": len(waiting),
        "last_run": last.finished if last else None,
        "heard": heard or None,
        "via": last.via if last else "",
        "error": error,
        "waits_for": list(last.waits_for) if last else [],
        "deferred": [{"address": item.address, "fact": item.fact} for item in bundle.deferred],
        "counts": last.counts if last else {},
    }


def revision_data(revision: Revision | None) -> dict[str, Any] | None:
    """A revision as plain data."""
    if revision is None:
        return None
    return {
        "commit": revision.commit,
        "accepted": revision.accepted,
        "at": revision.at,
        "problems": problem_list(revision.problems),
    }


def problem_list(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems as plain data, with where they are spelled out."""
    return [{**problem._asdict(), "where": problem.where} for problem in problems]
