"""What the store answers agents from: everything in memory, bodies made once.

Lives in the event loop; whatever changes here is in the database already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from rackwright.model.bundle import Bundle, Declared, Gates
from rackwright.model.standing import Standing
from rackwright_proposals.evidence import LinkState, contradicted
from rackwright_proposals.paths import Paths
from rackwright_proposals.redundancy import Groups
from rackwright_proposals.rollouts import Rollout
from rackwright_proposals.turns import groups_in
from rackwright_store.care import Care
from rackwright_store.gates import Rests, Wants, gates_of, rests_of, under_way, wants_of
from rackwright_store.runs import RunSummary, Verification
from rackwright_store.stages import Staged, Stages
from rackwright_store.wake import Waiters


class Served:
    """A value with its ETag, and its JSON once somebody has asked for it."""

    __slots__ = ("_body", "etag", "value")

    def __init__(self, value: Bundle | Gates) -> None:
        self.value = value
        self.etag = value.etag
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """The JSON."""
        if self._body is None:
            self._body = msgspec.json.encode(self.value)
        return self._body


class Prepared(NamedTuple):
    """Bundles that are about to be in force."""

    served: dict[str, Served]
    wants: dict[str, Wants]
    links: tuple[LinkState, ...] = ()
    staged: Staged = Staged()
    paths: Paths = MappingProxyType({})
    groups: Groups = Groups(())


Extra = Mapping[str, tuple[Declared, ...]]
"""Node → the resources that its bundle has beside what the site says."""


def _nothing_extra(bundles: Mapping[str, Bundle]) -> Extra:
    return {}


class Live:
    """Bundles and gates in force, and what they come from."""

    def __init__(
        self,
        verified: Mapping[str, Mapping[str, str]],
        ledgers: Mapping[str, bytes],
        last_runs: Mapping[str, RunSummary],
        standings: Mapping[str, Mapping[str, Standing]] | None = None,
        started: float | None = None,
    ) -> None:
        """``started``: see `Care`."""
        self.waiters = Waiters()
        self.bundles: dict[str, Served] = {}
        self.gates: dict[str, Served] = {}
        self.verified: dict[str, dict[str, str]] = {node: dict(found) for node, found in verified.items()}  # fmt: skip
        self.ledgers: dict[str, bytes] = dict(ledgers)
        self.last_runs: dict[str, RunSummary] = dict(last_runs)
        self.standings: dict[str, Mapping[str, Standing]] = dict(standings or {})
        self.told: dict[str, float] = {}
        """When each node's bundle last changed, in Unix seconds."""
        self.deferred: dict[str, dict[str, float]] = {}
        """Node → deferred address → since when."""
        self.links: tuple[LinkState, ...] = ()
        self.additions: Callable[[Mapping[str, Bundle]], Extra] = _nothing_extra
        """What is to be added to bundles that are about to be in force."""
        self._plain = Prepared({}, {})
        """As the site says it."""
        self._added: Extra = {}
        self.retired: Collection[str] = ()
        """Nodes that are gone for good. Whoever changes it calls `retire` or `rejoin`."""
        self._contradicted: dict[str, dict[str, str]] = {}
        self.heard: dict[str, float] = {}
        """When each node's agent last gave a sign of life, in Unix seconds."""
        self.waiting: dict[str, Gates] = {}
        """What of each node waits for others: its gates without what `Care` adds."""
        self.care = Care(self, started)
        self.stages = Stages(self)
        self._wants: dict[str, Wants] = {}
        self._needed_by: dict[str, set[str]] = {}
        self._rests: dict[str, Rests] = {}
        self._rested_on_by: dict[str, set[str]] = {}
        for node, body in ledgers.items():
            self._set_rests(node, rests_of(node, body))

    def bundle(self, node: str) -> Bundle | None:
        """The bundle in force for ``node``."""
        served = self.bundles.get(node)
        return served.value if served and isinstance(served.value, Bundle) else None

    def bundle_etag(self, node: str) -> str:
        """ETag of the node's bundle; empty when there is none."""
        served = self.bundles.get(node)
        return served.etag if served else ""

    def gates_etag(self, node: str) -> str:
        """ETag of the node's gates; empty when the node is not in the site."""
        served = self.gates.get(node)
        return served.etag if served else ""

    def prepare(
        self, bundles: Mapping[str, Bundle], rollouts: Mapping[str, Rollout] | None = None
    ) -> Prepared:
        """What `install` takes: the slow part of it, for any thread. Bundles that are in force
        already, as the same objects, cost nothing."""
        known, wants = self._plain.served, self._plain.wants
        served: dict[str, Served] = {}
        wanted: dict[str, Wants] = {}
        for node, bundle in bundles.items():
            old = known.get(node)
            before = wants.get(node)
            if old is not None and before is not None and old.value is bundle:
                served[node], wanted[node] = old, before
                continue
            served[node] = Served(bundle)
            now = wants_of(bundle)
            wanted[node] = before if before is not None and before == now else now
        in_force = {node: old.value for node, old in known.items() if isinstance(old.value, Bundle)}
        nodes = {node: bundle.node for node, bundle in in_force.items()}
        return Prepared(
            served,
            wanted,
            staged=self.stages.prepare(bundles, rollouts or {}, in_force),
            groups=groups_in(bundles, nodes, self.care.groups),
        )

    def install(self, prepared: Prepared, at: float | None = None) -> frozenset[str]:
        """Put these bundles in force, since ``at`` (Unix seconds; None: now). Wakes and returns the
        nodes whose bundle or gates changed."""
        bundles = {
            node: served.value
            for node, served in prepared.served.items()
            if isinstance(served.value, Bundle)
        }
        extra = self.additions(bundles)
        whole = self._with(prepared, extra)
        self._plain, self._added = prepared, extra
        return self._put(whole, time.time() if at is None else at)

    def put_extra(self, extra: Extra) -> frozenset[str]:
        """Add this to the bundles in force, in the place of what was added before. Wakes and returns
        the nodes whose bundle or gates changed."""
        if extra == self._added:
            return frozenset()
        now = self._plain._replace(links=self.links, paths=self.care.paths)
        whole = self._with(now, extra)
        self._added = extra
        return self._put(whole, time.time())

    def _put(self, prepared: Prepared, at: float) -> frozenset[str]:
        old, new = self.bundles, prepared.served
        changed = old.keys() - new.keys()
        changed |= {node for node in new if node not in old or old[node].etag != new[node].etag}
        self.told = {node: at if node in changed else self.told[node] for node in new}
        for node in changed:
            self._note_deferred(node, new.get(node), at)
        concerned = {n for n, wants in prepared.wants.items() if wants is not self._wants.get(n)}
        concerned |= self._set_links(prepared.links)
        concerned |= {
            other
            for node in (concerned | (old.keys() - new.keys()))
            for other in self._rests.get(node, ())
        }
        self.bundles, self._wants = new, prepared.wants
        concerned |= self.care.set_paths(prepared.paths)
        self._needed_by = {}
        for node, wants in self._wants.items():
            for other in wants.nodes:
                self._needed_by.setdefault(other, set()).add(node)
        for node in self.gates.keys() - new.keys():
            del self.gates[node]
            self.waiting.pop(node, None)
        concerned |= self.stages.install(prepared.staged, self.bundles, changed | concerned, at)
        # What nobody could do now is not given the turn.
        moved = self._look_at_waits(concerned)
        concerned |= self.care.install(changed, prepared.groups) | self.care.waits(moved)
        changed |= self._new_gates(concerned)
        self.waiters.wake(changed)
        return frozenset(changed)

    def _with(self, prepared: Prepared, extra: Extra) -> Prepared:
        """``prepared`` with ``extra``; what that leaves as it is in force stays the same objects."""
        served, wants = dict(prepared.served), dict(prepared.wants)
        for node, resources in extra.items():
            if not resources or node not in served:
                continue
            same = self._plain.served.get(node) is served[node]
            if same and self._added.get(node) == resources:
                served[node], wants[node] = self.bundles[node], self._wants[node]
                continue
            plain = served[node].value
            assert isinstance(plain, Bundle)  # noqa: S101 - it is that table
            made = msgspec.structs.replace(plain, resources=(*plain.resources, *resources))
            now, before = wants_of(made), self._wants.get(node)
            served[node] = Served(made)
            wants[node] = before if before == now else now
        return prepared._replace(served=served, wants=wants)

    def _note_deferred(self, node: str, served: Served | None, at: float) -> None:
        bundle = served.value if served else None
        before = self.deferred.pop(node, {})
        if isinstance(bundle, Bundle) and bundle.deferred:
            self.deferred[node] = {
                item.address: before.get(item.address, at) for item in bundle.deferred
            }

    def note_run(
        self,
        summary: RunSummary,
        verification: Verification,
        standing: Mapping[str, Standing] | None = None,
    ) -> frozenset[str]:
        """A report was kept. Wakes and returns the nodes whose gates changed."""
        node = summary.node
        if standing is not None:
            self.standings[node] = standing
        last = self.last_runs.get(node)
        if not summary.why_run and (last is None or summary.finished >= last.finished):
            self.last_runs[node] = summary
        concerned: set[str] = set()
        if verification.set or verification.clear:
            known = self.verified.setdefault(node, {})
            for address in verification.clear:
                known.pop(address, None)
            known.update(verification.set)
            concerned |= self._needed_by.get(node, set())
        if not summary.why_run:
            concerned |= self.care.reported(node)
        return self._refresh(concerned | self.stages.look([node]))

    def look_again(self, node: str) -> None:
        """Before ``node`` is told its gates: what of these depends on who has fallen silent or has been
        heard again meanwhile."""
        concerned = self.care.look_again(node)
        if concerned:
            self._refresh(concerned)

    def look_around(self) -> None:
        """Wake whom it concerns that somebody has fallen silent: what they must not do, they may now."""
        concerned = self.care.outdated()
        if concerned:
            self._refresh(concerned)

    def heard_from(self, node: str) -> None:
        """The node's agent gave a sign of life. Wakes whom that concerns, where it had been silent."""
        silent = self.care.silent(node)
        self.heard[node] = time.time()
        if silent:
            self._refresh(self.care.note(node))

    def note_ledger(self, node: str, body: bytes, rests: Rests) -> frozenset[str]:
        """A ledger was mirrored. Wakes and returns the nodes whose gates changed."""
        before = set(self._rests.get(node, ()))
        self.ledgers[node] = body
        self._set_rests(node, rests)
        concerned = before | set(rests)
        known = self.verified.get(node, {})
        begun = under_way(body) & known.keys()
        for address in begun:
            del known[address]
        if begun:
            concerned |= self._needed_by.get(node, set()) | self.care.note(node)
        return self._refresh(concerned | self.stages.look({node, *concerned}))

    def note_links(self, links: tuple[LinkState, ...], paths: Paths) -> frozenset[str]:
        """Links were seen anew. Wakes and returns the nodes whose gates changed."""
        return self._refresh(self._set_links(links) | self.care.set_paths(paths))

    def _set_links(self, links: tuple[LinkState, ...]) -> set[str]:
        """Returns the nodes at which another link is contradicted than before."""
        old, new = self._contradicted, contradicted(links)
        self.links, self._contradicted = links, new
        return {node for node in old.keys() | new.keys() if old.get(node) != new.get(node)}

    def retire(self, node: str) -> frozenset[str]:
        """``node`` is gone for good: what it had verified is not there, and it holds nothing. Wakes
        and returns the nodes whose gates changed."""
        before = set(self._rests.get(node, ()))
        for table in (self.verified, self.standings, self.ledgers):
            table.pop(node, None)
        self._set_rests(node, {})
        del self._rests[node]
        concerned = before | self._needed_by.get(node, set()) | self.care.note(node)
        return self._refresh(concerned | self.stages.look({node, *concerned}))

    def rejoin(self, node: str) -> frozenset[str]:
        """``node`` was retired and is back: rollouts wait for it again."""
        return self._refresh(self.stages.look([node]) | self.care.note(node))

    def rests(self, node: str) -> tuple[str, ...]:
        """The addresses on other nodes that ``node`` rests on, by its ledger's mirror."""
        found = self._rests.get(node, {})
        return tuple(sorted(f"{other}:{address}" for other in found for address in found[other]))

    def begun(self, node: str) -> Collection[str]:
        """The ``type/name`` that the ledger of ``node`` has."""
        owned = self.stages.owned(node)
        return {entry.called or ours for ours, entry in owned.entries.items()}

    def rested_on(self, node: str) -> set[str]:
        """What of ``node`` other nodes rest on, by their ledgers' mirrors."""
        resting = self._rested_on_by.get(node, ())
        return {ours for other in resting for ours in self._rests[other].get(node, ())}

    def _set_rests(self, node: str, rests: Rests) -> None:
        for other in self._rests.get(node, ()):
            self._rested_on_by[other].discard(node)
        self._rests[node] = rests
        for other in rests:
            self._rested_on_by.setdefault(other, set()).add(node)

    def _refresh(self, nodes: Iterable[str]) -> frozenset[str]:
        changed = frozenset(self._new_gates(nodes))
        self.waiters.wake(changed)
        return changed

    def _new_gates(self, nodes: Iterable[str]) -> set[str]:
        """The nodes of which the gates are others now, of ``nodes`` and of those whose turn comes, or
        goes, with that."""
        concerned = set(nodes)
        concerned |= self.care.waits(self._look_at_waits(concerned))
        changed: set[str] = set()
        for node in concerned & self._wants.keys():
            found = self.care.add_to(node, self.waiting[node])
            old = self.gates.get(node)
            if old is not None and old.value == found:
                continue
            new = self.gates[node] = Served(found)
            if old is None or old.etag != new.etag:
                changed.add(node)
        return changed

    def _look_at_waits(self, nodes: Collection[str]) -> set[str]:
        """Bring `waiting` of ``nodes`` up to date. Returns those for which it is another."""
        moved = set()
        for node in self._wants.keys() & nodes:
            now = self._waiting(node)
            if now != self.waiting.get(node):
                self.waiting[node] = now
                moved.add(node)
        return moved

    def _waiting(self, node: str) -> Gates:
        # One that was taken out of the site holds what it held: it may well run on. `retire` says
        # that it is gone.
        resting = self._rested_on_by.get(node, ())
        found = gates_of(
            node,
            self._wants[node],
            self.verified,
            ((other, self._rests[other]) for other in resting),
            self._wants,
        )
        return msgspec.structs.replace(
            found,
            contradicted=self._contradicted.get(node, {}),
            later=self.stages.rolling.later(node),
        )


def differing(live: Live, etags: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """Of (node, bundle ETag, gates ETag) as known elsewhere, the nodes for which they are old."""
    return frozenset(
        node
        for node, bundle, gates in etags
        if live.bundle_etag(node) != bundle or live.gates_etag(node) != gates
    )
