"""Simulated devices for a site: one for each managed node, at the addresses that its ways name."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from rackwright_sim.cli_making import dell_cmc, hpe_oa, powerman, vpcd
from rackwright_sim.dothill_making import dothill
from rackwright_sim.equallogic_making import equallogic
from rackwright_sim.faults import Faults
from rackwright_sim.ipmi_making import ipmi
from rackwright_sim.linux_frr_making import linux_frr
from rackwright_sim.loop import on_thread
from rackwright_sim.modal_making import arista_eos, dell_os10
from rackwright_sim.qbridge_making import qbridge
from rackwright_sim.redfish_making import redfish
from rackwright_sim.tgt_making import tgt

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

IOS_PORTS = 24
"""Ports of a simulated switch, GigabitEthernet1/0/1 and on, if its links name no others."""
_NUMBERED = re.compile(r"GigabitEthernet1/0/(\d+)")


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


class _Server(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


@dataclass(slots=True)
class _Making:
    """What the simulator of one node consists of."""

    device: (
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
    servers: list[tuple[_Server, Callable[[], Endpoint]]]
    skipped: list[str]


class Farm:
    """Running simulators. ``with`` stops them in the end."""

    def __init__(self) -> None:
        self.devices: dict[
            str,
            Box
            | DotHill
            | FrrDevice
            | IosDevice
            | ModalDevice
            | QBridge
            | Ipmi
            | Redfish
            | SnmpPdu[PduDevice],
        ] = {}
        """By node: their ``counters`` can be read, their ``faults`` replaced."""
        self.endpoints: list[Endpoint] = []
        self.skipped: list[str] = []
        """What cannot be simulated, in sentences."""
        self._servers: list[_Server] = []

    def port(self, node: str, transport: str) -> int:
        """The real port of ``node`` over ``transport``. Raises KeyError."""
        for found in self.endpoints:
            if (found.node, found.transport) == (node, transport):
                return found.port
        raise KeyError(f"{node} is not simulated over {transport}")

    def table(self) -> list[dict[str, Any]]:
        """One row an endpoint: node, platform, transport, address, host_key, writes."""
        return [
            {
                "node": found.node,
                "platform": found.platform,
                "transport": found.transport,
                "address": found.address,
                "host_key": found.host_key,
                "writes": self.devices[found.node].counters.writes,
            }
            for found in self.endpoints
        ]

    def stop(self) -> None:
        """Stop all of them. Again: nothing."""
        on_thread(self._stop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _start(self, nodes: Sequence[SimNode], state: Path | None) -> None:
        for node in nodes:
            if node.platform not in PLATFORMS:
                known = ", ".join(sorted(PLATFORMS))
                self.skipped.append(
                    f"{node.name}: there is no simulator of {node.platform!r}; there are: {known}"
                )
                continue
            made = PLATFORMS[node.platform](node, state)
            self.skipped += made.skipped
            for server, endpoint in made.servers:
                try:
                    await server.start()
                except OSError as error:
                    await self._stop()
                    raise SimError(f"{node.name}: cannot be simulated there: {error}") from error
                self._servers.append(server)
                self.endpoints.append(endpoint())
            if made.servers:
                self.devices[node.name] = made.device

    async def _stop(self) -> None:
        while self._servers:
            await self._servers.pop().stop()


def start_for_site(nodes: Sequence[SimNode], *, state: Path | None = None) -> Farm:
    """Start a simulator for each node.

    ``state`` is a directory for what devices remember (startup configuration, host key, outlets);
    without it they forget all when they stop. What has no simulator is named in `Farm.skipped`.
    Raises SimError when an address cannot be had, or when a node's ways contradict each other.
    """
    if state:
        state.mkdir(parents=True, exist_ok=True)
    farm = Farm()
    on_thread(farm._start(nodes, state))
    return farm


def _kept(state: Path | None, node: SimNode) -> Path | None:
    return state / f"{node.name}.json" if state else None


def _one(node: SimNode, option: str, default: str = "") -> str:
    """The value of ``option`` in which all ways of ``node`` agree."""
    given = {str(way.options[option]) for way in node.ways if way.options.get(option)}
    if len(given) > 1:
        raise SimError(f"{node.name}: its ways differ in {option}; a simulated device has one")
    return given.pop() if given else default


def _cisco_ios(node: SimNode, state: Path | None) -> _Making:
    from rackwright_sim.ios_device import IosDevice, IosOptions, LldpNeighbour
    from rackwright_sim.ios_serial import IosSerial
    from rackwright_sim.ios_ssh import IosSsh

    plain = IosOptions()
    options = replace(
        plain,
        hostname=node.name,
        username=_one(node, "username", plain.username),
        password=_one(node, "password", plain.password),
        enable=_one(node, "enable"),
        ports=_switch_ports(node),
        cabled=frozenset(link.port for link in node.links) or None,
        latency=node.latency,
        lldp=tuple(
            LldpNeighbour(
                port=link.port,
                chassis_id=_address(link.peer),
                port_id=link.peer_port,
                port_description=link.peer_port,
                system_name=link.peer,
            )
            for link in node.links
        ),
    )
    device = IosDevice(options, _kept(state, node), node.faults)
    made = _Making(device, [], [])
    for way in node.ways:
        if way.transport == "ssh":
            ssh = IosSsh(device, str(way.options["host"]), int(way.options.get("port", 22)))
            made.servers.append((ssh, _ssh_endpoint(node, ssh)))
        elif way.transport == "serial" and "://" not in str(way.options["port"]):
            serial = IosSerial(device, Path(str(way.options["port"])))
            made.servers.append((serial, _serial_endpoint(node, serial)))
        else:
            made.skipped.append(_unsimulated(node, way))
    return made


def _ssh_endpoint(node: SimNode, ssh: Any) -> Callable[[], Endpoint]:
    return lambda: Endpoint(
        node.name, node.platform, "ssh", host=ssh.host, port=ssh.port, host_key=ssh.host_key
    )


def _serial_endpoint(node: SimNode, serial: Any) -> Callable[[], Endpoint]:
    return lambda: Endpoint(node.name, node.platform, "serial", path=str(serial.link))


def _unsimulated(node: SimNode, way: SimWay) -> str:
    where = way.options.get("port", way.options.get("url", ""))
    return f"{node.name}: {node.platform} over {way.transport} {where} is not simulated"


def _switch_ports(node: SimNode) -> tuple[str, ...]:
    """The usual ports, more of them when links name higher numbers, and others that they name."""
    named = [link.port for link in node.links]
    numbers = [int(found[1]) for port in named if (found := _NUMBERED.fullmatch(port))]
    count = max([IOS_PORTS, *numbers])
    usual = [f"GigabitEthernet1/0/{number}" for number in range(1, count + 1)]
    return tuple(dict.fromkeys([*usual, *named]))


def _address(peer: str) -> str:
    digest = zlib.crc32(peer.encode())
    return f"5254.{digest >> 16:04x}.{digest & 0xFFFF:04x}"


def _snmp_pdu(node: SimNode, state: Path | None) -> _Making:
    from rackwright_sim.snmp_agent import Access, User
    from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu
    from rackwright_sim.snmp_pdu_unit import PduOptions
    from rackwright_sim.snmp_pdu_units import UNITS

    ways = [way.options for way in node.ways if way.transport == "snmp"]
    communities = tuple(way["community"] for way in ways if way.get("community"))
    users = tuple(
        User(
            way["username"],
            way.get("auth", ""),
            way.get("priv", ""),
            way.get("auth_protocol", "SHA"),
            way.get("priv_protocol", "AES"),
        )
        for way in ways
        if str(way.get("version", "2c")) == "3"
    )
    options = PduOptions(
        name=node.name,
        latency=node.latency,
        access=Access(read=communities, write=communities, users=users),
    )
    pdu = SnmpPdu(
        PduDevice(UNITS[node.platform], options, state=_kept(state, node)),
        host=_one(node, "host", "127.0.0.1"),
        port=int(_one(node, "port", "0" if any(way.get("port") == 0 for way in ways) else "161")),
        faults=node.faults,
    )
    made = _Making(
        pdu, [], [_unsimulated(node, way) for way in node.ways if way.transport != "snmp"]
    )
    if ways:
        host = str(ways[0]["host"])
        made.servers.append(
            (pdu, lambda: Endpoint(node.name, node.platform, "snmp", host=host, port=pdu.port))
        )
    return made


PLATFORMS: dict[str, Callable[[SimNode, Path | None], _Making]] = {
    "apc_rpdu": _snmp_pdu,
    "apc_rpdu2": _snmp_pdu,
    "arista_eos": arista_eos,
    "cisco_ios": _cisco_ios,
    "dell_cmc": dell_cmc,
    "dell_os10": dell_os10,
    "dothill": dothill,
    "eaton_epdu": _snmp_pdu,
    "equallogic": equallogic,
    "hpe_oa": hpe_oa,
    "ipmi": ipmi,
    "linux_frr": linux_frr,
    "powerman": powerman,
    "qbridge": qbridge,
    "raritan_pdu2": _snmp_pdu,
    "redfish": redfish,
    "servertech_sentry3": _snmp_pdu,
    "servertech_sentry4": _snmp_pdu,
    "tgt": tgt,
    "vpcd": vpcd,
}
"""Simulators by the platform's name."""
