"""What nodes see at their ports, and which of it tells who is there. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rackwright.model.facts import FoundLink
from rackwright.model.site import Node
from rackwright_proposals.identities import Asking, is_mac

End = tuple[str, str]
"""Node and port."""
Place = tuple[str, tuple[str, ...]]
"""A node, and which of its ports are meant."""

UPLINK = 8
"""More MAC addresses than these on one port are not those of one machine (providers that read MAC
tables leave such ports out by the same number)."""

_RANK = {"mac": 1}
"""A MAC address is seen through unmanaged switches; LLDP, serial numbers and sessions are not."""
_BY = {"lldp": "LLDP", "mac": "MAC address", "slot": "serial number", "iqn": "IQN"}

_MARK = {"slot": "serial number", "iqn": "IQN"}


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that one node sees, whenever it looked."""

    node: str
    port: str
    peer: str
    """A node of the site; empty when it is not known which."""
    ports: tuple[str, ...]
    """Which of its ports it may be; none when that is not known."""
    how: str
    raw: FoundLink
    session: bool = False
    """It is an initiator's own session, which tells who is at the target."""

    @property
    def here(self) -> End:
        """Where it was seen."""
        return (self.node, self.port)

    @property
    def where(self) -> End:
        """The end of which it tells who is at the other."""
        return (self.peer, self.ports[0]) if self.session else self.here

    @property
    def who(self) -> str:
        """The node that is there by it."""
        return self.node if self.session else self.peer

    @property
    def place(self) -> Place:
        """What was seen."""
        return (self.peer, self.ports)

    @property
    def ends(self) -> set[End]:
        """All ends of which it says anything."""
        return {self.here, *((self.peer, port) for port in self.ports)}

    @property
    def rank(self) -> int:
        """How sure it is, beside others."""
        return _RANK.get(self.how, 2)

    @property
    def far(self) -> str:
        """The far end in words."""
        if not self.peer:
            return " ".join(filter(None, (self.raw.peer, self.raw.peer_port)))
        return f"{self.peer} {'/'.join(self.ports)}".strip()

    @property
    def mark(self) -> str:
        """What kind of thing the far end is seen by."""
        return "MAC address" if is_mac(self.raw.peer) else _MARK.get(self.how, "name")

    @property
    def says(self) -> str:
        """It in words."""
        return f"{self.node} sees {self.far} on {self.port} by {_BY.get(self.how, self.how)}"


class Wire(NamedTuple):
    """A declared link. ``near`` is the end that serves the other."""

    near: End
    far: End
    trust: Literal["", "declared"] = ""

    def other(self, end: End) -> End:
        """The end that is not ``end``."""
        return self.far if end == self.near else self.near


Wires = Mapping[End, Wire]
"""Every declared link by both its ends."""


class Spelling:
    """The one name of each port: of a switch's ports, by the noun; of all others, as it is."""

    def __init__(self, nodes: Mapping[str, Node], spelling: Callable[[str], str]) -> None:
        self._nodes, self._spelling = nodes, spelling
        self._known: dict[str, str] = {}

    def __call__(self, node: str, port: str) -> str:
        if node not in self._nodes or self._nodes[node].type != "switch":
            return port
        if port not in self._known:
            self._known[port] = self._spelling(port)
        return self._known[port]


def seen_by(
    node: str, links: Iterable[FoundLink], who: Asking, spelt: Callable[[str, str], str]
) -> tuple[Sighting, ...]:
    """What ``node`` sees by its ``links``; itself is left out."""
    seen = (_resolve(node, link, who, spelt) for link in links)
    return tuple(one for one in seen if one.peer != node)


def _resolve(node: str, link: FoundLink, who: Asking, spelt: Callable[[str, str], str]) -> Sighting:
    peer, ports = who.find(link.peer, link.how)
    if not peer and link.how == "slot":
        peer = who.in_slot(node, link.port)
    if link.how == "iqn" and ports:
        return Sighting(node, link.port, peer, ports, link.how, link, session=True)
    if peer and link.peer_port and link.how == "lldp":
        ports = who.ports(peer, link.peer_port) or ports
    return Sighting(node, spelt(node, link.port), peer, ports, link.how, link)


def heard(
    seen: Iterable[Sighting], wires: Wires, nodes: Mapping[str, Node]
) -> tuple[Sighting, ...]:
    """What may tell something of all that one node sees: not the MAC addresses that it sees through an
    uplink."""
    by_mac: dict[End, list[Sighting]] = {}
    spoken: set[End] = set()
    plain: list[Sighting] = []
    for one in seen:
        if one.how == "mac":
            by_mac.setdefault(one.here, []).append(one)
        else:
            plain.append(one)
            if one.peer:
                spoken.add(one.here)
    for end, behind in by_mac.items():
        wire = wires.get(end)
        peer = nodes.get(wire.other(end)[0]) if wire else None
        machines = {one.peer for one in behind if one.peer}
        through = (peer is not None and peer.type == "switch") or len(machines) > 1
        if end not in spoken and not through and len(behind) <= UPLINK:
            plain += behind
    return tuple(plain)


def telling(alike: Collection[Sighting], wires: Wires) -> Iterator[Sighting]:
    """Which of the MAC addresses of one place, seen at one port or at several, tell where it is."""
    if len({one.here for one in alike}) == 1:
        yield from alike
    else:
        # Several switches see it, all but one of them through an uplink that nobody told of.
        yield from (one for one in alike if supports(one, wires.get(one.where)))


def supports(one: Sighting, wire: Wire | None) -> bool:
    """Whether it says the same of its end as ``wire``, which is what is declared there."""
    if wire is None:
        return False
    node, port = wire.other(one.where)
    if one.session:
        # Whatever the site calls the initiator's end: a session is with the one node that has it.
        return node == one.node
    return bool(one.peer) and node == one.peer and (not one.ports or port in one.ports)
