"""What the store keeps at hand of a report, and what a report says of what is verified. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from rackwright.model.address import Address
from rackwright.model.report import Outcome, Report

RunKind = Literal["", "input", "unreachable", "device", "interrupted"]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run without what came of each resource."""

    id: str
    node: str
    revision: str = ""
    stands: str = ""
    """The revision of the last run that had one: this one, or one before it that counted."""
    epoch: int = 0
    """Of the lease under which it was made, or the last before it; 0 without one."""
    clock: float = 0.0
    """``finished`` as the agent has it."""
    started: float
    finished: float
    """Unix seconds by the agent's clock, but never later than when the store received it, nor earlier
    than the run before, where that was another host's: their clocks need not agree."""
    why_run: bool = False
    via: str = ""
    kind: RunKind = ""
    error: str = ""
    """The first thing that went wrong, in a sentence; empty when nothing did."""
    counts: dict[str, int] = {}
    """How many resources ended in each state."""
    waits_for: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    saved: bool = False


class Verification(NamedTuple):
    """What a report changes of a node's verified resources."""

    set: Mapping[str, str]
    clear: frozenset[str]


NOTHING = Verification({}, frozenset())


def address_problem(report: Report) -> str:
    """Why ``report`` cannot be this node's, or empty: nobody reports on another node's resources."""
    for outcome in report.outcomes:
        try:
            address = Address.parse(outcome.address)
        except ValueError as error:
            return str(error)
        if address.node not in ("", report.node):
            return f"{outcome.address!r} is not a resource of {report.node}"
    return ""


_NEXT = 0.001
"""Seconds by which a run is later than the one before it, where clocks say otherwise."""


def newest_of(last: RunSummary | None, epoch: int) -> float | None:
    """When the newest run had finished that is not to be outdone by an older one, by the clock of
    whoever reports under ``epoch`` now. Of two epochs the higher is later, whatever clocks say."""
    if last is None or last.epoch < epoch:
        return None
    return last.clock if last.epoch == epoch else float("inf")


def after(last: RunSummary | None, summary: RunSummary) -> RunSummary:
    """``summary``, which counts, as the run after ``last``."""
    if last is None:
        return summary
    return msgspec.structs.replace(
        summary,
        stands=summary.stands or last.stands,
        finished=summary.finished if summary.finished >= last.finished else last.finished + _NEXT,
    )


def summarise(report: Report, received: float, epoch: int = 0) -> RunSummary:
    """The summary of ``report``. A clock that runs ahead must not make every later report an old
    one, so ``finished`` is never after ``received``."""
    counts: dict[str, int] = {}
    for outcome in report.outcomes:
        counts[outcome.state] = counts.get(outcome.state, 0) + 1
    waits = {address for outcome in report.outcomes for address in outcome.waits_for}
    return RunSummary(
        id=report.id,
        node=report.node,
        revision=report.revision,
        stands=report.revision,
        epoch=epoch,
        started=min(report.started, received),
        finished=min(report.finished, received),
        clock=min(report.finished, received),
        why_run=report.why_run,
        via=report.via,
        kind=report.kind,
        error=report.error or _sentence(report.outcomes),
        counts=dict(sorted(counts.items())),
        waits_for=tuple(sorted(waits)),
        removed=tuple(_local(item) for item in report.outcomes if item.state == "removed"),
        saved=report.saved,
    )


def _sentence(outcomes: Iterable[Outcome]) -> str:
    bad = [item for item in outcomes if item.state in ("failed", "refused")]
    if not bad:
        return ""
    first = next((item for item in bad if item.state == "failed"), bad[0])
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"{_local(first)} {first.state}: {first.why or 'no reason given'}{more}"


def verification(
    report: Report, known: Mapping[str, str], newest: float | None, received: float
) -> Verification:
    """What ``report`` changes, given what is ``known`` as verified and when the newest run that
    was heeded had finished.

    in_sync, changed   verified at the digest of the outcome
    failed             not verified any more
    removed, released  gone, or nobody's
    blocked, refused   what was verified stands, unless it is the very digest that is still wanted:
                       then the device has drifted from it
    not mentioned      gone, if the run went through to its end; else it stands

    Dry runs change nothing, nor does a report that was delivered late, after a newer one.
    """
    if report.why_run or (newest is not None and min(report.finished, received) < newest):
        return NOTHING
    made: dict[str, str] = {}
    clear: set[str] = set()
    seen: set[str] = set()
    for outcome in report.outcomes:
        address = _local(outcome)
        seen.add(address)
        if outcome.state in ("in_sync", "changed") and outcome.digest:
            made[address] = outcome.digest
        elif outcome.state in ("blocked", "refused"):
            drifted = outcome.action in ("create", "update")
            if drifted and known.get(address) == outcome.digest:
                clear.add(address)
        else:
            clear.add(address)
    if not report.error:
        clear.update(known.keys() - seen)
    return Verification(
        {address: digest for address, digest in made.items() if known.get(address) != digest},
        frozenset(address for address in clear - made.keys() if address in known),
    )


def _local(outcome: Outcome) -> str:
    return str(Address.parse(outcome.address).local)
