"""The rollouts of a site as a plan goes on: judged as a store judges them, by what has gone so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rackwright.cli.site_steps import WRONG, NodeRead, Step
from rackwright.engine.known import Known
from rackwright.model import typed
from rackwright.model.bundle import Bundle
from rackwright.model.standing import RUN
from rackwright_proposals.rolling import Host, Owned, Reported, Rolling, host_of, staging_of
from rackwright_proposals.rollouts import Course, Rollout


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The wave of a rollout for which a change counts."""

    rollout: str
    """Its proposal."""
    wave: int
    """From 1."""
    of: int


class Rolled:
    """``steps`` are those of the plan; ``gone`` says in which round each went, and grows meanwhile."""

    def __init__(
        self,
        reads: Sequence[NodeRead],
        bundles: Mapping[str, Bundle],
        known: Mapping[str, Known],
        rollouts: Mapping[str, Rollout],
        steps: Mapping[str, Step],
        gone: Mapping[str, int],
    ) -> None:
        self._known, self._rollouts, self._steps, self._gone = known, rollouts, steps, gone
        self._reads = {read.node: read for read in reads}
        self._of_node: dict[str, list[str]] = {}
        for address, step in steps.items():
            self._of_node.setdefault(step.node, []).append(address)
        self._staging = {node: staging_of(bundle, rollouts) for node, bundle in bundles.items()}
        self._owned: dict[str, Owned] = {
            node: typed.convert(about.ledger, Owned, from_attributes=True)
            for node, about in known.items()
            if about.ledger is not None
        }
        self._users, self._under = _resting(self._owned)
        self._purging = {
            node
            for node, staging in self._staging.items()
            if any(item.address.endswith("/*") for item in staging.items)
        }
        self._looked: set[str] = set()
        """Of what has gone, what was looked at."""
        self._rolling = Rolling()
        self._rolling.begin(rollouts)
        for node in bundles:
            self._rolling.note(node, self._host(node, begun=False))
        self._rolling.settle(0.0)
        self.before = self.courses
        """As they stand at the beginning."""
        places = {
            f"{node}:{address}": tuple(
                Turn(rollout=name, wave=wave + 1, of=len(self.before[name].waves))
                for name, wave in found
            )
            for node in bundles
            for address, found in self._rolling.places(node).items()
        }
        self.turns = {
            address: places[f"{step.node}:{step.key}"]
            for address, step in steps.items()
            if f"{step.node}:{step.key}" in places
        }
        """Step → the waves for which it counts."""
        self.held: dict[str, str] = {}
        """The steps whose wave has not come, and why."""
        for node in self._of_node:
            later = self._rolling.later(node)
            for address in self._of_node[node] if later else ():
                step = steps[address]
                if step.key in later and step.outcome.state not in WRONG:
                    self.held[address] = later[step.key]

    @property
    def courses(self) -> dict[str, Course]:
        """The rollouts as they stand, by proposal."""
        return dict(self._rolling.courses)

    def advance(self) -> list[str]:
        """Judge the rollouts with what has gone. Returns the steps whose waves have come with that."""
        while True:
            fresh = self._gone.keys() - self._looked
            self._looked |= fresh
            touched = {self._steps[address].node for address in fresh}
            touched |= {other for node in touched for other in self._under.get(node, ())}
            before = _fronts(self.courses)
            looked = (touched | self._purging) & self._staging.keys()
            for node in looked:
                self._rolling.note(node, self._host(node))
            looked |= self._rolling.settle(0.0)
            released = [address for node in looked for address in self._release(node)]
            if released or _fronts(self.courses) == before:
                return released

    def late(self, rounds: int) -> dict[str, int]:
        """Of what is held in the end, after ``rounds`` of them, in which round its wave would come."""
        courses, found = self.courses, {}
        for address in self.held:
            turns = self.turns.get(address, ())
            ahead = (turn.wave - courses[turn.rollout].opened for turn in turns)
            found[address] = rounds + max(1, min(ahead, default=1))
        return found

    def _release(self, node: str) -> Iterable[str]:
        later = self._rolling.later(node)
        for address in self._of_node.get(node, ()):
            if address in self.held:
                why = later.get(self._steps[address].key)
                if why is None:
                    del self.held[address]
                    yield address
                else:
                    self.held[address] = why

    def _host(self, node: str, *, begun: bool = True) -> Host | None:
        """What of ``node`` concerns rollouts, with what has gone. ``begun``: where nothing is left that
        `Bundle.purge` would take away, that is done."""
        about, read = self._known.get(node, Known()), self._reads.get(node)
        if about.retired:
            return None
        owned, reported = self._owned.get(node, Owned()), _reported(read, about)
        verified, failed = dict(reported.verified), dict(reported.failed)
        removed, waits = set(reported.removed), set(reported.waits)
        left, by_name = (
            dict(owned.entries),
            {e.called or key: key for key, e in owned.entries.items()},
        )
        purging: set[str] = set()
        for address in self._of_node.get(node, ()):
            step, outcome = self._steps[address], self._steps[address].outcome
            if address not in self._gone:
                if step.key.endswith("/*"):
                    purging.add(step.key)
                continue
            waits.discard(outcome.address)
            failed.pop(outcome.address, None)
            if outcome.action in ("remove", "release"):
                removed.add(outcome.address)
                verified.pop(outcome.address, None)
                left.pop(by_name.get(outcome.address, ""), None)
            else:
                verified[outcome.address] = outcome.digest
        purged = set(owned.purged)
        if begun and read is not None and not read.away:
            purged |= {
                item.address[:-2]
                for item in self._staging[node].items
                if item.address.endswith("/*") and item.address not in purging
            }
        now = msgspec.structs.replace(
            reported, verified=verified, removed=removed, failed=failed, waits=waits
        )
        rests = Owned(entries=left, purged=tuple(purged))
        return host_of(node, self._staging[node], rests, now, self._rested(node), self._rollouts)

    def _rested(self, node: str) -> set[str]:
        """What of ``node`` others rest on that have not gone."""
        return {
            ours
            for ours, users in self._users.get(node, {}).items()
            if not all(
                user in self._gone and self._steps[user].outcome.action in ("remove", "release")
                for user in users
            )
        }


def _fronts(courses: Mapping[str, Course]) -> dict[str, Any]:
    return {name: (course.front, course.state) for name, course in courses.items()}


def _resting(
    owned: Mapping[str, Owned],
) -> tuple[dict[str, dict[str, set[str]]], dict[str, set[str]]]:
    """Node → its ``type/name`` → the steps elsewhere that rest on it, by their ledgers; and node → the
    others on which it rests."""
    users: dict[str, dict[str, set[str]]] = {}
    under: dict[str, set[str]] = {}
    for node, ledger in owned.items():
        for key, entry in ledger.entries.items():
            for need in entry.needs:
                other, colon, local = need.partition(":")
                if colon and "/" not in other and other != node:
                    step = f"{node}:{entry.called or key}"
                    users.setdefault(other, {}).setdefault(local, set()).add(step)
                    under.setdefault(node, set()).add(other)
    return users, under


def _reported(read: NodeRead | None, about: Known) -> Reported:
    """What is known of a host, with what a read just now says of it."""
    verified = dict(about.verified)
    failed = {
        address: ("" if stood.action == "remove" else stood.digest, stood.why)
        for address, stood in about.standing.items()
        if address != RUN and stood.state in WRONG
    }
    waits = []
    for outcome in read.outcomes if read else ():
        address = outcome.address
        stood = about.standing.get(address)
        if outcome.state == "in_sync" or (stood is not None and stood.state == "refused"):
            failed.pop(address, None)  # what is refused is decided anew
        if outcome.state == "in_sync":
            if outcome.digest:
                verified[address] = outcome.digest
        elif outcome.action in ("create", "update") and verified.get(address) == outcome.digest:
            del verified[address]
        if outcome.state in WRONG:
            failed[address] = ("" if outcome.action == "remove" else outcome.digest, outcome.why)
        elif outcome.state == "blocked" and outcome.waits_for:
            waits.append(address)
    trouble = read.error if read is not None and read.away else ""
    return Reported(
        verified=verified, removed=about.removed, failed=failed, waits=waits, trouble=trouble
    )
