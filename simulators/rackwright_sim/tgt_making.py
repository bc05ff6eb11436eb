"""The simulated tgt host for a node of a site."""

from __future__ import annotations

from pathlib import Path

from rackwright_sim.making import Making, SimNode, agreed, kept_at, ssh_endpoint, unsimulated


def tgt(node: SimNode, state: Path | None) -> Making:
    """A host with the pool ``/srv/tgt``, over SSH."""
    from rackwright_sim.cli_box import Access
    from rackwright_sim.cli_ssh import BoxSsh
    from rackwright_sim.tgt import TgtHost

    plain = Access()
    access = Access(
        username=agreed(node, "username", plain.username),
        password=agreed(node, "password", plain.password),
        latency=node.latency,
    )
    host = TgtHost(access=access, faults=node.faults, state=kept_at(state, node))
    made = Making(host, [], [])
    for way in node.ways:
        if way.transport == "ssh":
            address, port = str(way.options["host"]), int(way.options.get("port", 22))
            ssh = BoxSsh(host, address, port, shell=False)
            made.servers.append((ssh, ssh_endpoint(node, ssh)))
        else:
            made.skipped.append(unsimulated(node, way))
    return made
