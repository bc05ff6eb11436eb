"""A plan goes on: which of its steps can be counted on to go, when, and in which waves of which rollouts.
Pure.

Steps are let go round by round. In each round goes whatever waits for nothing but what is there or has gone;
then the rollouts are judged, which may open their next waves. What failed when it was last tried as it is
declared now, and what is on a node that could not be reached, may go or not: nothing is built on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from rackwright.cli.site_rollouts import Rolled, Turn
from rackwright.cli.site_steps import NodeRead, Step, steps_of
from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry, Ledger
from rackwright.model import typed
from rackwright.model.bundle import Bundle
from rackwright.model.resource import Resource
from rackwright_proposals.rollouts import Course, Rollout
from rackwright_proposals.sequence import Graph


class Going(msgspec.Struct, frozen=True, kw_only=True):
    """How a plan goes on. Steps are whole addresses."""

    steps: Mapping[str, Step]
    after: Mapping[str, tuple[str, ...]]
    """Of the steps that go, or are tried: what of the plan they wait for."""
    held: Mapping[str, str] = {}
    """Steps whose wave does not come by this plan, and why."""
    turns: Mapping[str, tuple[Turn, ...]] = {}
    round: Mapping[str, int] = {}
    """Step → after how many openings of waves it goes; of what is held, after which it would."""
    before: Mapping[str, Course] = {}
    """Proposal → its rollout as it stands when this is declared."""
    end: Mapping[str, Course] = {}
    """As it stands when everything has gone that can be counted on."""


def go_on(
    reads: Sequence[NodeRead],
    bundles: Mapping[str, Bundle],
    known: Mapping[str, Known],
    rollouts: Mapping[str, Rollout],
    graph: Graph,
    nouns: Mapping[str, type[Resource]],
) -> Going:
    """``graph`` is that of the whole plan, ``nouns`` are by type."""
    run = _Run(reads, bundles, known, graph, nouns)
    if not rollouts:
        run.spread()
        return Going(steps=run.steps, after=run.after())
    rolled = Rolled(reads, bundles, known, rollouts, run.steps, run.gone)
    run.hold(rolled.held)
    rounds = 0
    run.spread()
    while released := rolled.advance():
        rounds += 1
        run.spread(released, rounds)
    return Going(
        steps=run.steps,
        after=run.after(),
        held=dict(rolled.held),
        turns=rolled.turns,
        round={**rolled.late(rounds), **run.gone, **run.tried},
        before=rolled.before,
        end=rolled.courses,
    )


class _Run:
    """The steps as far as they have come."""

    def __init__(
        self,
        reads: Sequence[NodeRead],
        bundles: Mapping[str, Bundle],
        known: Mapping[str, Known],
        graph: Graph,
        nouns: Mapping[str, type[Resource]],
    ) -> None:
        self.known, self.graph, self.nouns = known, graph, nouns
        self.steps: dict[str, Step] = {}
        for read in reads:
            about = known.get(read.node, Known())
            self.steps.update(steps_of(read, bundles[read.node], about))
        self.there = {
            f"{read.node}:{outcome.address}"
            for read in reads
            for outcome in read.outcomes
            if outcome.state == "in_sync"
        }
        self.waits: dict[str, set[str]] = {step: set(one.waits) for step, one in self.steps.items()}
        self.users: dict[str, list[str]] = {}
        for step, needs in self.waits.items():
            for need in needs:
                self.users.setdefault(need, []).append(step)
        self.held: Collection[str] = ()
        self.gone: dict[str, int] = {}
        """Step → the round in which it went."""
        self.tried: dict[str, int] = {}
        """The same of those on which nobody can count."""

    def hold(self, held: Mapping[str, str]) -> None:
        """These wait for their waves, as long as they are in ``held``; what of the same node rests on
        them waits for them."""
        self.held = held
        resting: dict[str, Mapping[str, frozenset[str]]] = {}
        look = list(held)
        while look:
            step = look.pop()
            node = self.steps[step].node
            if node not in resting:
                resting[node] = self.resting(node)
            for user in {*self.users_here(step), *resting[node].get(step, ())}:
                if step not in self.waits[user]:
                    self.waits[user].add(step)
                    self.users.setdefault(step, []).append(user)
                    look.append(user)

    def users_here(self, step: str) -> Iterable[str]:
        """What of the same node is to be made or changed and needs ``step``."""
        node = self.steps[step].node
        for user in self.graph.needed_by.get(step, ()):
            found = self.steps.get(user)
            if found and found.node == node and found.outcome.action in ("create", "update"):
                yield user

    def resting(self, node: str) -> dict[str, frozenset[str]]:
        """Step of ``node`` → what of the same node it rests on by the ledger and that is to go."""
        ledger = self.known.get(node, Known()).ledger or Ledger()
        found = {}
        for key, entry in ledger.entries.items():
            step = f"{node}:{entry.called or key}"
            if step in self.steps:
                first = {f"{node}:{need}" for need in _rests_on(entry, self.nouns)}
                found[step] = frozenset(
                    need
                    for need in first & self.steps.keys()
                    if self.steps[need].outcome.action == "remove"
                )
        return found

    def spread(self, fresh: Iterable[str] | None = None, number: int = 0) -> None:
        """Let go, in the round ``number``, whatever waits for nothing but what is there or has gone;
        only ``fresh`` may go anew (None: all)."""
        look = [*(self.steps if fresh is None else fresh)]
        while look:
            step = look.pop()
            if step not in self.gone and step not in self.tried and self.goes(step):
                table = self.gone if self.steps[step].counts else self.tried
                table[step] = number
                look += self.users.get(step, ())

    def goes(self, step: str) -> bool:
        return (
            self.steps[step].goes
            and step not in self.held
            and all(
                need in self.there or need in self.gone or self.alike(need, step)
                for need in self.waits[step]
            )
        )

    def alike(self, need: str, step: str) -> bool:
        """Whether ``need`` is tried and ``step`` is on the same node, of which the same is unknown: when
        that can be reached, both go."""
        ours = self.steps[step]
        return need in self.tried and not ours.counts and self.steps[need].node == ours.node

    def after(self) -> dict[str, tuple[str, ...]]:
        return {
            step: tuple(sorted(need for need in self.waits[step] if need not in self.there))
            for step in (*self.gone, *self.tried)
        }


def _rests_on(entry: Entry, nouns: Mapping[str, type[Resource]]) -> set[str]:
    here = {need for need in entry.needs if ":" not in need.partition("/")[0]}
    noun = nouns.get(entry.type)
    if noun is not None:
        try:
            here.update(map(str, typed.convert(entry.data, noun).implied_needs()))
        except msgspec.ValidationError:
            return here  # written by another version whose noun had other fields
    return here
