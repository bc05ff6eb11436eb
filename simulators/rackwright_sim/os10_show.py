"""What the exec commands of an OS10-like switch answer."""

from __future__ import annotations

from rackwright_sim.ios_config import show_vlans
from rackwright_sim.ios_reply import Reply
from rackwright_sim.os10_session import Os10Session

VERSION = "10.5.4.1"
RULE = "-" * 98


def logout(session: Os10Session) -> Reply:
    return Reply(close=True)


def terminal_length(session: Os10Session, lines: int) -> None:
    session.length = lines


def configure(session: Os10Session) -> None:
    if session.device.faults.lie:
        session.instead = session.device.scratch()
    session.mode = "config"


def write_memory(session: Os10Session) -> None:
    session.device.save()


def running(session: Os10Session) -> str:
    when = "Nov  22 12:00:00 2026"
    head = f"! Version {VERSION}\n! Last configuration change at {when}\n!\n"
    return head + session.device.running.text()


def startup(session: Os10Session) -> str:
    return session.device.startup or ""


def version(session: Os10Session) -> str:
    return (
        "Dell SmartFabric OS10 Enterprise\n"
        "Copyright (c) 1999-2022 by Dell Inc. All Rights Reserved.\n"
        f"OS Version: {VERSION}\nBuild Version: {VERSION}.1\nSystem Type: S4148F-ON\n"
        "Architecture: x86_64\nUp Time: 1 day 00:33:35\n"
    )


def interface_status(session: Os10Session) -> str:
    rows = [
        RULE,
        "Port            Description     Status   Speed    Duplex   Mode Vlan Tagged-Vlans",
        RULE,
    ]
    for name, port in session.device.running.ports.items():
        if name.startswith("ethernet"):
            shown = "Eth " + name.removeprefix("ethernet")
            state, speed = ("down", "0") if port.shutdown else ("up", "10G")
            mode, tagged = "T" if port.trunk else "A", show_vlans(port.tagged) or "-"
            rows.append(
                f"{shown:15} {port.description[:15]:15} {state:8} {speed:8} full     {mode}    "
                f"{port.untagged or '-':<4} {tagged}"
            )
    return "\n".join([*rows, RULE]) + "\n"


def mac_address_table(session: Os10Session) -> str:
    rows = ["VlanId  Mac Address             Type            Interface"]
    rows += [
        f"{entry.vlan:<7} {entry.mac:23} {entry.kind.lower():15} {entry.port}"
        for entry in session.device.options.macs
    ]
    return "\n".join(rows) + "\n"


def lldp_neighbors(session: Os10Session) -> str:
    rows = [
        "Loc PortID          Rem Host Name        Rem Port Id                       Rem Chassis Id",
        RULE,
    ]
    rows += [
        f"{one.port:19} {one.system_name or 'Not Advertised':20} {one.port_id:33} {one.chassis_id}"
        for one in session.device.options.lldp
    ]
    return "\n".join(rows) + "\n"


def users(session: Os10Session) -> str:
    rows = [
        "Index Line   User        Role       Application Login-Time             Location    Level",
        "---- -----  ----------- ----------- ----------- ------ --------------- -----------",
    ]
    for number, other in enumerate(session.device.sessions, start=1):
        _, _, peer = other.origin.partition(" ")
        line, where = (
            (f"pts/{number}", f"{peer.strip('()')} [ssh]") if peer else ("ttyS0", "console")
        )
        when = "00:14 2026-11-22 T 12:00:00Z"
        rows.append(
            f"{number:<4} {line:6} {other.username:11} sysadmin    clish  {when}  {where}  15"
        )
    return "\n".join(rows) + "\n"


def ip_arp(session: Os10Session, address: str) -> str:
    rows = ["Address        Hardware address       Interface      Egress Interface", RULE]
    for entry in session.device.options.arp:
        if entry.address == address:
            where = entry.interface.split(", ")
            rows.append(f"{entry.address:14} {entry.mac:22} {where[0]:14} {where[-1]}")
    return "\n".join(rows) + "\n"
