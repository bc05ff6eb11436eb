"""Blast radius: what hangs off a change. Pure.

A change is followed along what was declared: to what needs its resource, on the same node or another
(a volume's exports, the sessions and mounts of the servers that see it), and from a port, an outlet or a
slot over its link to the far end, and on to what hangs off that. A node with another feed or uplink that
lives loses only one of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from rackwright_proposals.cables import Cable
from rackwright_proposals.names import natural
from rackwright_proposals.rack import STORED, Rack
from rackwright_proposals.sequence import node_of, type_of

_CARRIERS = frozenset({"vlan", "lag"})
"""What ports of the same node run in: without it they carry nothing."""
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that hangs off a change."""

    what: str
    """A node; or the whole address of a volume, an export or an outlet."""
    how: str
    """In a few words: ``eth0: its only uplink``."""
    path: tuple[str, ...]
    """From the change to it: addresses, then ends of links (``web1:eth0``)."""
    alone: bool
    """It has no other way: without the changed resource it is without power, network or disk."""
    cut: bool
    """The same, and the change takes that away."""


class Radius(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What hangs off a change, each kind in natural order."""

    servers: tuple[Hit, ...] = ()
    switches: tuple[Hit, ...] = ()
    others: tuple[Hit, ...] = ()
    """Nodes of any other type."""
    luns: tuple[Hit, ...] = ()
    outlets: tuple[Hit, ...] = ()

    @property
    def hits(self) -> tuple[Hit, ...]:
        """All of them."""
        return (*self.servers, *self.switches, *self.others, *self.luns, *self.outlets)

    @property
    def cut(self) -> tuple[str, ...]:
        """The nodes that lose power, network or disk."""
        nodes = (*self.servers, *self.switches, *self.others)
        return tuple(hit.what for hit in nodes if hit.cut)


def radius(rack: Rack, changes: Iterable[str], *, cuts: bool) -> Radius:
    """What hangs off ``changes`` (whole addresses) when all of them are made together; ``cuts`` says
    that they take away what ran through them."""
    changes = [step for step in changes if rack.carries(step)]
    if not changes:
        return Radius()
    spread = _Spread(rack, frozenset(changes))
    spread.run()
    return spread.result(cuts=cuts)


class _Spread:
    """One spreading. What is lost only grows, so the order in which it is found does not matter."""

    def __init__(self, rack: Rack, changes: frozenset[str]) -> None:
        self.rack, self.changes = rack, changes
        self.lost: dict[Cable, tuple[str, ...]] = {}
        self.fresh: list[Cable] = []
        self.gone: dict[str, tuple[str, ...]] = {}
        """Nodes without power, and switches that the rest of the network cannot reach, by path."""
        self.hits: dict[str, Hit] = {}
        self.ranks: dict[str, int] = {}
        self.followed: dict[str, bool] = {}
        self.changed_nodes = {node_of(step) for step in changes}

    def run(self) -> None:
        self.follow([(step, (step,), True) for step in sorted(self.changes)])
        while self.fresh:
            cables, self.fresh = self.fresh, []
            for cable in cables:
                self.judge(cable)

    def result(self, *, cuts: bool) -> Radius:
        kinds: dict[str, list[Hit]] = {}
        for what in sorted(self.hits, key=natural):
            hit = self.hits[what]
            if "/" in what:
                kind = "luns" if type_of(what) in STORED else "outlets"
            else:
                kind = {"server": "servers", "switch": "switches"}.get(
                    self.rack.type_of(what), "others"
                )
            hit = msgspec.structs.replace(hit, cut=hit.alone and cuts)
            kinds.setdefault(kind, []).append(hit)
        return Radius(**{kind: tuple(hits) for kind, hits in kinds.items()})

    def note(
        self, what: str, how: str, path: tuple[str, ...], *, alone: bool, by_need: bool = False
    ) -> None:
        """Cables tell more than needs, and what is cut more than what is only touched."""
        rank = 2 if alone else 0 if by_need else 1
        if rank > self.ranks.get(what, -1):
            self.ranks[what] = rank
            self.hits[what] = Hit(what=what, how=how, path=path, alone=alone, cut=False)

    def follow(self, steps: Iterable[tuple[str, tuple[str, ...], bool]]) -> None:
        """Along the needs: (step, path to it, whether it cannot do without)."""
        look = deque(steps)
        while look:
            step, path, hard = look.popleft()
            known = self.followed.get(step)
            if known is not None and known >= hard:
                continue
            self.followed[step] = hard
            node, kind = node_of(step), type_of(step)
            if kind in self.rack.cabled:
                self.lose_end(step, path, hard=hard)
            elif kind in STORED and step not in self.changes:
                self.note(step, "", path, alone=hard)
            tied = kind in self.rack.cabled or kind in _CARRIERS
            for user in self.rack.graph.needed_by.get(step, ()):
                theirs = hard and (not tied or (kind in _CARRIERS and node_of(user) == node))
                if (
                    theirs
                    and kind == "vlan"
                    and self.rack.data.get(user, {}).get("mode") == "trunk"
                ):
                    theirs = False  # it goes on carrying the others
                if node_of(user) != node:
                    self.note_user(user, (*path, user), alone=theirs)
                look.append((user, (*path, user), theirs))

    def note_user(self, user: str, path: tuple[str, ...], *, alone: bool) -> None:
        """A resource of another node needs what is changed: its mount says more than its session."""
        node = node_of(user)
        mounts = [
            step
            for step in (self.rack.graph.after([user]) if alone else ())
            if type_of(step) == "mount" and node_of(step) == node
        ]
        how = min(mounts, default=user).removeprefix(f"{node}:")
        self.note(node, how, path, alone=alone, by_need=True)

    def lose_end(self, step: str, path: tuple[str, ...], *, hard: bool) -> None:
        node, port = node_of(step), step.partition("/")[2]
        if type_of(step) == "outlet" and step not in self.changes:
            self.note(step, "", path, alone=hard)
        cable = self.rack.ends.get((node, port))
        if cable is None:
            return
        if hard:
            self.lose(cable, path, seen_from=node)
            return
        there, end = cable.other(node)
        if there not in self.changed_nodes:
            self.note(there, f"{end}, in part", (*path, f"{there}:{end}"), alone=False)

    def lose(self, cable: Cable, path: tuple[str, ...], *, seen_from: str) -> None:
        if cable not in self.lost:
            node, port = cable.other(seen_from)
            self.lost[cable] = (*path, f"{node}:{port}")
            self.fresh.append(cable)

    def judge(self, cable: Cable) -> None:
        """A cable is lost: what is that to its ends?"""
        if cable.kind == "power":
            self.judge_feeds(cable.far[0])
        elif cable.kind == "slot":
            self.down(cable.far[0], f"in slot {cable.near[1]} of {cable.near[0]}", self.lost[cable])
        elif cable.kind == "network":
            self.judge_network(cable)
        else:
            path = self.lost[cable]
            node, _, port = path[-1].partition(":")
            self.note(node, port, path, alone=True)

    def judge_feeds(self, node: str) -> None:
        feeds = [
            cable
            for cable in self.rack.cables.get(node, ())
            if cable.kind == "power" and cable.far[0] == node
        ]
        lost, counted = self.counted(feeds)
        how = _one_of(
            [cable.far[1] for cable in lost], len(counted), len(lost) == len(counted), "feed"
        )
        if len(lost) == len(counted):
            self.down(node, how, self.lost[lost[0]])
        else:
            self.note(node, how, self.lost[lost[0]], alone=False)

    def counted(self, cables: Iterable[Cable]) -> tuple[list[Cable], list[Cable]]:
        """Those that are lost, and those that count: what is declared off is nothing to fall back on."""
        counted = [cable for cable in cables if cable in self.lost or self.rack.live(cable)]
        return [cable for cable in counted if cable in self.lost], counted

    def down(self, node: str, how: str, path: tuple[str, ...]) -> None:
        """``node`` has no power."""
        self.note(node, how, path, alone=True)
        if node in self.gone:
            return
        self.gone[node] = path
        for cable in self.rack.cables.get(node, ()):
            if cable.kind == "network" or cable.near[0] == node:
                self.lose(cable, path, seen_from=node)
            if cable.kind == "power" and cable.near[0] == node:
                outlet = f"{node}:outlet/{cable.near[1]}"
                self.note(outlet, "", (*path, outlet), alone=True)
        for child in self.rack.inside.get(node, ()):
            slotted = any(
                cable.kind == "slot" and cable.near[0] == node
                for cable in self.rack.cables.get(child, ())
            )
            if not slotted:
                self.down(child, f"in {node}", (*path, child))
        self.lose_disks(node, path)
        if self.rack.type_of(node) == "switch":
            around = [
                cable.other(node)[0] for cable in self.rack.cables.get(node, ()) if cable.trunk
            ]
            self.part(sorted(set(around)), path)

    def lose_disks(self, node: str, path: tuple[str, ...]) -> None:
        """Nobody reaches what an array holds."""
        stored = self.rack.stored.get(node, ())
        for step in stored:
            self.note(step, "", (*path, step), alone=True)
        self.follow([(step, (*path, step), True) for step in stored])

    def judge_network(self, cable: Cable) -> None:
        if cable.trunk:
            node, _, port = self.lost[cable][-1].partition(":")
            near = cable.other(node)[0]
            if node in self.gone or near in self.gone:
                return
            self.part([node, near], self.lost[cable])
            trunks = [other for other in self.rack.cables[node] if other.trunk]
            _, counted = self.counted(trunks)
            if node not in self.gone:
                how = _one_of([port], len(counted), False, "uplink")
                self.note(node, how, self.lost[cable], alone=False)
            return
        for node, _ in (cable.near, cable.far):
            if self.rack.type_of(node) != "switch":
                self.judge_uplinks(node)

    def judge_uplinks(self, node: str) -> None:
        uplinks = [cable for cable in self.rack.cables.get(node, ()) if cable.kind == "network"]
        counted = [
            cable
            for cable in uplinks
            if cable in self.lost or self.rack.live(cable) or cable.other(node)[0] in self.gone
        ]
        lost = [
            cable for cable in counted if cable in self.lost or cable.other(node)[0] in self.gone
        ]
        ports = [cable.at(node)[1] for cable in lost]
        how = _one_of(ports, len(counted), len(lost) == len(counted), "uplink")
        switch = lost[0].other(node)[0]
        path = self.lost.get(lost[0]) or (*self.gone[switch], f"{node}:{ports[0]}")
        self.note(node, how, path, alone=len(lost) == len(counted))
        if len(lost) == len(counted):
            self.lose_disks(node, path)

    def part(self, starts: Sequence[str], path: tuple[str, ...]) -> None:
        """What is left of a network of switches falls apart between ``starts``: all parts but the one
        that is the largest are cut off."""
        for part in self.smaller(starts):
            for switch in sorted(part):
                self.gone.setdefault(switch, (*path, switch))
                self.note(switch, self.why_cut_off(switch), self.gone[switch], alone=True)
            for switch in sorted(part):
                for cable in self.rack.cables.get(switch, ()):
                    other = cable.other(switch)[0]
                    if cable.kind == "network" and self.rack.type_of(other) != "switch":
                        self.judge_uplinks(other)

    def why_cut_off(self, switch: str) -> str:
        lost, counted = self.counted(cable for cable in self.rack.cables[switch] if cable.trunk)
        if lost and len(lost) == len(counted):
            return _one_of([cable.at(switch)[1] for cable in lost], len(counted), True, "uplink")
        return "cut off from the other switches"

    def smaller(self, starts: Sequence[str]) -> list[set[str]]:
        """Grows the parts around ``starts`` in turn, and merges those that meet, until one is left: it
        costs what the small parts cost. Of two of one size the first of ``starts`` is the smaller."""
        starts = [switch for switch in starts if switch not in self.gone]
        members = {switch: {switch} for switch in starts}
        owner = {switch: switch for switch in starts}
        ahead = {switch: deque([switch]) for switch in starts}
        found: list[set[str]] = []
        while len(members) > 1:
            for part in list(members):
                if part not in members or len(members) == 1:
                    continue
                if not ahead[part]:
                    found.append(members.pop(part))
                    continue
                here = ahead[part].popleft()
                for cable in self.rack.cables.get(here, ()):
                    far = cable.other(here)[0]
                    if not cable.trunk or cable in self.lost or not self.rack.live(cable):
                        continue
                    if far in self.gone:
                        continue
                    theirs = owner.get(far)
                    if theirs is None:
                        owner[far] = part
                        members[part].add(far)
                        ahead[part].append(far)
                    elif theirs != part:
                        owner.update(dict.fromkeys(members[theirs], part))
                        members[part] |= members.pop(theirs)
                        ahead[part].extend(ahead.pop(theirs))
        return found


def _one_of(ports: Sequence[str], count: int, every: bool, what: str) -> str:
    """``eth0: its only uplink``, ``eth0, one of two uplinks``, ``psu1 and psu2: both its feeds``."""
    named = " and ".join(sorted(ports, key=natural))
    number = _NUMBERS.get(count, str(count))
    if every and count <= 1:
        return f"{named}: its only {what}"
    if every:
        return f"{named}: {'both' if count == 2 else f'all {number} of'} its {what}s"
    return f"{named}, {'one' if len(ports) == 1 else len(ports)} of {number} {what}s"
