"""The simulated Arista and Dell switches for a node of a site."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rackwright_sim.ios_options import LldpNeighbour
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

if TYPE_CHECKING:
    from rackwright_sim.modal_access import SessionMaker
    from rackwright_sim.modal_device import ModalDevice, ModalOptions

PORTS = 24
"""Of each switch, besides those that its links name."""


def arista_eos(node: SimNode, state: Path | None) -> Making:
    """Ethernet1 and on, and Management1."""
    from rackwright_sim.eos_device import EosDevice
    from rackwright_sim.eos_session import make

    device = EosDevice(_options(node, "Ethernet", "Management1"), kept_at(state, node), node.faults)
    return _making(node, device, make, "OpenSSH_8.7")


def dell_os10(node: SimNode, state: Path | None) -> Making:
    """ethernet1/1/1 and on, and mgmt1/1/1."""
    from rackwright_sim.os10_device import Os10Device
    from rackwright_sim.os10_session import make

    options = _options(node, "ethernet1/1/", "mgmt1/1/1")
    device = Os10Device(options, kept_at(state, node), node.faults)
    return _making(node, device, make, "OpenSSH_7.4p1")


def _options(node: SimNode, first: str, management: str) -> ModalOptions:
    from rackwright_sim.modal_device import ModalOptions

    return ModalOptions(
        hostname=node.name,
        username=agreed(node, "username", "rack"),
        password=agreed(node, "password", "rack"),
        enable=agreed(node, "enable"),
        ports=port_names(first, [link.port for link in node.links], management),
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


def port_names(first: str, named: Sequence[str], management: str) -> tuple[str, ...]:
    """The usual ports, more of them when links name higher numbers, and others that they name."""
    pattern = re.compile(re.escape(first) + r"(\d+)")
    numbers = [int(found[1]) for port in named if (found := pattern.fullmatch(port))]
    usual = [f"{first}{number}" for number in range(1, max([PORTS, *numbers]) + 1)]
    return tuple(dict.fromkeys([*usual, *named, management]))


def _making(node: SimNode, device: ModalDevice, make: SessionMaker, banner: str) -> Making:
    from rackwright_sim.modal_access import ModalConsole, ModalSsh

    made = Making(device, [], [])
    server: Any
    for way in node.ways:
        if way.transport == "ssh":
            host, port = str(way.options["host"]), int(way.options.get("port", 22))
            server = ModalSsh(device, make, host, port, banner)
            made.servers.append((server, ssh_endpoint(node, server)))
        elif (
            way.transport == "serial"
            and node.platform != "arista_eos"
            and "://" not in str(way.options["port"])
        ):
            server = ModalConsole(device, make, Path(str(way.options["port"])))
            made.servers.append((server, serial_endpoint(node, server)))
        else:
            made.skipped.append(unsimulated(node, way))
    return made
