"""The rollouts of a planned site: how each stands, and how far the plan takes it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import msgspec

from rackwright.cli.site_going import Going
from rackwright_proposals.rollouts import Course, WaveState

RolloutState = Literal["done", "going", "stopped"]


class RolloutWave(msgspec.Struct, frozen=True, kw_only=True):
    """One wave of a rollout."""

    wave: int
    """From 1."""
    nodes: tuple[str, ...]
    state: WaveState
    """As it stands when this is declared."""
    then: WaveState
    """As it stands when everything has gone that can be counted on."""
    verified: int
    resources: int
    done: tuple[str, ...]
    """The nodes of which nothing is left to do."""
    failed: Mapping[str, str]
    """Node → what failed there, and why: by the last reports and by this plan."""
    changes: int
    """Of this plan that count for it."""


class RolloutPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout."""

    rollout: str
    """Its proposal."""
    state: RolloutState
    """As it stands when this is declared."""
    then: RolloutState
    """As it stands when everything has gone that can be counted on."""
    why: str
    """Why it would not come to its end by this plan; empty when it would."""
    canary: int
    at_once: int
    stop_on: int
    waves: tuple[RolloutWave, ...]


def rollout_plans(going: Going, coming: Collection[str]) -> tuple[RolloutPlan, ...]:
    """All of them, by name. ``coming`` are the changes of the plan."""
    counts: dict[tuple[str, int], int] = {}
    for step in coming:
        for turn in going.turns.get(step, ()):
            counts[turn.rollout, turn.wave] = counts.get((turn.rollout, turn.wave), 0) + 1
    return tuple(
        RolloutPlan(
            rollout=name,
            state=course.state,
            then=going.end[name].state,
            why=_why(going.end[name]),
            canary=course.rollout.canary,
            at_once=course.rollout.at_once,
            stop_on=course.rollout.stop_on,
            waves=tuple(
                RolloutWave(
                    wave=number,
                    nodes=wave.nodes,
                    state=wave.state,
                    then=_then(going.end[name], wave.nodes),
                    verified=wave.verified,
                    resources=wave.total,
                    done=wave.done,
                    failed=wave.failed,
                    changes=counts.get((name, number), 0),
                )
                for number, wave in enumerate(course.waves, 1)
            ),
        )
        for name, course in sorted(going.before.items())
    )


def _why(end: Course) -> str:
    if end.stopped or end.state == "done":
        return end.stopped
    missing = [node for node in end.waves[end.opened - 1].nodes if not _settled(end, node)]
    return f"waits for {', '.join(missing)} (wave {end.opened})"


def _settled(end: Course, node: str) -> bool:
    wave = end.waves[end.opened - 1]
    return node in wave.done or node in wave.failed


def _then(end: Course, nodes: tuple[str, ...]) -> WaveState:
    """What becomes of the wave of ``nodes``. One of nodes that leave a rollout is gone when they have."""
    return next((wave.state for wave in end.waves if set(nodes) & set(wave.nodes)), "done")
