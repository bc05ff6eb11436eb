"""The simulated SNMP PDU for a node of a site."""

from __future__ import annotations

from pathlib import Path

from rackwright_sim.making import Endpoint, Making, SimNode, agreed, kept_at, unsimulated


def snmp_pdu(node: SimNode, state: Path | None) -> Making:
    """The unit that its platform names."""
    from rackwright_sim.snmp_objects import Access, User
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
        PduDevice(UNITS[node.platform], options, state=kept_at(state, node)),
        host=agreed(node, "host", "127.0.0.1"),
        port=int(agreed(node, "port", "0" if any(way.get("port") == 0 for way in ways) else "161")),
        faults=node.faults,
    )
    made = Making(pdu, [], [unsimulated(node, way) for way in node.ways if way.transport != "snmp"])
    if ways:
        host = str(ways[0]["host"])
        made.servers.append(
            (pdu, lambda: Endpoint(node.name, node.platform, "snmp", host=host, port=pdu.port))
        )
    return made
