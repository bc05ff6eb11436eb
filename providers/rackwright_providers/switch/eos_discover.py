"""Discovery on EOS: facts and link ends, by the JSON that ``| json`` gives."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rackwright.model.address import Address
from rackwright.model.errors import Rejected
from rackwright.model.facts import Facts, FoundLink
from rackwright_providers.switch import eos_parse
from rackwright_providers.switch.ios_discover import mac, mac_links
from rackwright_providers.switch.resources import Lag, LocalUser, Port, Vlan
from rackwright_providers.transport.cli import CliReader

log = logging.getLogger(__name__)

Table = dict[str, list[dict[str, Any]]]

# *  2 vty 7    admin       idle          0:00:00     10.0.0.5
_OURS = re.compile(r"^\* +\d+ +(?:con|vty) +\d+ +(\S+) .*?(\S+) *$", re.MULTILINE)
# 10.0.0.5   0:00:10  0011.2233.4455  Vlan10, Ethernet3
_ARP = re.compile(r"^(\S+) +\S+ +((?:[0-9a-f]{4}\.){2}[0-9a-f]{4}) +(.+?) *$", re.MULTILINE)


def facts(session: CliReader) -> Facts:
    """All that the device tells. Raises only when it is lost."""
    values: dict[str, Any] = version_facts(ask(session, "show version"))
    hostname = ask(session, "show hostname").get("hostname")
    if hostname:
        values["hostname"] = hostname
    values["vlans"] = vlan_facts(ask(session, "show vlan"))
    values["ports"] = port_facts(ask(session, "show interfaces status"))
    table = mac_table(ask(session, "show mac address-table"))
    values["mac_table"] = table
    neighbours = neighbour_links(ask(session, "show lldp neighbors detail"))
    links = [*neighbours, *mac_links(table, neighbours)]
    return Facts(
        values={key: value for key, value in values.items() if value}, links=tuple(sorted(links))
    )


def ask(session: CliReader, command: str) -> dict[str, Any]:
    """The answer to ``command | json``; empty when the device does not know it."""
    try:
        shown = json.loads(session.run(f"{command} | json"))
    except (Rejected, ValueError) as error:
        log.info("%s: %s: %s", session.via, command, error)
        return {}
    return shown if isinstance(shown, dict) else {}


def version_facts(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of ``show version | json``."""
    wanted = {
        "version": shown.get("version"),
        "model": shown.get("modelName"),
        "serial": shown.get("serialNumber"),
        "mac": mac(str(shown.get("systemMacAddress", ""))).lower(),
    }
    return {"vendor": "arista", **{key: text for key, text in wanted.items() if text}}


def vlan_facts(shown: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Configured VLANs of ``show vlan | json``; those that EOS made for itself are dynamic."""
    return {
        number: {"title": str(vlan.get("name", ""))}
        for number, vlan in sorted(shown.get("vlans", {}).items(), key=lambda item: int(item[0]))
        if not vlan.get("dynamic") and int(number) not in eos_parse.RESERVED_VLANS
    }


def port_facts(shown: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """State, speed and kind of each port, of ``show interfaces status | json``."""
    found = {}
    for name, port in sorted(shown.get("interfaceStatuses", {}).items()):
        facts_of = {
            "state": port.get("linkStatus"),
            "duplex": port.get("duplex"),
            "speed": port.get("bandwidth"),  # bit/s
            "media": port.get("interfaceType"),
        }
        found[name] = {key: value for key, value in facts_of.items() if value}
    return found


def mac_table(shown: Mapping[str, Any]) -> Table:
    """Learned addresses by port, sorted, so that equal tables are equal facts."""
    found: dict[str, set[tuple[str, int]]] = {}
    for row in shown.get("unicastTable", {}).get("tableEntries", ()):
        if str(row.get("entryType", "")).startswith("dynamic"):
            found.setdefault(row["interface"], set()).add((mac(row["macAddress"]), row["vlanId"]))
    return {
        port: [{"mac": address, "vlan": vlan} for address, vlan in sorted(seen)]
        for port, seen in sorted(found.items())
    }


def neighbour_links(shown: Mapping[str, Any]) -> list[FoundLink]:
    """One link a neighbour of ``show lldp neighbors detail | json``."""
    return [
        FoundLink(port=port, peer=peer, peer_port=peer_port, how="lldp")
        for port, heard in shown.get("lldpNeighbors", {}).items()
        for peer, peer_port in _heard(heard)
        if peer
    ]


def _heard(heard: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for neighbour in heard.get("lldpNeighborInfo", ()):
        info = neighbour.get("neighborInterfaceInfo", {})
        port = str(info.get("interfaceId", "")).strip('"')
        # Linux sends the address of the port as its id, and its name as the description.
        if info.get("interfaceIdType") in ("macAddress", "local") or not port:
            port = info.get("interfaceDescription") or mac(port)
        yield neighbour.get("systemName") or mac(str(neighbour.get("chassisId", ""))), port


def carriers(session: CliReader) -> Collection[Address]:
    """Who we are by ``show users``, and where by ARP, which names VLAN and port."""
    ours = _OURS.search(_text(session, "show users"))
    if ours is None:
        return ()
    found = {Address(LocalUser.kind, ours[1])}
    for place in places(_text(session, f"show ip arp {ours[2]}"), ours[2]):
        if vlan := re.fullmatch(r"Vlan(\d+)", place):
            found.add(Address(Vlan.kind, vlan[1]))
        elif lag := re.fullmatch(r"Port-Channel(\d+)", place):
            found.add(Address(Lag.kind, lag[1]))
        elif re.match(r"(?:Ethernet|Management)\d", place):
            found.add(Address(Port.kind, place))
    return frozenset(found)


def places(text: str, address: str) -> list[str]:
    """The interfaces behind which ``address`` is, of ``show ip arp``."""
    rows = (row for row in _ARP.findall(text) if row[0] == address)
    return [place for row in rows for place in row[2].split(", ") if place != "not learned"]


def _text(session: CliReader, command: str) -> str:
    try:
        return session.run(command)
    except Rejected as refusal:
        log.info("%s: %s", session.via, refusal)
        return ""
