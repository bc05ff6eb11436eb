"""The configuration of an EOS-like switch, and its text as ``show running-config`` has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rackwright_sim.ios_config import ALL_VLANS

KINDS = {
    "Ethernet": "et",
    "Management": "ma",
    "Port-Channel": "po",
    "Vlan": "vl",
    "Loopback": "lo",
}
CHANNELS = range(1, 2001)
_INTERFACE = re.compile(r"([A-Za-z-]+?)\s*(\d+(?:/\d+)*)")


@dataclass(slots=True)
class Port:
    """A port or Port-Channel as configured; what is at its default is not in the text."""

    description: str = ""
    shutdown: bool = False
    switched: bool = True
    mode: str = "access"
    access: int = 1
    native: int = 1
    allowed: frozenset[int] = ALL_VLANS
    channel: int = 0
    """Of which Port-Channel it is a member."""
    channel_mode: str = ""
    more: list[str] = field(default_factory=list)
    """Lines that nothing here understands."""

    def lines(self) -> Iterator[str]:
        """What stands under its heading."""
        if self.description:
            yield f"description {self.description}"
        if self.shutdown:
            yield "shutdown"
        if self.access != 1:
            yield f"switchport access vlan {self.access}"
        if self.native != 1:
            yield f"switchport trunk native vlan {self.native}"
        if self.allowed != ALL_VLANS:
            yield f"switchport trunk allowed vlan {ranges(self.allowed) or 'none'}"
        if self.mode != "access":
            yield f"switchport mode {self.mode}"
        if not self.switched:
            yield "no switchport"
        if self.channel:
            yield f"channel-group {self.channel} mode {self.channel_mode}"
        yield from self.more


@dataclass(slots=True)
class User:
    """An account."""

    privilege: int = 1
    role: str = ""
    secret: str = ""
    """``$6$salt$hash``."""

    def words(self) -> str:
        """What stands behind its name."""
        words = [f"privilege {self.privilege}"] if self.privilege != 1 else []
        words += [f"role {self.role}"] if self.role else []
        return " ".join([*words, f"secret sha512 {self.secret}" if self.secret else "nopassword"])


@dataclass(slots=True)
class Config:
    """A running configuration."""

    hostname: str
    ports: dict[str, Port]
    lags: dict[int, Port] = field(default_factory=dict)
    vlans: dict[int, str] = field(default_factory=dict)
    """Names, empty where none was given; VLAN 1 is always there."""
    users: dict[str, User] = field(default_factory=dict)
    ntp: dict[str, str] = field(default_factory=dict)
    """What stands behind each server."""
    logging: list[str] = field(default_factory=list)
    communities: dict[str, str] = field(default_factory=dict)
    svis: dict[str, list[str]] = field(default_factory=dict)
    more: list[str] = field(default_factory=list)

    def interface(self, text: str) -> str | None:
        """The full name of an interface that is there or can be made."""
        found = _INTERFACE.fullmatch(text.strip())
        if found is None:
            return None
        word = found[1].lower()
        for full, short in KINDS.items():
            if word == short or (len(word) > 1 and full.lower().startswith(word)):
                name = full + found[2]
                made = full == "Port-Channel" and int(found[2].split("/")[0]) in CHANNELS
                return name if made or full in ("Vlan", "Loopback") or name in self.ports else None
        return None

    def members(self, channel: int) -> dict[str, Port]:
        """The ports of a Port-Channel."""
        return {name: port for name, port in self.ports.items() if port.channel == channel}

    def text(self) -> str:
        """As ``show running-config`` prints it, its heading left out."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        yield from self.more
        yield "!"
        if self.hostname != "localhost":
            yield f"hostname {self.hostname}"
            yield "!"
        yield from self.logging
        yield from (f"ntp server {host}{rest}" for host, rest in sorted(self.ntp.items()))
        yield from (
            f"snmp-server community {text} {rest}"
            for text, rest in sorted(self.communities.items())
        )
        yield from (f"username {name} {user.words()}" for name, user in sorted(self.users.items()))
        yield "!"
        plain = [number for number, name in self.vlans.items() if not name]
        if plain:
            yield from (f"vlan {ranges(plain)}", "!")
        for number, name in sorted(self.vlans.items()):
            if name:
                yield from (f"vlan {number}", f"   name {name}", "!")
        for channel, port in sorted(self.lags.items()):
            yield from _section(f"interface Port-Channel{channel}", port.lines())
        for name, port in self.ports.items():
            yield from _section(f"interface {name}", port.lines())
        for name, lines in self.svis.items():
            yield from _section(f"interface {name}", lines)
        yield "end"


def _section(head: str, lines: Iterable[str]) -> Iterator[str]:
    yield head
    yield from (f"   {line}" for line in lines)
    yield "!"


def ranges(ids: Iterable[int]) -> str:
    """``1,10-12``."""
    found: list[list[int]] = []
    for number in sorted(ids):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in found)
