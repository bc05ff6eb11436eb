"""What is in what: a node says it by ``in:``, or a chassis by the link of a slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from rackwright_proposals.documents import LinkEnd, NodeDocument, Place
from rackwright_proposals.marks import Problems
from rackwright_proposals.names import natural, suggest

SLOT = "slot"
"""The port of a node that sits in a chassis: ``3: web1:slot`` on the chassis."""


@dataclass(frozen=True, slots=True)
class Containment:
    """Who is in what."""

    parents: Mapping[str, Place] = field(default_factory=dict)
    children: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """In natural order of their slots, then of their names."""


def contain(
    nodes: Mapping[str, NodeDocument], problems: Problems
) -> tuple[dict[str, NodeDocument], Containment]:
    """``nodes`` with the links that ``in: CHASSIS:SLOT`` makes, and what is in what.

    An unknown node, two different places of one node and a circle go to ``problems``."""
    said = {name: node.within for name, node in nodes.items() if node.within is not None}
    parents: dict[str, Place] = {}
    linked = dict(nodes)
    for name, place in said.items():
        if place.node not in nodes:
            hint = suggest(place.node, list(nodes))
            problems.add(f"there is no node {place.node!r} to be in", place.mark, hint)
        elif place.node == name:
            problems.add(f"{name!r} is in itself", place.mark)
        else:
            parents[name] = place
            if place.slot:
                end = LinkEnd(SLOT, place.node, place.slot, place.mark, place.mark)
                linked[name] = replace(nodes[name], links=(*nodes[name].links, end))
    for name, place in _by_links(nodes):
        known = parents.setdefault(name, place)
        if known.node != place.node:
            first, second = sorted((known, place), key=lambda one: one.mark)
            problems.add(
                f"{name!r} is in {first.node!r} by {first.mark}, and in {second.node!r}",
                second.mark,
                "a node is in one other",
            )
        elif place.slot and not known.slot:
            parents[name] = place
    _check_circles(parents, problems)
    children: dict[str, list[str]] = {}
    for name, place in parents.items():
        children.setdefault(place.node, []).append(name)
    return linked, Containment(
        parents,
        {
            parent: tuple(
                sorted(inside, key=lambda name: (natural(parents[name].slot), natural(name)))
            )
            for parent, inside in children.items()
        },
    )


def _by_links(nodes: Mapping[str, NodeDocument]) -> Iterator[tuple[str, Place]]:
    """What sits in the slots of a chassis, on whichever of the two the link is written."""
    for node in nodes.values():
        for end in node.links:
            peer = nodes.get(end.peer)
            if peer is None or peer is node:
                continue
            if node.type == "chassis" and end.peer_port == SLOT:
                yield peer.name, Place(node.name, end.port, end.mark)
            elif peer.type == "chassis" and end.port == SLOT:
                yield node.name, Place(peer.name, end.peer_port, end.mark)


def _check_circles(parents: Mapping[str, Place], problems: Problems) -> None:
    done: set[str] = set()
    for start in parents:
        path: list[str] = []
        here = start
        while here in parents and here not in done and here not in path:
            path.append(here)
            here = parents[here].node
        if here in path:
            circle = path[path.index(here) :]
            first = circle.index(min(circle))
            circle = [*circle[first:], *circle[:first]]
            problems.add(
                f"a node is in itself: {' in '.join([*circle, circle[0]])}",
                parents[circle[0]].mark,
                f"said at {', '.join(str(parents[name].mark) for name in circle)}",
            )
        done.update(path)
