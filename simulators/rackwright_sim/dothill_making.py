"""The simulated array of the Dot Hill family for a node of a site."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from rackwright_sim.making import Endpoint, Making, SimNode, agreed, kept_at, unsimulated


def dothill(node: SimNode, state: Path | None) -> Making:
    """An array at the URL of the node's way; over HTTPS its certificate follows from its name, and
    the endpoint's ``host_key`` is its SHA-256, to be pinned as ``fingerprint``."""
    from rackwright_sim.dothill import DotHill, DotHillOptions

    plain = DotHillOptions()
    url = urlsplit(agreed(node, "url", "https://127.0.0.1:0"))
    tls = url.scheme == "https"
    array = DotHill(
        DotHillOptions(
            name=node.name,
            username=agreed(node, "username", plain.username),
            password=agreed(node, "password", plain.password),
            latency=node.latency,
        ),
        host=url.hostname or "127.0.0.1",
        port=url.port if url.port is not None else 443 if tls else 80,
        tls=tls,
        faults=node.faults,
        state=kept_at(state, node),
    )
    others = [unsimulated(node, way) for way in node.ways if way.transport != "http"]
    made = Making(array, [], others)
    server = array.server
    if any(way.transport == "http" for way in node.ways):
        made.servers.append(
            (
                array,
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
