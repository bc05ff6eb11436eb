"""Rollouts and needs must not wait for each other: what a wave needs comes with it or before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rackwright_proposals.marks import Problems
from rackwright_proposals.needs import Nodes, cycles, edges
from rackwright_proposals.render import Rendered
from rackwright_proposals.resolve import Resolved
from rackwright_proposals.rollouts import Rollout, waves_of

_Key = tuple[str, str]
_WAVE = "\N{NULL}wave"
"""Stands where a node does, in the key of a wave: no node is called so."""


def check(
    nodes: Nodes, resolved: Resolved, rollouts: Mapping[str, Rollout], problems: Problems
) -> None:
    """Every circle of needs and waves, with its path, at the rollout's line."""
    numbers = {
        name: {node: i for i, wave in enumerate(waves_of(rollout)) for node in wave}
        for name, rollout in rollouts.items()
    }
    graph: dict[_Key, list[_Key]] = {}
    for name, node in nodes.items():
        for key, item in node.resources.items():
            if not item.present:
                continue
            mine = list(edges((name, key), nodes))
            for proposal, wave, holds in _waves(name, item, resolved, numbers):
                if holds and wave:
                    mine.append(_wave(proposal, wave))
                graph.setdefault(_wave(proposal, wave + 1), []).append((name, key))
            if mine:
                graph[name, key] = mine
    for name, rollout in rollouts.items():
        for i in range(2, len(waves_of(rollout)) + 1):
            graph.setdefault(_wave(name, i), []).append(_wave(name, i - 1))
    for cycle in cycles(graph, lambda key: graph.get(key, ())):
        through = sorted(key for key in cycle if key[0] == _WAVE)
        if not through:
            continue  # needs alone, which is told
        start = cycle.index(through[0])
        path = [*cycle[start:], *cycle[: start + 1]]
        said = resolved.documents.proposals[through[0][1].partition("/")[0]]
        problems.add(
            f"the rollout of {said.name!r} would wait for itself: {' → '.join(map(_shown, path))}",
            said.rollout.mark if said.rollout else said.mark,
            "what a wave needs must come with it or before it: make the waves larger, or put what is "
            "needed into a proposal of its own",
        )


def _waves(
    name: str, item: Rendered, resolved: Resolved, numbers: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, int, bool]]:
    """The (rollout, wave) that ``item`` counts for, and whether it is held until that wave goes."""
    found: dict[str, list[int]] = {}
    origins = (item.origin, *item.also)
    for origin in origins:
        node = origin.node or name
        said = [
            proposal
            for proposal in resolved.decided_by.get((node, origin.role), ())
            if proposal in numbers
        ]
        if not said:
            return  # somebody wants it at once
        for proposal in said:
            found.setdefault(proposal, []).append(numbers[proposal][node])
    for proposal, waves in found.items():
        yield proposal, min(waves), len(waves) == len(origins)


def _wave(proposal: str, number: int) -> _Key:
    """What waits for all waves before ``number`` (counted from 0)."""
    return _WAVE, f"{proposal}/{number}"


def _shown(key: _Key) -> str:
    node, name = key
    if node != _WAVE:
        return f"{node}:{name}"
    proposal, _, number = name.partition("/")
    return f"wave {int(number) + 1} of {proposal}"
