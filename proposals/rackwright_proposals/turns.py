"""Turns: of everything that is redundant one side at a time, kept from report to report.

What a node is told is `Gates.turns`. Whose turn it is changes with what is known of the nodes, so whoever
serves them says for which nodes something changed (`Turns.update`) and hears whose gates did. No I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Gates, Need
from rackwright.model.site import Node
from rackwright_proposals.redundancy import (
    TYPE_AT,
    End,
    Groups,
    Health,
    Link,
    Side,
    groups_of,
    take_turns,
)

LINKED = frozenset({"port", "outlet", "blade", "target"})
"""The types of the resources that a link's port names (`Resource.linked`)."""


class Known(Protocol):
    """What is known of the nodes now."""

    def verified(self, node: str) -> Mapping[str, str]:
        """``type/name`` → digest last verified there."""

    def failed(self, node: str, key: str) -> bool:
        """Whether ``key`` of ``node`` failed when it was last reported."""

    def removed(self, node: str) -> Collection[str]:
        """The ``type/name`` that its last run took away."""

    def away(self, node: str) -> bool:
        """Whether nobody knows how it is: not reached, or not heard."""

    def gates(self, node: str) -> Gates:
        """What of ``node`` waits for others: its `Gates` but for what is told here."""

    def begun(self, node: str) -> Collection[str]:
        """The ``type/name`` that its ledger has."""


class _At(NamedTuple):
    """The resources at one end."""

    declared: tuple[Declared, ...]
    left: tuple[str, ...]
    """``type/name`` that are verified and not declared any more."""

    @property
    def keys(self) -> tuple[str, ...]:
        return (*(f"{item.type}/{item.data['name']}" for item in self.declared), *self.left)


class Turns:
    """Who has the turn, and what everybody else waits for. Not for several threads."""

    def __init__(self, known: Known, holders: Iterable[Link] = (), since: int = 0) -> None:
        """``since``: another process may have given turns before, of which nothing is known here: nobody gets
        one before those beside it have reported. A number that no earlier one had; 0: there was none.
        """
        self._known = known
        self._since = since
        self.linked: Collection[str] = LINKED
        self.groups = Groups(())
        self._bundles: Mapping[str, Bundle] = {}
        self._holders: frozenset[Link] = frozenset(holders)
        self._told: dict[str, dict[str, tuple[str, ...]]] = {}
        self._given: dict[str, dict[str, int]] = {}
        self._away: dict[str, bool] = {}
        """As it was when it was last asked."""
        self._unsettled: set[tuple[Link, str]] = set()
        """Links that have become redundant, or of which nothing is known, and their nodes that may still
        be in a run that was told nothing of it."""
        self._denied: dict[Link, set[str]] = {}
        """Links that have the turn and must wait with it, or need it no more, and their nodes that may
        still be in a run that was told nothing of that."""
        self._at: dict[str, tuple[Bundle, dict[str, tuple[Declared, ...]]]] = {}
        self._depths: dict[str, int] = {}

    @property
    def holders(self) -> frozenset[Link]:
        """The links that have the turn."""
        return self._holders

    def of(self, node: str) -> dict[str, tuple[str, ...]]:
        """`Gates.turns` of ``node``."""
        return self._told.get(node, {})

    def given(self, node: str) -> dict[str, int]:
        """`Gates.given` of ``node``."""
        return self._given.get(node, {})

    def install(self, bundles: Mapping[str, Bundle], groups: Groups) -> set[str]:
        """``bundles`` are in force, ``groups`` are theirs. Returns the nodes whose turns changed."""
        old, before = self._bundles, self.groups
        cutting = {
            link: {end.node for end in link if self._resources(end).keys} for link in self._holders
        }
        self.use(bundles, groups)
        self._holders -= before.by_link.keys() - groups.by_link.keys()
        changed: set[str] = set()
        regrouped: set[str] = set()
        if groups is not before:
            regrouped = {
                node
                for node in before.by_node.keys() | groups.by_node.keys()
                if before.by_node.get(node) != groups.by_node.get(node)
            }
            fresh = groups.by_link.keys() - before.by_link.keys()
            self._unsettled = {one for one in self._unsettled if one[0] in groups.by_link}
            self._unsettled |= {
                (link, end.node)
                for link in fresh
                for end in link
                if end.node in (old or (bundles if self._since else ()))
            }
            changed = {node for node in regrouped if self._told.pop(node, None)} & bundles.keys()
            self._given = {
                node: found for node, found in self._given.items() if node in groups.by_node
            }
        nodes = [
            node
            for node in groups.by_node
            if node in regrouped or old.get(node) is not bundles.get(node)
        ]
        for link in self._holders - self._denied.keys():
            # What is not to change any more may be changing all the same, in a run that was told so.
            _, side = groups.by_link[link][0]
            if not self._health(side).pending and cutting[link] & bundles.keys():
                self._denied[link] = cutting[link] & bundles.keys()
        return changed | self.update(nodes)

    def use(self, bundles: Mapping[str, Bundle], groups: Groups) -> None:
        """Go by these from now on, without deciding anything."""
        self._bundles, self.groups = bundles, groups
        self._depths.clear()

    def stale(self, node: str) -> bool:
        """Whether a node beside ``node`` has fallen silent, or come back, since it was last asked."""
        beside = {
            side.far.node for group in self.groups.by_node.get(node, ()) for side in group.sides
        }
        return any(self._is_away(other) != self._away.get(other, False) for other in beside)

    def reported(self, node: str) -> set[str]:
        """A run of ``node`` has ended. Returns the nodes whose turns changed."""
        self._unsettled = {one for one in self._unsettled if one[1] != node}
        for link, running in list(self._denied.items()):
            running.discard(node)
            if not running:
                # Whatever comes now was told to wait: another side may have the turn.
                self._holders -= {link}
                del self._denied[link]
        return self.update([node])

    def update(self, nodes: Iterable[str]) -> set[str]:
        """Something changed that is known of ``nodes``. Returns those whose turns changed."""
        links = self.groups.around(nodes)
        if not links:
            return set()
        health: dict[Link, Health] = {}

        def of(link: Link, side: Side) -> Health:
            if link not in health:
                health[link] = self._health(side)
            return health[link]

        now = take_turns(self.groups, links, self._holders, of, self._depth)
        given = now.holders - self._holders
        self._holders = (self._holders - links.keys()) | now.holders
        changed: set[str] = set()
        for link, side in links.items():
            waits = now.waits.get(link, None if link in now.holders else ())
            if waits is None and not of(link, side).pending:
                waits = ()  # it has the turn for the sake of an earlier run alone
            if waits is None or link not in now.holders:
                self._denied.pop(link, None)
            elif link not in self._denied:
                self._denied[link] = {end.node for end in link if self._resources(end).keys}
            for end in link:
                told = self._told.setdefault(end.node, {})
                before = told.pop(end.port, None)
                if not self._resources(end).keys:
                    continue
                if waits is not None:
                    told[end.port] = waits
                opened = waits is None and (before is not None or link in given)
                # Who was told nothing by us is woken, to report.
                asked = (link, end.node) in self._unsettled and not self._given.get(end.node)
                if opened or (asked and self._since):
                    counts = self._given.setdefault(end.node, {})
                    counts[end.port] = counts.get(end.port, self._since) + 1
                if before != waits or opened or asked:
                    changed.add(end.node)
        return changed

    def _health(self, side: Side) -> Health:
        known = self._known
        pending: list[str] = []
        failed: list[str] = []
        stood = True
        for end in side:
            verified, at = known.verified(end.node), self._resources(end)
            for key, item in zip(at.keys, at.declared, strict=False):
                gone = item.data.get("ensure") == "absent" and key in known.removed(end.node)
                if verified.get(key) != item.digest and not gone:
                    pending.append(f"{end.node}:{key}")
                    stood = stood and key in verified
            pending += [f"{end.node}:{key}" for key in at.left]
            failed += [f"{end.node}:{key}" for key in at.keys if known.failed(end.node, key)]
        self._away[side.far.node] = away = self._is_away(side.far.node)
        link = frozenset(side)
        unsettled = any(
            (link, end.node) in self._unsettled and bool(self._resources(end).keys) for end in side
        )
        return Health(
            self._name(side.far),
            tuple(pending),
            stood,
            tuple(failed),
            away or unsettled,
            stuck=bool(pending) and all(map(self._is_stuck, pending)),
            lost=any(map(self._is_lost, pending)),
            bound=link in self._denied,
        )

    def _is_stuck(self, address: str) -> bool:
        """Whether a run could not do it now: as in `rackwright.engine.gate`."""
        node, _, key = address.partition(":")
        gates = self._known.gates(node)
        if key in gates.later or key in gates.held:
            return True
        kind, _, name = key.partition("/")
        return any(
            self._is_unmet(need, node, gates)
            for item in self._resources(End(node, name)).declared
            if item.type == kind
            for need in item.needs
        )

    def _is_unmet(self, need: Need, node: str, gates: Gates) -> bool:
        address = Address.parse(need.address)
        if address.node not in ("", node):
            return gates.verified.get(need.address) != need.digest
        # Of its own node it could all be done in one run, but for what waits for a turn itself.
        verified = self._known.verified(node).get(str(address.local))
        return address.type in self.linked and verified != need.digest

    def _is_lost(self, address: str) -> bool:
        node, _, key = address.partition(":")
        return key not in self._known.verified(node) and key in self._known.begun(node)

    def _is_away(self, node: str) -> bool:
        bundle = self._bundles.get(node)
        # Of what nobody converges nothing will ever be known.
        return bundle is not None and bundle.node.managed and self._known.away(node)

    def _name(self, end: End) -> str:
        keys = self._resources(end).keys
        bundle = self._bundles.get(end.node)
        kind = TYPE_AT.get(bundle.node.type if bundle else "", "port")
        return f"{end.node}:{keys[0] if keys else f'{kind}/{end.port}'}"

    def _resources(self, end: End) -> _At:
        bundle = self._bundles.get(end.node)
        if bundle is None:
            return _At((), ())
        kept = self._at.get(end.node)
        if kept is None or kept[0] is not bundle:
            by_name: dict[str, list[Declared]] = {}
            for item in bundle.resources:
                if item.type in self.linked:
                    by_name.setdefault(str(item.data["name"]), []).append(item)
            kept = (bundle, {name: tuple(items) for name, items in by_name.items()})
            self._at[end.node] = kept
        declared = kept[1].get(end.port, ())
        said = {item.type for item in declared}
        verified = self._known.verified(end.node)
        left = [
            key
            for kind in self.linked
            if kind not in said and (key := f"{kind}/{end.port}") in verified
        ]
        return _At(declared, tuple(sorted(left)))

    def _depth(self, address: str) -> int:
        """How many needs deep a resource is: the order of the sequence, as far as it is declared."""
        path = [address]
        while path:
            at = path[-1]
            needs = [need for need in self._needs(at) if need not in path]
            missing = [need for need in needs if need not in self._depths]
            if missing:
                path.append(missing[0])
                continue
            self._depths[at] = max((self._depths[need] + 1 for need in needs), default=0)
            path.pop()
        return self._depths[address]

    def _needs(self, address: str) -> list[str]:
        node, _, key = address.partition(":")
        bundle = self._bundles.get(node)
        for item in bundle.resources if bundle else ():
            if f"{item.type}/{item.data['name']}" == key:
                texts = (need.address for need in item.needs)
                return [t if ":" in t.partition("/")[0] else f"{node}:{t}" for t in texts]
        return []


def groups_in(bundles: Mapping[str, Bundle], nodes: Mapping[str, Node], old: Groups) -> Groups:
    """The groups of ``bundles``; the ``old`` ones, of ``nodes``, where no node has changed."""
    if nodes.keys() == bundles.keys() and all(
        nodes[name] is bundle.node or nodes[name] == bundle.node for name, bundle in bundles.items()
    ):
        return old
    return Groups(groups_of({name: bundle.node for name, bundle in bundles.items()}))
