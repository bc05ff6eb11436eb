"""The simulated FRR router for a node of a site."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

from rackwright_sim.linux_frr import FrrDevice, FrrOptions
from rackwright_sim.making import (
    Making,
    SimNode,
    agreed,
    kept_at,
    serial_endpoint,
    ssh_endpoint,
    unsimulated,
)

PORTS = 4
"""eth0 and on, besides those that its links name. What reaches it over SSH comes by eth0."""


def linux_frr(node: SimNode, state: Path | None) -> Making:
    """A router with the ports of the node's links."""
    from rackwright_sim.linux_frr_lines import FrrSerial, FrrSsh

    named = [link.port for link in node.links]
    usual = [f"eth{number}" for number in range(PORTS)]
    options = FrrOptions(
        hostname=node.name,
        username=agreed(node, "username", "rack"),
        password=agreed(node, "password", "rack"),
        ports=tuple(dict.fromkeys([*usual, *named])),
        addresses=tuple(
            ("eth0", f"{way.options['host']}/24") for way in node.ways if _addressed(way.options)
        ),
        latency=node.latency,
    )
    device = FrrDevice(options, kept_at(state, node), node.faults)
    made = Making(device, [], [])
    server: Any
    for way in node.ways:
        if way.transport == "ssh":
            server = FrrSsh(device, str(way.options["host"]), int(way.options.get("port", 22)))
            made.servers.append((server, ssh_endpoint(node, server)))
        elif way.transport == "serial" and "://" not in str(way.options["port"]):
            server = FrrSerial(device, Path(str(way.options["port"])))
            made.servers.append((server, serial_endpoint(node, server)))
        else:
            made.skipped.append(unsimulated(node, way))
    return made


def _addressed(options: Any) -> bool:
    try:
        ipaddress.IPv4Address(str(options.get("host", "")))
    except ValueError:
        return False
    return True
