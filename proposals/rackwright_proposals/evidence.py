"""Links as evidence: what is declared, held against what the devices at both ends see. Pure.

Fails closed: where two sightings of one weight disagree, the link is contradicted. What cannot be
told to be a node of the site (a MAC address that nobody has) says nothing for or against a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from rackwright.model.bundle import Bundle
from rackwright.model.facts import Facts
from rackwright.model.site import Node
from rackwright_proposals.identities import is_mac
from rackwright_proposals.names import natural
from rackwright_proposals.seen import Seen, comparable, look, oriented
from rackwright_proposals.sightings import End, Sighting, Wire, Wires, supports

State = Literal["proven", "unseen", "found", "contradicted"]
OLD = 3600.0
"""Seconds by which a sighting may be older than the newest of the same link and still count. Agents
look for facts at every run after ten minutes; who has been silent for longer may describe a rack of
yesterday."""

_UNSEEABLE = {"pdu": "an outlet cannot be seen"}
"""By the type of the node that a link serves: why nobody ever sees it. No PDU knows what its plugs
feed, and its labels are typed in by people."""


class Found(msgspec.Struct, frozen=True):
    """One node's facts, and when they were last found to be so (Unix seconds)."""

    facts: Facts
    at: float


class Evidence(msgspec.Struct, frozen=True):
    """One sighting in words, without its age, and when it was made (Unix seconds)."""

    says: str
    at: float
    node: str = ""
    """Who saw it."""


class LinkState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One link. ``node`` is the end that is no server, where one is."""

    node: str
    port: str
    peer: str
    """Of a found link: as the device names it, where that is no node of the site."""
    peer_port: str
    """Of a found link: empty when the device does not tell."""
    state: State
    trust: Literal["", "declared"] = ""
    """``declared``: the site says that evidence against this link is wrong."""
    evidence: tuple[Evidence, ...] = ()
    """What decided first."""
    how: str = ""
    """By what the first of the evidence was found: ``lldp``, ``mac``, ``slot`` or ``iqn``."""
    known: bool = True
    """``peer`` is a node of the site."""
    reason: str = ""
    """Of an unseen link: why nobody can see it. Empty where somebody might."""
    aged: tuple[str, ...] = ()
    """The nodes that saw it, where it makes a difference when each of them looked: several nodes speak
    of the link, and not all for it."""
    wrong: tuple[str, str] = ("", "")
    """Of a contradicted link, what is wrong as told at ``node`` and as told at ``peer``."""

    @property
    def at(self) -> float | None:
        """When the newest of the evidence was seen."""
        return max((item.at for item in self.evidence), default=None)


def judge(
    bundles: Mapping[str, Bundle], found: Mapping[str, Found], spelling: Callable[[str], str]
) -> tuple[LinkState, ...]:
    """The state of every declared link, and every link that is seen and not declared, in natural
    order. ``spelling`` gives the one name of a switch's port."""
    return judged(bundles, found, spelling).links


@dataclass(frozen=True, slots=True)
class Judgement:
    """All links as they were judged, and what by."""

    links: tuple[LinkState, ...] = ()
    """As of `judge`."""
    seen: Seen = field(default_factory=Seen, repr=False)
    at: Mapping[str, float] = field(default_factory=dict, repr=False)
    """When each node looked."""
    declared: Mapping[Wire, _Placed] = field(default_factory=dict, repr=False)
    undeclared: Mapping[End, tuple[_Placed, ...]] = field(default_factory=dict, repr=False)
    """By their near ends."""


def judged(
    bundles: Mapping[str, Bundle],
    found: Mapping[str, Found],
    spelling: Callable[[str], str],
    before: Judgement | None = None,
) -> Judgement:
    """`judge`, on from an earlier judgement: only links of which something else is declared or seen than
    ``before`` are judged again, and where none is, ``links`` are the same object.

    Where it makes no difference when a node looked, evidence keeps its earlier time: see `renewed`."""
    if before is None or not comparable(bundles, before.seen):
        before = Judgement()
    at = {name: item.at for name, item in found.items() if name in bundles}
    facts = {name: item.facts for name, item in found.items()}
    seen, ends = look(bundles, facts, spelling, before.seen)
    newer = {name for name, time in at.items() if before.at.get(name) != time}
    for wire, (_, link) in before.declared.items():
        if link.aged and not newer.isdisjoint(link.aged):
            ends |= {wire.near, wire.far}
    if not ends:
        return replace(before, seen=seen, at=at)
    declared = {
        wire: known
        for wire, known in before.declared.items()
        if wire.near not in ends and wire.far not in ends
    }
    for end in ends & seen.wires.keys():
        wire = seen.wires[end]
        if wire not in declared:
            declared[wire] = _placed(_state(_case(wire, seen), seen.nodes, at))
    undeclared = {end: known for end, known in before.undeclared.items() if end not in ends}
    for end in ends & seen.about.keys():
        if loose := tuple(map(_placed, _undeclared(end, seen, at))):
            undeclared[end] = loose
    rows = [*declared.values(), *(row for rows in undeclared.values() for row in rows)]
    links = tuple(link for _, link in sorted(rows, key=lambda row: row[0]))
    if links == before.links:
        links = before.links
    return Judgement(links, seen, at, declared, undeclared)


_Placed = tuple[tuple[object, ...], LinkState]
"""A link behind what it is sorted by."""


def _placed(link: LinkState) -> _Placed:
    key = (link.node, link.port, link.peer, link.peer_port)
    return tuple(natural(text) for text in key), link


def renewed(link: LinkState, at: Mapping[str, float]) -> LinkState:
    """``link`` with evidence as old as it is now: ``at`` is when each node last looked (Unix seconds)."""
    evidence = tuple(
        msgspec.structs.replace(item, at=at.get(item.node, item.at)) for item in link.evidence
    )
    return msgspec.structs.replace(link, evidence=evidence)


def link_data(link: LinkState) -> dict[str, Any]:
    """One link as plain data, with what speaks for its state."""
    return {
        "node": link.node,
        "port": link.port,
        "peer": link.peer,
        "peer_port": link.peer_port,
        "state": link.state,
        "trust": link.trust,
        "known": link.known,
        "wrong": link.wrong[0],
        "reason": link.reason,
        "how": link.how,
        "at": link.at,
        "evidence": [{"says": item.says, "at": item.at} for item in link.evidence],
    }


def contradicted(states: Iterable[LinkState]) -> dict[str, dict[str, str]]:
    """Node → port → why nothing that rests on this port may be changed."""
    refused: dict[str, dict[str, str]] = {}
    for one in states:
        if one.state == "contradicted" and not one.trust:
            near, far = f"{one.node}:{one.port}", f"{one.peer}:{one.peer_port}"
            for node, port, to, wrong in (
                (one.node, one.port, far, one.wrong[0]),
                (one.peer, one.peer_port, near, one.wrong[1]),
            ):
                why = f"the link {port} to {to} is contradicted: {wrong}"
                refused.setdefault(node, {})[port] = why
    return refused


@dataclass(slots=True)
class _Case:
    """One declared link, with what speaks for and against it."""

    wire: Wire
    pro: list[Sighting] = field(default_factory=list)
    con: list[Sighting] = field(default_factory=list)
    weak: list[Sighting] = field(default_factory=list)
    """Against it, as long as nothing speaks for it."""
    strange: list[Sighting] = field(default_factory=list)
    """Of somebody who is not known."""

    def sides(self, one: Sighting) -> tuple[bool, bool, bool, str]:
        """Sorts sightings that weigh the same: those of the near end last, then of the far end."""
        here = one.where
        return (here == self.wire.near, here == self.wire.far, not one.session, one.says)


def _case(wire: Wire, seen: Seen) -> _Case:
    case = _Case(wire)
    for one in seen.of(wire):
        found = _bearing(one, case, seen)
        if found is not None:
            found.append(one)
    return case


def _bearing(one: Sighting, case: _Case, seen: Seen) -> list[Sighting] | None:
    """To which side of ``case`` it belongs; None when it is of another link."""
    wire, own = case.wire, seen.wires.get(one.where)
    if own == wire:
        if not one.peer:
            return case.strange
        return case.pro if supports(one, wire) else case.con
    # One initiator uses many targets.
    if not one.peer or one.how == "iqn" or supports(one, own):
        return None
    if any((one.peer, port) in (wire.near, wire.far) for port in one.ports):
        return case.con if len(one.ports) == 1 else case.weak
    if one.how == "slot":
        # A machine sits in one slot of one kind of chassis; its own controller is another kind.
        for mine, other in ((wire.near, wire.far), (wire.far, wire.near)):
            chassis = seen.nodes.get(other[0])
            if (
                mine[0] == one.peer
                and chassis is not None
                and chassis.platform == seen.nodes[one.node].platform
            ):
                return case.weak
    return None


def _state(case: _Case, nodes: Mapping[str, Node], at: Mapping[str, float]) -> LinkState:
    wire, pro = case.wire, case.pro

    def weight(one: Sighting) -> tuple[int, float]:
        return (one.rank, at[one.node] if timed else 0.0)

    speaking = {one.node for one in (*pro, *case.con, *case.weak)}
    timed = len(speaking) > 1 and bool(case.con or case.weak)
    con = [one for one in case.con if not _beside(one, case, weight)]
    if not pro:
        con += case.weak
    if timed:
        newest = max((at[one.node] for one in (*pro, *con)), default=0.0)
        pro = [one for one in pro if at[one.node] >= newest - OLD]
        con = [one for one in con if at[one.node] >= newest - OLD]
    for_it = sorted(pro, key=lambda one: (weight(one), case.sides(one)), reverse=True)
    # What the end itself sees explains more than what is seen elsewhere.
    against = sorted(con, key=lambda one: (weight(one), case.sides(one)), reverse=True)
    state: State = "unseen"
    shown, wrong = _strongest(case.strange), ("", "")
    if against and (not for_it or weight(against[0]) >= weight(for_it[0])):
        state, shown = "contradicted", [*against, *for_it]
        wrong = (_wrong(wire, wire.near, against[0]), _wrong(wire, wire.far, against[0]))
    elif for_it:
        state, shown = "proven", for_it
    kind = nodes[wire.near[0]].type if wire.near[0] in nodes else ""
    return LinkState(
        node=wire.near[0],
        port=wire.near[1],
        peer=wire.far[0],
        peer_port=wire.far[1],
        state=state,
        trust=wire.trust,
        evidence=_strange(shown, at) if state == "unseen" else _evidence(shown, at),
        how=shown[0].how if shown else "",
        reason=_UNSEEABLE.get(kind, "") if state == "unseen" else "",
        aged=tuple(sorted(speaking)) if timed else (),
        wrong=wrong,
    )


def _beside(one: Sighting, case: _Case, weight: Callable[[Sighting], tuple[int, float]]) -> bool:
    """Whether the same port sees, as surely, who belongs there too: a management controller that
    shares the port, or a target with several initiators."""
    here = one.where
    if here not in (case.wire.near, case.wire.far):
        return False
    with_it = any(other.where == here and weight(other) >= weight(one) for other in case.pro)
    shared = one.how == "iqn" and len({o.who for o in case.con if o.where == here}) > 1
    return with_it or shared


def _wrong(wire: Wire, end: End, one: Sighting) -> str:
    """What ``one`` says against the link, as told at ``end``."""
    here, there = one.here, wire.other(end)
    if here == end:
        return f"{one.far} is seen there"
    if here == there:
        near, far = (one.far, " ".join(there)) if there == wire.near else (" ".join(there), one.far)
        return f"{near} is seen at {far}"
    if one.peer == end[0] and (not one.ports or end[1] in one.ports):
        return f"{' '.join(here)} is seen there"
    return f"{' '.join(there)} is seen at {' '.join(here)}"


def _undeclared(end: End, seen: Seen, at: Mapping[str, float]) -> list[LinkState]:
    """What is seen with ``end`` as the near end, and not declared; MAC addresses of nobody are left out."""
    rows: dict[tuple[End, End], list[Sighting]] = {}
    for one in seen.about[end]:
        if _is_loose(one, seen.wires):
            if one.peer:
                port = one.ports[0] if len(one.ports) == 1 else ""
                far = (one.peer, port)
                pair = oriented(one.here, far, seen.nodes) if port else (one.here, far)
                rows.setdefault(pair, []).append(one)
            elif one.how != "mac" and not is_mac(one.raw.peer):
                rows.setdefault((one.here, (one.raw.peer, one.raw.peer_port)), []).append(one)
    told = {(this, other[0]) for pair in rows for this, other in (pair, pair[::-1]) if other[1]}
    return [
        LinkState(
            node=near[0],
            port=near[1],
            peer=far[0],
            peer_port=far[1],
            state="found",
            evidence=_evidence(_strongest(row), at),
            how=_strongest(row)[0].how,
            known=any(one.peer for one in row),
        )
        for (near, far), row in rows.items()
        if near == end and (far[1] or (near, far[0]) not in told)
    ]


def _is_loose(one: Sighting, wires: Wires) -> bool:
    """Whether no declared link is what it shows."""
    own = wires.get(one.where)
    return not supports(one, own) and (bool(one.peer) or own is None)


def _strongest(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The surest first."""
    return sorted(sightings, key=lambda one: (-one.rank, one.says))


def _strange(sightings: Iterable[Sighting], at: Mapping[str, float]) -> tuple[Evidence, ...]:
    """Of what no node of the site is known by, which leaves a link unseen."""
    return tuple(
        msgspec.structs.replace(known, says=f"{known.says}: no node is known by that {one.mark}")
        for one in dict.fromkeys(sightings)
        for known in _evidence([one], at)
    )


def _evidence(sightings: Iterable[Sighting], at: Mapping[str, float]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(Evidence(one.says, at[one.node], one.node) for one in sightings))
