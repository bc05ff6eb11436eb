"""What FRR's vtysh shows, as values. Pure; an answer that lacks its landmarks raises ValueError rather
than being taken for a router without interfaces.

Read from FRR's own source: ``vty_show_interface`` in zebra/interface.c, ``vtysh_config_write`` in
vtysh/vtysh_config.c.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from rackwright_providers.switch.resources import Port

_HEAD = re.compile(r"Interface (\S+) is (up|down)(?:, line protocol (?:is )?(.+))?")
_FACTS = {
    "mac": re.compile(r"^  HWaddr: (\S+)", re.MULTILINE),
    "mtu": re.compile(r"^  index \d+ metric \d+ mtu (\d+)", re.MULTILINE),
    "speed": re.compile(r"^  index .* speed (\d+)", re.MULTILINE),  # Mbit/s
    "vrf": re.compile(r"^  vrf: (\S+)", re.MULTILINE),
}
_ADDRESS = re.compile(r"^  inet6? ([0-9a-fA-F.:]+/\d+)", re.MULTILINE)
_ABSENT = re.compile(r"^  (?:pseudo interface|index \d+ inactive interface)", re.MULTILINE)
"""Configured, and not there: the kernel has no such interface (any more)."""


class Configuration(NamedTuple):
    """What of ``show running-config`` we know."""

    hostname: str
    """What this session calls the router."""
    descriptions: Mapping[str, str]
    shut: frozenset[str]
    """Ports that are told to be down."""


class Interface(NamedTuple):
    """What zebra says of one interface that the kernel has."""

    up: bool
    """The kernel's administrative state."""
    addresses: tuple[str, ...]
    """``10.0.0.1/24``"""
    facts: Mapping[str, Any]


def configuration(text: str) -> Configuration:
    """Of ``show running-config``."""
    if "Current configuration:" not in text or text.rstrip().rpartition("\n")[2] != "end":
        raise ValueError("'show running-config' is not whole")
    hostname, port = "", ""
    descriptions: dict[str, str] = {}
    shut = set()
    for line in text.splitlines():
        if line.startswith("interface "):
            port = line.split()[1]  # `interface eth0 vrf red`: the name is enough
        elif not line.startswith(" "):
            port = ""
            if line.startswith("hostname "):  # each daemon says its own; vtysh's comes last
                hostname = line.removeprefix("hostname ").strip()
        elif port and line.startswith(" description "):
            descriptions[port] = line.removeprefix(" description ").strip()
        elif port and line.strip() == "shutdown":
            shut.add(port)
    return Configuration(hostname, descriptions, frozenset(shut))


def interfaces(text: str) -> dict[str, Interface]:
    """Of ``show interface vrf all``, by name; what the kernel does not have is left out."""
    found = {}
    for name, head, block in _blocks(text):
        if _ABSENT.search(block):
            continue
        facts: dict[str, Any] = {"state": "up" if head[3] == "up" else "down"}
        for key, pattern in _FACTS.items():
            if (seen := pattern.search(block)) is not None:
                facts[key] = int(seen[1]) if seen[1].isdecimal() else seen[1]
        addresses = tuple(_ADDRESS.findall(block))
        if addresses:
            facts["addresses"] = list(addresses)
        found[name] = Interface(head[2] == "up", addresses, facts)
    if not found:
        raise ValueError("'show interface' without an interface")
    return found


def _blocks(text: str) -> Iterator[tuple[str, re.Match[str], str]]:
    for block in re.split(r"^(?=Interface \S+ is )", text, flags=re.MULTILINE)[1:]:
        head = _HEAD.match(block)
        if head is None or "\n  " not in block:
            raise ValueError(f"not an interface: {block.partition(chr(10))[0]!r}")
        yield head[1], head, block


def ports(running: Configuration, seen: Mapping[str, Interface]) -> dict[str, Port]:
    """Every port that is there. Its state is one only where the kernel and the configuration agree:
    a port that somebody shut with ``ip link`` comes up again at the next boot."""
    return {
        name: Port(
            name=name,
            admin=_admin(interface.up, name in running.shut),
            description=running.descriptions.get(name, ""),
        )
        for name, interface in seen.items()
    }


def _admin(up: bool, shut: bool) -> Literal["up", "down"] | None:
    if up == shut:
        return None
    return "up" if up else "down"


def owner(host: str, seen: Mapping[str, Interface]) -> str:
    """The interface that has the address ``host``; empty when none has, or it is no address."""
    try:
        wanted = ipaddress.ip_address(host)
    except ValueError:
        return ""
    for name, interface in seen.items():
        if any(ipaddress.ip_interface(address).ip == wanted for address in interface.addresses):
            return name
    return ""


def version(text: str) -> str:
    """``8.4.4``, of ``show version``; empty when it does not say."""
    found = re.search(r"FRRouting (\S+)", text)
    return found[1] if found else ""
