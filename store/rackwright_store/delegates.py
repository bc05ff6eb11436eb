"""What a host's bundle has beside what the site says: the delegates that it is to run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from rackwright.model.bundle import Bundle, Declared, Need, Origin
from rackwright.model.resource import digest
from rackwright_proposals.hosts import DELEGATE_HOST

SERVICE = "service/rackwright-delegates"
"""What a host's delegates need of it, where its bundle declares that."""


def delegates_of(
    targets: Mapping[str, str],
    bundles: Mapping[str, Bundle],
    origin: Callable[[str], Origin | None],
) -> dict[str, tuple[Declared, ...]]:
    """Host → a `delegate/NODE` for each node of ``targets`` (node → host) that it is to converge.
    ``origin`` is where a node stands in the site, as far as that is known."""
    needs = {host: _needs(bundles[host]) for host in set(targets.values())}
    found: dict[str, list[Declared]] = {}
    for node in sorted(targets):
        found.setdefault(targets[node], []).append(
            Declared(
                type="delegate",
                data={"name": node},
                digest=_digest(node),
                origin=origin(node) or Origin(file="", line=0, role=DELEGATE_HOST),
                needs=needs[targets[node]],
            )
        )
    return {host: tuple(delegates) for host, delegates in found.items()}


def _needs(bundle: Bundle) -> tuple[Need, ...]:
    declared = any(str(item.address) == SERVICE for item in bundle.resources)
    return (Need(address=SERVICE),) if declared else ()


@lru_cache(maxsize=16384)
def _digest(node: str) -> str:
    return digest("delegate", {"name": node})
