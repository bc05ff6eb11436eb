"""What runs over a link: power, a slot's supply, network, or something else. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from rackwright.model.site import Link, Node
from rackwright_proposals.containment import SLOT

Kind = Literal["power", "slot", "network", "other"]
End = tuple[str, str]
"""Node and port."""


class Cable(NamedTuple):
    """A link and what runs over it. Of power and of a slot, ``far`` is who is supplied."""

    near: End
    far: End
    kind: Kind
    trunk: bool = False
    """Between two switches."""

    def at(self, node: str) -> End:
        """The end at ``node``."""
        return self.near if self.near[0] == node else self.far

    def other(self, node: str) -> End:
        """The end that is not at ``node``."""
        return self.far if self.near[0] == node else self.near


def cables_of(nodes: Mapping[str, Node], steps: Collection[str]) -> Iterator[Cable]:
    """Every link of ``nodes`` once; of two that claim one end the first counts. ``steps`` are all whole
    addresses that are declared: they tell an outlet of a PDU from its own network port."""
    taken: set[End] = set()
    for name, node in nodes.items():
        for link in node.links:
            ends = {(name, link.port), (link.peer, link.peer_port)}
            if taken.isdisjoint(ends):
                taken |= ends
                yield _cable(nodes, name, link, steps)


def _cable(nodes: Mapping[str, Node], name: str, link: Link, steps: Collection[str]) -> Cable:
    here, there = (name, link.port), (link.peer, link.peer_port)
    mine = nodes[name].type
    theirs = nodes[link.peer].type if link.peer in nodes else ""
    for supplier, kind, consumer in ((here, mine, there), (there, theirs, here)):
        if kind == "pdu" and _is_outlet(supplier, steps):
            return Cable(supplier, consumer, "power")
        if consumer[1] == SLOT:
            return Cable(supplier, consumer, "slot")
    if "switch" in (mine, theirs):
        return Cable(here, there, "network", mine == theirs == "switch")
    return Cable(here, there, "other")


def _is_outlet(end: End, steps: Collection[str]) -> bool:
    node, port = end
    return port[:1].isdigit() or f"{node}:outlet/{port}" in steps
