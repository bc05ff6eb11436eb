"""Rollouts as the store knows them: what reports come to for `Rolling`, and what people are told. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rackwright.model.standing import RUN, Standing
from rackwright_proposals.rolling import Reported, Rolling


def reported_of(
    verified: Mapping[str, str],
    standing: Mapping[str, Standing],
    removed: Collection[str],
    told: float,
) -> Reported:
    """What is known of one host. ``removed`` is what its last run took away, ``told`` when its bundle
    last changed: a run that failed before that says nothing of it."""
    run = standing.get(RUN)
    broken = run is not None and run.action != "interrupted" and run.at >= told
    return Reported(
        verified=verified,
        removed=removed,
        failed={
            address: ("" if stood.action == "remove" else stood.digest, stood.why)
            for address, stood in standing.items()
            if address != RUN and stood.state in ("failed", "refused")
        },
        waits=[
            address
            for address, stood in standing.items()
            if stood.state == "blocked" and stood.waits_for
        ],
        trouble=run.why if run is not None and broken else "",
    )


def fronts_of(rolling: Rolling) -> dict[str, tuple[str, ...]]:
    """What everybody else of each rollout that is not done waits for, by proposal; see `Rolling.front`."""
    courses = rolling.courses.items()
    return {name: rolling.front(name) for name, course in courses if course.state != "done"}


def rollouts_data(rolling: Rolling) -> list[dict[str, Any]]:
    """Each rollout with its waves, as plain data."""
    return [
        {
            "proposal": name,
            "state": course.state,
            "why": course.stopped,
            "canary": course.rollout.canary,
            "at_once": course.rollout.at_once,
            "stop_on": course.rollout.stop_on,
            "since": rolling.since.get(name),
            "waves": [
                {
                    "nodes": list(wave.nodes),
                    "state": wave.state,
                    "verified": wave.verified,
                    "resources": wave.total,
                    "done": list(wave.done),
                    "failed": dict(wave.failed),
                }
                for wave in course.waves
            ],
        }
        for name, course in sorted(rolling.courses.items())
    ]
