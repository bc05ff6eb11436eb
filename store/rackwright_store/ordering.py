"""The order of everything that is declared or to go, and where a revision stands in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rackwright_proposals.sequence import Implied, graph_of, node_of
from rackwright_store.gates import rests_here
from rackwright_store.standing import Stand
from rackwright_store.waiting import Rack


def sequence_data(
    rack: Rack, implied: Implied, ledgers: Mapping[str, bytes], commit: str
) -> dict[str, Any]:
    """``{"commit", "waves", "longest"}``: what can go at once, wave by wave, each step with what it
    waits for and where it stands; and the longest chain. ``ledgers`` are the nodes' mirrors (JSON)."""
    leaving: dict[str, list[str]] = {}
    stands: dict[str, Stand] = {}
    for node, seen in rack.nodes.items():
        declared = {f"{item.type}/{item.data['name']}" for item in seen.bundle.resources}
        here: Mapping[str, tuple[str, ...]] | None = None
        for key, stand in rack.stands(node).items():
            stands[f"{node}:{key}"] = stand
            if key in declared:
                continue
            if here is None:
                here = rests_here(node, ledgers[node]) if node in ledgers else {}
            users = [f"{node}:{user}" for user in here.get(key, ())]
            leaving[f"{node}:{key}"] = [*seen.gates.held.get(key, ()), *users]
    graph = graph_of({node: seen.bundle for node, seen in rack.nodes.items()}, implied, leaving)
    return {
        "commit": commit,
        "waves": [[_step(rack, step, graph.needs[step], stands.get(step)) for step in wave] for wave in graph.waves],
        "longest": list(graph.longest),
    }  # fmt: skip


def _step(rack: Rack, step: str, needs: tuple[str, ...], stand: Stand | None) -> dict[str, Any]:
    if stand is None:  # deferred
        node = node_of(step)
        facts = {item.address: item.fact for item in rack.nodes[node].bundle.deferred}
        key = step.removeprefix(f"{node}:")
        return {
            "address": step,
            "remove": False,
            "needs": list(needs),
            "state": "waiting",
            "why": f"waits for the fact {facts.get(key, '?')}",
            "since": rack.nodes[node].deferred.get(key),
        }
    return {
        "address": step,
        "remove": stand.remove,
        "needs": list(needs),
        "state": stand.state,
        "why": stand.why,
        "since": stand.since or None,
    }
