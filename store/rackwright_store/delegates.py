"""What a host's bundle has beside what the site says: the delegates that it is to run. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from rackwright.model.bundle import Bundle, Declared, Need, Origin
from rackwright.model.errors import InputError, Problem
from rackwright.model.lease import DELEGATE_HOST
from rackwright.model.resource import digest
from rackwright_store.placement import Whereabouts

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


def why_delegate(
    host: str,
    node: str,
    bundle: Bundle | None,
    origin: Origin | None,
    there: Whereabouts,
    why: str,
) -> dict[str, Any]:
    """Why ``host`` is to converge ``node``, told as of any resource. ``bundle`` is the host's, ``origin``
    where the node stands in the site, ``there`` where it is and ``why`` why. Raises InputError when it
    is not the host's to converge."""
    address = f"delegate/{node}"
    if there.host != host:
        hint = f"the store places {node} on {there.host}: {why}" if there.host else there.unplaced
        raise InputError([Problem(f"{host} has no {address!r}", hint)])
    resources = bundle.resources if bundle else ()
    needs = [need for one in resources if str(one.address) == address for need in one.needs]
    if there.holder not in ("", host):
        why += f"; {there.holder} has yet to let go of it"
    return {
        "node": host,
        "address": address,
        "data": {"name": node},
        "origin": msgspec.to_builtins(origin or Origin(file="", line=0)),
        "role": DELEGATE_HOST,
        "placed": why,
        "since": there.since,
        "needs": [need.address for need in needs],
    }


def _needs(bundle: Bundle) -> tuple[Need, ...]:
    declared = any(str(item.address) == SERVICE for item in bundle.resources)
    return (Need(address=SERVICE),) if declared else ()


@lru_cache(maxsize=16384)
def _digest(node: str) -> str:
    return digest("delegate", {"name": node})
