"""Which host is to converge which managed node. Pure.

The spread is an optimal semi-matching of nodes and hosts (Harvey, Ladner, Lovász, Tamir:
Semi-matchings for bipartite graphs and load balancing, 2006): no path of moves leads from one host to
another that has two nodes less. Of all such spreads it is one that moves the fewest nodes. Both are
found by cancelling negative cycles, where a host's nth node costs n and a move next to nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

TROUBLE_FRESH = 3600.0
"""Seconds for which a host is not tried again that could not reach a node, while another can."""
RETRY_EARLIEST, RETRY_LATEST = 15.0, 300.0
"""Seconds between two tries, each by another host, while no host can reach a node: a quarter of the time
for which that has lasted, within these bounds."""
_LOAD = 1 << 20
"""What a node of load costs beside a move: more than there can be moves."""


class Managed(NamedTuple):
    """A managed node as the placement sees it."""

    node: str
    ranks: Mapping[str, int]
    """Host that can reach it by the site → which of its ways, the best being 0."""


class Trouble(NamedTuple):
    """A host could not reach a node."""

    since: float
    """When it could not for the first time, and never could since then."""
    at: float
    """When it could not the last time."""
    error: str = ""


class Choice(NamedTuple):
    """The hosts among which a node may be put, and what is to be said of that."""

    hosts: frozenset[str]
    unreached: bool = False
    """None of them is known to reach the node: they try in turn."""
    again: float | None = None
    """When it is another's turn, if the time alone makes it so."""


class Whereabouts(NamedTuple):
    """Where a managed node is."""

    host: str = ""
    """The host that is to converge it; empty for one that nobody places."""
    holder: str = ""
    """The node whose credential holds its lease."""
    unplaced: str = ""
    """Why no host is to converge it, though some can."""
    unreached: str = ""
    """What each host says, when none can reach it."""
    since: float = 0.0
    """Unix seconds: when it was put there, or nowhere."""


def choose(
    managed: Managed,
    usable: frozenset[str],
    troubles: Mapping[str, Trouble],
    current: str,
    now: float,
) -> Choice:
    """Which of the ``usable`` hosts (alive, and not draining) may converge a node that is put on
    ``current`` now (empty: on none)."""
    able = [host for host in managed.ranks if host in usable]
    if not able:
        return Choice(frozenset())
    well = [
        host
        for host in able
        if host not in troubles or (host != current and now - troubles[host].at > TROUBLE_FRESH)
    ]
    if well:
        best = min(managed.ranks[host] for host in well)
        return Choice(frozenset(host for host in well if managed.ranks[host] == best))
    if len(able) == 1:
        return Choice(frozenset(able), unreached=True)
    last = max(troubles[host].at for host in able)
    lasted = last - min(troubles[host].since for host in able)
    again = last + min(max(lasted / 4, RETRY_EARLIEST), RETRY_LATEST)
    if current in able and (now < again or troubles[current].at < last):
        # It has its turn: until it has failed again, and for a while after that.
        return Choice(frozenset({current}), unreached=True, again=again if now < again else None)
    oldest = min(able, key=lambda host: (troubles[host].at, host))
    return Choice(frozenset({oldest}), unreached=True)


def spread(
    choices: Mapping[str, frozenset[str]],
    current: Mapping[str, str],
    aside: Collection[str] = (),
) -> dict[str, str]:
    """Node → host, for each node that has a choice of hosts: as even as the choices allow, moving as
    few nodes as that takes. The same for the same input, whatever its order.

    For those ``aside`` nobody else is moved: they stay, or go where there is least. Nodes that some host
    could not reach are such ones: they come and go with a cable, and others have no part in that."""
    spreading = _Spread({node: one for node, one in choices.items() if node not in aside}, current)
    while spreading.improve():
        pass
    found = spreading.hosts()
    load = Counter(found.values())
    for node in sorted(aside):
        hosts = choices.get(node)
        if hosts:
            here = current.get(node, "")
            found[node] = here if here in hosts else min(hosts, key=lambda host: (load[host], host))
            load[found[node]] += 1
    return found


class _Group(NamedTuple):
    """Nodes of one host that can be moved for one another."""

    choice: tuple[str, ...]
    home: str
    """Where they were; empty where that is none of the choice."""


class _Spread:
    def __init__(self, choices: Mapping[str, frozenset[str]], current: Mapping[str, str]) -> None:
        self._names = sorted(set().union(*choices.values())) if choices else []
        self._load = dict.fromkeys(self._names, 0)
        self._on: dict[str, dict[_Group, list[str]]] = {name: {} for name in self._names}
        sorts: dict[frozenset[str], tuple[str, ...]] = {}
        homeless = []
        for node in sorted(choices):
            hosts = choices[node]
            if not hosts:
                continue
            choice = sorts.setdefault(hosts, tuple(sorted(hosts)))
            if current.get(node) in hosts:
                self._put(node, _Group(choice, current[node]), current[node])
            else:
                homeless.append((node, _Group(choice, "")))
        for node, group in homeless:
            self._put(node, group, min(group.choice, key=lambda host: (self._load[host], host)))

    def hosts(self) -> dict[str, str]:
        """Node → host, as it is now."""
        return {
            node: host
            for host, groups in self._on.items()
            for nodes in groups.values()
            for node in nodes
        }

    def _put(self, node: str, group: _Group, host: str) -> None:
        self._on[host].setdefault(group, []).append(node)
        self._load[host] += 1

    def improve(self) -> bool:
        """Move some nodes so that the whole costs less; False when it cannot cost less."""
        moves = self._moves()
        cycle = self._negative_cycle(moves)
        for source, target in cycle:
            if source and target:
                group = moves[source, target][1]
                nodes = self._on[source][group]
                self._put(nodes.pop(), group, target)
                self._load[source] -= 1
                if not nodes:
                    del self._on[source][group]
        return bool(cycle)

    def _moves(self) -> dict[tuple[str, str], tuple[int, _Group]]:
        """The cheapest move from one host to another: what it costs, and of what group."""
        found: dict[tuple[str, str], tuple[int, _Group]] = {}
        for source in self._names:
            for group in sorted(self._on[source]):
                for target in group.choice:
                    if target == source:
                        continue
                    cost = (group.home == source) - (group.home == target)
                    known = found.get((source, target))
                    if known is None or cost < known[0]:
                        found[source, target] = (cost, group)
        return found

    def _negative_cycle(
        self, moves: Mapping[tuple[str, str], tuple[int, _Group]]
    ) -> list[tuple[str, str]]:
        """Bellman and Ford. Through "" goes what makes one host's load less and another's more."""
        edges = [(source, target, cost) for (source, target), (cost, _) in moves.items()]
        for name in self._names:
            edges.append((name, "", _LOAD * (self._load[name] + 1)))
            if self._load[name]:
                edges.append(("", name, -_LOAD * self._load[name]))
        cost_to = dict.fromkeys(["", *self._names], 0)
        before: dict[str, str] = {}
        changed = True
        while changed:
            changed = False
            for source, target, cost in edges:
                if cost_to[source] + cost < cost_to[target]:
                    cost_to[target] = cost_to[source] + cost
                    before[target] = source
                    changed = True
            # A circle among the predecessors is a negative one, and there is one before long if at all.
            if changed and (cycle := _circle(before)):
                return cycle
        return []


def _circle(before: Mapping[str, str]) -> list[tuple[str, str]]:
    """The edges of a circle of predecessors, in the order of the moves; empty when there is none."""
    seen: dict[str, int] = {}
    for number, start in enumerate(before):
        at = start
        while at in before and at not in seen:
            seen[at] = number
            at = before[at]
        if seen.get(at) == number and at in before:
            circle, step = [(before[at], at)], before[at]
            while step != at:
                circle.append((before[step], step))
                step = before[step]
            return circle[::-1]
    return []
