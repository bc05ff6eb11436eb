"""Discovery on IOS: facts and link ends. The parsers are those of ntc-templates (TextFSM)."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from rackwright.model.address import Address
from rackwright.model.errors import Rejected
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.resource import Resource
from rackwright_providers.switch import interfaces, ios_parse
from rackwright_providers.switch.resources import Lag, LocalUser, Port, Vlan
from rackwright_providers.transport.cli import CliReader

log = logging.getLogger(__name__)

Rows = list[dict[str, Any]]

EDGE = 8
"""A port with more addresses behind it than this leads to another switch, not to a server."""

_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_OURS = re.compile(r"^\*.*?(\d+\.\d+\.\d+\.\d+)\s*$", re.MULTILINE)
# Internet  10.0.0.9   3   0011.2233.4455  ARPA   Vlan10
_ARP = re.compile(r"^Internet +\S+ +\S+ +([0-9a-f.]{14}) +\S+ +(\S+)", re.MULTILINE)


def facts(session: CliReader) -> Facts:
    """All that the device tells. Raises only when it is lost."""
    values: dict[str, Any] = {}
    version = (rows(session, "show version") or [{}])[0]
    values.update(version_facts(version))
    vlans = ask(session, "show vlan brief")
    if vlans:
        values["vlans"] = {
            name: {"title": vlan.title or ""} for name, vlan in ios_parse.vlans(vlans)[0].items()
        }
    ports = port_facts(rows(session, "show interfaces status"))
    for name, doing in ios_parse.switchports(ask(session, "show interfaces switchport")).items():
        ports.setdefault(name, {}).update(doing)
    if ports:
        values["ports"] = ports
    table = mac_table(rows(session, "show mac address-table", "show mac-address-table"))
    if table:
        values["mac_table"] = table
    neighbours = neighbour_links(rows(session, "show lldp neighbors detail"))
    return Facts(values=values, links=tuple(sorted([*neighbours, *mac_links(table, neighbours)])))


def version_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of one parsed ``show version``."""
    wanted = {
        "hostname": row.get("hostname", ""),
        "version": row.get("version", ""),
        "image": row.get("running_image", ""),
        "model": next(iter(row.get("hardware", ())), ""),
        "serial": next(iter(row.get("serial", ())), ""),
        "mac": next(iter(row.get("mac_address", ())), "").lower(),
    }
    found: dict[str, Any] = {
        "vendor": "cisco",
        **{key: text for key, text in wanted.items() if text},
    }
    members = list(zip(row.get("hardware", ()), row.get("serial", ()), strict=False))
    if len(members) > 1:
        found["stack"] = [{"model": model, "serial": serial} for model, serial in members]
    return found


def port_facts(status: Rows) -> dict[str, dict[str, Any]]:
    """State, speed and kind of each port, of parsed ``show interfaces status``."""
    found = {}
    for row in status:
        facts_of = {
            "state": row["status"],
            "duplex": row["duplex"],
            "speed": row["speed"],
            "media": row["type"],
        }
        found[port_name(row["port"])] = {key: text for key, text in facts_of.items() if text}
    return found


def mac_table(entries: Rows) -> dict[str, list[dict[str, Any]]]:
    """Learned addresses by port, sorted, so that equal tables are equal facts."""
    found: dict[str, dict[tuple[str, int], None]] = {}
    for row in entries:
        if row["type"].lower() != "dynamic" or not str(row["vlan_id"]).isdecimal():
            continue
        for port in row["destination_port"]:
            seen = found.setdefault(port_name(port), {})
            seen[mac(row["destination_address"]), int(row["vlan_id"])] = None
    return {
        port: [{"mac": address, "vlan": vlan} for address, vlan in sorted(seen)]
        for port, seen in sorted(found.items())
    }


def neighbour_links(entries: Rows) -> list[FoundLink]:
    """One link a neighbour of parsed ``show lldp neighbors detail``; one port may have several."""
    found = []
    for row in entries:
        peer = row["neighbor_name"] or mac(row["chassis_id"])
        if row["local_interface"] and peer:
            port, description = mac(row["neighbor_port_id"]), row["neighbor_interface"]
            # Linux sends the address of the port as its id and its name as the description, Junos
            # a number. IOS does not show of which kind an id is.
            if description and (not port or port.isdecimal() or _MAC.fullmatch(port)):
                port = description
            found.append(
                FoundLink(
                    port=port_name(row["local_interface"]),
                    peer=peer,
                    peer_port=port,
                    how="lldp",
                )
            )
    return found


def mac_links(
    table: Mapping[str, list[dict[str, Any]]], known: Iterable[FoundLink]
) -> list[FoundLink]:
    """Link ends of ports at whose far end no one speaks LLDP."""
    spoken = {link.port for link in known}
    return [
        FoundLink(port=port, peer=address, how="mac")
        for port, entries in table.items()
        if port not in spoken and len(entries) <= EDGE
        for address in sorted({entry["mac"] for entry in entries})
    ]


def carriers(session: CliReader, observed: Mapping[Address, Resource]) -> Collection[Address]:
    """Our account, by ``show users``, and where our own address is: by ARP, then the MAC table."""
    users = ask(session, "show users")
    found = _accounts(users, observed)
    ours = _OURS.search(users)
    arp = ours and _ARP.search(ask(session, f"show ip arp {ours[1]}"))
    if not arp:
        return frozenset(found)
    found |= _interface(arp[2], observed)
    vlan = re.fullmatch(r"Vlan(\d+)", arp[2])
    if vlan:
        found.add(Address(Vlan.kind, vlan[1]))
    for row in rows(session, f"show mac address-table address {arp[1]}"):
        for port in row["destination_port"]:
            found |= _interface(port, observed)
    return frozenset(found)


def _interface(text: str, observed: Mapping[Address, Resource]) -> set[Address]:
    """The port, or the LAG and its members."""
    name = port_name(text)
    if not name.startswith(ios_parse.CHANNEL):
        return {Address(Port.kind, name)}
    lag = Address(Lag.kind, name.removeprefix(ios_parse.CHANNEL))
    seen = observed.get(lag)
    members = seen.members or () if isinstance(seen, Lag) else ()
    return {lag, *(Address(Port.kind, member) for member in members)}


def _accounts(users: str, observed: Mapping[Address, Resource]) -> set[Address]:
    """Who logged in on our line. Its column is narrow, so a long name may be cut there."""
    heading = next((line for line in users.splitlines() if "Host(s)" in line), "")
    start, end = heading.find("User"), heading.find("Host(s)")
    ours = next((line for line in users.splitlines() if line.startswith("*")), "")
    shown = ours[start:end].strip() if 0 <= start < end else ""
    if not shown:
        return set()
    found = {Address(LocalUser.kind, shown)}
    if len(shown) >= end - start - 1:
        found |= {
            address
            for address in observed
            if address.type == LocalUser.kind and address.name.startswith(shown)
        }
    return found


def ask(session: CliReader, *commands: str) -> str:
    """The answer to the first of ``commands`` that the device knows; empty when to none."""
    for command in commands:
        try:
            return session.run(command)
        except Rejected as refusal:
            log.info("%s: %s", session.via, refusal)
    return ""


def rows(session: CliReader, *commands: str) -> Rows:
    """The answer as rows, by the template of ntc-templates for it."""
    text = ask(session, *commands)
    return parse(commands[0], text) if text else []


def parse(command: str, text: str) -> Rows:
    """Rows of ``text`` by the template for ``command``; none when it does not fit."""
    import textfsm  # type: ignore[import-untyped]

    name = next(name for start, name in _TEMPLATES.items() if command.startswith(start))
    with _parsing:
        machine = _machine(name)
        machine.Reset()
        try:
            found = machine.ParseText(text + "\n")
        except textfsm.TextFSMError as error:
            log.warning("the answer to %r does not fit its template: %s", command, error)
            return []
        header = [column.lower() for column in machine.header]
        return [dict(zip(header, row, strict=True)) for row in found]


@functools.cache
def _machine(name: str) -> Any:
    """The parser of one template. It is used under `_parsing`: it keeps its state in itself, and to
    make one for each of many switches takes longer than all else that is done with them."""
    import ntc_templates  # type: ignore[import-untyped]
    import textfsm

    # By file name: the package's own look-up compiles 1,500 patterns first.
    folder = Path(ntc_templates.__file__).parent / "templates"
    with (folder / f"cisco_ios_{name}.textfsm").open() as file:
        return textfsm.TextFSM(file)


_parsing = threading.Lock()

_TEMPLATES = {
    "show version": "show_version",
    "show interfaces status": "show_interfaces_status",
    "show mac address-table": "show_mac-address-table",
    "show lldp neighbors detail": "show_lldp_neighbors_detail",
}


def port_name(text: str) -> str:
    """The canonical name, or what the device calls it."""
    try:
        return interfaces.canonical(text)
    except ValueError:
        return text.strip()


def mac(text: str) -> str:
    """``0011.2233.4455`` as ``00:11:22:33:44:55``; what is no MAC address as it is."""
    digits = re.sub(r"[.:-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or digits == text.lower():
        return text
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
