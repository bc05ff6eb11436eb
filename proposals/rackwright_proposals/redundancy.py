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
_SHARED = ("lag/", "vlan/")


class End(NamedTuple):
    """One end of a link, as the site spells it."""

    node: str
    port: str


class Side(NamedTuple):
    """One link of a redundant group: its end at the node to which it is redundant, and the other."""

    near: End
    far: End


Cut = frozenset[End]
"""What takes a turn: a link, by its two ends; or what several links run through, a LAG or a VLAN, by its
node and ``type/name``."""
Link = Cut


class Group(NamedTuple):
    """What makes each other dispensable for ``node``."""

    node: str
    kind: str
    """``feeds``, ``uplinks`` or ``paths``."""
    sides: tuple[Side, ...]


class Health(NamedTuple):
    """What is known of one side, or of what several run through."""

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
    first: tuple[str, ...] = ()
    """Whole addresses of what must have changed before this, on its own node, and has not."""

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

    def beside(self, links: Collection[Link]) -> dict[Link, Side]:
        """The other sides of all groups that ``links`` are in."""
        found = self._of(group for link in links for group, _ in self.by_link.get(link, ()))
        return {link: side for link, side in found.items() if link not in links}

    def clash(self, one: frozenset[Link], other: frozenset[Link]) -> bool:
        """Whether to cut both at once would cut more sides of some group than either does alone."""
        fewer = one if len(one) < len(other) else other
        for link in fewer:
            for group, _ in self.by_link.get(link, ()):
                sides = {frozenset(side) for side in group.sides}
                mine, theirs = sides & one, sides & other
                if mine and theirs and not (mine <= theirs or theirs <= mine):
                    return True
        return False

    def explain(self, one: str, port: str, other: str, other_port: str) -> str:
        """What two ports are to each other in words: ``the two are web1's uplinks``; empty when
        nothing. In the place of a port there may be a LAG or a VLAN: ``vlan/20``."""
        if port.startswith(_SHARED) or other_port.startswith(_SHARED):
            return "what is redundant runs through both" if one != other else ""
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


class Round(NamedTuple):
    """Whose turn it is among some cuts."""

    holders: frozenset[Cut]
    """Those that have it."""
    waits: Mapping[Cut, tuple[str, ...]]
    """Of those that must not be made, though they are to change: whole addresses of what must be verified
    first."""


def take_turns(
    cuts: Collection[Cut],
    holders: Collection[Cut],
    health: Callable[[Cut], Health],
    mates: Callable[[Cut], Iterable[Cut]],
    depth: Callable[[str], int],
) -> Round:
    """Whose turn it is among ``cuts`` from now on; ``holders`` are all that have had it until now, and
    ``mates`` what must not be cut together with one.

    It is kept until the side is as it is to be. It is given to one that is not, when no other side of
    its groups has it, is known to be ill, or comes before it: what failed, then what nobody has
    verified yet, then what stands as it did, each by ``depth`` (how many needs deep a resource is), then by name. Whoever has it
    waits with it while another side is ill, unless both have failed.

    Who could do nothing with it does not get it, and lets others go first: what these wait for might wait
    for them. So does who must wait for what is ill.
    """

    def is_broken(about: Health, own: Health) -> bool:
        if about.failed and not own.failed:
            return True
        return about.stuck and about.lost and not own.lost

    def hindered(cut: Cut, by: Cut) -> bool:
        """By another than ``by``, which might have to go first to mend that one."""
        if cut not in broken:
            own = health(cut)
            broken[cut] = {mate for mate in mates(cut) if is_broken(health(mate), own)}
        return bool(broken[cut] - {by})

    def place(cut: Cut) -> tuple[object, ...]:
        if cut not in places:
            about = health(cut)
            places[cut] = (
                not about.failed,
                about.known,
                max((depth(address) for address in about.pending), default=0),
                *(natural(text) for end in sorted(cut) for text in end),
            )
        return places[cut]

    broken: dict[Cut, set[Cut]] = {}
    places: dict[Cut, tuple[object, ...]] = {}
    kept = set(holders)
    kept -= {
        cut for cut in cuts if cut in kept and not ((about := health(cut)).pending or about.bound)
    }
    wanting = sorted((cut not in kept, place(cut), cut) for cut in cuts if health(cut).pending)
    waits: dict[Cut, tuple[str, ...]] = {}
    for _, mine, cut in wanting:
        has, own = cut in kept, health(cut)
        if own.stuck and not has:
            waits[cut] = own.first
            continue
        first: dict[str, None] = {}
        for mate in mates(cut):
            about = health(mate)
            able = bool(about.pending) and not about.stuck
            earlier = able and place(mate) < mine and not hindered(mate, cut)
            # What runs through a LAG or in a VLAN may turn out to be more than it was.
            before = (able and own.stuck) or (earlier and mate in kept) if has else earlier
            if about.away or is_broken(about, own) or before or (not has and mate in kept):
                first |= dict.fromkeys((*about.pending, *about.failed) or (about.at,))
        if first:
            waits[cut] = tuple(sorted(first, key=natural))
        else:
            kept.add(cut)
    return Round(frozenset(cut for cut in cuts if cut in kept), waits)
