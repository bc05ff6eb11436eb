"""The simulated Redfish service for a node of a site."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from rackwright_sim.making import Endpoint, Making, SimNode, agreed, kept_at, unsimulated

SYSTEMS = ("1", "2", "3", "4")
"""Ids, besides those that a node's links name."""


def redfish(node: SimNode, state: Path | None) -> Making:
    """A service at the URL of the node's way; over HTTPS its certificate follows from its name, and
    the endpoint's ``host_key`` is its SHA-256, to be pinned as ``fingerprint``."""
    from rackwright_sim.redfish import Redfish, RedfishOptions

    plain = RedfishOptions()
    ways = [way for way in node.ways if way.transport == "http"]
    url = urlsplit(agreed(node, "url", "https://127.0.0.1:0"))
    tls = url.scheme == "https"
    port = url.port if url.port is not None else 443 if tls else 80
    service = Redfish(
        RedfishOptions(
            name=node.name,
            systems=tuple(dict.fromkeys([*SYSTEMS, *(link.port for link in node.links)])),
            username=agreed(node, "username", plain.username),
            password=agreed(node, "password", plain.password),
            latency=node.latency,
        ),
        host=url.hostname or "127.0.0.1",
        port=port,
        tls=tls,
        faults=node.faults,
        state=kept_at(state, node),
    )
    others = [unsimulated(node, way) for way in node.ways if way.transport != "http"]
    made = Making(service, [], others)
    if ways:
        server = service.server
        made.servers.append(
            (
                service,
                lambda: Endpoint(
                    node.name,
                    node.platform,
                    "http",
                    host=server.host,
                    port=server.port,
                    host_key=server.fingerprint,
                ),
            )
        )
    return made
