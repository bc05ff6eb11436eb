"""What rollouts have to do with each node, looked at again as bundles, reports and ledgers come.

Lives in the event loop, beside what it looks at (`Live`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from rackwright.model.bundle import Bundle
from rackwright.model.standing import Standing
from rackwright_proposals.rolling import (
    Host,
    Owned,
    Rolling,
    Staging,
    host_of,
    owned_of,
    staging_of,
)
from rackwright_proposals.rollouts import Rollout
from rackwright_store.rollouts import reported_of
from rackwright_store.runs import RunSummary


class World(Protocol):
    """What is looked at."""

    verified: dict[str, dict[str, str]]
    standings: dict[str, Mapping[str, Standing]]
    last_runs: dict[str, RunSummary]
    ledgers: dict[str, bytes]
    told: dict[str, float]
    retired: Collection[str]

    def rested_on(self, node: str) -> set[str]:
        """What of ``node`` other nodes rest on."""


class Staged(NamedTuple):
    """The rollouts of bundles that are about to be in force."""

    rollouts: Mapping[str, Rollout] = {}
    staging: Mapping[str, Staging] = {}
    """Of all nodes, while there is any rollout."""


class Stages:
    """Keeps `Rolling` told of all nodes."""

    def __init__(self, world: World) -> None:
        self.rolling = Rolling()
        self._world = world
        self._staging: Mapping[str, Staging] = {}
        self._owned: dict[str, tuple[bytes, Owned]] = {}
        """Ledgers as rollouts read them, with the bodies that they were read from."""

    def prepare(
        self,
        bundles: Mapping[str, Bundle],
        rollouts: Mapping[str, Rollout],
        before: Mapping[str, Bundle],
    ) -> Staged:
        """What `install` takes, for any thread. ``before``: the bundles in force; where they are the
        same objects, it costs nothing."""
        if not rollouts:
            return Staged()
        known = self._staging if rollouts == self.rolling.rollouts else {}
        found = {}
        for node, bundle in bundles.items():
            old = known.get(node)
            if old is None or before.get(node) is not bundle:
                old = staging_of(bundle, rollouts)
            found[node] = old
        return Staged(rollouts, found)

    def install(
        self, staged: Staged, nodes: Collection[str], changed: Iterable[str], at: float
    ) -> set[str]:
        """These are in force for ``nodes``, since ``at`` (Unix seconds); ``changed`` are those that
        have something new besides. Returns the nodes whose turn may have come, or gone."""
        before, self._staging = self._staging, staged.staging
        if staged.rollouts != self.rolling.rollouts:
            self.rolling.begin(staged.rollouts)
            return self.look(nodes, at) | set(nodes)
        anew = {node for node, now in self._staging.items() if now is not before.get(node)}
        return self.look(anew.union(changed, before.keys() - self._staging.keys()), at)

    def look(self, nodes: Iterable[str], at: float | None = None) -> set[str]:
        """Look again at what rollouts have to do with ``nodes``, at ``at`` (Unix seconds; None: now).
        Returns these, and those for which another thing is held now."""
        if not self.rolling.rollouts:
            return set()
        looked = set(nodes)
        for node in looked:
            self.rolling.note(node, self._host(node))
        return looked | self.rolling.settle(time.time() if at is None else at)

    def owned(self, node: str) -> Owned:
        """The ledger of ``node`` as rollouts read it."""
        body = self._world.ledgers.get(node, b"{}")
        known = self._owned.get(node)
        if known is None or known[0] is not body:
            known = self._owned[node] = (body, owned_of(body))
        return known[1]

    def _host(self, node: str) -> Host | None:
        world, staging = self._world, self._staging.get(node)
        if staging is None or node in world.retired:
            return None
        last = world.last_runs.get(node)
        reported = reported_of(
            world.verified.get(node, {}),
            world.standings.get(node, {}),
            last.removed if last else (),
            world.told[node],
        )
        rested = world.rested_on(node)
        return host_of(node, staging, self.owned(node), reported, rested, self.rolling.rollouts)
