"""The simulated FRR router for a node of a site."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright_sim.linux_frr import FrrDevice, FrrOptions

if TYPE_CHECKING:
    from rackwright_sim.run import SimNode, _Making

PORTS = 4
"""eth0 and on, besides those that its links name. What reaches it over SSH comes by eth0."""


def linux_frr(node: SimNode, state: Path | None) -> _Making:
    """A router with the ports of the node's links."""
    from rackwright_sim import run
    from rackwright_sim.linux_frr_lines import FrrSerial, FrrSsh

    named = [link.port for link in node.links]
    usual = [f"eth{number}" for number in range(PORTS)]
    options = FrrOptions(
        hostname=node.name,
        username=run._one(node, "username", "rack"),
        password=run._one(node, "password", "rack"),
        ports=tuple(dict.fromkeys([*usual, *named])),
        addresses=tuple(
            ("eth0", f"{way.options['host']}/24") for way in node.ways if _addressed(way.options)
        ),
        latency=node.latency,
    )
    device = FrrDevice(options, run._kept(state, node), node.faults)
    made = run._Making(device, [], [])
    server: Any
    for way in node.ways:
        if way.transport == "ssh":
            server = FrrSsh(device, str(way.options["host"]), int(way.options.get("port", 22)))
            made.servers.append((server, run._ssh_endpoint(node, server)))
        elif way.transport == "serial" and "://" not in str(way.options["port"]):
            server = FrrSerial(device, Path(str(way.options["port"])))
            made.servers.append((server, run._serial_endpoint(node, server)))
        else:
            made.skipped.append(run._unsimulated(node, way))
    return made


def _addressed(options: Any) -> bool:
    try:
        ipaddress.IPv4Address(str(options.get("host", "")))
    except ValueError:
        return False
    return True
