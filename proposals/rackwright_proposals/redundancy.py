"""Redundancy: which links make each other dispensable, and whose turn it is to be cut. Pure.

A node with two links or more to nodes of one class has them as the *sides* of a redundant group: its
feeds (to PDUs), its uplinks (to switches), its paths (to SANs). Of a group at most one side has the
*turn*: only what is at this side may be cut. The turn is kept until all that is at the side is verified,
so that a side that failed holds the others back, and what nobody knows to be well is never what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from rackwright.model.site import Node
from rackwright_proposals.names import natural as _natural

KINDS = {"pdu": "feeds", "switch": "uplinks", "san": "paths"}
"""Type of the nodes at the far ends → what the links to them are called."""
TYPE_AT = {"switch": "port", "pdu": "outlet", "chassis": "blade", "san": "target"}
"""How the resource at a link's end is called where the site declares none there."""
natural = lru_cache(maxsize=1 << 16)(_natural)


class End(NamedTuple):
    """One end of a link, as the site spells it."""

    node: str
    port: str


class Side(NamedTuple):
    """One link of a redundant group: its end at the node to which it is redundant, and the other."""

    near: End
    far: End


Link = frozenset[End]


class Group(NamedTuple):
    """What makes each other dispensable for ``node``."""

    node: str
    kind: str
    """``feeds``, ``uplinks`` or ``paths``."""
    sides: tuple[Side, ...]


class Health(NamedTuple):
    """What is known of one side."""

    at: str
    """How the far end is called: the whole address of what is declared there."""
    pending: tuple[str, ...] = ()
    """Whole addresses of what is declared there, or to go, and is not verified as it is wanted now."""
    known: bool = True
    """Each of these was verified as it was wanted before: the side stands as it did."""
    failed: tuple[str, ...] = ()
    """Whole addresses of what failed there."""
    away: bool = False
    """Nobody knows how it is: the node at the far end is not reached, or not heard."""
    stuck: bool = False
    """Nothing that is pending could go now: it waits for a need, for what rests on it, or for its wave of
    a rollout."""
    lost: bool = False
    """Something that is pending was as it is wanted once, or was begun, and is not known to be so."""
    bound: bool = False
    """A run that was told it had the turn may still be cutting, whatever is pending by now."""

    @property
    def good(self) -> bool:
        """All that is there is verified, and it is known to be well."""
        return not self.pending and not self.failed and not self.away


def groups_of(nodes: Mapping[str, Node]) -> tuple[Group, ...]:
    """The redundant groups of a site.

    A switch's uplinks are its links to switches that have as many links to switches as itself, or
    more: what hangs below a core switch is not redundant to each other.
    """
    rank = {
        name: sum(nodes[link.peer].type == "switch" for link in node.links if link.peer in nodes)
        for name, node in nodes.items()
        if node.type == "switch"
    }
    found: dict[frozenset[Link], Group] = {}
    for name, node in nodes.items():
        sides: dict[str, list[Side]] = {}
        for link in node.links:
            kind = KINDS.get(nodes[link.peer].type) if link.peer in nodes else None
            if kind is None or (name in rank and rank.get(link.peer, rank[name]) < rank[name]):
                continue
            near, far = End(name, link.port), End(link.peer, link.peer_port)
            sides.setdefault(kind, []).append(Side(near, far))
        for kind, of_kind in sides.items():
            if len(of_kind) > 1:
                # Parallel links between two switches are one group, whichever of them one asks.
                same = frozenset(frozenset(side) for side in of_kind)
                found.setdefault(same, Group(name, kind, tuple(of_kind)))
    return tuple(found.values())


class Groups:
    """The redundant groups of a site, looked up by node and by link."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self.by_node: dict[str, list[Group]] = {}
        """Of each node at an end of one of its sides."""
        self.by_link: dict[Link, list[tuple[Group, Side]]] = {}
        """Of each link the groups that it is a side of."""
        for group in groups:
            for node in {end.node for side in group.sides for end in side}:
                self.by_node.setdefault(node, []).append(group)
            for side in group.sides:
                self.by_link.setdefault(frozenset(side), []).append((group, side))

    def around(self, nodes: Iterable[str]) -> dict[Link, Side]:
        """The links that are in one group with a link of one of ``nodes``, and all that are in one
        group with these: whose turn it is may change for the first, and what is waited for for all."""
        first = self._of(group for node in nodes for group in self.by_node.get(node, ()))
        return self._of(group for link in first for group, _ in self.by_link[link])

    def mates(self, link: Link) -> dict[Link, Side]:
        """The other sides of its groups."""
        found = self._of(group for group, _ in self.by_link.get(link, ()))
        found.pop(link, None)
        return found

    def explain(self, one: str, port: str, other: str, other_port: str) -> str:
        """What two ports are to each other in words: ``the two are web1's uplinks``; empty when
        nothing."""
        for group in self.by_node.get(one, ()):
            ours = {side for side in group.sides if End(one, port) in side}
            theirs = {side for side in group.sides if End(other, other_port) in side}
            if ours and theirs - ours:
                which = "the two are" if len(group.sides) == 2 else "both are among"
                return f"{which} {group.node}'s {group.kind}"
        return ""

    @staticmethod
    def _of(groups: Iterable[Group]) -> dict[Link, Side]:
        return {frozenset(side): side for group in groups for side in group.sides}


HealthOf = Callable[[Link, Side], Health]


class Round(NamedTuple):
    """Whose turn it is among some links."""

    holders: frozenset[Link]
    """Those that have it."""
    waits: Mapping[Link, tuple[str, ...]]
    """Of those that must not be cut, though they are to change: whole addresses of what must be verified
    first."""


def take_turns(
    groups: Groups,
    links: Mapping[Link, Side],
    holders: Collection[Link],
    health: HealthOf,
    depth: Callable[[str], int],
) -> Round:
    """Whose turn it is among ``links`` from now on; ``holders`` are all that have had it until now.

    It is kept until the side is as it is to be. It is given to one that is not, when no other side of
    its groups has it, is known to be ill, or comes before it: what failed, then what nobody has
    verified yet, then what stands as it did, each by ``depth`` (how many needs deep a resource is), then by name. Whoever has it
    waits with it while another side is ill, unless both have failed.

    Who could do nothing with it does not get it, and lets others go first: what these wait for might wait
    for them.
    """

    def place(link: Link, about: Health) -> tuple[object, ...]:
        deepest = max((depth(address) for address in about.pending), default=0)
        ill_first = not about.failed
        return (
            ill_first,
            about.known,
            deepest,
            *(natural(text) for end in sorted(link) for text in end),
        )

    kept = {link for link in holders if link in groups.by_link}
    kept -= {
        link
        for link, side in links.items()
        if link in kept and not ((about := health(link, side)).pending or about.bound)
    }
    wanting = sorted(
        (link not in kept, place(link, about), link)
        for link, side in links.items()
        if (about := health(link, side)).pending
    )
    waits: dict[Link, tuple[str, ...]] = {}
    for _, mine, link in wanting:
        has, own = link in kept, health(link, links[link])
        if own.stuck and not has:
            waits[link] = ()
            continue
        first: dict[str, None] = {}
        for mate, side in groups.mates(link).items():
            about = health(mate, side)
            ill = about.away or (bool(about.failed) and not own.failed)
            ill = ill or (about.stuck and about.lost and not own.lost)
            able = bool(about.pending) and not about.stuck
            before = able and (own.stuck if has else place(mate, about) < mine)
            if ill or before or (not has and mate in kept):
                first |= dict.fromkeys((*about.pending, *about.failed) or (about.at,))
        if first:
            waits[link] = tuple(sorted(first, key=natural))
        else:
            kept.add(link)
    return Round(frozenset(link for link in links if link in kept), waits)
