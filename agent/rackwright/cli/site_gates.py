"""The gates of a site that is not in force yet: what a store that knows the same would tell its nodes if it
were, by the store's own rules. No I/O, and nobody is told anything."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from rackwright.engine.known import Known
from rackwright.engine.ledger import encode
from rackwright.model.bundle import Bundle, Gates
from rackwright_proposals.evidence import LinkState
from rackwright_proposals.paths import Paths
from rackwright_proposals.rollouts import Rollout
from rackwright_store.live import Live
from rackwright_store.runs import NOTHING, RunSummary

UNREACHABLE = "unreachable"


class SiteGates:
    """Gates by what is ``known`` of the nodes. One thread at a time.

    A need that is met, what still rests on what is to go, contradicted links, paths, turns, last feeds, and
    whose wave of a rollout has not come."""

    def __init__(self, known: Mapping[str, Known]) -> None:
        live = self._live = Live(
            {node: about.verified for node, about in known.items()},
            {node: encode(about.ledger) for node, about in known.items() if about.ledger},
            {node: found for node in known if (found := _last_run(node, known[node]))},
            {node: about.standing for node, about in known.items()},
            started=0.0,
        )
        live.heard = {node: about.heard for node, about in known.items() if about.heard is not None}
        live.retired = frozenset(node for node, about in known.items() if about.retired)

    def install(
        self,
        bundles: Mapping[str, Bundle],
        rollouts: Mapping[str, Rollout],
        links: tuple[LinkState, ...],
        paths: Paths,
    ) -> None:
        """These are in force, as far as anybody asks here."""
        prepared = self._live.prepare(bundles, rollouts)
        self._live.install(prepared._replace(links=links, paths=paths))

    def note_links(self, links: tuple[LinkState, ...], paths: Paths) -> None:
        """Links were seen anew."""
        self._live.note_links(links, paths)

    def note_read(self, node: str, kind: str) -> None:
        """``node`` was read just now, or could not be, for the reason ``kind`` (as a report has it)."""
        now = time.time()
        if kind != UNREACHABLE:
            self._live.heard_from(node)
        last = self._live.last_runs.get(node)
        if last is None or (last.kind == UNREACHABLE) != (kind == UNREACHABLE):
            last = last or RunSummary(id="", node=node, started=now, finished=now)
            last = msgspec.structs.replace(last, kind=kind, finished=now)
            self._live.note_run(last, NOTHING)

    def gates(self, node: str) -> Gates:
        """Those of ``node``."""
        served = self._live.gates.get(node)
        return served.value if served and isinstance(served.value, Gates) else Gates()


def _last_run(node: str, about: Known) -> RunSummary | None:
    if about.last_run is None:
        return None
    run = RunSummary(
        id="", node=node, started=about.last_run, finished=about.last_run, removed=about.removed
    )
    return msgspec.structs.replace(run, kind=about.kind) if about.kind else run
