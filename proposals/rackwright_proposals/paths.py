"""Paths: through which ports of a managed node each admin host reaches it, by the links and by the
node's MAC table. Pure.

Fails closed: where several ways lead to a host, all of them count. A link that is contradicted leads
nowhere, unless the site says that what is seen is wrong. Power is no way: outlets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rackwright.model.bundle import Bundle
from rackwright_proposals.evidence import OLD, Found, LinkState
from rackwright_proposals.identities import Identities, marks_of
from rackwright_proposals.names import natural
from rackwright_proposals.sightings import Spelling

TRANSIT = frozenset({"switch", "chassis"})
"""Types of nodes that pass frames on."""
HOST_ROLE = "delegate-host"

Paths = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Managed node → host → the node's ports that lead there, as in `Gates.paths`."""


class _Edge(NamedTuple):
    port: str
    """Ours; empty where it is not known."""
    peer: str


def hosts_of(bundles: Mapping[str, Bundle]) -> frozenset[str]:
    """The nodes from which delegates may run: those with the role for it, and those that a ``reach``
    names or that offer what it asks for."""
    named = {
        host
        for bundle in bundles.values()
        for way in bundle.node.reach
        for host in (way.at, *way.hosts)
    }
    with_role = {name for name, bundle in bundles.items() if HOST_ROLE in bundle.roles}
    return frozenset((named | with_role) & bundles.keys())


def paths_of(
    bundles: Mapping[str, Bundle],
    links: Iterable[LinkState],
    found: Mapping[str, Found],
    spelling: Callable[[str], str],
) -> Paths:
    """The paths of every managed node. ``links`` are as judged, ``found`` is what the nodes last saw,
    ``spelling`` gives the one name of a switch's port.

    What the node's own MAC table shows of a host wins over the links, when it is no older than
    `OLD` against the newest of all facts and at a port that the links know.
    """
    hosts = sorted(hosts_of(bundles), key=natural)
    if not hosts:
        return {}
    edges = _edges(bundles, links)
    passing = _passing(bundles, edges)
    whole = _Parts(passing, edges, without="")
    seen = _Seen(bundles, hosts, found, spelling)
    made = {}
    for name, bundle in bundles.items():
        if bundle.node.managed:
            # Where nothing passes through the node, it is as if it were not there.
            transit = bundle.node.type in TRANSIT
            parts = _Parts(passing, edges, without=name) if transit else whole
            by_links = {host: _ports_to(host, edges.get(name, ()), parts) for host in hosts}
            by_macs = seen.by(name)
            made[name] = {host: _best(by_links[host], by_macs.get(host, ())) for host in hosts}
    return made


def _edges(bundles: Mapping[str, Bundle], links: Iterable[LinkState]) -> dict[str, list[_Edge]]:
    made: dict[str, list[_Edge]] = {}
    for link in links:
        ends = (link.node, link.peer)
        if any(end not in bundles or bundles[end].node.type == "pdu" for end in ends):
            continue
        if link.state == "contradicted" and not link.trust:
            continue
        made.setdefault(link.node, []).append(_Edge(link.port, link.peer))
        made.setdefault(link.peer, []).append(_Edge(link.peer_port, link.node))
    return made


def _passing(
    bundles: Mapping[str, Bundle], edges: Mapping[str, Sequence[_Edge]]
) -> dict[str, tuple[str, ...]]:
    """The nodes that pass frames on, each with those of them that it is linked to. They are few beside
    what hangs on them."""
    inner = {name for name in edges if bundles[name].node.type in TRANSIT}
    return {
        name: tuple(dict.fromkeys(edge.peer for edge in edges[name] if edge.peer in inner))
        for name in edges
        if name in inner
    }


class _Parts:
    """What hangs together through nodes that pass frames on, with one of these taken out."""

    def __init__(
        self,
        passing: Mapping[str, Sequence[str]],
        edges: Mapping[str, Sequence[_Edge]],
        without: str,
    ) -> None:
        self._edges = edges
        self._part: dict[str, int] = {}
        """Of each node that passes frames on."""
        for number, start in enumerate(passing):
            look = [start] if start not in self._part else []
            while look:
                node = look.pop()
                if node not in self._part and node != without:
                    self._part[node] = number
                    look += passing[node]

    def around(self, node: str) -> frozenset[int]:
        """The parts that touch ``node``, or of which it is one."""
        if node in self._part:
            return frozenset([self._part[node]])
        return frozenset(
            self._part[edge.peer] for edge in self._edges.get(node, ()) if edge.peer in self._part
        )

    def reaches(self, start: str, host: str) -> bool:
        """Whether frames from ``start`` get to ``host``. Where ``start`` passes none on, only itself."""
        return start == host or (start in self._part and self._part[start] in self.around(host))


def _ports_to(host: str, edges: Iterable[_Edge], parts: _Parts) -> tuple[str, ...]:
    ports = {edge.port for edge in edges if edge.port and parts.reaches(edge.peer, host)}
    return tuple(sorted(ports, key=natural))


def _best(by_links: tuple[str, ...], by_macs: tuple[str, ...]) -> tuple[str, ...]:
    if set(by_links) & set(by_macs):
        return by_macs
    # A port that no link names, a LAG, may stand for those that the links name.
    return tuple(dict.fromkeys((*by_links, *by_macs)))


class _Seen:
    """Where each node's MAC table has a host."""

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        hosts: Iterable[str],
        found: Mapping[str, Found],
        spelling: Callable[[str], str],
    ) -> None:
        self._bundles, self._found, self._spelling = bundles, found, spelling
        spelt = Spelling({name: bundle.node for name, bundle in bundles.items()}, spelling)
        marks = {
            host: marks_of(bundles[host], found[host].facts, spelt)
            for host in hosts
            if host in found
        }
        self._who = Identities(marks).asking(spelt)
        self._oldest = max((item.at for item in found.values()), default=0.0) - OLD

    def by(self, node: str) -> dict[str, tuple[str, ...]]:
        """Host → ports and VLANs of ``node``."""
        found = self._found.get(node)
        if found is None or found.at < self._oldest:
            return {}
        made: dict[str, dict[str, None]] = {}
        table = found.facts.values.get("mac_table")
        for port, rows in (table if isinstance(table, dict) else {}).items():
            for row in rows:
                host, _ = self._who.find(str(row.get("mac", "")), "mac")
                if host:
                    at = made.setdefault(host, {})
                    at[self._spelt(node, port)] = None
                    if row.get("vlan"):
                        at[f"vlan/{row['vlan']}"] = None
        return {host: tuple(sorted(at, key=_ports_first)) for host, at in made.items()}

    def _spelt(self, node: str, port: str) -> str:
        return self._spelling(port) if self._bundles[node].node.type == "switch" else port


def _ports_first(text: str) -> tuple[bool, Any]:
    return text.startswith("vlan/"), natural(text)
