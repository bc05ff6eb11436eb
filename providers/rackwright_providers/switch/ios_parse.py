"""What IOS shows, as values. Pure; an answer that lacks its landmarks raises ValueError rather than
being taken for an empty device."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from rackwright_providers.switch import interfaces, vlanset
from rackwright_providers.switch.resources import Lag, Port, SwitchPort, Vlan

RESERVED_VLANS = frozenset({1, *range(1002, 1006)})
"""VLAN 1 and the FDDI and Token Ring defaults: always there, cannot be made, named or removed."""

_VLAN_ROW = re.compile(
    # 1    default                          active    Gi0/1, Gi0/2
    r"(\d{1,4}) +(\S.*?) +(active|suspended|act/unsup|act/lshut|sus/lshut|act/ishut|sus/ishut)"
    r"(?: +(.*))?"
)
_MODES = {"access": "access", "trunk": "trunk", "dynamic": "dynamic"}
_LACP = {"active": "active", "passive": "passive", "on": "off"}
"""Of ``channel-group 1 mode …``; ``auto`` and ``desirable`` are PAgP, of which nothing is said here."""
CHANNEL = "Port-channel"
"""What IOS calls a LAG, with its number."""


def vlans(text: str) -> tuple[dict[str, Vlan], dict[str, int]]:
    """VLANs of ``show vlan brief`` (or ``show vlan``) by id, reserved ones left out; and of every
    port shown there the VLAN that it carries untagged (trunks are not shown)."""
    found: dict[str, Vlan] = {}
    carrying: dict[str, int] = {}
    number = 0
    landmark = False
    for line in text.splitlines():
        if line.startswith("VLAN Name"):
            landmark = True
            continue
        if not landmark or line.startswith("----"):
            continue
        if line.startswith("VLAN Type"):
            break
        row = _VLAN_ROW.fullmatch(line.rstrip())
        if row:
            number = int(row[1])
            ports = row[4] or ""
            if number not in RESERVED_VLANS:
                found[str(number)] = Vlan(name=str(number), title=row[2])
        elif line.startswith(" ") and number:
            ports = line
        elif line.strip():
            raise ValueError(f"not a line of 'show vlan brief': {line!r}")
        else:
            continue
        for port in filter(None, (part.strip() for part in ports.split(","))):
            carrying[_port_name(port)] = number
    if not landmark:
        raise ValueError("'show vlan brief' without its heading")
    return found, carrying


def interfaces_of(text: str) -> tuple[dict[str, Port], dict[str, Lag]]:
    """Ports and LAGs of ``show running-config`` (whole, or its interface sections), each by its
    canonical name.

    What IOS does not print counts as state: allowed VLANs ``all``, native and access VLAN 1, mode
    dynamic, no description, administratively up, in no LAG. ``mtu`` is None where it is not printed.
    A LAG's mode is what all its members say; None where they differ, or there are none.
    """
    found: dict[str, Port] = {}
    bundles: dict[str, dict[str, Any]] = {}
    members: dict[str, list[str]] = {}
    modes: dict[str, set[str | None]] = {}
    for name, lines in _sections(text):
        values = _values(name, lines)
        if name.startswith(CHANNEL):
            bundles[name.removeprefix(CHANNEL)] = values
            continue
        lag = "none"
        for line in lines:
            if line.startswith("channel-group "):
                _, lag, _, mode, *_ = [*line.split(), "", ""]
                members.setdefault(lag, []).append(name)
                modes.setdefault(lag, set()).add(_LACP.get(mode))
        found[name] = Port(name=name, lag=lag, **values)
    lags = {}
    for number, values in bundles.items():
        said = modes.get(number, set())
        lacp = next(iter(said)) if len(said) == 1 else None
        ports = tuple(sorted(members.get(number, ()), key=interfaces.natural))
        lags[number] = Lag(name=number, members=ports, lacp=lacp, **values)  # type: ignore[arg-type]
    return found, lags


DEFAULTS: Mapping[str, Any] = {
    "description": "",
    "admin": "up",
    "mode": "dynamic",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "all",
}
"""A port or LAG of which IOS prints nothing."""


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("interface "):
            if name:
                yield name, lines
            name, lines = _port_name(line[10:].strip()), []
        elif name and line.startswith(" "):
            lines.append(line.strip())
        elif name:
            yield name, lines
            name = ""
    if name:
        yield name, lines


def _values(name: str, lines: list[str]) -> dict[str, Any]:
    switched = _switches(name, lines)
    values: dict[str, Any] = {"description": "", "admin": "up", "mode": "dynamic"}
    access = native = 1
    allowed = frozenset(range(vlanset.FIRST, vlanset.LAST + 1))
    for line in lines:
        if line.startswith("switchport trunk allowed vlan "):
            allowed = _allowed(allowed, line[30:].split())
        elif line.startswith("switchport access vlan ") and line[23:].isdecimal():
            access = int(line[23:])
        elif line.startswith("switchport trunk native vlan ") and line[29:].isdecimal():
            native = int(line[29:])
        elif line.startswith("switchport mode "):
            # Private VLAN and tunnel modes are neither; None says that we cannot tell.
            values["mode"] = _MODES.get(line[16:].split()[0])
        elif line.startswith("description "):
            values["description"] = line[12:]
        elif line == "shutdown":
            values["admin"] = "down"
        elif line.startswith("mtu ") and line[4:].isdecimal():
            values["mtu"] = int(line[4:])
    if not switched:
        return values | {"mode": "routed"}
    lists = vlanset.show(allowed)
    return values | {"access_vlan": access, "native_vlan": native, "allowed_vlans": lists}


def carrying_port(name: str, vlan: int) -> SwitchPort:
    """Of ``show vlan brief``: all that is known is the VLAN that it carries untagged."""
    if name.startswith(CHANNEL):
        return Lag(name=name.removeprefix(CHANNEL), access_vlan=vlan)
    return Port(name=name, access_vlan=vlan)


def _allowed(before: frozenset[int], words: list[str]) -> frozenset[int]:
    verb = words[0]
    if verb == "add":
        return before | vlanset.parse(words[1])
    if verb == "remove":
        return before - vlanset.parse(words[1])
    if verb == "except":
        return frozenset(range(vlanset.FIRST, vlanset.LAST + 1)) - vlanset.parse(words[1])
    return vlanset.parse(verb)


def _switches(name: str, lines: list[str]) -> bool:
    """Switches print nothing of addresses on a switched port (or say ``switchport`` besides)."""
    if "." in name or name.startswith(("Vlan", "Loopback", "Tunnel", "Serial")):
        return False
    if "no switchport" in lines:
        return False
    return any(line.startswith("switchport") for line in lines) or not any(
        line.startswith(("ip address", "no ip address")) for line in lines
    )


def mtus(text: str) -> dict[str, int]:
    """MTU by port, of ``show interfaces | include line protocol|MTU``."""
    found: dict[str, int] = {}
    name = ""
    for line in text.splitlines():
        head, is_head, _ = line.partition(" is ")
        if is_head and not line.startswith(" "):
            name = _port_name(head)
        elif name and (mtu := re.search(r"MTU (\d+) bytes", line)):
            # A tunnel has a transport MTU too, which comes behind.
            found.setdefault(name, int(mtu[1]))
    return found


def switchports(text: str) -> dict[str, Mapping[str, Any]]:
    """What each port is really doing, of ``show interfaces switchport``: operational mode, and the
    VLANs as IOS shows them (lists go over several lines)."""
    found: dict[str, Mapping[str, Any]] = {}
    for block in re.split(r"^(?=Name: )", text.replace("\r", ""), flags=re.MULTILINE)[1:]:
        # A list that goes on in the next line is indented.
        joined = re.sub(r",\s*\n\s+", ",", block)
        values = dict(re.findall(r"^([^:\n]+): *(.*?) *$", joined, flags=re.MULTILINE))
        facts: dict[str, Any] = {"operation": values.get("Operational Mode", "")}
        for key, label in (
            ("access_vlan", "Access Mode VLAN"),
            ("native_vlan", "Trunking Native Mode VLAN"),
            ("voice_vlan", "Voice VLAN"),
        ):
            number = values.get(label, "").split(" ")[0]
            if number.isdecimal():
                facts[key] = int(number)
        trunk = values.get("Trunking VLANs Enabled", "")
        if trunk:
            facts["allowed_vlans"] = vlanset.show(vlanset.parse(trunk.split("(")[0]))
        found[_port_name(values["Name"])] = facts
    return found


def _port_name(text: str) -> str:
    try:
        return interfaces.canonical(text)
    except ValueError:
        return text.strip()
