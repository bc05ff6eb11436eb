"""Discovery on OS10: facts and link ends."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import Any

from rackwright.model.address import Address
from rackwright.model.errors import Rejected
from rackwright.model.facts import Facts, FoundLink
from rackwright_providers.switch import os10_parse
from rackwright_providers.switch.ios_discover import mac_links
from rackwright_providers.switch.resources import Hostname, Lag, LocalUser, Port, Vlan
from rackwright_providers.transport.cli import CliReader

log = logging.getLogger(__name__)

Table = dict[str, list[dict[str, Any]]]

_MAC = r"(?:[0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}"
# 10     00:00:15:c6:ca:49   dynamic   ethernet1/1/21
_ENTRY = re.compile(rf"^(\d+) +({_MAC}) +(\w+) +(\S+) *$", re.MULTILINE)
# ethernet1/1/2       Not Advertised       fortyGigE 0/56        00:01:e8:8a:fd:35
_NEIGHBOUR = re.compile(rf"^(\S+\d) {{2,}}(\S.*?) {{2,}}(\S.*?) {{2,}}({_MAC}) *$", re.MULTILINE)
# 192.168.2.2    90:b1:1c:f4:a6:e6    vlan10    ethernet1/1/4
_ARP = re.compile(rf"^(\S+) +{_MAC} +(\S+)(?: +(\S+))? *$", re.MULTILINE)
_ADDRESS = re.compile(r"\d+(?:\.\d+){3}|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*")
_STATUS = re.compile(r"^(Eth [\d/:]+) +(?:(\S.*?) +)?(up|down) +(\S+) +", re.MULTILINE)
NAMELESS = "Not Advertised"


def facts(session: CliReader) -> Facts:
    """All that the device tells. Raises only when it is lost."""
    values: dict[str, Any] = version_facts(ask(session, "show version"))
    text = ask(session, "show running-configuration")
    if text and not os10_parse.os9_style(text):
        found = os10_parse.configuration(text, {}).values()
        values["vlans"] = {
            seen.name: {"title": seen.title or ""} for seen in found if isinstance(seen, Vlan)
        }
        values["hostname"] = next(seen.value for seen in found if isinstance(seen, Hostname))
    values["ports"] = port_facts(ask(session, "show interface status"))
    table = mac_table(ask(session, "show mac address-table"))
    values["mac_table"] = table
    neighbours = neighbour_links(ask(session, "show lldp neighbors"))
    links = [*neighbours, *mac_links(table, neighbours)]
    return Facts(
        values={key: value for key, value in values.items() if value}, links=tuple(sorted(links))
    )


def ask(session: CliReader, command: str) -> str:
    """The answer; empty when the device does not know the command."""
    try:
        return session.run(command)
    except Rejected as refusal:
        log.info("%s: %s", session.via, refusal)
        return ""


def version_facts(text: str) -> dict[str, Any]:
    """Facts of ``show version``."""
    shown = dict(re.findall(r"^([^:\n]+): *(.*?) *$", text, re.MULTILINE))
    wanted = {"version": shown.get("OS Version"), "model": shown.get("System Type")}
    return {"vendor": "dell", **{key: text for key, text in wanted.items() if text}}


def port_facts(text: str) -> dict[str, dict[str, Any]]:
    """State and speed of each port, of ``show interface status``."""
    return {
        os10_parse.interface(name): {"state": state, "speed": speed}
        for name, _, state, speed in _STATUS.findall(text)
    }


def mac_table(text: str) -> Table:
    """Learned addresses by port, sorted, so that equal tables are equal facts."""
    found: dict[str, set[tuple[str, int]]] = {}
    for vlan, address, kind, port in _ENTRY.findall(text):
        if kind.lower() == "dynamic":
            found.setdefault(port, set()).add((address.lower(), int(vlan)))
    return {
        port: [{"mac": address, "vlan": vlan} for address, vlan in sorted(seen)]
        for port, seen in sorted(found.items())
    }


def neighbour_links(text: str) -> list[FoundLink]:
    """One link a neighbour of ``show lldp neighbors``."""
    return [
        FoundLink(
            port=port,
            peer=chassis.lower() if peer == NAMELESS else peer,
            peer_port=peer_port,
            how="lldp",
        )
        for port, peer, peer_port, chassis in _NEIGHBOUR.findall(text)
    ]


def carriers(session: CliReader) -> Collection[Address]:
    """Our account, and by ARP the VLAN and the port of every address from which it is logged in:
    OS10 does not tell which of the sessions is this one."""
    if not session.username:
        return ()
    found = {Address(LocalUser.kind, session.username)}
    if not session.via.startswith("ssh "):
        return found
    for row in ask(session, "show users").splitlines():
        if session.username not in row.split()[2:3]:
            continue
        for address in _ADDRESS.findall(re.sub(r"\d{4}-\d\d-\d\d *T *[\d:]+Z", "", row)):
            for host, *places in _ARP.findall(ask(session, f"show ip arp {address}")):
                if host == address:
                    found.update(place for name in places if (place := _place(name)))
    return found


def _place(name: str) -> Address | None:
    kind = re.match(r"[a-z-]+", name)
    number = name[kind.end() :] if kind else ""
    nouns = {"vlan": Vlan.kind, "port-channel": Lag.kind}
    if kind and kind[0] in nouns:
        return Address(nouns[kind[0]], number)
    return Address(Port.kind, name) if name.startswith(("ethernet", "mgmt")) else None
