"""What is known of each side of what is redundant, and of the LAGs and VLANs in which several run. No I/O.

Whose turn it is follows from that: see `rackwright_proposals.turns`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Gates, Need
from rackwright_proposals.carrying import CARRYING, KINDS, SHARED, Seen, Shared, lag_of, shared
from rackwright_proposals.redundancy import TYPE_AT, Cut, End, Groups, Health, Link, Side

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

    def leaving(self, node: str) -> Collection[str]:
        """The ``type/name`` that its last run was to take away and did not."""

    def applied(self, node: str, key: str) -> Mapping[str, Any] | None:
        """The fields at which ``key`` was applied and verified last, by the ledger; None where that is not
        known, or begun to be another."""


class _Through(NamedTuple):
    """What several links run through."""

    about: Shared
    links: frozenset[Link]
    """Those that are redundant to others."""

    @property
    def waiting(self) -> bool:
        """Whether it is to change and something redundant runs through it."""
        return self.about.pending and bool(self.links)


class _Declared(NamedTuple):
    """What a bundle declares at ports, and of what these run through."""

    bundle: Bundle
    at: Mapping[str, tuple[Declared, ...]]
    """By port, slot or outlet."""
    switching: Mapping[str, Declared]
    """By ``type/name``; of nodes that pass frames on."""


class _At(NamedTuple):
    """The resources at one end."""

    declared: tuple[Declared, ...]
    left: tuple[str, ...]
    """``type/name`` that are verified and not declared any more."""

    @property
    def keys(self) -> tuple[str, ...]:
        return (*(f"{item.type}/{item.data['name']}" for item in self.declared), *self.left)


class Sides:
    """Of all nodes of a site. Not for several threads."""

    def __init__(self, known: Known, spelling: Callable[[str], str]) -> None:
        """``spelling`` gives the one name of a switch's port."""
        self._known = known
        self.spelling = spelling
        self.bundles: Mapping[str, Bundle] = {}
        self.groups = Groups(())
        self._declared: dict[str, _Declared] = {}
        self._through: dict[str, dict[str, _Through]] = {}
        """Of each node that was asked for what its links run through, by ``type/name``."""
        self._earlier: dict[str, dict[str, Shared]] = {}
        """The same, before something changed that is known of the node."""
        self._depths: dict[str, int] = {}

    def use(self, bundles: Mapping[str, Bundle], groups: Groups) -> None:
        """Go by these from now on. Whoever says so says `forget` of the nodes that are others."""
        self.bundles, self.groups = bundles, groups
        self._depths.clear()

    def mates(self, cut: Cut, holders: Collection[Cut]) -> Iterator[Cut]:
        """What must not be cut together with ``cut``."""
        links = self.links(cut)
        beside = self.groups.beside(links)
        yield from beside
        for node in {end.node for link in (*links, *beside) for end in link}:
            for key, through in self.through(node).items():
                other = frozenset([End(node, key)])
                used = through.waiting or (through.links and other in holders)
                if used and other != cut and self.groups.clash(links, through.links):
                    yield other

    def is_pending(self, cut: Cut) -> bool:
        """Whether ``cut``, a LAG or a VLAN, is not as it is wanted."""
        (end,) = cut
        through = self.through(end.node).get(end.port)
        return through is not None and through.about.pending

    def links(self, cut: Cut) -> frozenset[Link]:
        """The links that are cut with ``cut``."""
        if len(cut) > 1:
            return frozenset([cut])
        (end,) = cut
        through = self.through(end.node).get(end.port)
        return through.links if through is not None else frozenset()

    def has(self, cut: Cut) -> bool:
        """Whether ``cut`` can still be one of these."""
        if len(cut) > 1:
            return cut in self.groups.by_link
        return all(end.node in self.groups.by_node for end in cut)

    def cutting(self, cut: Cut) -> set[str]:
        """The nodes that make it."""
        return {end.node for end in cut if len(cut) == 1 or self._resources(end).keys}

    def far(self, link: Link) -> str:
        """The node at the far end of ``link``."""
        return self.groups.by_link[link][0][1].far.node

    def may_cut(self, link: Link, end: End) -> bool:
        """Whether anything that is known at ``end`` could cut ``link``."""
        return bool(self._resources(end).keys) or any(
            through.waiting and link in through.links for through in self.through(end.node).values()
        )

    def purged(self, node: str) -> list[str]:
        """``type/*`` of what goes from ``node`` though nobody has heard of it yet, and may carry sides."""
        bundle = self.bundles.get(node)
        if bundle is None or not bundle.purge or node not in self.groups.by_node:
            return []
        return [f"{kind}/*" for kind in bundle.purge if kind in SHARED]

    def forget(self, nodes: Iterable[str]) -> None:
        """Something changed that is known of ``nodes``."""
        for node in nodes:
            before = self._through.pop(node, None)
            if before is not None:
                self._earlier[node] = {key: found.about for key, found in before.items()}

    def through(self, node: str) -> Mapping[str, _Through]:
        """The LAGs of ``node`` and its VLANs that are to go, by ``type/name``."""
        found = self._through.get(node)
        if found is None:
            found = self._through[node] = self._look_through(node)
        return found

    def _look_through(self, node: str) -> dict[str, _Through]:
        bundle = self.bundles.get(node)
        if bundle is None or bundle.node.type not in CARRYING:
            return {}
        known, at = self._known, self._said(bundle)
        links = {
            end.port: frozenset(side)
            for group in self.groups.by_node.get(node, ())
            for side in group.sides
            for end in side
            if end.node == node
        }
        seen = Seen(
            at.switching,
            frozenset(links),
            known.verified(node),
            [key for key in known.leaving(node) if key.partition("/")[0] in SHARED],
            known.removed(node),
            {item.address for item in bundle.deferred},
            known.begun(node),
            lambda key: known.applied(node, key),
            self.spelling,
        )
        found = shared(seen, self._earlier.get(node, {}))
        return {
            key: _Through(about, frozenset(links[port] for port in about.ports))
            for key, about in found.items()
        }

    def health(self, cut: Cut) -> Health:
        """What is known of ``cut``: a side, or what several run through."""
        if len(cut) > 1:
            return self._health_of(self.groups.by_link[cut][0][1])
        (end,) = cut
        through = self.through(end.node).get(end.port)
        address, known = f"{end.node}:{end.port}", self._known
        if through is None or not through.waiting:
            return Health(address)
        first = tuple(f"{end.node}:{key}" for key in through.about.first)
        return Health(
            address,
            (address,),
            end.port in known.verified(end.node),
            (address,) if known.failed(end.node, end.port) else (),
            stuck=bool(first) or self._is_stuck(address),
            lost=self._is_lost(address),
            first=first,
        )

    def _health_of(self, side: Side) -> Health:
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
        return Health(
            self._name(side.far),
            tuple(pending),
            stood,
            tuple(failed),
            self.is_away(side.far.node),
            stuck=bool(pending) and all(map(self._is_stuck, pending)),
            lost=any(map(self._is_lost, pending)),
        )

    def _is_stuck(self, address: str) -> bool:
        """Whether a run could not do it now: as in `rackwright.engine.gate`."""
        node, _, key = address.partition(":")
        gates = self._known.gates(node)
        if key in gates.later or key in gates.held:
            return True
        kind, _, name = key.partition("/")
        bundle = self.bundles.get(node)
        known = self._said(bundle) if bundle else None
        if known is None:
            return False
        if kind in SHARED and key not in known.switching:
            return f"{kind}/*" in gates.later and key not in self._known.begun(node)
        items = [known.switching[key]] if key in known.switching else known.at.get(name, ())
        return any(
            self._is_unmet(need, node, gates)
            for item in items
            if item.type == kind
            for need in item.needs
        ) or any(self._waits_for_lag(node, item, known) for item in items if item.type == "port")

    def _waits_for_lag(self, node: str, port: Declared, known: _Declared) -> bool:
        """Whether ``port`` is to join a LAG that is to change first."""
        lag = self.through(node).get(lag_of(port.data, known.switching))
        return lag is not None and lag.waiting

    def _is_unmet(self, need: Need, node: str, gates: Gates) -> bool:
        address = Address.parse(need.address)
        if address.node not in ("", node):
            return gates.verified.get(need.address) != need.digest
        # Of its own node it could all be done in one run, but for what waits for a turn itself.
        verified = self._known.verified(node).get(str(address.local))
        return address.type in LINKED | {"lag"} and verified != need.digest

    def _is_lost(self, address: str) -> bool:
        node, _, key = address.partition(":")
        return key not in self._known.verified(node) and key in self._known.begun(node)

    def is_away(self, node: str) -> bool:
        """Whether nobody knows how ``node`` is."""
        bundle = self.bundles.get(node)
        # Of what nobody converges nothing will ever be known.
        return bundle is not None and bundle.node.managed and self._known.away(node)

    def _name(self, end: End) -> str:
        keys = self._resources(end).keys
        bundle = self.bundles.get(end.node)
        kind = TYPE_AT.get(bundle.node.type if bundle else "", "port")
        return f"{end.node}:{keys[0] if keys else f'{kind}/{end.port}'}"

    def _resources(self, end: End) -> _At:
        bundle = self.bundles.get(end.node)
        if bundle is None:
            return _At((), ())
        declared = self._said(bundle).at.get(end.port, ())
        said = {item.type for item in declared}
        verified = self._known.verified(end.node)
        left = [
            key for kind in LINKED if kind not in said and (key := f"{kind}/{end.port}") in verified
        ]
        return _At(declared, tuple(sorted(left)))

    def _said(self, bundle: Bundle) -> _Declared:
        kept = self._declared.get(bundle.node.name)
        if kept is None or kept.bundle is not bundle:
            by_name: dict[str, list[Declared]] = {}
            switching: dict[str, Declared] = {}
            carries = bundle.node.type in CARRYING
            for item in bundle.resources:
                name = str(item.data["name"])
                if item.type in LINKED:
                    by_name.setdefault(name, []).append(item)
                if carries and item.type in KINDS:
                    switching[f"{item.type}/{name}"] = item
            at = {name: tuple(items) for name, items in by_name.items()}
            kept = self._declared[bundle.node.name] = _Declared(bundle, at, switching)
        return kept

    def depth(self, address: str) -> int:
        """How many needs deep a resource is: the order of the sequence, as far as it is declared."""
        path = [address] if address not in self._depths else []
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
        bundle = self.bundles.get(node)
        for item in bundle.resources if bundle else ():
            if f"{item.type}/{item.data['name']}" == key:
                texts = (need.address for need in item.needs)
                return [t if ":" in t.partition("/")[0] else f"{node}:{t}" for t in texts]
        return []
