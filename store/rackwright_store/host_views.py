"""What people are told of hosts, and of where nodes are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from rackwright_store.placement import Whereabouts
from rackwright_store.places import Places
from rackwright_store.whereabouts import why_nowhere, why_there, why_unreached


class HostViews:
    """What is to be seen of the hosts of one store."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def why_there(self, node: str) -> str:
        """Why ``node`` is put on the host that is to converge it; empty when none is."""
        places = self._places
        target = places.targets.get(node)
        if target is None:
            return ""
        return why_there(places.bundles[node].node.reach, places.managed[node].ranks, target)

    def whereabouts(self, node: str) -> Whereabouts:
        """Where ``node`` is; all empty for one that no host can take."""
        places = self._places
        managed, now = places.managed.get(node), places.clock()
        holder = places.leases.holder(node, now)
        if managed is None or not managed.ranks:
            return Whereabouts(holder=holder)
        hosts = {host: places.host(host, now) for host in managed.ranks}
        target, since = places.targets.get(node, ""), places.since.get(node, 0.0)
        reach = places.bundles[node].node.reach
        if not target:
            unplaced = why_nowhere(reach, managed.ranks, hosts)
            return Whereabouts(holder=holder, unplaced=unplaced, since=since)
        unreached = ""
        if places.choices[node].unreached and len(managed.ranks) > 1:
            unreached = why_unreached(managed.ranks, hosts, places.troubles.get(node, {}))
        return Whereabouts(target, holder, unreached=unreached, since=since)

    def data(self) -> dict[str, Any]:
        """All hosts with their nodes, and the nodes that none of them may have."""
        places = self._places
        now = places.clock()
        unplaced = [
            {"node": node, "why": found.unplaced, "since": found.since, "hosts": sorted(managed.ranks)}
            for node, managed in sorted(places.managed.items())
            if (found := self.whereabouts(node)).unplaced
        ]  # fmt: skip
        return {
            "lease": places.ttl(),
            "hosts": [self._host_data(host, unplaced, now) for host in places.names],
            "unplaced": unplaced,
        }

    def host_data(self, host: str) -> dict[str, Any]:
        """One host of `data`."""
        found: dict[str, Any] = next(item for item in self.data()["hosts"] if item["host"] == host)
        return found

    def _host_data(
        self, host: str, unplaced: Iterable[Mapping[str, Any]], now: float
    ) -> dict[str, Any]:
        places = self._places
        mine = {node for node, target in places.targets.items() if target == host}
        mine |= {
            lease.node for lease in places.leases.all() if lease.subject == host and lease.held(now)
        }
        drain = places.draining.get(host)
        usable = {name for name in places.names if places.host(name, now).usable}
        placed = [node for node, target in places.targets.items() if target == host]
        return {
            "host": host,
            "state": "alive" if places.alive(host, now) else "silent",
            "since": places.alive_since.get(host),
            "heard": places.heard_at.get(host),
            "draining": msgspec.to_builtins(drain) if drain else None,
            "share": len(placed),
            "only": sorted(
                node for node in placed if not usable & places.managed[node].ranks.keys() - {host}
            ),
            "nodes": [self._node_data(host, node, now) for node in sorted(mine)],
            "stuck": [
                {"node": item["node"], "why": item["why"]}
                for item in unplaced
                if drain and host in item["hosts"]
            ],
        }

    def _node_data(self, host: str, node: str, now: float) -> dict[str, Any]:
        places = self._places
        lease, target = places.leases.get(node), places.targets.get(node, "")
        held = lease is not None and lease.subject == host and lease.held(now)
        epoch = lease.epoch if lease is not None and held else None
        if target == host:
            why = self.why_there(node)
            holder = places.leases.holder(node, now)
            if holder and not held:
                why += f"; {holder} has yet to let go of it"
        elif target:
            why = f"goes to {target}"
        else:
            why = self.whereabouts(node).unplaced or "is not to be converged any more"
        return {
            "node": node,
            "state": ("held" if held else "coming") if target == host else "leaving",
            "epoch": epoch,
            "since": lease.since if lease is not None and held else None,
            "why": why,
        }
