"""The objects of a simulated standards switch, by the MIBs that they are of."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rackwright_sim.snmp_objects import Gauge, Oid, Path, Scalar

SYSTEM: Path = (1, 3, 6, 1, 2, 1, 1)
UP_TIME, SYS_NAME = (*SYSTEM, 3, 0), (*SYSTEM, 5, 0)
IF_TABLE: Path = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IF_ADMIN = (*IF_TABLE, 7)
IF_X_TABLE: Path = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
IF_ALIAS = (*IF_X_TABLE, 18)
BASE_PORT_IF_INDEX: Path = (1, 3, 6, 1, 2, 1, 17, 1, 4, 1, 2)
QBRIDGE: Path = (1, 3, 6, 1, 2, 1, 17, 7, 1)
BASE = (*QBRIDGE, 1)
FDB = (*QBRIDGE, 2, 2, 1)
VLAN_STATIC = (*QBRIDGE, 4, 3, 1)
VLAN_NAME, VLAN_EGRESS, VLAN_FORBIDDEN, VLAN_UNTAGGED, VLAN_STATUS = (
    (*VLAN_STATIC, column) for column in range(1, 6)
)
PVID = (*QBRIDGE, 4, 5, 1, 1)
ENTITY: Path = (1, 3, 6, 1, 2, 1, 47, 1, 1, 1, 1)
LLDP_LOCAL: Path = (1, 0, 8802, 1, 1, 2, 1, 3, 7, 1)
LLDP_REMOTE: Path = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1)


@dataclass(slots=True)
class Port:
    """One port. ``index`` is its ifIndex."""

    name: str
    index: int
    admin: str = "up"
    alias: str = ""
    pvid: int = 1


@dataclass(slots=True)
class Vlan:
    """A row of dot1qVlanStaticTable; ports by dot1dBasePort."""

    title: str
    egress: set[int]
    untagged: set[int]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What a port hears over LLDP, and whose address it learns."""

    port: str
    name: str
    port_name: str
    mac: bytes = b""
    """Made up from the name when empty."""

    @property
    def address(self) -> bytes:
        """Six octets."""
        return self.mac or b"\x52\x54" + zlib.crc32(f"{self.name} {self.port_name}".encode()).to_bytes(4, "big")  # fmt: skip


def encoded(ports: set[int], highest: int, form: str) -> bytes:
    """A PortList, for a switch whose last port is ``highest``."""
    if form == "numbers":
        return ",".join(map(str, sorted(ports))).encode()
    if form == "pairs":  # zero, then every run of ports as its first and last
        runs = [b"\0\0"]
        for port in sorted(ports):
            if port - 1 not in ports:
                runs.append(port.to_bytes(2, "big"))
            if port + 1 not in ports:
                runs.append(port.to_bytes(2, "big"))
        return b"".join(runs)
    octets = bytearray((highest + 7) // 8)
    for port in ports:
        octets[(port - 1) // 8] |= 0x80 >> (port - 1) % 8
    return bytes(octets).rstrip(b"\0") if form == "trimmed" else bytes(octets)


def decoded(data: bytes) -> set[int]:
    """The ports in a bitmap."""
    return {
        place * 8 + bit + 1
        for place, octet in enumerate(data)
        for bit in range(8)
        if octet & 0x80 >> bit
    }


def row(vlan: Vlan, highest: int, form: str) -> dict[Path, Scalar]:
    """A row of dot1qVlanStaticTable, by column; `encoded` says what ``highest`` and ``form`` are."""
    return {
        VLAN_NAME: vlan.title,
        VLAN_EGRESS: encoded(vlan.egress, highest, form),
        VLAN_FORBIDDEN: encoded(set(), highest, form),
        VLAN_UNTAGGED: encoded(vlan.untagged, highest, form),
        VLAN_STATUS: 1,
    }


def objects(
    hostname: str,
    serial: str,
    ports: Mapping[int, Port],
    vlans: int,
    neighbours: Iterable[Neighbour],
) -> dict[Path, Scalar]:
    """All that the agent serves, without the rows of its ``vlans`` and what changes by itself. ``ports``
    are by dot1dBasePort."""
    found: dict[Path, Scalar] = {
        (*SYSTEM, 1, 0): "Simulated switch with the standard MIBs",
        (*SYSTEM, 2, 0): Oid("1.3.6.1.4.1.32473.1.1"),  # the example enterprise of RFC 5612
        SYS_NAME: hostname,
        (*BASE, 1, 0): 1,
        (*BASE, 2, 0): 4094,
        (*BASE, 3, 0): Gauge(4094),
        (*BASE, 4, 0): Gauge(vlans),
        (*ENTITY, 2, 1): "Chassis",
        (*ENTITY, 5, 1): 3,
        (*ENTITY, 7, 1): "Chassis",
        (*ENTITY, 11, 1): serial,
        (*ENTITY, 13, 1): "QB-24",
    }
    for number, port in ports.items():
        found |= _port(number, port)
    numbers = {port.name: number for number, port in ports.items()}
    for index, neighbour in enumerate(neighbours, start=1):
        if neighbour.port in numbers:
            number = numbers[neighbour.port]
            found |= _neighbour(number, ports[number].pvid, index, neighbour)
    return found


def _port(number: int, port: Port) -> dict[Path, Scalar]:
    admin = 1 if port.admin == "up" else 2
    return {
        (*IF_TABLE, 2, port.index): f"Port {port.name}",
        (*IF_TABLE, 3, port.index): 6,
        (*IF_TABLE, 6, port.index): b"\x02\x00\x5e\x00" + port.index.to_bytes(2, "big"),
        (*IF_TABLE, 7, port.index): admin,
        (*IF_TABLE, 8, port.index): admin,
        (*IF_X_TABLE, 1, port.index): port.name,
        (*IF_X_TABLE, 15, port.index): Gauge(1000),
        (*IF_ALIAS, port.index): port.alias,
        (*BASE_PORT_IF_INDEX, number): port.index,
        (*PVID, number): Gauge(port.pvid),
        (*LLDP_LOCAL, 2, number): 5,
        (*LLDP_LOCAL, 3, number): port.name,
        (*LLDP_LOCAL, 4, number): f"Port {port.name}",
    }


def _neighbour(number: int, vlan: int, index: int, seen: Neighbour) -> dict[Path, Scalar]:
    row = (0, number, index)
    return {
        (*LLDP_REMOTE, 4, *row): 4,
        (*LLDP_REMOTE, 5, *row): seen.address,
        (*LLDP_REMOTE, 6, *row): 5,
        (*LLDP_REMOTE, 7, *row): seen.port_name,
        (*LLDP_REMOTE, 9, *row): seen.name,
        (*FDB, 2, vlan, *seen.address): number,
        (*FDB, 3, vlan, *seen.address): 3,
    }
