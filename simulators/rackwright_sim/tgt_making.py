"""The simulated tgt host for a node of a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rackwright_sim.run import SimNode, _Making


def tgt(node: SimNode, state: Path | None) -> _Making:
    """A host with the pool ``/srv/tgt``, over SSH."""
    from rackwright_sim import run
    from rackwright_sim.cli_box import Access
    from rackwright_sim.cli_ssh import BoxSsh
    from rackwright_sim.tgt import TgtHost

    plain = Access()
    access = Access(
        username=run._one(node, "username", plain.username),
        password=run._one(node, "password", plain.password),
        latency=node.latency,
    )
    host = TgtHost(access=access, faults=node.faults, state=run._kept(state, node))
    made = run._Making(host, [], [])
    for way in node.ways:
        if way.transport == "ssh":
            address, port = str(way.options["host"]), int(way.options.get("port", 22))
            ssh = BoxSsh(host, address, port, shell=False)
            made.servers.append((ssh, run._ssh_endpoint(node, ssh)))
        else:
            made.skipped.append(run._unsimulated(node, way))
    return made
