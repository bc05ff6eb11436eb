"""Facts and link ends of a switch, from its tables. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from rackwright.model.address import Address
from rackwright.model.facts import FoundLink
from rackwright_providers.switch import interfaces, qbridge_tables
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch.qbridge_tables import Bridge, Found, column
from rackwright_providers.switch.resources import Port, Vlan
from rackwright_providers.transport.snmp_value import Value

INTERFACE_COLUMNS = (mib.IF_PHYS_ADDRESS, mib.IF_OPER_STATUS, mib.IF_HIGH_SPEED)
FDB_COLUMNS = (mib.TP_FDB_PORT, mib.TP_FDB_STATUS)
LLDP_LOCAL_COLUMNS = (mib.LLDP_LOC_PORT_SUBTYPE, mib.LLDP_LOC_PORT_ID, mib.LLDP_LOC_PORT_DESC)
LLDP_REMOTE_COLUMNS = (
    mib.LLDP_REM_CHASSIS_SUBTYPE,
    mib.LLDP_REM_CHASSIS_ID,
    mib.LLDP_REM_PORT_SUBTYPE,
    mib.LLDP_REM_PORT_ID,
    mib.LLDP_REM_PORT_DESC,
    mib.LLDP_REM_SYS_NAME,
)
ENTITY_COLUMNS = (mib.ENT_DESCR, mib.ENT_CLASS, mib.ENT_NAME, mib.ENT_SERIAL, mib.ENT_MODEL)

EDGE = 8
"""A port with more addresses behind it than this leads to another switch, not to a server."""


class Learned(NamedTuple):
    """One learned address. ``vlan`` is 0 where the agent does not say which the database is of."""

    port: str
    vlan: int
    mac: str


def mac(data: bytes) -> str:
    """``00:11:22:33:44:55``."""
    return ":".join(f"{octet:02x}" for octet in data)


def port_facts(bridge: Bridge, found: Found) -> dict[str, dict[str, Any]]:
    """Link, speed in Mbit/s and address of each port."""
    link = {index: value.number for index, value in column(found, mib.IF_OPER_STATUS)}
    speed = {index: value.number for index, value in column(found, mib.IF_HIGH_SPEED)}
    address = {
        index: mac(value.data)
        for index, value in column(found, mib.IF_PHYS_ADDRESS)
        if isinstance(value.data, bytes) and len(value.data) == 6
    }
    facts = {}
    for name, port in sorted(bridge.interfaces.items()):
        up = link.get(port.index) == mib.UP
        said = {
            "link": "up" if up else "down",
            "speed": speed.get(port.index) if up else None,
            "mac": address.get(port.index),
        }
        facts[name] = {key: value for key, value in said.items() if value}
    return facts


def mac_table(bridge: Bridge, fdb: Found, ids: Found) -> list[Learned]:
    """dot1qTpFdbTable, with ``ids`` (dot1qVlanFdbId) to tell the VLAN of a database."""
    ports = bridge.by_number
    vlans = {
        value.number: int(oid.rpartition(".")[2])
        for oid, value in ids.items()
        if oid.startswith(mib.VLAN_FDB_ID + ".")
    }
    learned = set()
    for oid, value in fdb.items():
        if not oid.startswith(mib.TP_FDB_PORT + "."):
            continue
        index = oid[len(mib.TP_FDB_PORT) + 1 :]
        status = fdb.get(f"{mib.TP_FDB_STATUS}.{index}")
        parts = [int(part) for part in index.split(".")]
        port = ports.get(value.number or 0)
        if port is None or len(parts) != 7 or (status and status.number != mib.LEARNED):
            continue
        if any(part > 255 for part in parts[1:]):
            continue
        database = parts[0]
        vlan = vlans.get(database, database if database in bridge.vlans else 0)
        learned.add(Learned(port.name, vlan, mac(bytes(parts[1:]))))
    return sorted(learned)


def by_port(table: Iterable[Learned]) -> dict[str, list[dict[str, Any]]]:
    """The table as a fact."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in table:
        found.setdefault(entry.port, []).append({"mac": entry.mac, "vlan": entry.vlan})
    return found


def links(bridge: Bridge, interfaces_found: Found, lldp: Found) -> list[FoundLink]:
    """Every neighbour in lldpRemTable; one port may have several."""
    local = _Local(bridge, interfaces_found, lldp)
    neighbours: dict[str, dict[str, Value]] = {}
    for base in LLDP_REMOTE_COLUMNS:
        start = base + "."
        for oid, value in lldp.items():
            if oid.startswith(start):
                neighbours.setdefault(oid.removeprefix(start), {})[base] = value
    found = set()
    for index, seen in neighbours.items():
        parts = index.split(".")
        peer = _text(seen.get(mib.LLDP_REM_SYS_NAME)) or _chassis(seen)
        if len(parts) == 3 and peer:
            found.add(
                FoundLink(port=local.name(int(parts[1])), peer=peer, peer_port=_far_port(seen))
            )
    return sorted(found)


def _text(value: Value | None) -> str:
    return value.text.strip() if value else ""


def _number(value: Value | None) -> int:
    return (value.number or 0) if value else 0


def _octets(value: Value | None) -> bytes:
    return value.data if value and isinstance(value.data, bytes) else b""


def _chassis(seen: Mapping[str, Value]) -> str:
    """The far end's chassis id, for one that sends no name."""
    kind = _number(seen.get(mib.LLDP_REM_CHASSIS_SUBTYPE))
    value = seen.get(mib.LLDP_REM_CHASSIS_ID)
    return _readable(value, kind == mib.CHASSIS_BY_MAC, kind == mib.CHASSIS_BY_ADDRESS)


def _far_port(seen: Mapping[str, Value]) -> str:
    """The far port's name. An id that is a MAC address or a bare number names nothing that its own
    switch or server calls a port, and then the description does (Linux, Junos)."""
    kind = _number(seen.get(mib.LLDP_REM_PORT_SUBTYPE))
    value = seen.get(mib.LLDP_REM_PORT_ID)
    by_mac, by_address = kind == mib.PORT_BY_MAC, kind == mib.PORT_BY_ADDRESS
    ident = _readable(value, by_mac, by_address)
    description = _text(seen.get(mib.LLDP_REM_PORT_DESC))
    numbered = kind == mib.PORT_BY_LOCAL and ident.isdecimal()
    if description and (not ident or by_mac or by_address or numbered):
        return description
    return interfaces.spelling(ident)


def _readable(value: Value | None, is_mac: bool, is_address: bool) -> str:
    """An id as text. Some agents send a MAC address written out instead of its octets."""
    data = _octets(value)
    if is_mac and len(data) == 6:
        return mac(data)
    if is_address and data[:1] in (b"\1", b"\2") and len(data) in (5, 17):  # IANA family, address
        return str(ipaddress.ip_address(data[1:]))
    return _text(value)


class _Local:
    """Which port of ours an lldpLocPortNum is. By the standard it is dot1dBasePort, or else ifIndex;
    what the agent itself says in lldpLocPortTable comes first."""

    def __init__(self, bridge: Bridge, found: Found, lldp: Found) -> None:
        self.by_index = qbridge_tables.names(found)
        self.by_number = {number: port.name for number, port in bridge.by_number.items()}
        names = {*self.by_index.values()}
        owners: dict[bytes, set[str]] = {}
        for index, value in column(found, mib.IF_PHYS_ADDRESS):
            if index in self.by_index:
                owners.setdefault(_octets(value), set()).add(self.by_index[index])
        kinds = {number: value.number for number, value in column(lldp, mib.LLDP_LOC_PORT_SUBTYPE)}
        self.said: dict[int, str] = {}
        for base in (mib.LLDP_LOC_PORT_DESC, mib.LLDP_LOC_PORT_ID):  # the id is the better one
            for number, value in column(lldp, base):
                owner = owners.get(_octets(value), set())
                spelt = interfaces.spelling(value.text.strip())
                if base == mib.LLDP_LOC_PORT_ID and kinds.get(number) == mib.PORT_BY_MAC:
                    if len(owner) == 1:
                        self.said[number] = next(iter(owner))
                elif spelt in names:
                    self.said[number] = spelt

    def name(self, number: int) -> str:
        """The port's name, or the number where it cannot be told."""
        return (
            self.said.get(number)
            or self.by_number.get(number)
            or self.by_index.get(number)
            or str(number)
        )


def mac_links(table: Iterable[Learned], known: Iterable[FoundLink]) -> Iterator[FoundLink]:
    """Link ends of ports at whose far end nobody speaks LLDP."""
    spoken = {link.port for link in known}
    behind: dict[str, set[str]] = {}
    for entry in table:
        behind.setdefault(entry.port, set()).add(entry.mac)
    for port, addresses in behind.items():
        if port not in spoken and len(addresses) <= EDGE:
            yield from (FoundLink(port=port, peer=address, how="mac") for address in addresses)


def inventory(found: Found) -> list[dict[str, str]]:
    """What of entPhysicalTable has a serial number."""
    parts: dict[int, dict[str, str]] = {}
    for key, base in (
        ("name", mib.ENT_NAME),
        ("description", mib.ENT_DESCR),
        ("model", mib.ENT_MODEL),
        ("serial", mib.ENT_SERIAL),
    ):
        for index, value in column(found, base):
            if text := value.text.strip():
                parts.setdefault(index, {})[key] = text
    return [part for _, part in sorted(parts.items()) if "serial" in part]


def chassis(found: Found) -> dict[str, str]:
    """Model and serial number of the switch: of the first part that is a chassis or a stack."""
    for index, value in sorted(column(found, mib.ENT_CLASS)):
        if value.number in (mib.ENT_CHASSIS, mib.ENT_STACK):
            said = {
                "model": _text(found.get(f"{mib.ENT_MODEL}.{index}")),
                "serial": _text(found.get(f"{mib.ENT_SERIAL}.{index}")),
            }
            if any(said.values()):
                return {key: text for key, text in said.items() if text}
    return {}


def path(table: Iterable[Learned], address: str) -> frozenset[Address]:
    """The ports and VLANs behind which ``address`` (a MAC) was learned."""
    found = set()
    for entry in table:
        if entry.mac == address:
            found.add(Address(Port.kind, entry.port))
            if entry.vlan:
                found.add(Address(Vlan.kind, str(entry.vlan)))
    return frozenset(found)


def arp(found: Found, address: str) -> str:
    """The MAC of an IPv4 address in ipNetToMediaTable; empty when it is not there."""
    for oid, value in found.items():
        if oid.startswith(mib.ARP_MAC + ".") and oid.endswith("." + address):
            return mac(_octets(value))
    return ""
