"""What a simulator of a site's node is made from, and where it answers."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rackwright_sim.faults import Faults

if TYPE_CHECKING:
    from rackwright_sim.cli_box import Box
    from rackwright_sim.dothill import DotHill
    from rackwright_sim.ios_device import IosDevice
    from rackwright_sim.ipmi import Ipmi
    from rackwright_sim.linux_frr import FrrDevice
    from rackwright_sim.modal_device import ModalDevice
    from rackwright_sim.qbridge import QBridge
    from rackwright_sim.redfish import Redfish
    from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu

    Device = (
        Box
        | DotHill
        | FrrDevice
        | IosDevice
        | ModalDevice
        | QBridge
        | Ipmi
        | Redfish
        | SnmpPdu[PduDevice]
    )


class SimError(Exception):
    """A simulator cannot be started; the text says which and why."""


@dataclass(frozen=True, slots=True)
class SimWay:
    """One way to reach a node: the transport's name, and its options as a site has them, with
    secrets revealed. Port 0: any free one."""

    transport: str
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SimLink:
    """What is at the other end of a node's port. A switch hears it over LLDP."""

    port: str
    peer: str
    peer_port: str


@dataclass(frozen=True, slots=True)
class SimNode:
    """A managed node to simulate. ``latency``: seconds before each answer."""

    name: str
    platform: str
    ways: tuple[SimWay, ...]
    links: tuple[SimLink, ...] = ()
    faults: Faults = field(default_factory=Faults)
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a simulated device really answers."""

    node: str
    platform: str
    transport: str
    host: str = ""
    port: int = 0
    path: str = ""
    """Of a serial line."""
    host_key: str = ""
    """Public, as a site pins it."""

    @property
    def address(self) -> str:
        """``127.0.0.1:40022``, or a path."""
        return self.path or f"{self.host}:{self.port}"


class Server(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(slots=True)
class Making:
    """What the simulator of one node consists of."""

    device: Device
    servers: list[tuple[Server, Callable[[], Endpoint]]]
    skipped: list[str]


def kept_at(state: Path | None, node: SimNode) -> Path | None:
    return state / f"{node.name}.json" if state else None


def agreed(node: SimNode, option: str, default: str = "") -> str:
    """The value of ``option`` in which all ways of ``node`` agree."""
    given = {str(way.options[option]) for way in node.ways if way.options.get(option)}
    if len(given) > 1:
        raise SimError(f"{node.name}: its ways differ in {option}; a simulated device has one")
    return given.pop() if given else default


def ssh_endpoint(node: SimNode, ssh: Any) -> Callable[[], Endpoint]:
    return lambda: Endpoint(
        node.name, node.platform, "ssh", host=ssh.host, port=ssh.port, host_key=ssh.host_key
    )


def serial_endpoint(node: SimNode, serial: Any) -> Callable[[], Endpoint]:
    return lambda: Endpoint(node.name, node.platform, "serial", path=str(serial.link))


def unsimulated(node: SimNode, way: SimWay) -> str:
    where = way.options.get("port", way.options.get("url", ""))
    return f"{node.name}: {node.platform} over {way.transport} {where} is not simulated"


def mac_of(peer: str) -> str:
    digest = zlib.crc32(peer.encode())
    return f"5254.{digest >> 16:04x}.{digest & 0xFFFF:04x}"
