"""Links as evidence: what is declared, held against what the devices at both ends see. Pure.

Fails closed: where two sightings of one weight disagree, the link is contradicted. What cannot be
told to be a node of the site (a MAC address that nobody has) says nothing for or against a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from rackwright.model.bundle import Bundle
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.site import Node
from rackwright_proposals.identities import Identities, is_mac
from rackwright_proposals.names import natural

State = Literal["proven", "unseen", "found", "contradicted"]
End = tuple[str, str]
"""Node and port."""

UPLINK = 8
"""More MAC addresses than these on one port are not those of one machine (providers that read MAC
tables leave such ports out by the same number)."""
OLD = 3600.0
"""Seconds by which a sighting may be older than the newest of the same link and still count. Agents
look for facts at every run after ten minutes; who has been silent for longer may describe a rack of
yesterday."""

_RANK = {"mac": 1}
"""A MAC address is seen through unmanaged switches; LLDP, serial numbers and sessions are not."""
_BY = {"lldp": "LLDP", "mac": "MAC address", "slot": "serial number", "iqn": "IQN"}
_UNSEEABLE = {"pdu": "an outlet cannot be seen"}
"""By the type of the node that a link serves: why nobody ever sees it. No PDU knows what its plugs
feed, and its labels are typed in by people."""


_ORDER = {"pdu": 0, "server": 2}


class Found(msgspec.Struct, frozen=True):
    """One node's facts, and when they were last found to be so (Unix seconds)."""

    facts: Facts
    at: float


class Evidence(msgspec.Struct, frozen=True):
    """One sighting in words, without its age, and when it was made (Unix seconds)."""

    says: str
    at: float


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
    disputed: bool = False
    """There is evidence for and against it, so that the age of each counts."""
    wrong: tuple[str, str] = ("", "")
    """Of a contradicted link, what is wrong as told at ``node`` and as told at ``peer``."""

    @property
    def at(self) -> float | None:
        """When the newest of the evidence was seen."""
        return max((item.at for item in self.evidence), default=None)


@dataclass(frozen=True, slots=True)
class _Sighting:
    node: str
    port: str
    peer: str
    """A node of the site; empty when it is not known which."""
    ports: tuple[str, ...]
    """Which of its ports it may be; none when that is not known."""
    how: str
    at: float
    raw: FoundLink
    session: bool = False
    """It is an initiator's own session, which tells who is at the target."""

    @property
    def where(self) -> End:
        """The end of which it tells who is at the other."""
        return (self.peer, self.ports[0]) if self.session else (self.node, self.port)

    @property
    def who(self) -> str:
        """The node that is there by it."""
        return self.node if self.session else self.peer

    @property
    def weight(self) -> tuple[int, float]:
        return (_RANK.get(self.how, 2), self.at)

    @property
    def far(self) -> str:
        """The far end in words."""
        if not self.peer:
            return " ".join(filter(None, (self.raw.peer, self.raw.peer_port)))
        return f"{self.peer} {'/'.join(self.ports)}".strip()

    @property
    def evidence(self) -> Evidence:
        by = _BY.get(self.how, self.how)
        return Evidence(f"{self.node} sees {self.far} on {self.port} by {by}", self.at)


@dataclass(slots=True)
class _Case:
    """One declared link, with what speaks for and against it."""

    near: End
    far: End
    trust: Literal["", "declared"]
    pro: list[_Sighting] = field(default_factory=list)
    con: list[_Sighting] = field(default_factory=list)
    weak: list[_Sighting] = field(default_factory=list)
    """Against it, as long as nothing speaks for it."""
    strange: list[_Sighting] = field(default_factory=list)
    """Of somebody who is not known."""
    unseeable: str = ""
    """Why nobody can see it."""

    def other(self, end: End) -> End:
        return self.far if end == self.near else self.near

    def sides(self, one: _Sighting) -> tuple[bool, bool, str]:
        """Sorts sightings that weigh the same: those of the near end last, then of the far end."""
        here = one.where
        return (here == self.near, here == self.far, one.evidence.says)


def judge(
    bundles: Mapping[str, Bundle], found: Mapping[str, Found], spelling: Callable[[str], str]
) -> tuple[LinkState, ...]:
    """The state of every declared link, and every link that is seen and not declared, in natural
    order. ``spelling`` gives the one name of a switch's port."""
    nodes = {name: bundle.node for name, bundle in bundles.items()}
    cases = _declared(nodes)
    ends = {end: case for case in cases for end in (case.near, case.far)}
    spelt = _Spelling(nodes, spelling)
    known = {name: item.facts for name, item in found.items() if name in nodes}
    who = Identities(bundles, known, spelt)
    seen = [
        _resolve(node, link, found[node].at, who, spelt)
        for node, facts in known.items()
        for link in facts.links
    ]
    loose = [one for one in _telling(seen, ends, nodes) if not _weigh(one, ends, nodes)]
    declared = [_state(case) for case in cases]
    undeclared = _undeclared(loose, nodes)
    return tuple(sorted([*declared, *undeclared], key=_order))


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


class _Spelling:
    """The one name of each port: of a switch's ports, by the noun; of all others, as it is."""

    def __init__(self, nodes: Mapping[str, Node], spelling: Callable[[str], str]) -> None:
        self._switches = {name for name, node in nodes.items() if node.type == "switch"}
        self._spelling = spelling
        self._known: dict[str, str] = {}

    def __call__(self, node: str, port: str) -> str:
        if node not in self._switches:
            return port
        if port not in self._known:
            self._known[port] = self._spelling(port)
        return self._known[port]


def _declared(nodes: Mapping[str, Node]) -> list[_Case]:
    cases: dict[frozenset[End], _Case] = {}
    for name, node in nodes.items():
        for link in node.links:
            one, other = (name, link.port), (link.peer, link.peer_port)
            pair = frozenset((one, other))
            if pair not in cases:  # it is among the links of both its nodes
                near, far = _oriented(one, other, nodes)
                kind = nodes[near[0]].type if near[0] in nodes else ""
                cases[pair] = _Case(near, far, link.trust, unseeable=_UNSEEABLE.get(kind, ""))
    return list(cases.values())


def _oriented(one: End, other: End, nodes: Mapping[str, Node]) -> tuple[End, End]:
    """The end that serves the other first: where a person looks for a cable."""

    mine, theirs = (
        _ORDER.get(nodes[end[0]].type if end[0] in nodes else "server", 1) for end in (one, other)
    )
    if mine == theirs:
        swap = [natural(text) for text in other] < [natural(text) for text in one]
    else:
        swap = theirs < mine
    return (other, one) if swap else (one, other)


def _resolve(
    node: str, link: FoundLink, at: float, who: Identities, spelt: Callable[[str, str], str]
) -> _Sighting:
    peer, ports = who.find(link.peer, link.how)
    if not peer and link.how == "slot":
        peer = who.in_slot(node, link.port)
    if link.how == "iqn" and ports:
        return _Sighting(node, link.port, peer, ports, link.how, at, link, session=True)
    if peer and link.peer_port and link.how == "lldp":
        ports = who.ports(peer, link.peer_port) or ports
    return _Sighting(node, spelt(node, link.port), peer, ports, link.how, at, link)


def _telling(
    seen: Iterable[_Sighting], ends: Mapping[End, _Case], nodes: Mapping[str, Node]
) -> Iterator[_Sighting]:
    """Those that can say something: all but MAC addresses that are seen through an uplink."""
    by_mac: dict[End, list[_Sighting]] = {}
    spoken: set[End] = set()
    for one in seen:
        if one.peer == one.node:
            continue
        if one.how == "mac":
            by_mac.setdefault((one.node, one.port), []).append(one)
        else:
            if one.peer:
                spoken.add((one.node, one.port))
            yield one
    places: dict[tuple[str, tuple[str, ...]], list[_Sighting]] = {}
    for end, behind in by_mac.items():
        case = ends.get(end)
        to_switch = case is not None and nodes[case.other(end)[0]].type == "switch"
        machines = {one.peer for one in behind if one.peer}
        if end in spoken or to_switch or len(machines) > 1 or len(behind) > UPLINK:
            continue
        for one in behind:
            places.setdefault((one.peer, one.ports), []).append(one)
    for (peer, _), sightings in places.items():
        if not peer or len({(one.node, one.port) for one in sightings}) == 1:
            yield from sightings
        else:
            # Several switches see it, all but one of them through an uplink that nobody told of.
            yield from (one for one in sightings if _supports(one, ends.get((one.node, one.port))))


def _supports(one: _Sighting, case: _Case | None) -> bool:
    if case is None:
        return False
    node, port = case.other((one.node, one.port))
    return node == one.peer and (not one.ports or port in one.ports)


def _weigh(one: _Sighting, ends: Mapping[End, _Case], nodes: Mapping[str, Node]) -> bool:
    """Note ``one`` for or against the links that it concerns; False when it supports none."""
    own = ends.get(one.where)
    if one.session:
        # Whatever the site calls the initiator's end: a session is with the one node that has it.
        supports = own is not None and own.other(one.where)[0] == one.node
        if own is not None:
            (own.pro if supports else own.con).append(one)
        return supports
    if not one.peer:
        if own is not None:
            own.strange.append(one)
        return own is not None
    if own is not None and _supports(one, own):
        own.pro.append(one)
        return True
    if own is not None:
        own.con.append(one)
    if one.how == "iqn":  # one initiator uses many targets
        return False
    for port in one.ports:
        case = ends.get((one.peer, port))
        if case is not None and case is not own:
            (case.con if len(one.ports) == 1 else case.weak).append(one)
    if one.how == "slot":
        # A machine sits in one slot of one kind of chassis; its own controller is another kind.
        for link in nodes[one.peer].links:
            other = nodes.get(link.peer)
            if other is not None and other.platform == nodes[one.node].platform:
                case = ends[link.peer, link.peer_port]
                if case is not own:
                    case.weak.append(one)
    return False


def _state(case: _Case) -> LinkState:
    pro = case.pro
    con = [one for one in case.con if not _beside(one, case)]
    if not pro:
        con += case.weak
    newest = max((one.at for one in (*pro, *con)), default=0.0)
    pro = [one for one in pro if one.at >= newest - OLD]
    con = [one for one in con if one.at >= newest - OLD]
    disputed = bool(case.pro) and bool(case.con or case.weak)
    for_it = sorted(pro, key=lambda one: (one.weight, case.sides(one)), reverse=True)
    # What the end itself sees explains more than what is seen elsewhere.
    against = sorted(con, key=lambda one: (one.weight, case.sides(one)), reverse=True)
    state: State = "unseen"
    shown, wrong = case.strange, ("", "")
    if against and (not for_it or against[0].weight >= for_it[0].weight):
        state, shown = "contradicted", [*against, *for_it]
        wrong = (_wrong(case, case.near, against[0]), _wrong(case, case.far, against[0]))
    elif for_it:
        state, shown = "proven", for_it
    return LinkState(
        node=case.near[0],
        port=case.near[1],
        peer=case.far[0],
        peer_port=case.far[1],
        state=state,
        trust=case.trust,
        evidence=tuple(dict.fromkeys(one.evidence for one in shown)),
        how=shown[0].how if shown else "",
        reason=case.unseeable if state == "unseen" else "",
        disputed=disputed,
        wrong=wrong,
    )


def _beside(one: _Sighting, case: _Case) -> bool:
    """Whether the same port sees, as surely, who belongs there too: a management controller that
    shares the port, or a target with several initiators."""
    here = one.where
    if here not in (case.near, case.far):
        return False
    with_it = any(other.where == here and other.weight >= one.weight for other in case.pro)
    shared = one.how == "iqn" and len({o.who for o in case.con if o.where == here}) > 1
    return with_it or shared


def _wrong(case: _Case, end: End, one: _Sighting) -> str:
    """What ``one`` says against the link, as told at ``end``."""
    here, there = (one.node, one.port), case.other(end)
    if here == end:
        return f"{one.far} is seen there"
    if here == there:
        near, far = (one.far, " ".join(there)) if there == case.near else (" ".join(there), one.far)
        return f"{near} is seen at {far}"
    if one.peer == end[0] and (not one.ports or end[1] in one.ports):
        return f"{' '.join(here)} is seen there"
    return f"{' '.join(there)} is seen at {' '.join(here)}"


def _undeclared(loose: Iterable[_Sighting], nodes: Mapping[str, Node]) -> list[LinkState]:
    """What is seen and not declared; MAC addresses of nobody are left out."""
    rows: dict[tuple[End, End], list[_Sighting]] = {}
    for one in loose:
        here = (one.node, one.port)
        if one.peer:
            port = one.ports[0] if len(one.ports) == 1 else ""
            pair = _oriented(here, (one.peer, port), nodes) if port else (here, (one.peer, ""))
            rows.setdefault(pair, []).append(one)
        elif one.how != "mac" and not is_mac(one.raw.peer):
            rows.setdefault((here, (one.raw.peer, one.raw.peer_port)), []).append(one)
    told = {(end, other[0]) for pair in rows for end, other in (pair, pair[::-1]) if other[1]}
    return [
        LinkState(
            node=near[0],
            port=near[1],
            peer=far[0],
            peer_port=far[1],
            state="found",
            evidence=tuple(dict.fromkeys(one.evidence for one in seen)),
            how=seen[0].how,
            known=bool(seen[0].peer),
        )
        for (near, far), seen in rows.items()
        if far[1] or (near, far[0]) not in told
    ]


def _order(state: LinkState) -> tuple[object, ...]:
    return tuple(natural(text) for text in (state.node, state.port, state.peer, state.peer_port))
