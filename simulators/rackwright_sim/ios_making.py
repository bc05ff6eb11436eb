"""The simulated Cisco switch for a node of a site."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rackwright_sim.making import (
    Making,
    SimNode,
    agreed,
    kept_at,
    mac_of,
    serial_endpoint,
    ssh_endpoint,
    unsimulated,
)

IOS_PORTS = 24
"""Ports of a simulated switch, GigabitEthernet1/0/1 and on, if its links name no others."""
_NUMBERED = re.compile(r"GigabitEthernet1/0/(\d+)")


def cisco_ios(node: SimNode, state: Path | None) -> Making:
    """Over SSH, or on a line of its console."""
    from rackwright_sim.ios_device import IosDevice
    from rackwright_sim.ios_options import IosOptions, LldpNeighbour
    from rackwright_sim.ios_serial import IosSerial
    from rackwright_sim.ios_ssh import IosSsh

    plain = IosOptions()
    options = replace(
        plain,
        hostname=node.name,
        username=agreed(node, "username", plain.username),
        password=agreed(node, "password", plain.password),
        enable=agreed(node, "enable"),
        ports=_switch_ports(node),
        cabled=frozenset(link.port for link in node.links) or None,
        latency=node.latency,
        lldp=tuple(
            LldpNeighbour(
                port=link.port,
                chassis_id=mac_of(link.peer),
                port_id=link.peer_port,
                port_description=link.peer_port,
                system_name=link.peer,
            )
            for link in node.links
        ),
    )
    device = IosDevice(options, kept_at(state, node), node.faults)
    made = Making(device, [], [])
    for way in node.ways:
        if way.transport == "ssh":
            ssh = IosSsh(device, str(way.options["host"]), int(way.options.get("port", 22)))
            made.servers.append((ssh, ssh_endpoint(node, ssh)))
        elif way.transport == "serial" and "://" not in str(way.options["port"]):
            serial = IosSerial(device, Path(str(way.options["port"])))
            made.servers.append((serial, serial_endpoint(node, serial)))
        else:
            made.skipped.append(unsimulated(node, way))
    return made


def _switch_ports(node: SimNode) -> tuple[str, ...]:
    """The usual ports, more of them when links name higher numbers, and others that they name."""
    named = [link.port for link in node.links]
    numbers = [int(found[1]) for port in named if (found := _NUMBERED.fullmatch(port))]
    count = max([IOS_PORTS, *numbers])
    usual = [f"GigabitEthernet1/0/{number}" for number in range(1, count + 1)]
    return tuple(dict.fromkeys([*usual, *named]))
