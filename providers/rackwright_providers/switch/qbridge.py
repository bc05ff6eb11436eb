"""Any switch that is managed by the standards: Q-BRIDGE-MIB (RFC 4363), IF-MIB and LLDP-MIB over SNMP.

What the switch does to its running configuration by SNMP it keeps or not as it sees fit: there is no
standard object that saves.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Snmp, Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import (
    interfaces,
    qbridge_facts,
    qbridge_render,
    qbridge_tables,
    qbridge_write,
    vlanset,
)
from rackwright_providers.switch import qbridge_mib as mib
from rackwright_providers.switch.portlist import Form
from rackwright_providers.switch.qbridge_tables import Bridge, Found
from rackwright_providers.switch.resources import (
    Hostname,
    Port,
    Vlan,
    canonical_hostname,
    vlan_in_use,
)
from rackwright_providers.transport.snmp import SnmpReader, SnmpSession, octets, open_snmp

log = logging.getLogger(__name__)

DEFAULT_VLAN = 1
"""The VLAN that every bridge starts with (IEEE 802.1Q, default PVID)."""
ROWS = 40
"""Rows asked for in one GETBULK; an agent answers with as many as go into its message."""


class QBridge:
    """VLANs, ports and the host name of any switch that serves the standard MIBs."""

    platform = "qbridge"
    resources: frozenset[type[Resource]] = frozenset({Vlan, Port, Hostname})
    transports = frozenset({"snmp"})
    atomic = False
    undoes = False
    object_ids: tuple[str, ...] = ()
    """None: it is taken for what no other platform knows, and `recognises` it."""
    signs: tuple[str, ...] = ()

    def open(self, way: Way, around: Surroundings) -> SnmpReader:
        """A session; without ``around.writable`` one that cannot write."""
        try:
            options = typed.convert(way.options, Snmp)
        except msgspec.ValidationError as error:
            raise Permanent(f"snmp: {error}") from None
        return open_snmp(options, around)

    def recognises(self, session: SnmpReader) -> bool:
        """I/O: whether the device has rows in dot1qVlanStaticTable."""
        return bool(session.walk(mib.VLAN_NAME, repetitions=ROWS))

    def canonical(self, resource: Resource) -> Resource:
        """Port names in full, a port's mode spelt out where its VLAN fields imply it, plain ids.
        Raises Permanent for what the standard MIBs have no object for."""
        if isinstance(resource, Vlan):
            return _vlan(resource)
        if isinstance(resource, Port):
            return _port(resource)
        if isinstance(resource, Hostname):
            return canonical_hostname(resource)
        raise Permanent(f"{self.platform} has no {resource.kind}")

    def read(self, session: SnmpReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """Three walks for all VLANs and ports, one GET for the name. Raises Permanent on a switch whose
        VLANs are not in the standard table."""
        found: dict[Address, Resource] = {}
        if Hostname in wanted.types and (value := session.get(mib.SYS_NAME).get(mib.SYS_NAME)):
            name = Hostname(name="system", value=value.text)
            found[name.address] = name
        if {Vlan, Port} & wanted.types:
            bridge = self._bridge(session, self._tables(session))
            if not bridge.vlans:
                raise Permanent(
                    f"{session.via}: the switch has no row in dot1qVlanStaticTable (Q-BRIDGE-MIB), so "
                    "its VLANs cannot be managed this way; Cisco's IOS and NX-OS are such: say "
                    "another `platform:`, with a way over SSH"
                )
            found.update(qbridge_tables.resources(bridge, wanted.resources))
        return found

    def _tables(self, session: SnmpReader) -> dict[str, Any]:
        return {
            **session.walk(*qbridge_tables.INTERFACE_COLUMNS),
            **session.walk(*qbridge_tables.BRIDGE_COLUMNS, repetitions=ROWS),
            **session.walk(*qbridge_tables.VLAN_COLUMNS, repetitions=ROWS),
        }

    def _bridge(self, session: SnmpReader, found: Found) -> Bridge:
        """The switch, with what `commit` needs to know of it remembered by the session: the numbers
        of its ports, and what its port lists are. Once they are understood they stay so: that ports
        have since been moved about does not speak against it."""
        remembered = session.remembered
        known = Form(remembered[qbridge_write.FORM]) if qbridge_write.SEEN in remembered else None
        bridge = qbridge_tables.bridge(found, known)
        remembered[qbridge_write.FORM] = bridge.form
        if bridge.told and bridge.form is Form.BITMAP:
            remembered[qbridge_write.SEEN] = True
        return self._with_ports(session, bridge)

    def _with_ports(self, session: SnmpReader, bridge: Bridge) -> Bridge:
        for key in [key for key in session.remembered if qbridge_write.is_port_key(key)]:
            del session.remembered[key]
        for port in bridge.interfaces.values():
            session.remembered[qbridge_write.index_key(port.name)] = port.index
            if port.number is not None:
                session.remembered[qbridge_write.port_key(port.name)] = port.number
        return bridge

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """VLANs that are to go while a port still carries them untagged, and ports that are to be in
        VLANs which are not there."""
        return {
            **qbridge_render.absent(changes, observed),
            **vlan_in_use(changes, observed),
        }

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        """See `qbridge_render.steps`."""
        return qbridge_render.steps(changes, observed)

    def commit(self, session: SnmpSession, steps: Sequence[Step]) -> None:
        """See `qbridge_write`."""
        for step in steps:
            if isinstance(step, qbridge_render.VlanStep):
                qbridge_write.vlans(session, step.rows)
            elif isinstance(step, qbridge_render.PortStep):
                qbridge_write.ports(session, step.ports)
            elif isinstance(step, qbridge_render.HostnameStep):
                session.set({mib.SYS_NAME: octets(step.value)})

    def save(self, session: SnmpSession) -> bool:
        """There is no standard object for it."""
        return False

    def carriers(
        self, session: SnmpReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The ports and VLANs behind which our own address was learned, where the switch has it in its
        ARP table; empty where the way leads over a router."""
        ours = _own_address(session.via)
        try:
            address = ours and qbridge_facts.arp(session.walk(mib.ARP_MAC), ours)
            if not address:
                return ()
            bridge = self._bridge(session, self._tables(session))
            return qbridge_facts.path(self._mac_table(session, bridge), address)
        except Rejected as refusal:
            log.info("%s: %s", session.via, refusal)
            return ()

    def _mac_table(self, session: SnmpReader, bridge: Bridge) -> list[qbridge_facts.Learned]:
        fdb = session.walk(*qbridge_facts.FDB_COLUMNS, repetitions=ROWS)
        return qbridge_facts.mac_table(bridge, fdb, session.walk(mib.VLAN_FDB_ID))

    def discover(self, session: SnmpReader) -> Facts:
        """Name, description, ports, VLANs, addresses learned, inventory, LLDP neighbours; what the
        switch does not serve is left out."""
        scalars = {
            "name": mib.SYS_NAME,
            "description": mib.SYS_DESCR,
            "object_id": mib.SYS_OBJECT_ID,
        }
        said = session.get(*scalars.values())
        values: dict[str, Any] = {
            name: said[oid].text.strip() for name, oid in scalars.items() if oid in said
        }
        found = self._tables(session)
        bridge = self._bridge(session, found)
        found |= session.walk(*qbridge_facts.INTERFACE_COLUMNS)
        entities = session.walk(*qbridge_facts.ENTITY_COLUMNS)
        learned = self._mac_table(session, bridge)
        lldp = {
            **session.walk(*qbridge_facts.LLDP_LOCAL_COLUMNS),
            **session.walk(*qbridge_facts.LLDP_REMOTE_COLUMNS),
        }
        values |= qbridge_facts.chassis(entities)
        more = {
            "ports": qbridge_facts.port_facts(bridge, found),
            "vlans": {str(vlan): {"title": row.title or ""} for vlan, row in bridge.vlans.items()},
            "mac_table": qbridge_facts.by_port(learned),
            "inventory": qbridge_facts.inventory(entities),
        }
        values |= {name: fact for name, fact in more.items() if fact}
        neighbours = qbridge_facts.links(bridge, found, lldp)
        ends = [*neighbours, *qbridge_facts.mac_links(learned, neighbours)]
        return Facts(values=values, links=tuple(sorted(ends)))


def _vlan(vlan: Vlan) -> Vlan:
    if vlan.id == DEFAULT_VLAN:
        raise Permanent("VLAN 1 is the switch's own: it cannot be made, named or removed")
    if vlan.title is not None:
        _check_text("title", vlan.title, mib.VLAN_NAME_LENGTH)
        if not vlan.title:
            raise Permanent(f"VLAN {vlan.id}: a title cannot be empty")
    return msgspec.structs.replace(vlan, name=str(vlan.id))


def _port(port: Port) -> Port:
    for field, value in (("mtu", port.mtu), ("lag", port.lag)):
        if value is not None:
            raise Permanent(f"port {port.name}: the standard MIBs have no way to set {field}")
    if port.mode not in (None, "access", "trunk"):
        raise Permanent(f"port {port.name}: Q-BRIDGE-MIB has no mode {port.mode!r}")
    if port.description is not None:
        _check_text("description", port.description, mib.ALIAS_LENGTH)
    allowed = port.allowed_vlans
    if allowed is not None:
        try:
            allowed = vlanset.show(vlanset.parse(allowed))
        except ValueError as error:
            raise Permanent(f"port {port.name}: allowed_vlans: {error}") from None
    trunk = [n for n in ("native_vlan", "allowed_vlans") if getattr(port, n) is not None]
    if port.access_vlan is not None and (trunk or port.mode == "trunk"):
        other = trunk[0] if trunk else "mode: trunk"
        raise Permanent(f"port {port.name}: it has either access_vlan or {other}, not both")
    if trunk and port.mode == "access":
        raise Permanent(f"port {port.name}: an access port has no {trunk[0]}")
    mode = port.mode or ("access" if port.access_vlan is not None else "trunk" if trunk else None)
    return msgspec.structs.replace(
        port, name=interfaces.spelling(port.name), mode=mode, allowed_vlans=allowed
    )


def _check_text(field: str, text: str, most: int) -> None:
    """SnmpAdminString is UTF-8; how long it may be is counted in octets (RFC 3411)."""
    if not text.isprintable():
        raise Permanent(f"{field} {text!r} has characters that cannot be shown")
    if len(text.encode()) > most:
        raise Permanent(f"{field} {text!r} is longer than {most} octets of UTF-8")


def _own_address(via: str) -> str:
    """The IPv4 address that we reach a device from; ``via`` is ``snmp HOST:PORT``. No packet is sent."""
    host, _, port = via.removeprefix("snmp ").rpartition(":")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, int(port)))
            return str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
