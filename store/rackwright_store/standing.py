"""Where every resource of a node stands, from what its runs report. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates, rollout_of
from rackwright.model.report import Report
from rackwright.model.standing import RUN, Standing
from rackwright_store.placement import Whereabouts
from rackwright_store.runs import RunSummary

Stands = Literal["verified", "changed", "waiting", "failed", "refused", "unreported"]
"""``changed``: verified, and it took a change. ``unreported``: its agent has not said a word of it since
it is declared like this (or is not declared any more)."""


def standings(
    report: Report, known: Mapping[str, Standing], newest: float | None, received: float
) -> dict[str, Standing] | None:
    """Where the node's resources stand after ``report``; None when it says nothing: a dry run, or one
    that was delivered after a newer one (``newest``: when the last that was heeded had finished).

    A run that was cut short leaves standing what it does not mention.
    """
    if report.why_run or (newest is not None and min(report.finished, received) < newest):
        return None
    found = {key: old for key, old in known.items() if report.error and key != RUN}
    for outcome in report.outcomes:
        key = str(Address.parse(outcome.address).local)
        found.pop(key, None)
        if outcome.state != "in_sync":
            waits = tuple(_whole(need, report.node) for need in outcome.waits_for)
            now = Standing(
                state=outcome.state,
                action=outcome.action,
                digest=outcome.digest,
                why=outcome.why,
                waits_for=waits,
                since=received,
                at=received,
            )
            found[key] = _since(now, known.get(key))
    if report.error:
        now = Standing(state="failed", action=report.kind, why=report.error, since=received, at=received)  # fmt: skip
        found[RUN] = _since(now, known.get(RUN))
    return found


def _since(now: Standing, before: Standing | None) -> Standing:
    """One that waits for something of what it waited for before has waited since then."""
    same = before is not None and before.state == now.state and before.action == now.action
    if before is None or not same:
        return now
    if now.state == "blocked" and before.waits_for and not {*now.waits_for} & {*before.waits_for}:
        return now
    return msgspec.structs.replace(now, since=before.since)


def _whole(text: str, node: str) -> str:
    return text if ":" in text.partition("/")[0] else f"{node}:{text}"


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One node as the store sees it at one moment."""

    bundle: Bundle
    verified: Mapping[str, str] = {}
    standing: Mapping[str, Standing] = {}
    last: RunSummary | None = None
    gates: Gates = Gates()
    told: float = 0.0
    """When its bundle last changed, or came in force again with the store's start."""
    deferred: Mapping[str, float] = {}
    """Deferred address → since when."""
    silent: float = 0.0
    """For how many seconds its agent could have given a sign of life and did not."""
    enrolled: bool = True
    retired: bool = False
    facts_problem: str = ""
    """Why its facts do not compile."""
    at: Whereabouts = Whereabouts()

    @property
    def name(self) -> str:
        """The node's name."""
        return self.bundle.node.name


class Stand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one resource stands."""

    state: Stands
    remove: bool = False
    """It is to go, not to be there."""
    why: str = ""
    waits_for: tuple[str, ...] = ()
    """Whole addresses of what is not there (or not gone) yet."""
    since: float = 0.0
    origin: str = ""

    @property
    def done(self) -> bool:
        """Nothing is left to do for it."""
        return self.state in ("verified", "changed")

    @property
    def why_alone(self) -> bool:
        """It was held back for a reason that is no other resource."""
        return self.state == "waiting" and not self.waits_for


def stands_of(seen: Seen) -> dict[str, Stand]:
    """Where everything stands that the node is to have, and that it is to lose, by ``type/name``."""
    found: dict[str, Stand] = {}
    removed = set(seen.last.removed) if seen.last else set()
    for item in seen.bundle.resources:
        key = f"{item.type}/{item.data['name']}"
        absent = item.data.get("ensure") == "absent"
        last = seen.standing.get(key)
        origin = str(item.origin)
        if seen.verified.get(key) == item.digest or (absent and key in removed):
            changed = last is not None and last.state in ("changed", "removed")
            since = last.since if last else 0.0
            state: Stands = "changed" if changed else "verified"
            found[key] = Stand(state=state, remove=absent, since=since, origin=origin)
        else:
            current = last if last is not None and last.digest in ("", item.digest) else None
            stand = _undone(current, seen.told, remove=absent, origin=origin)
            found[key] = _in_turn(stand, seen.gates.later.get(key, ""), current)
    deferred = {item.address for item in seen.bundle.deferred}
    left = {
        key
        for key, last in seen.standing.items()
        if key != RUN and last.action in _TO_GO and last.state in HELD_BACK
    }
    for key in sorted((left | seen.verified.keys()) - found.keys() - deferred):
        if f"{key.partition('/')[0]}/?" in deferred:
            continue
        last = seen.standing.get(key)
        current = last if last is not None and last.action in _TO_GO else None
        stand = _undone(current, seen.told, remove=True, origin="")
        found[key] = _in_turn(stand, seen.gates.later.get(key, ""), current)
    return found


HELD_BACK = frozenset({"blocked", "failed", "refused"})
_TO_GO = frozenset({"", "remove", "release"})
"""What is reported of something that is not declared any more: removed, or let go of."""


def _in_turn(stand: Stand, later: str, last: Standing | None) -> Stand:
    """``stand`` as the rollouts are now: ``later`` says why its turn has not come. A report may be older
    than that."""
    if stand.state in ("waiting", "unreported") and later:
        return msgspec.structs.replace(stand, state="waiting", why=later, waits_for=())
    if stand.state == "waiting" and rollout_of(stand.why):
        # Its turn has come, and its agent is being told.
        since = max(stand.since, last.at if last else 0.0)
        return msgspec.structs.replace(stand, state="unreported", why="", since=since)
    return stand


def _undone(last: Standing | None, told: float, *, remove: bool, origin: str) -> Stand:
    if last is None or last.state not in HELD_BACK:
        return Stand(state="unreported", remove=remove, since=told, origin=origin)
    state: Stands = "waiting"
    if last.state == "failed" or last.state == "refused":
        state = last.state
    return Stand(
        state=state,
        remove=remove,
        why=last.why,
        waits_for=last.waits_for,
        since=last.since,
        origin=origin,
    )
