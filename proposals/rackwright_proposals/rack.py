"""A site as changes spread over it: its cables, what is in what, and what needs what. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from rackwright.model.bundle import Bundle
from rackwright.model.site import Node
from rackwright_proposals.cables import Cable, cables_of
from rackwright_proposals.sequence import Graph, node_of, type_of

STORED = frozenset({"volume", "export"})
"""What a LUN is on an array."""


class Rack:
    """Made once, asked for every change.

    ``graph`` has the needs, declared and implied; ``parents`` says what is in what; ``cabled`` are the
    types of resources that a link's port names.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        graph: Graph,
        parents: Mapping[str, str],
        cabled: Collection[str],
    ) -> None:
        self.nodes: dict[str, Node] = {name: bundle.node for name, bundle in bundles.items()}
        self.graph = graph
        self.cabled = frozenset(cabled)
        self.inside: dict[str, list[str]] = {}
        for child, parent in parents.items():
            self.inside.setdefault(parent, []).append(child)
        self.data: dict[str, Mapping[str, Any]] = {
            f"{name}:{item.type}/{item.data['name']}": item.data
            for name, bundle in bundles.items()
            for item in bundle.resources
            if item.type in self.cabled
        }
        self.ends: dict[tuple[str, str], Cable] = {}
        self.cables: dict[str, list[Cable]] = {name: [] for name in self.nodes}
        for cable in cables_of(self.nodes, graph.needs):
            for node, port in (cable.near, cable.far):
                self.ends[node, port] = cable
                self.cables.setdefault(node, []).append(cable)

    @cached_property
    def stored(self) -> Mapping[str, Sequence[str]]:
        """Node → its volumes and exports, as steps."""
        found: dict[str, list[str]] = {}
        for step in self.graph.needs:
            if type_of(step) in STORED:
                found.setdefault(node_of(step), []).append(step)
        return found

    @cached_property
    def dead(self) -> frozenset[tuple[str, str]]:
        """The ends that are declared to carry nothing: an outlet that is off, a port that is down."""
        return frozenset(
            (node_of(step), str(data["name"]))
            for step, data in self.data.items()
            if data.get("state") in ("off", "down")
            or data.get("admin") == "down"
            or data.get("power") in ("off", "graceful_off")
        )

    def type_of(self, node: str) -> str:
        """A node's type; empty for one that is not in the site."""
        return self.nodes[node].type if node in self.nodes else ""

    def carries(self, step: str) -> bool:
        """Whether anything can hang off ``step``; of most resources nothing can."""
        return bool(self.graph.needed_by.get(step)) or type_of(step) in self.cabled

    def live(self, cable: Cable) -> bool:
        """Whether both ends are declared to carry something."""
        return cable.near not in self.dead and cable.far not in self.dead
