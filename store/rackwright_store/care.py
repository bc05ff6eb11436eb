"""What a node's gates say of care: its paths, whose turn a cut is, and the last live feeds.

Lives in the event loop, beside what it looks at (`Live`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from rackwright.model.bundle import Bundle, Gates
from rackwright.model.site import Node
from rackwright.model.standing import Standing
from rackwright_proposals.feeds import feeders_of, last_feeds
from rackwright_proposals.paths import Paths
from rackwright_proposals.redundancy import Groups
from rackwright_proposals.turns import Turns
from rackwright_store.applied import Applied, applied_of
from rackwright_store.roots import SILENT_AFTER
from rackwright_store.runs import RunSummary
from rackwright_store.standing import HELD_BACK

_NONE = Gates()


class World(Protocol):
    """What is looked at."""

    verified: dict[str, dict[str, str]]
    standings: dict[str, Mapping[str, Standing]]
    last_runs: dict[str, RunSummary]
    heard: dict[str, float]
    retired: Collection[str]
    waiting: dict[str, Gates]
    ledgers: dict[str, bytes]

    def begun(self, node: str) -> Collection[str]:
        """The ``type/name`` that the ledger of ``node`` has."""

    def bundle(self, node: str) -> Bundle | None:
        """The bundle in force for ``node``."""


class Care:
    """The part of all nodes' gates that comes from their links."""

    def __init__(self, world: World, started: float | None = None) -> None:
        """``started``: since when agents could have been heard (Unix seconds); None: from now on."""
        self._world = world
        self._started = time.time() if started is None else started
        self._nodes: dict[str, Node] = {}
        self.paths: Paths = {}
        self._turns = Turns(self, since=int(self._started) if world.last_runs else 0)
        self._feeds: dict[str, dict[str, str]] = {}
        self._applied: dict[str, tuple[bytes, Mapping[str, Applied]]] = {}
        """Ledgers that were read, with the bodies that they were read from."""

    def spell(self, spelling: Callable[[str], str]) -> None:
        """``spelling`` gives the one name of a switch's port."""
        self._turns.sides.spelling = spelling

    @property
    def groups(self) -> Groups:
        """The redundant groups of the site."""
        return self._turns.groups

    def set_paths(self, paths: Paths) -> set[str]:
        """These are the paths now. Returns the nodes of which they changed."""
        old, self.paths = self.paths, paths
        if old is paths:
            return set()
        return {node for node in old.keys() | paths.keys() if old.get(node) != paths.get(node)}

    def install(self, changed: Collection[str], groups: Groups) -> set[str]:
        """The bundles of ``changed`` are others now; the world has them. Returns the nodes whose gates
        may have changed."""
        world = self._world
        bundles = {node: found for node in self._names(changed) if (found := world.bundle(node))}
        self._nodes = {node: bundle.node for node, bundle in bundles.items()}
        concerned = self._turns.install(bundles, groups)
        for node in changed:
            concerned |= {node} | self._power_beside(node)
        return concerned

    def reported(self, node: str) -> set[str]:
        """A run of ``node`` has ended. Returns the nodes whose gates may have changed."""
        return self._turns.reported(node) | self._power_beside(node)

    def note(self, node: str) -> set[str]:
        """Something changed that is known of ``node``. Returns the nodes whose gates may have changed."""
        return self._turns.update([node]) | self._power_beside(node)

    def waits(self, nodes: Collection[str]) -> set[str]:
        """What ``nodes`` wait for (`World.waiting`) is another thing now. Returns those whose turns changed."""
        return self._turns.update(nodes)

    def look_again(self, node: str) -> set[str]:
        """The nodes whose gates may have changed since, by the clock alone."""
        concerned = self._turns.update([node]) if self._turns.stale(node) else set()
        if self._feeds.get(node, {}) != self._feeds_of(node):
            concerned.add(node)
        return concerned

    def outdated(self) -> set[str]:
        """The nodes whose last live feeds are others by now, by the clock alone: who hung on them has
        fallen silent."""
        return {
            node for node, found in self._feeds.items() if found and found != self._feeds_of(node)
        }

    def add_to(self, node: str, gates: Gates) -> Gates:
        """``gates`` with what is told here."""
        found = self._feeds_of(node)
        self._feeds[node] = found
        return msgspec.structs.replace(
            gates,
            paths=dict(self.paths.get(node, {})),
            turns=dict(sorted(self._turns.of(node).items())),
            given=dict(sorted(self._turns.given(node).items())),
            last_feeds=found,
        )

    def silent(self, node: str) -> bool:
        """Whether its agent could have given a sign of life and did not. One that has never run is."""
        last = self._world.last_runs.get(node)
        heard = self._world.heard.get(node, 0.0)
        if last is not None:
            heard = max(heard, last.finished, self._started)
        return time.time() - heard > SILENT_AFTER

    # What turns ask: `rackwright_proposals.turns.Known`.

    def verified(self, node: str) -> Mapping[str, str]:
        return self._world.verified.get(node, {})

    def failed(self, node: str, key: str) -> bool:
        standing = self._world.standings.get(node, {}).get(key)
        return standing is not None and standing.state == "failed"

    def removed(self, node: str) -> Collection[str]:
        last = self._world.last_runs.get(node)
        return last.removed if last is not None else ()

    def away(self, node: str) -> bool:
        if node in self._world.retired:
            return False  # it is gone for good, and nothing of it is to be spared
        last = self._world.last_runs.get(node)
        return self.silent(node) or (last is not None and last.kind != "")

    def gates(self, node: str) -> Gates:
        return self._world.waiting.get(node, _NONE)

    def begun(self, node: str) -> Collection[str]:
        return self._world.begun(node)

    def leaving(self, node: str) -> Collection[str]:
        return [
            key
            for key, standing in self._world.standings.get(node, {}).items()
            if standing.action == "remove" and standing.state in HELD_BACK
        ]

    def applied(self, node: str, key: str) -> Mapping[str, Any] | None:
        body = self._world.ledgers.get(node, b"{}")
        known = self._applied.get(node)
        if known is None or known[0] is not body:
            known = self._applied[node] = (body, applied_of(body))
        entry = known[1].get(key)
        if entry is None or entry.intent or self.verified(node).get(key) != entry.digest:
            return None
        return entry.data

    def _names(self, changed: Collection[str]) -> set[str]:
        return self._nodes.keys() | set(changed)

    def _feeds_of(self, node: str) -> dict[str, str]:
        about = self._nodes.get(node)
        if about is None or about.type not in ("pdu", "chassis"):
            return {}
        return last_feeds(node, self._nodes, self._live, self._answers)

    def _live(self, node: str, name: str) -> bool:
        """Whether an outlet was seen to be on, and is to stay so, on a unit that is reached."""
        bundle = self._world.bundle(node)
        last = self._world.last_runs.get(node)
        if bundle is None or (last is not None and last.kind == "unreachable"):
            return False
        known = self.verified(node)
        return any(
            item.type == "outlet"
            and str(item.data["name"]) == name
            and item.data.get("state") == "on"
            and known.get(str(item.address)) == item.digest
            for item in bundle.resources
        )

    def _answers(self, node: str) -> bool:
        about = self._nodes.get(node)
        if about is None or node in self._world.retired:
            return False
        if about.managed:
            last = self._world.last_runs.get(node)
            return last is not None and last.kind != "unreachable"
        return not self.silent(node)

    def _power_beside(self, node: str) -> set[str]:
        """The nodes on which power hangs that ``node`` takes, or gives together with them."""
        found = feeders_of(node, self._nodes)
        about = self._nodes.get(node)
        if about is not None and about.type == "pdu":
            for link in about.links:
                found |= feeders_of(link.peer, self._nodes)
        return found & self._nodes.keys()
