"""What ``show`` commands answer, in the layout of a Catalyst 9200 with IOS XE 17."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from rackwright_sim.ios_config import ALL_VLANS, RESERVED_VLANS, short_name, vlan_ranges
from rackwright_sim.ios_session import IosSession
from rackwright_sim.ios_switch import IosSwitch

VLAN_PORTS_WIDTH = 32
TRUNK_LINE_WIDTH = 80
NVRAM = 2097152
MEDIA = "10/100/1000BaseTX"
_VLAN_TYPES = {
    1002: ("fddi", "-", "-"),
    1003: ("tr", "-", "srb"),
    1004: ("fdnet", "ieee", "-"),
    1005: ("trnet", "ibm", "-"),
}


def vlan_brief(session: IosSession) -> str:
    """Ports are listed below their access VLAN, unless they trunk right now or are in a channel."""
    device, config = session.device, session.device.running
    ports: dict[int, list[str]] = {}
    for name, port in config.ports.items():
        if device.operation(name) != "trunk" and not port.channel:
            ports.setdefault(port.access, []).append(short_name(name))
    out = [
        "",
        "VLAN Name                             Status    Ports",
        f"---- {'-' * 32} --------- {'-' * 31}",
    ]
    for vlan in sorted(config.vlans):
        status = "act/unsup" if vlan in RESERVED_VLANS else "active"
        rows = list(_wrapped(ports.get(vlan, []))) or [""]
        out.append(f"{vlan:<4} {config.vlans[vlan]:<32} {status:<9} {rows[0]}")
        out += [f"{'':48}{row}" for row in rows[1:]]
    return "\n".join(out) + "\n"


def _wrapped(names: list[str]) -> Iterator[str]:
    line = ""
    for name in names:
        if line and len(line) + len(name) + 2 > VLAN_PORTS_WIDTH:
            yield line
            line = ""
        line = f"{line}, {name}" if line else name
    if line:
        yield line


def vlan(session: IosSession) -> str:
    """The brief table, the types of VLANs, and the parts that are empty here."""
    out = [
        "",
        "VLAN Type  SAID       MTU   Parent RingNo BridgeNo Stp  BrdgMode Trans1 Trans2",
        "---- ----- ---------- ----- ------ ------ -------- ---- -------- ------ ------",
    ]
    for number in sorted(session.device.running.vlans):
        kind, stp, mode = _VLAN_TYPES.get(number, ("enet", "-", "-"))
        out.append(
            f"{number:<4} {kind:<5} {100000 + number:<10} 1500  -      -      -        "
            f"{stp:<4} {mode:<8} 0      0"
        )
    out += ["", "Remote SPAN VLANs", "-" * 78, "", ""]
    out += ["Primary Secondary Type              Ports"]
    out += ["------- --------- ----------------- ------------------------------------------", ""]
    return vlan_brief(session) + "\n".join(out) + "\n"


def interfaces_switchport(session: IosSession, only: str = "") -> str:
    device, config = session.device, session.device.running
    out: list[str] = []
    for name in [only] if only else config.ports:
        port = config.ports.get(name)
        if port is None:
            return f"Name: {short_name(name)}\nSwitchport: Disabled\n\n"
        operation = device.operation(name)
        mode = "static access" if port.mode == "access" else port.mode
        out += [
            f"Name: {short_name(name)}",
            "Switchport: Enabled",
            f"Administrative Mode: {mode}",
            f"Operational Mode: {operation}",
            "Administrative Trunking Encapsulation: dot1q",
        ]
        if operation != "down":
            tagging = "dot1q" if operation == "trunk" else "native"
            out.append(f"Operational Trunking Encapsulation: {tagging}")
        negotiates = port.mode not in ("access",) and not port.nonegotiate
        out += [
            f"Negotiation of Trunking: {'On' if negotiates else 'Off'}",
            f"Access Mode VLAN: {port.access} ({config.vlans.get(port.access, 'Inactive')})",
            f"Trunking Native Mode VLAN: {port.native} "
            f"({config.vlans.get(port.native, 'Inactive')})",
            *_SWITCHPORT_MIDDLE,
            *_trunking(port.allowed),
            *_SWITCHPORT_END,
        ]
    return "\n".join(out) + "\n"


_SWITCHPORT_MIDDLE = (
    "Administrative Native VLAN tagging: disabled",
    "Voice VLAN: none",
    "Administrative private-vlan host-association: none ",
    "Administrative private-vlan mapping: none ",
    "Administrative private-vlan trunk native VLAN: none",
    "Administrative private-vlan trunk Native VLAN tagging: enabled",
    "Administrative private-vlan trunk encapsulation: dot1q",
    "Administrative private-vlan trunk normal VLANs: none",
    "Administrative private-vlan trunk associations: none",
    "Administrative private-vlan trunk mappings: none",
    "Operational private-vlan: none",
)
_SWITCHPORT_END = (
    "Pruning VLANs Enabled: 2-1001",
    "Capture Mode Disabled",
    "Capture VLANs Allowed: ALL",
    "",
    "Protected: false",
    "Unknown unicast blocked: disabled",
    "Unknown multicast blocked: disabled",
    "Vepa Enabled: false",
    "Appliance trust: none",
    "",
)


def _trunking(allowed: frozenset[int]) -> Iterator[str]:
    line = "Trunking VLANs Enabled: "
    if len(allowed) in (0, len(ALL_VLANS)):
        yield line + ("ALL" if allowed else "NONE")
        return
    for part in vlan_ranges(allowed):
        if len(line) + len(part) + 1 > TRUNK_LINE_WIDTH:
            yield line
            line = "     "
        line += f"{part},"
    yield line.rstrip(",")


def interfaces_status(session: IosSession, only: str = "") -> str:
    device, config = session.device, session.device.running
    out = ["", "Port         Name               Status       Vlan       Duplex  Speed Type"]
    for name, port in config.ports.items():
        if only not in ("", name):
            continue
        status = "connected" if device.linked(name) else "notconnect"
        status = "disabled" if port.shutdown else status
        belongs = "trunk" if device.operation(name) == "trunk" else str(port.access)
        if belongs != "trunk" and port.access not in config.vlans and status == "connected":
            status = "inactive"
        duplex, speed = ("a-full", "a-1000") if status == "connected" else ("auto", "auto")
        out.append(
            f"{short_name(name):<12} {port.description[:18]:<18} {status:<12} {belongs:<10} "
            f"{duplex:>6} {speed:>6} {'' if name.startswith('Port-channel') else MEDIA}".rstrip()
        )
    return "\n".join(out) + "\n"


def interfaces(session: IosSession, only: str = "") -> str:
    config = session.device.running
    if only and only not in config.ports and only not in config.svis:
        return f"% {only} does not exist\n"
    names = [only] if only else [*config.svis, *config.ports]
    return "\n".join(line for name in names for line in _interface(session.device, name)) + "\n"


def _interface(device: IosSwitch, name: str) -> Iterator[str]:
    config, mac = device.running, device.mac(name)
    if svi := config.svis.get(name):
        state = "administratively down, line protocol is down" if svi.shutdown else _UP
        hardware, description, size = "Ethernet SVI", svi.description, 1500
        speed = "  ARP type: ARPA, ARP Timeout 04:00:00"
    else:
        port = config.ports[name]
        if port.shutdown:
            state = "administratively down, line protocol is down (disabled)"
        else:
            state = f"{_UP} (connected)" if device.linked(name) else f"{_DOWN} (notconnect)"
        bundle = name.startswith("Port-channel")
        hardware, description = "EtherChannel" if bundle else "Gigabit Ethernet", port.description
        size = port.mtu or config.system_mtu
        up = device.linked(name)
        speed = (
            f"  {'Full' if up else 'Auto'}-duplex, {'1000Mb/s' if up else 'Auto-speed'}, "
            f"media type is {'unknown' if bundle else MEDIA}"
        )
    yield f"{name} is {state}"
    yield f"  Hardware is {hardware}, address is {mac} (bia {mac})"
    if description:
        yield f"  Description: {description}"
    if svi and svi.address:
        address, mask = svi.address.split()
        yield f"  Internet address is {address}/{_prefix(mask)}"
    yield f"  MTU {size} bytes, BW 1000000 Kbit/sec, DLY 10 usec, "
    yield from _INTERFACE_MIDDLE
    yield speed
    yield from _INTERFACE_END


_UP, _DOWN = "up, line protocol is up", "down, line protocol is down"
_INTERFACE_MIDDLE = (
    "     reliability 255/255, txload 1/255, rxload 1/255",
    "  Encapsulation ARPA, loopback not set",
    "  Keepalive set (10 sec)",
)
_INTERFACE_END = (
    "  Last input never, output never, output hang never",
    '  Last clearing of "show interface" counters never',
    "  Input queue: 0/2000/0/0 (size/max/drops/flushes); Total output drops: 0",
    "  Queueing strategy: fifo",
    "  Output queue: 0/40 (size/max)",
    "  5 minute input rate 0 bits/sec, 0 packets/sec",
    "  5 minute output rate 0 bits/sec, 0 packets/sec",
    "     0 packets input, 0 bytes, 0 no buffer",
    "     Received 0 broadcasts (0 multicasts)",
    "     0 runts, 0 giants, 0 throttles ",
    "     0 input errors, 0 CRC, 0 frame, 0 overrun, 0 ignored",
    "     0 watchdog, 0 multicast, 0 pause input",
    "     0 input packets with dribble condition detected",
    "     0 packets output, 0 bytes, 0 underruns",
    "     0 output errors, 0 collisions, 1 interface resets",
    "     0 unknown protocol drops",
    "     0 babbles, 0 late collision, 0 deferred",
    "     0 lost carrier, 0 no carrier, 0 pause output",
    "     0 output buffer failures, 0 output buffers swapped out",
)


def _prefix(mask: str) -> int:
    return IPv4Network(f"0.0.0.0/{mask}").prefixlen


def ip_interface_brief(session: IosSession) -> str:
    device, config = session.device, session.device.running
    out = [
        "Interface              IP-Address      OK? Method Status                Protocol",
    ]
    for name, svi in config.svis.items():
        address = svi.address.split()[0] if svi.address else "unassigned"
        out.append(_brief(name, address, svi.shutdown, not svi.shutdown))
    for name, port in config.ports.items():
        out.append(_brief(name, "unassigned", port.shutdown, device.linked(name)))
    return "\n".join(out) + "\n"


def _brief(name: str, address: str, shutdown: bool, up: bool) -> str:
    status = "administratively down" if shutdown else "up" if up else "down"
    method = "unset" if address == "unassigned" else "NVRAM"
    return f"{name:<22} {address:<15} YES {method:<6} {status:<21} {'up' if up else 'down'}"


def users(session: IosSession) -> str:
    out = ["    Line       User       Host(s)              Idle       Location"]
    for open_ in session.device.sessions:
        line, _, where = open_.origin.partition(" ")
        kind, number = ("con", 0) if line == "console" else ("vty", int(line.removeprefix("vty")))
        mark = "*" if open_ is session else " "
        out.append(
            f"{mark} {number + (kind == 'vty'):2d} {kind} {number:<5} {open_.username:<10} "
            f"{'idle':<20} 00:00:00   {where.strip('()')}"
        )
    out += ["", "  Interface    User               Mode         Idle     Peer Address", ""]
    return "\n".join(out) + "\n"


def ip_arp(session: IosSession, only: str = "") -> str:
    out = ["Protocol  Address          Age (min)  Hardware Addr   Type   Interface"]
    out += [
        f"Internet  {entry.address:<15}         0   {entry.mac}  ARPA   {entry.interface}"
        for entry in session.device.options.arp
        if only in ("", entry.address)
    ]
    return "\n".join(out) + "\n"


def mac_address_table(session: IosSession, only: str = "") -> str:
    macs = [entry for entry in session.device.options.macs if only in ("", entry.mac)]
    out = [
        "          Mac Address Table",
        "-------------------------------------------",
        "",
        "Vlan    Mac Address       Type        Ports",
        "----    -----------       --------    -----",
        *(
            f"{entry.vlan:4d}    {entry.mac}    {entry.kind:<8}    {short_name(entry.port)}"
            for entry in macs
        ),
        f"Total Mac Addresses for this criterion: {len(macs)}",
    ]
    return "\n".join(out) + "\n"


def lldp_neighbors_detail(session: IosSession) -> str:
    neighbours = session.device.options.lldp
    out: list[str] = [""]
    for found in neighbours:
        out += [
            "------------------------------------------------",
            f"Local Intf: {short_name(found.port)}",
            f"Chassis id: {found.chassis_id}",
            f"Port id: {found.port_id}",
            _advertised("Port Description", found.port_description),
            _advertised("System Name", found.system_name),
            "",
        ]
        if found.system_description:
            out += ["System Description: ", found.system_description, ""]
        else:
            out += ["System Description - not advertised", ""]
        out += [
            "Time remaining: 101 seconds",
            f"System Capabilities: {found.capabilities}",
            f"Enabled Capabilities: {found.capabilities}",
        ]
        if found.address:
            out += ["Management Addresses:", f"    IP: {found.address}"]
        else:
            out += ["Management Addresses - not advertised"]
        out += [
            "Auto Negotiation - not supported",
            "Physical media capabilities - not advertised",
            "Media Attachment Unit type - not advertised",
            "Vlan ID: - not advertised",
            "",
        ]
    out += ["", f"Total entries displayed: {len(neighbours)}", ""]
    return "\n".join(out) + "\n"


def _advertised(what: str, value: str) -> str:
    return f"{what}: {value}" if value else f"{what} - not advertised"


def privilege(session: IosSession) -> str:
    return f"Current privilege level is {15 if session.privileged else 1}\n"


def running_config(session: IosSession, only: str = "") -> str:
    config = session.device.running
    if only and only not in config.ports and only not in config.svis:
        return f"% {only} does not exist\n"
    text = config.text()
    if only:
        text = "\n".join([*config.interface_lines(only), "end", ""])
    return f"Building configuration...\n\nCurrent configuration : {len(text)} bytes\n!\n{text}\n"


def startup_config(session: IosSession) -> str:
    text = session.device.startup
    if text is None:
        return "startup-config is not present\n"
    return f"Using {len(text)} out of {NVRAM} bytes\n!\n{text}\n"
