"""The configuration of an OS10-like switch, and its text as ``show running-configuration`` has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rackwright_sim.ios_config import show_vlans

KINDS = ("ethernet", "mgmt", "port-channel", "vlan", "loopback")
CHANNELS = range(1, 1025)
LAST_VLAN = 4093
MTU = 1532
_INTERFACE = re.compile(r"([A-Za-z-]+?)\s*(\d+(?:/\d+)*(?::\d+)?)")


@dataclass(slots=True)
class Port:
    """A port or port-channel as configured."""

    description: str = ""
    shutdown: bool = False
    switched: bool = True
    trunk: bool = False
    untagged: int | None = 1
    tagged: frozenset[int] = frozenset()
    mtu: int = MTU
    channel: int = 0
    """Of which port-channel it is a member."""
    channel_mode: str = ""
    more: list[str] = field(default_factory=list)
    """Lines that nothing here understands."""

    def lines(self) -> Iterator[str]:
        """What stands under its heading."""
        if self.description:
            yield f"description {quoted(self.description)}"
        yield "shutdown" if self.shutdown else "no shutdown"
        if self.channel:
            yield f"channel-group {self.channel} mode {self.channel_mode}"
        if not self.switched:
            yield "no switchport"
        else:
            if self.trunk:
                yield "switchport mode trunk"
            if self.untagged is not None:
                yield f"switchport access vlan {self.untagged}"
            if self.tagged:
                yield f"switchport trunk allowed vlan {show_vlans(self.tagged)}"
        if self.mtu != MTU:
            yield f"mtu {self.mtu}"
        yield from self.more


@dataclass(slots=True)
class User:
    """An account."""

    secret: str
    """``$6$salt$hash``."""
    role: str
    privilege: int | None = None


@dataclass(slots=True)
class Config:
    """A running configuration."""

    hostname: str
    ports: dict[str, Port]
    lags: dict[int, Port] = field(default_factory=dict)
    vlans: dict[int, str] = field(default_factory=dict)
    """Descriptions, empty where none was given; VLAN 1 is always there."""
    users: dict[str, User] = field(default_factory=dict)
    ntp: dict[str, str] = field(default_factory=dict)
    """What stands behind each server."""
    logging: list[str] = field(default_factory=list)
    communities: dict[str, str] = field(default_factory=dict)
    svis: dict[str, list[str]] = field(default_factory=dict)
    """Other lines of VLAN and loopback interfaces."""
    more: list[str] = field(default_factory=list)

    def interface(self, text: str) -> str | None:
        """The name of an interface that is there or can be made, as it is shown."""
        found = _INTERFACE.fullmatch(text.strip())
        fitting = [kind for kind in KINDS if found and kind.startswith(found[1].lower())]
        if found is None or len(fitting) != 1:
            return None
        name = fitting[0] + found[2]
        if fitting[0] == "port-channel":
            return name if found[2].isdecimal() and int(found[2]) in CHANNELS else None
        if fitting[0] == "vlan":
            return name if found[2].isdecimal() and 1 <= int(found[2]) <= LAST_VLAN else None
        return name if fitting[0] == "loopback" or name in self.ports else None

    def members(self, channel: int) -> dict[str, Port]:
        """The ports of a port-channel."""
        return {name: port for name, port in self.ports.items() if port.channel == channel}

    def text(self) -> str:
        """As ``show running-configuration`` prints it, its heading left out."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"hostname {self.hostname}"
        for name, user in sorted(self.users.items()):
            level = "" if user.privilege is None else f" priv-lvl {user.privilege}"
            yield f"username {name} password {user.secret} role {user.role}{level}"
        yield from self.more
        yield from self.logging
        yield from (f"ntp server {host}{rest}" for host, rest in sorted(self.ntp.items()))
        yield from (
            f"snmp-server community {text} {rest}"
            for text, rest in sorted(self.communities.items())
        )
        yield "!"
        for number, text in sorted({1: "", **self.vlans}.items()):
            lines = [f"description {quoted(text)}"] if text else []
            more = self.svis.get(f"vlan{number}", [])
            yield from _section(f"interface vlan{number}", [*lines, "no shutdown", *more])
        for channel, port in sorted(self.lags.items()):
            yield from _section(f"interface port-channel{channel}", port.lines())
        for name, port in self.ports.items():
            yield from _section(f"interface {name}", port.lines())
        yield "support-assist"
        yield "!"


def _section(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield head
    yield from (f" {line}" for line in lines)
    yield "!"


def quoted(text: str) -> str:
    """In quotes where it has blanks."""
    return f'"{text}"' if " " in text else text
