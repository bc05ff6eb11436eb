"""What the store answers agents from: everything in memory, bodies made once.

Lives in the event loop; whatever changes here is in the database already.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from rackwright.model.bundle import Bundle, Gates
from rackwright_proposals.evidence import LinkState, contradicted
from rackwright_store.gates import Rests, Wants, gates_of, rests_of, wants_of
from rackwright_store.runs import RunSummary, Verification
from rackwright_store.standing import Standing
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


class Live:
    """Bundles and gates in force, and what they come from."""

    def __init__(
        self,
        verified: Mapping[str, Mapping[str, str]],
        ledgers: Mapping[str, bytes],
        last_runs: Mapping[str, RunSummary],
        standings: Mapping[str, Mapping[str, Standing]] | None = None,
    ) -> None:
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
        self._contradicted: dict[str, dict[str, str]] = {}
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

    def prepare(self, bundles: Mapping[str, Bundle]) -> Prepared:
        """What `install` takes: the slow part of it, for any thread. Bundles that are in force
        already, as the same objects, cost nothing."""
        known, wants = self.bundles, self._wants
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
        return Prepared(served, wanted)

    def install(self, prepared: Prepared, at: float | None = None) -> frozenset[str]:
        """Put these bundles in force, since ``at`` (Unix seconds; None: now). Wakes and returns the
        nodes whose bundle or gates changed."""
        at = time.time() if at is None else at
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
        self._needed_by = {}
        for node, wants in self._wants.items():
            for other in wants.nodes:
                self._needed_by.setdefault(other, set()).add(node)
        for node in self.gates.keys() - new.keys():
            del self.gates[node]
        changed |= self._new_gates(concerned)
        self.waiters.wake(changed)
        return frozenset(changed)

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
        if not verification.set and not verification.clear:
            return frozenset()
        known = self.verified.setdefault(node, {})
        for address in verification.clear:
            known.pop(address, None)
        known.update(verification.set)
        return self._refresh(self._needed_by.get(node, ()))

    def note_ledger(self, node: str, body: bytes, rests: Rests) -> frozenset[str]:
        """A ledger was mirrored. Wakes and returns the nodes whose gates changed."""
        before = set(self._rests.get(node, ()))
        self.ledgers[node] = body
        self._set_rests(node, rests)
        return self._refresh(before | set(rests))

    def note_links(self, links: tuple[LinkState, ...]) -> frozenset[str]:
        """Links were seen anew. Wakes and returns the nodes whose gates changed."""
        return self._refresh(self._set_links(links))

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
        return self._refresh(before | self._needed_by.get(node, set()))

    def rests(self, node: str) -> tuple[str, ...]:
        """The addresses on other nodes that ``node`` rests on, by its ledger's mirror."""
        found = self._rests.get(node, {})
        return tuple(sorted(f"{other}:{address}" for other in found for address in found[other]))

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
        changed: set[str] = set()
        for node in nodes:
            wants = self._wants.get(node)
            if wants is None:
                continue
            # One that was taken out of the site holds what it held: it may well run on. `retire` says
            # that it is gone.
            resting = self._rested_on_by.get(node, ())
            found = gates_of(
                node,
                wants,
                self.verified,
                ((other, self._rests[other]) for other in resting),
                self._wants,
            )
            if node in self._contradicted:
                found = msgspec.structs.replace(found, contradicted=self._contradicted[node])
            new = Served(found)
            old = self.gates.get(node)
            if old is None or old.etag != new.etag:
                self.gates[node] = new
                changed.add(node)
        return changed


def differing(live: Live, etags: Iterable[tuple[str, str, str]]) -> frozenset[str]:
    """Of (node, bundle ETag, gates ETag) as known elsewhere, the nodes for which they are old."""
    return frozenset(
        node
        for node, bundle, gates in etags
        if live.bundle_etag(node) != bundle or live.gates_etag(node) != gates
    )
