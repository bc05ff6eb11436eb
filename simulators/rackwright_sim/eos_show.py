"""What the exec commands of an EOS-like switch answer: text, and data for ``| json``."""

from __future__ import annotations

import difflib
from typing import Any

from rackwright_sim.eos_configure import seconds
from rackwright_sim.eos_session import EosSession, Shown
from rackwright_sim.ios_reply import CliError, Reply

VERSION = "4.32.2F"
GIGABIT = 10_000_000_000


def enable(session: EosSession) -> Reply:
    secret = session.device.options.enable

    def answer(line: str) -> Reply:
        session.privileged = line == secret
        return Reply("" if session.privileged else "% Bad secret\n\n")

    if not secret:
        session.privileged = True
        return Reply()
    return Reply(question="Password: ", answer=answer, hidden=True)


def disable(session: EosSession) -> None:
    session.privileged = False


def logout(session: EosSession) -> Reply:
    return Reply(close=True)


def terminal_length(session: EosSession, lines: int) -> str:
    session.length = lines
    return "Pagination disabled.\n" if not lines else ""


def terminal_width(session: EosSession, columns: int) -> str:
    session.width = columns
    return f"Width set to {columns} columns.\n"


def configure_session(session: EosSession, name: str) -> None:
    session.device.enter(name)
    session.name, session.mode = name, "config"


def session_commit(session: EosSession, name: str) -> None:
    session.device.commit(name, None)


def session_timer(session: EosSession, name: str, timer: str) -> None:
    session.device.commit(name, seconds(timer))


def session_abort(session: EosSession, name: str) -> None:
    session.device.abort(name)


def write_memory(session: EosSession) -> str:
    session.device.save()
    return "Copy completed successfully.\n"


def running_config(session: EosSession) -> str:
    head = f"! Command: show running-config\n! device: {session.device.running.hostname}"
    return f"{head} (vEOS, EOS-{VERSION})\n!\n{session.device.running.text()}"


def startup_config(session: EosSession) -> str:
    return session.device.startup or ""


def sessions(session: EosSession) -> Shown:
    device = session.device
    shown = {name: {"state": "pending", "instances": {}} for name in device.pending}
    data: dict[str, Any] = {"maxSavedSessions": 1, "maxOpenSessions": 5, "sessions": shown}
    if device.trial:
        shown[device.trial.name] = {"state": "completed", "instances": {}}
        data["commitTimerSessionName"] = device.trial.name
        data["commitTimerExpireTime"] = device.trial.ends
    lines = ["  Name      State", "  --------- ----------"]
    lines += [f"  {name:9} {facts['state']}" for name, facts in shown.items()]
    return Shown.of("".join(f"{line}\n" for line in lines), data)


def session_diffs(session: EosSession, name: str) -> str:
    wanted = session.device.pending.get(name)
    if wanted is None:
        raise CliError(f"% Session {name} does not exist")
    diff = difflib.unified_diff(
        session.device.running.text().splitlines(),
        wanted.text().splitlines(),
        "system:/running-config",
        f"session:/{name}-session-config",
        lineterm="",
    )
    return "".join(f"{line}\n" for line in diff)


def version(session: EosSession) -> Shown:
    device = session.device
    data = {
        "modelName": "vEOS",
        "version": VERSION,
        "serialNumber": device.mac.replace(".", "").upper(),
        "systemMacAddress": device.mac,
    }
    text = (
        f"Arista vEOS\nHardware version:      \nSerial number:         {data['serialNumber']}\n"
        f"System MAC address:    {device.mac}\n\nSoftware image version: {VERSION}\n"
    )
    return Shown.of(text, data)


def hostname(session: EosSession) -> Shown:
    name = session.device.running.hostname
    return Shown.of(f"Hostname: {name}\nFQDN:     {name}\n", {"hostname": name, "fqdn": name})


def vlan(session: EosSession) -> Shown:
    config = session.device.running
    titles = {1: "default"} | {
        number: name or f"VLAN{number:04d}" for number, name in config.vlans.items()
    }
    data = {
        "sourceDetail": "",
        "vlans": {
            str(number): {"status": "active", "name": title, "interfaces": {}, "dynamic": False}
            for number, title in sorted(titles.items())
        },
    }
    rows = [f"{number:<5} {title:32} active" for number, title in sorted(titles.items())]
    return Shown.of(
        "VLAN  Name                             Status\n" + "\n".join(rows) + "\n", data
    )


def interfaces_status(session: EosSession) -> Shown:
    statuses = {
        name: {
            "linkStatus": "disabled" if port.shutdown else "connected",
            "lineProtocolStatus": "down" if port.shutdown else "up",
            "interfaceType": "EbraTestPhyPort",
            "bandwidth": GIGABIT,
            "duplex": "duplexFull",
            "description": port.description,
        }
        for name, port in session.device.running.ports.items()
    }
    rows = [f"{name:12} {facts['linkStatus']}" for name, facts in statuses.items()]
    return Shown.of(
        "Port         Status\n" + "\n".join(rows) + "\n", {"interfaceStatuses": statuses}
    )


def mac_address_table(session: EosSession) -> Shown:
    entries = [
        {
            "macAddress": entry.mac,
            "vlanId": entry.vlan,
            "interface": entry.port,
            "entryType": entry.kind.lower(),
        }
        for entry in session.device.options.macs
    ]
    data = {"unicastTable": {"tableEntries": entries}, "multicastTable": {"tableEntries": []}}
    rows = [f"{entry['vlanId']}  {entry['macAddress']}  {entry['interface']}" for entry in entries]
    return Shown.of("Vlan  Mac Address  Ports\n" + "\n".join(rows) + "\n", data)


def lldp_neighbors_detail(session: EosSession) -> Shown:
    heard: dict[str, dict[str, list[Any]]] = {}
    for one in session.device.options.lldp:
        info = {"interfaceIdType": "interfaceName", "interfaceId": f'"{one.port_id}"'}
        neighbour = {
            "chassisId": one.chassis_id,
            "systemName": one.system_name,
            "neighborInterfaceInfo": {**info, "interfaceDescription": one.port_description},
        }
        heard.setdefault(one.port, {"lldpNeighborInfo": []})["lldpNeighborInfo"].append(neighbour)
    rows = [
        f"Interface {port} detected {len(of['lldpNeighborInfo'])}" for port, of in heard.items()
    ]
    return Shown.of("\n".join(rows) + "\n", {"lldpNeighbors": heard})


def users(session: EosSession) -> str:
    lines = ["    Line      User        Host(s)       Idle        Location"]
    for number, other in enumerate(session.device.sessions, start=1):
        mark = "*" if other is session else " "
        line, _, peer = other.origin.partition(" ")
        line = line.replace("vty", "vty ") if peer else "con 0"
        where = peer.strip("()") or "-"
        lines.append(
            f"{mark} {number:2} {line:8}  {other.username:10}  idle          0:00:00     {where}"
        )
    return "\n".join(lines) + "\n"


def ip_arp(session: EosSession, address: str) -> str:
    lines = ["Address         Age (sec)  Hardware Addr   Interface"]
    lines += [
        f"{entry.address:15}   0:00:10  {entry.mac}  {entry.interface}"
        for entry in session.device.options.arp
        if entry.address == address
    ]
    return "\n".join(lines) + "\n"
