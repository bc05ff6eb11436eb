"""The simulated standards switch for a node of a site."""

from __future__ import annotations

from pathlib import Path

from rackwright_sim.making import Endpoint, Making, SimNode, agreed, kept_at, unsimulated

PORTS = 24
"""Unless its links name more."""


def qbridge(node: SimNode, state: Path | None) -> Making:
    """A switch whose first ports are those that the site's links name, with their neighbours."""
    from rackwright_sim.qbridge import QBridge, QBridgeOptions
    from rackwright_sim.qbridge_mib import Neighbour
    from rackwright_sim.snmp_objects import Access, User

    ways = [way.options for way in node.ways if way.transport == "snmp"]
    communities = tuple(way["community"] for way in ways if way.get("community"))
    users = tuple(
        User(
            way["username"],
            way.get("auth", ""),
            way.get("priv", ""),
            way.get("auth_protocol", "SHA"),
            way.get("priv_protocol", "AES"),
        )
        for way in ways
        if str(way.get("version", "2c")) == "3"
    )
    usual = [f"ge-0/0/{number}" for number in range(1, PORTS + 1)]
    names = tuple(dict.fromkeys([*usual, *(link.port for link in node.links)]))
    switch = QBridge(
        QBridgeOptions(
            name=node.name,
            ports=len(names),
            names=names,
            latency=node.latency,
            neighbours=tuple(
                Neighbour(link.port, link.peer, link.peer_port) for link in node.links
            ),
            access=Access(read=communities, write=communities, users=users),
        ),
        host=agreed(node, "host", "127.0.0.1"),
        port=int(agreed(node, "port", "0" if any(way.get("port") == 0 for way in ways) else "161")),
        faults=node.faults,
        state=kept_at(state, node),
    )
    skipped = [unsimulated(node, way) for way in node.ways if way.transport != "snmp"]
    made = Making(switch, [], skipped)
    if ways:
        host = str(ways[0]["host"])
        made.servers.append(
            (
                switch,
                lambda: Endpoint(node.name, node.platform, "snmp", host=host, port=switch.port),
            )
        )
    return made
