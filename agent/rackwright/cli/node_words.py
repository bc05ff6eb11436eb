"""One node of a store's status, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def state_of(node: Mapping[str, Any]) -> str:
    """One word for a node. What was changed was verified: that is converged, with something done for it."""
    changed = node["state"] == "changed" and not node["pending"]
    return "converged" if changed else str(node["state"])


def matter_of(node: Mapping[str, Any], rollouts: Iterable[Mapping[str, Any]]) -> str:
    """What is the matter with a node, or what it waits for; empty when it is neither."""
    if node["error"]:
        return str(node["error"])
    if node["waits_for"]:
        return f"waits for {', '.join(node['waits_for'])}"
    if node["deferred"]:
        return f"waits for the fact {node['deferred'][0]['fact']}"
    if node["state"] == "blocked":
        for rollout in rollouts:
            for wave in rollout["waves"]:
                if node["node"] in wave["nodes"] and wave["state"] in ("waiting", "stopped"):
                    return f"waits for its turn in the rollout of {rollout['proposal']}"
    return ""
