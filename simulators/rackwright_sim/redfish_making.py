"""The simulated Redfish service for a node of a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from rackwright_sim.run import SimNode, _Making

SYSTEMS = ("1", "2", "3", "4")
"""Ids, besides those that a node's links name."""


def redfish(node: SimNode, state: Path | None) -> _Making:
    """A service at the URL of the node's way; over HTTPS its certificate follows from its name, and
    the endpoint's ``host_key`` is its SHA-256, to be pinned as ``fingerprint``."""
    from rackwright_sim import run
    from rackwright_sim.redfish import Redfish, RedfishOptions

    plain = RedfishOptions()
    ways = [way for way in node.ways if way.transport == "http"]
    url = urlsplit(run._one(node, "url", "https://127.0.0.1:0"))
    tls = url.scheme == "https"
    port = url.port if url.port is not None else 443 if tls else 80
    service = Redfish(
        RedfishOptions(
            name=node.name,
            systems=tuple(dict.fromkeys([*SYSTEMS, *(link.port for link in node.links)])),
            username=run._one(node, "username", plain.username),
            password=run._one(node, "password", plain.password),
            latency=node.latency,
        ),
        host=url.hostname or "127.0.0.1",
        port=port,
        tls=tls,
        faults=node.faults,
        state=run._kept(state, node),
    )
    others = [run._unsimulated(node, way) for way in node.ways if way.transport != "http"]
    made = run._Making(service, [], others)
    if ways:
        server = service.server
        made.servers.append(
            (
                service,
                lambda: run.Endpoint(
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
