"""Why a managed node is where it is, or nowhere, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from rackwright.model.site import Way
from rackwright_proposals.hosts import local_line, usable_from
from rackwright_store.placement import Trouble
from rackwright_store.spans import span


class Host(NamedTuple):
    """A host as far as it can take a node now."""

    alive: bool
    silent: float
    """Seconds since it was heard, or could have been heard."""
    draining: bool = False

    @property
    def usable(self) -> bool:
        """Whether it may be given nodes."""
        return self.alive and not self.draining


def ranks(reach: Sequence[Way], hosts: Sequence[str]) -> dict[str, int]:
    """Host that can reach a node → which of its ways, the best being 0."""
    found: dict[str, int] = {}
    for rank, way in enumerate(reach):
        for host in way.hosts or hosts:
            if host not in found and host in hosts and usable_from(way, host):
                found[host] = rank
    return found


def devices_of(reach: Sequence[Way]) -> tuple[str, ...]:
    """Where a node is reached: addresses and serial lines. Two nodes that share one may be one device."""
    found = set()
    for way in reach:
        host, url, port = (way.options.get(key) for key in ("host", "url", "port"))
        if isinstance(host, str):
            found.add(host.lower())
        elif isinstance(url, str):
            found.add((urlsplit(url).hostname or url).lower())
        elif isinstance(port, str):
            found.add(f"{way.at}:{port}" if local_line(way) else port)
    return tuple(sorted(found))


def why_there(reach: Sequence[Way], ranks: Mapping[str, int], host: str) -> str:
    """Why a node is put on ``host``, of all that could take it."""
    if host not in ranks:
        return "no way leads to it from there any more"
    way = reach[ranks[host]]
    same = sum(ranks[other] == ranks[host] for other in ranks)
    others = f"one of {same} hosts that can" if same > 1 else "the only host that can"
    if pin := _pin(way):
        return f"pinned there by {pin}"
    over = f"{way.transport} over {way.network}" if way.network else way.transport
    second = "" if not ranks[host] else f", its way number {ranks[host] + 1}"
    return f"{others} reach it by {over}{second}"


def why_nowhere(reach: Sequence[Way], ranks: Mapping[str, int], hosts: Mapping[str, Host]) -> str:
    """Why none of the hosts that can reach a node by the site may converge it now."""
    said = "; ".join(f"{host} {_matter(hosts[host])}" for host in sorted(ranks))
    if len(ranks) == 1:
        (host,) = ranks
        pin = _pin(reach[ranks[host]])
        pinned = f" and it is pinned there by {pin}" if pin else ""
        if pinned or hosts[host].draining:
            return f"its only host {said}{pinned}"
    networks = sorted({reach[rank].network for rank in ranks.values()})
    offers = f"offers {' or '.join(networks)}" if all(networks) else "can reach it"
    free = " and not draining" if any(hosts[host].draining for host in ranks) else ""
    return f"no host that {offers} is alive{free}: {said}"


def why_unreached(
    ranks: Mapping[str, int], hosts: Mapping[str, Host], troubles: Mapping[str, Trouble]
) -> str:
    """What each host said that could not reach a node which none can reach."""
    said = [
        f"{host}: {troubles[host].error}"
        if hosts[host].usable and host in troubles
        else f"{host} {_matter(hosts[host])}"
        for host in sorted(ranks)
    ]
    return f"no host can reach it: {'; '.join(said)}"


def _pin(way: Way) -> str:
    line = local_line(way)
    if line:
        return f"serial {line}"
    return f"{way.transport} at {way.at}" if way.at else ""


def _matter(host: Host) -> str:
    if not host.alive:
        return f"has not been heard for {span(host.silent)}"
    return "is draining" if host.draining else "has not tried"
