"""What is known of every node, for whoever plans a site without being able to look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from rackwright.model.facts import Facts
from rackwright_store.live import Live


def known_nodes(
    live: Live, facts: Mapping[str, Facts], found_at: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Node → what is known of it. Those that are not in the site any more are there as long as they
    have left something, and not been retired. What it holds may be encoded in any thread."""
    return {
        node: _known(node, live, facts.get(node), found_at.get(node))
        for node in sorted({*live.bundles, *live.ledgers, *live.verified})
    }


def _known(node: str, live: Live, facts: Facts | None, facts_at: float | None) -> dict[str, Any]:
    bundle, last, ledger = live.bundle(node), live.last_runs.get(node), live.ledgers.get(node)
    return {
        "bundle": None if bundle is None else msgspec.structs.replace(bundle, attributes={}),
        "verified": dict(live.verified.get(node, {})),
        "standing": dict(live.standings.get(node, {})),
        "removed": last.removed if last else (),
        "ledger": None if ledger is None else msgspec.Raw(ledger),
        "facts": facts,
        "facts_at": facts_at,
        "last_run": last.finished if last else None,
        "kind": last.kind if last else "",
        "heard": live.heard.get(node),
        "retired": node in live.retired,
    }
