"""All that is declared and seen of a site, looked up by the ends that it is about, and kept from revision
to revision: what is looked at again is what has changed, and what follows from that. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from rackwright.model.bundle import Bundle
from rackwright.model.facts import Facts
from rackwright.model.site import Node
from rackwright_proposals.identities import Identities, Key, Mark, marks_of
from rackwright_proposals.names import natural
from rackwright_proposals.sightings import (
    End,
    Place,
    Sighting,
    Spelling,
    Wire,
    heard,
    seen_by,
    telling,
)

_ORDER = {"pdu": 0, "server": 2}
_NONE: frozenset[Sighting] = frozenset()
_K = TypeVar("_K")


@dataclass(slots=True)
class Seen:
    """What `look` has found. Not to be changed."""

    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    facts: Mapping[str, Facts] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    wires: dict[End, Wire] = field(default_factory=dict)
    """Every declared link by both its ends."""
    who: Identities = field(default_factory=lambda: Identities({}))
    seen: dict[str, tuple[Sighting, ...]] = field(default_factory=dict)
    """By the node that saw it."""
    asked: dict[str, frozenset[Key]] = field(default_factory=dict)
    """By what it was decided who it is that a node sees."""
    heard: dict[str, frozenset[Sighting]] = field(default_factory=dict)
    """Of what each node sees, what may tell something."""
    places: dict[Place, frozenset[Sighting]] = field(default_factory=dict)
    """Of that, the MAC addresses of nodes of the site."""
    told: dict[Place, frozenset[Sighting]] = field(default_factory=dict)
    """Of these, those that tell where it is."""
    about: dict[End, frozenset[Sighting]] = field(default_factory=dict)
    """What tells something of an end."""
    housed: dict[str, frozenset[Sighting]] = field(default_factory=dict)
    """What tells in which slot a node is."""

    def of(self, wire: Wire) -> set[Sighting]:
        """Whatever may speak for or against ``wire``."""
        (near, _), (far, _) = wire.near, wire.far
        return {
            *self.about.get(wire.near, _NONE),
            *self.about.get(wire.far, _NONE),
            *self.housed.get(near, _NONE),
            *self.housed.get(far, _NONE),
        }


def look(
    bundles: Mapping[str, Bundle],
    facts: Mapping[str, Facts],
    spelling: Callable[[str], str],
    before: Seen,
) -> tuple[Seen, set[End]]:
    """What is declared and seen now, and the ends of which something else is told than ``before``, with
    those at the other ends of their links. ``spelling`` gives the one name of a switch's port.

    No node may be of another type or platform than before (`comparable`)."""
    facts = {name: known for name, known in facts.items() if name in bundles}
    changed = {
        name
        for name in bundles.keys() | before.bundles.keys()
        if bundles.get(name) is not before.bundles.get(name)
        or not _same(facts.get(name), before.facts.get(name))
    }
    nodes = {name: bundle.node for name, bundle in bundles.items()}
    if not changed:
        return before, set()
    now = Seen(
        bundles,
        facts,
        nodes,
        dict(before.wires),
        before.who,
        dict(before.seen),
        dict(before.asked),
        dict(before.heard),
        dict(before.places),
        dict(before.told),
        dict(before.about),
        dict(before.housed),
    )
    moved = _rewire(now.wires, before.nodes, nodes, changed)
    spelt = Spelling(nodes, spelling)
    turned = _recognise(now, changed, spelt)
    again = {name for name, asked in now.asked.items() if not asked.isdisjoint(turned)}
    _resolve(now, again | changed, spelt)
    stirred = _tell(now, again | changed, moved)
    stirred |= {one for end in moved for one in now.about.get(end, _NONE)}
    return now, moved.union(*(_ends(one, nodes) for one in stirred))


def comparable(bundles: Mapping[str, Bundle], before: Seen) -> bool:
    """Whether `look` can go on from ``before``."""
    return all(
        name not in before.nodes
        or bundle.node is before.nodes[name]
        or (bundle.node.type, bundle.node.platform)
        == (before.nodes[name].type, before.nodes[name].platform)
        for name, bundle in bundles.items()
    )


def oriented(one: End, other: End, nodes: Mapping[str, Node]) -> tuple[End, End]:
    """The end that serves the other first: where a person looks for a cable."""

    mine, theirs = (
        _ORDER.get(nodes[end[0]].type if end[0] in nodes else "server", 1) for end in (one, other)
    )
    if mine == theirs:
        swap = [natural(text) for text in other] < [natural(text) for text in one]
    else:
        swap = theirs < mine
    return (other, one) if swap else (one, other)


def _same(one: Facts | None, other: Facts | None) -> bool:
    return one is other or one == other


def _rewire(
    wires: dict[End, Wire],
    before: Mapping[str, Node],
    nodes: Mapping[str, Node],
    changed: Collection[str],
) -> set[End]:
    """Bring ``wires`` up to date. Returns the ends, also the old ones, of the links that are others now."""
    moved: set[End] = set()
    links = [(name, link) for name in changed if name in nodes for link in nodes[name].links]
    declared: dict[End, Wire] = {}
    for name, link in links:  # most of them twice: it is among the links of both its nodes
        one, other = (name, link.port), (link.peer, link.peer_port)
        if one not in declared:
            wire = Wire(*oriented(one, other, nodes), link.trust)
            declared[one] = declared[other] = wire
    for name in changed:
        for link in before[name].links if name in before else ():
            known = wires.get((name, link.port))
            if known is not None and declared.get(known.near) != known:
                moved |= {known.near, known.far}
                wires.pop(known.near, None)
                wires.pop(known.far, None)
    for end, wire in declared.items():
        if wires.get(end) != wire:
            moved.add(end)
            wires[end] = wire
    return moved


def _recognise(now: Seen, changed: Iterable[str], spelt: Spelling) -> set[Key]:
    """Bring ``now.who`` up to date. Returns the marks that somebody gained or lost."""
    turned: set[Key] = set()
    marks: dict[str, frozenset[Mark]] = {}
    for name in changed:
        bundle, old = now.bundles.get(name), now.who.marks.get(name, frozenset())
        new = marks_of(bundle, now.facts.get(name), spelt) if bundle else frozenset()
        if new != old:
            marks[name] = new
            turned.update(mark.key for mark in new ^ old)
    if marks:
        now.who = Identities(marks, now.who)
    return turned


def _resolve(now: Seen, names: Iterable[str], spelt: Spelling) -> None:
    for name in names:
        if name in now.facts:
            asking = now.who.asking(spelt)
            now.seen[name] = seen_by(name, now.facts[name].links, asking, spelt)
            now.asked[name] = frozenset(asking.asked)
        else:
            now.seen.pop(name, None)
            now.asked.pop(name, None)


def _tell(now: Seen, names: Iterable[str], moved: Collection[End]) -> set[Sighting]:
    """Bring up to date what tells something, of what ``names`` see. Returns what does now and did not
    before, and what did and does not."""
    come: set[Sighting] = set()
    gone: set[Sighting] = set()
    places: set[Place] = set()
    for name in names:
        old = now.heard.get(name, _NONE)
        new = frozenset(heard(now.seen.get(name, ()), now.wires, now.nodes))
        _put(now.heard, name, new)
        for one in new ^ old:
            if not _placed(one):
                (come if one in new else gone).add(one)
                continue
            places.add(one.place)
            others = now.places.get(one.place, _NONE)
            _put(now.places, one.place, others | {one} if one in new else others - {one})
        places.update(one.place for one in new if _placed(one) and one.where in moved)
    for place in places:
        old = now.told.get(place, _NONE)
        new = frozenset(telling(now.places.get(place, _NONE), now.wires))
        _put(now.told, place, new)
        come |= new - old
        gone |= old - new
    for one in come | gone:
        left = {one} if one in come else set()
        for end in one.ends:
            _put(now.about, end, now.about.get(end, _NONE) - {one} | left)
        if one.how == "slot" and one.peer:
            _put(now.housed, one.peer, now.housed.get(one.peer, _NONE) - {one} | left)
    return come | gone


def _placed(one: Sighting) -> bool:
    return one.how == "mac" and bool(one.peer)


def _put(table: dict[_K, frozenset[Sighting]], key: _K, found: frozenset[Sighting]) -> None:
    if found:
        table[key] = found
    else:
        table.pop(key, None)


def _ends(one: Sighting, nodes: Mapping[str, Node]) -> set[End]:
    """The ends of which something else may be told when ``one`` comes or goes."""
    if one.how == "slot" and one.peer in nodes:
        return {*one.ends, *((one.peer, link.port) for link in nodes[one.peer].links)}
    return one.ends
