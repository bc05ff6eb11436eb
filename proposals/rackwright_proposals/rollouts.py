"""Rollouts: a proposal goes out wave by wave, each when the last is verified. Pure.

Nothing is remembered between two looks: which wave is open follows from the site and from what the
nodes have verified. So a store that starts again goes on where it was, what was mended goes on by
itself, and a commit that concerns only nodes of a late wave finds the earlier ones done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from rackwright.model.bundle import ROLLOUT
from rackwright_proposals.names import natural

if TYPE_CHECKING:
    from rackwright_proposals.resolve import Resolved

NAMED = 3
"""Nodes of a wave that a reason names; the rest is counted."""

WaveState = Literal["done", "open", "waiting", "stopped"]


class Rollout(msgspec.Struct, frozen=True):
    """How one proposal goes out."""

    proposal: str
    nodes: tuple[str, ...]
    """Those it is deployed on, in natural order."""
    canary: int
    """Nodes of the first wave; 0: all waves are alike."""
    at_once: int
    """Nodes of each further wave."""
    stop_on: int
    """Failed nodes at which no further wave goes."""


class Share(NamedTuple):
    """What one node's part of a rollout comes to: what it has by the proposal, and what its roles put
    on its neighbours."""

    total: int = 0
    todo: tuple[str, ...] = ()
    """Whole addresses of what is not verified as declared, or not gone yet."""
    failed: tuple[tuple[str, str], ...] = ()
    """What failed or is refused (a whole address), and nodes that could not be converged at all, each
    with the reason."""

    def joined(self, other: Share) -> Share:
        """Both together."""
        return Share(self.total + other.total, self.todo + other.todo, self.failed + other.failed)


class Wave(msgspec.Struct, frozen=True):
    """One wave as it stands."""

    nodes: tuple[str, ...]
    state: WaveState
    verified: int
    total: int
    """Resources of all its nodes."""
    done: tuple[str, ...]
    failed: Mapping[str, str]
    """Node → what failed there, and why."""


class Course(msgspec.Struct, frozen=True, dict=True):
    """How far one rollout has come."""

    rollout: Rollout
    waves: tuple[Wave, ...]
    opened: int
    """So many waves may go."""
    stopped: str = ""
    """Why no further wave goes; empty when one may."""

    @cached_property
    def number(self) -> Mapping[str, int]:
        """Node → its wave, counted from 0."""
        return {node: i for i, wave in enumerate(self.waves) for node in wave.nodes}

    @property
    def state(self) -> Literal["done", "going", "stopped"]:
        """Of the rollout as a whole."""
        if self.stopped:
            return "stopped"
        return "done" if all(wave.state == "done" for wave in self.waves) else "going"

    @property
    def front(self) -> tuple[int, str]:
        """What decides whose turn it is. While it stays the same, so do all reasons."""
        return self.opened, self.stopped

    def turn(self, node: str) -> bool:
        """Whether the wave of ``node`` may go."""
        return self.number.get(node, -1) < self.opened

    def reason(self, node: str) -> str:
        """Why it is not the turn of ``node``, for a person."""
        name = f"{ROLLOUT}{self.rollout.proposal}"
        if self.stopped:
            return f"{name} stopped: {self.stopped}"
        mine = self.number.get(node, 0) + 1
        before = _listed(self.waves[self.opened - 1].nodes)
        waves = len(self.waves)
        return f"{name}: wave {mine} of {waves} waits for {before} (wave {self.opened})"


def waves_of(rollout: Rollout, leaving: Iterable[str] = ()) -> tuple[tuple[str, ...], ...]:
    """The nodes of ``rollout`` wave by wave. ``leaving`` are those that it is not deployed on any more
    and that still hold something of it: they come last, as many at once as others do."""
    canary = min(rollout.canary, len(rollout.nodes))
    found = [rollout.nodes[:canary]] if canary else []
    for rest in (rollout.nodes[canary:], tuple(sorted(leaving, key=natural))):
        found += [
            rest[i : i + rollout.at_once] for i in range(0, len(rest), max(1, rollout.at_once))
        ]
    return tuple(found)


def judge(
    rollout: Rollout, waves: tuple[tuple[str, ...], ...], shares: Mapping[str, Share]
) -> Course:
    """How far ``rollout`` has come. A node without a share has nothing to do.

    A wave may go when every node of all earlier ones is done, or has failed while fewer than
    `Rollout.stop_on` have: with 1, when all of them are verified.
    """
    nothing = Share()
    told = []
    for nodes in waves:
        mine = [(node, shares.get(node, nothing)) for node in nodes]
        told.append(
            (
                sum(share.total for _, share in mine),
                sum(len(share.todo) for _, share in mine),
                {node: _why(share) for node, share in mine if share.failed},
                tuple(node for node, share in mine if not share.todo and not share.failed),
            )
        )
    opened, stopped, wrong = 0, "", dict[str, str]()
    for nodes, (_, _, failed, done) in zip(waves, told, strict=True):
        opened += 1
        wrong.update(failed)
        if len(wrong) >= rollout.stop_on:
            stopped = _stop(wrong)
            break
        if len(done) + len(failed) < len(nodes):
            break
    return Course(
        rollout,
        tuple(
            Wave(
                nodes,
                _state(i, len(done) == len(nodes), opened, stopped),
                total - todo,
                total,
                done,
                failed,
            )
            for i, (nodes, (total, todo, failed, done)) in enumerate(zip(waves, told, strict=True))
        ),
        opened,
        stopped,
    )


def _state(number: int, done: bool, opened: int, stopped: str) -> WaveState:
    if done:
        return "done"
    if stopped:
        return "stopped"
    return "open" if number < opened else "waiting"


def _why(share: Share) -> str:
    what, why = share.failed[0]
    more = f" (and {len(share.failed) - 1} more)" if len(share.failed) > 1 else ""
    return f"{what}: {why or 'no reason given'}{more}"


def _stop(wrong: Mapping[str, str]) -> str:
    node, why = next(iter(wrong.items()))
    more = f"; and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return f"{node} failed: {why}{more}"


def _listed(nodes: tuple[str, ...]) -> str:
    shown = ", ".join(nodes[:NAMED])
    more = len(nodes) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def rollouts_of(resolved: Resolved) -> dict[str, Rollout]:
    """The rollouts of a site, by proposal."""
    found = {}
    for name, proposal in sorted(resolved.documents.proposals.items()):
        plan = proposal.rollout
        if plan is None:
            continue
        deployed = {node for nodes in resolved.deploys[name].values() for node in nodes}
        count = len(deployed)
        found[name] = Rollout(
            name,
            tuple(sorted(deployed, key=natural)),
            plan.canary.of(count),
            plan.at_once.of(count),
            plan.stop_on,
        )
    return found
