"""Facts of an Open vSwitch, and the path by which it is reached, from what its commands print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from rackwright.model.address import Address
from rackwright.model.facts import Facts, FoundLink
from rackwright_providers.server import lldp
from rackwright_providers.switch.ovs_ports import carried_vlans, vlan_titles
from rackwright_providers.switch.ovs_tables import Row, Tables, optional


class Learned(NamedTuple):
    """One entry of a bridge's MAC table. How old it is is left out: it changes by itself."""

    port: str
    vlan: int
    mac: str


def mac_table(output: str, tables: Tables, bridge: str) -> list[Learned]:
    """``ovs-appctl fdb/show``: columns port (OpenFlow number, or LOCAL), VLAN, MAC, age."""
    on = tables.bridges_by_port()
    names = {
        str(optional(tables.interface(row).get("ofport", []))): str(row["name"])
        for row in tables.ports
        if on.get(row["name"]) == bridge
    }
    names["LOCAL"] = bridge
    found = set()
    for line in output.splitlines():
        fields = line.split()
        if len(fields) == 4 and fields[1].isdecimal() and fields[0] in names:
            found.add(Learned(names[fields[0]], int(fields[1]), fields[2].lower()))
    return sorted(found)


def facts(tables: Tables, learned: list[Learned], lldp_output: str, version: str) -> Facts:
    """Everything that discovery found."""
    titles = vlan_titles(tables.root)
    vlans = titles.keys() | {vlan for row in tables.ports for vlan in carried_vlans(row)}
    own = {row["name"] for row in tables.bridges}
    on = tables.bridges_by_port()
    neighbours = set(lldp.neighbours(lldp_output))
    # Only where the far end is known by its own MAC: what our own bridges answer to is no neighbour.
    seen = {
        FoundLink(port=entry.port, peer=entry.mac, how="mac")
        for entry in learned
        if entry.port not in own
    }
    return Facts(
        values={
            "platform": "openvswitch",
            "vendor": "Open vSwitch",
            "version": version.split()[-1] if version.split() else "",
            "bridges": sorted(own),
            "ports": {
                row["name"]: _port(on.get(row["name"], ""), tables.interface(row))
                for row in tables.ports
            },
            "vlans": {str(vlan): titles.get(vlan, "") for vlan in sorted(vlans)},
            "mac_table": [entry._asdict() for entry in learned],
        },
        links=tuple(sorted(neighbours | seen)),
    )


def _port(bridge: str, interface: Row) -> dict[str, Any]:
    found = {
        "bridge": bridge,
        "ofport": optional(interface.get("ofport", [])),
        "mac": optional(interface.get("mac_in_use", [])),
        "link": optional(interface.get("link_state", [])),
        "speed": optional(interface.get("link_speed", [])),  # bits a second
        "mtu": optional(interface.get("mtu", [])),
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def next_hop(route: str, client: str) -> tuple[str, str]:
    """Interface and next hop towards ``client``, from ``ip -j route get``; empty when unknown."""
    for entry in _objects(route):
        return str(entry.get("dev", "")), str(entry.get("gateway", client))
    return "", ""


def hardware_address(neighbours: str, interface: str, address: str) -> str:
    """The MAC address of a neighbour, from ``ip -j neigh show``; empty when unknown."""
    for entry in _objects(neighbours):
        if entry.get("dst") == address and entry.get("dev") == interface:
            return str(entry.get("lladdr", "")).lower()
    return ""


def _objects(text: str) -> Iterator[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        return
    for entry in found if isinstance(found, list) else ():
        if isinstance(entry, dict):
            yield entry


def path_resources(interface: str, mac: str, learned: list[Learned]) -> frozenset[Address]:
    """The port that the switch's own address is on, and the port and VLAN where the peer's MAC was
    learned."""
    found = {Address("port", interface)}
    for entry in learned:
        if entry.mac == mac:
            found.add(Address("port", entry.port))
            if entry.vlan:
                found.add(Address("vlan", str(entry.vlan)))
    return frozenset(found)
