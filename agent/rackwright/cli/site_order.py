"""The order of a plan: the number of each step in it. Pure."""

from __future__ import annotations

from rackwright.cli.site_going import Going
from rackwright_proposals.sequence import Graph


def numbers(graph: Graph, going: Going) -> dict[str, int]:
    """Step → the wave in which it comes, from 1: that of the sequence, or a later one where it waits for
    more than what it needs: for what is to go first, for the other side of what is redundant, or for the
    wave of a rollout, which comes after all that has to be verified before."""
    more = {
        step: (*graph.needs[step], *(need for need in first if need in graph.needs))
        for step, first in going.after.items()
        if step in graph.needs and first
    }
    whole = Graph({**graph.needs, **more}) if more else graph
    if not any(going.round.values()):
        return {step: number for number, wave in enumerate(whole.waves, 1) for step in wave}
    rounds: dict[int, list[str]] = {}
    known: dict[str, int] = {}
    for step in (step for wave in whole.waves for step in wave):
        first = (known[need] for need in whole.needs[step] if need in known)
        known[step] = max((going.round.get(step, 0), *first))
        rounds.setdefault(known[step], []).append(step)
    found: dict[str, int] = {}
    floor = 1
    for number in sorted(rounds):
        for step in rounds[number]:
            first = (found[need] + 1 for need in whole.needs[step] if need in found)
            found[step] = max((floor if step in going.round else 1, *first))
        counted = (found[step] + 1 for step in rounds[number] if step in going.turns)
        floor = max((floor, *counted))
    return found
