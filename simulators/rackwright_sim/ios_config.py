"""The configuration of an IOS-like switch, and its text as ``show running-config`` has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from rackwright_sim.ios_accounts import Account

ALL_VLANS = frozenset(range(1, 4095))
RESERVED_VLANS = {
    1002: "fddi-default",
    1003: "token-ring-default",
    1004: "fddinet-default",
    1005: "trnet-default",
}
DEFAULT_VLANS = {1: "default", **RESERVED_VLANS}
LINE_WIDTH = 80
CHANNELS = range(1, 129)
"""Numbers that a Port-channel may have."""

INTERFACE_KINDS = {
    "GigabitEthernet": "Gi",
    "TenGigabitEthernet": "Te",
    "TwentyFiveGigE": "Twe",
    "FortyGigabitEthernet": "Fo",
    "HundredGigE": "Hu",
    "FastEthernet": "Fa",
    "Ethernet": "Et",
    "Port-channel": "Po",
    "Vlan": "Vl",
}
_INTERFACE = re.compile(r"([A-Za-z-]+)\s*(\d[\d/]*)")


@dataclass(slots=True)
class Port:
    """A switch port as configured; a field at its default is not in the text."""

    description: str = ""
    shutdown: bool = False
    mode: str = "dynamic auto"
    access: int = 1
    native: int = 1
    allowed: frozenset[int] = ALL_VLANS
    mtu: int | None = None
    nonegotiate: bool = False
    portfast: bool = False
    channel: int = 0
    """The number of the Port-channel that it is a member of."""
    channel_mode: str = ""
    """``active``, ``passive``, ``on``, ``auto`` or ``desirable``."""


@dataclass(slots=True)
class Svi:
    """A VLAN interface."""

    description: str = ""
    shutdown: bool = False
    address: str = ""
    """Address and mask, as entered."""


@dataclass(slots=True)
class Config:
    """A running configuration. VTP is transparent, so VLANs are part of the text."""

    hostname: str
    ports: dict[str, Port]
    vlans: dict[int, str] = field(default_factory=lambda: dict(DEFAULT_VLANS))
    svis: dict[str, Svi] = field(default_factory=lambda: {"Vlan1": Svi(shutdown=True)})
    system_mtu: int = 1500
    accounts: dict[str, Account] = field(default_factory=dict)
    ntp: dict[str, str] = field(default_factory=dict)
    """Time servers, each with what stands behind it on its line."""
    logging: dict[str, str] = field(default_factory=dict)
    """Receivers of the log, likewise."""
    communities: dict[str, str] = field(default_factory=dict)
    """Text of the community → ``RO`` or ``RW``, and what stands behind."""
    archive: str = ""
    """Where copies of the configuration are kept; without it nothing can be tried and taken back."""

    def members(self, channel: str) -> list[str]:
        """The ports in a Port-channel; none when ``channel`` is something else."""
        number = channel.removeprefix("Port-channel")
        if number == channel:
            return []
        return [name for name, port in self.ports.items() if port.channel == int(number)]

    def add_channel(self, name: str) -> Port:
        """The Port-channel ``name``, made when it is not there; they come before all ports."""
        if name not in self.ports:
            channels = {key: port for key, port in self.ports.items() if _is_channel(key)}
            channels[name] = Port()
            ordered = sorted(channels.items(), key=lambda item: int(item[0][12:]))
            self.ports = {**dict(ordered), **self.ports}
        return self.ports[name]

    def interface(self, text: str) -> str | None:
        """The full name of the interface that ``text`` abbreviates and that is there or can be made;
        None when there is none."""
        found = _INTERFACE.fullmatch(text.strip())
        if not found:
            return None
        kind, number = found[1].lower(), found[2]
        names = [f"{full}{number}" for full in INTERFACE_KINDS if full.lower().startswith(kind)]
        there = [name for name in names if name in self.ports]
        if there:
            return there[0] if len(there) == 1 else None
        channel = f"Port-channel{number}"
        if channel in names and number.isdecimal() and int(number) in CHANNELS:
            return channel
        vlan = f"Vlan{number}"
        return vlan if vlan in names and number.isdecimal() and 1 <= int(number) <= 4094 else None

    def text(self) -> str:
        """The part of the running configuration that starts at ``version``."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from ("version 17.9", "service timestamps log datetime msec", "!")
        yield from (f"hostname {self.hostname}", "!", "no aaa new-model")
        if self.system_mtu != 1500:
            yield f"system mtu {self.system_mtu}"
        for name, account in self.accounts.items():
            level = f" privilege {account.privilege}" if account.privilege != 1 else ""
            secret = f" secret {account.secret[1]} {account.secret}" if account.secret else ""
            yield f"username {name}{level}{secret}"
        if self.archive:
            yield from ("archive", f" path {self.archive}", "!")
        yield from ("vtp mode transparent", "!")
        yield from self._vlan_lines()
        for name in self.ports:
            yield from self.interface_lines(name)
            yield "!"
        for name in sorted(self.svis, key=lambda vlan: int(vlan[4:])):
            yield from self.interface_lines(name)
            yield "!"
        yield from ("ip ssh version 2", "!")
        yield from (f"logging host {host}{more}" for host, more in self.logging.items())
        yield from (f"snmp-server community {text} {how}" for text, how in self.communities.items())
        yield from ("!", "line con 0", " login local", " stopbits 1")
        yield from ("line vty 0 4", " login local", " transport input ssh", "!")
        yield from (f"ntp server {host}{more}" for host, more in self.ntp.items())
        yield "end"

    def _vlan_lines(self) -> Iterator[str]:
        unnamed: list[int] = []
        for vlan in sorted(self.vlans):
            if vlan in DEFAULT_VLANS:
                continue
            if self.vlans[vlan] == default_vlan_name(vlan):
                unnamed.append(vlan)
                continue
            if unnamed:
                yield from (f"vlan {show_vlans(unnamed)} ", "!")
                unnamed = []
            name = self.vlans[vlan]
            yield from (f"vlan {vlan}", f' name "{name}"' if " " in name else f" name {name}", "!")
        if unnamed:
            yield from (f"vlan {show_vlans(unnamed)} ", "!")

    def interface_lines(self, name: str) -> Iterator[str]:
        """``interface NAME`` and what is configured below it."""
        yield f"interface {name}"
        if svi := self.svis.get(name):
            if svi.description:
                yield f" description {svi.description}"
            yield f" ip address {svi.address}" if svi.address else " no ip address"
            if svi.shutdown:
                yield " shutdown"
            return
        port = self.ports[name]
        if port.description:
            yield f" description {port.description}"
        if port.access != 1:
            yield f" switchport access vlan {port.access}"
        if port.native != 1:
            yield f" switchport trunk native vlan {port.native}"
        if len(port.allowed) != len(ALL_VLANS):
            yield from _allowed_lines(port.allowed)
        if port.mode != "dynamic auto":
            yield f" switchport mode {port.mode}"
        if port.nonegotiate:
            yield " switchport nonegotiate"
        if port.mtu is not None:
            yield f" mtu {port.mtu}"
        if port.shutdown:
            yield " shutdown"
        if port.portfast:
            yield " spanning-tree portfast"
        if port.channel:
            yield f" channel-group {port.channel} mode {port.channel_mode}"


def _allowed_lines(vlans: frozenset[int]) -> Iterator[str]:
    """A long list is broken into a first line and ``add`` lines, as IOS does."""
    lead = " switchport trunk allowed vlan "
    if not vlans:
        yield f"{lead}none"
        return
    line = lead
    for part in vlan_ranges(vlans):
        if len(line) + len(part) > LINE_WIDTH and line not in (lead, f"{lead}add "):
            yield line.rstrip(",")
            line = f"{lead}add "
        line += f"{part},"
    yield line.rstrip(",")


def _is_channel(name: str) -> bool:
    return name.startswith("Port-channel")


def default_vlan_name(vlan: int) -> str:
    """What IOS calls a VLAN that nobody named."""
    return f"VLAN{vlan:04d}"


def short_name(interface: str) -> str:
    """``GigabitEthernet1/0/1`` as tables show it: ``Gi1/0/1``."""
    kind = interface.rstrip("0123456789/")
    return INTERFACE_KINDS.get(kind, kind) + interface[len(kind) :]


@lru_cache(maxsize=1024)
def vlan_ranges(vlans: frozenset[int]) -> tuple[str, ...]:
    """Ascending ranges: ``('1', '10-12')``."""
    out: list[str] = []
    ids = sorted(vlans)
    start = 0
    for index, vlan in enumerate(ids):
        if index + 1 == len(ids) or ids[index + 1] != vlan + 1:
            out.append(str(vlan) if start == index else f"{ids[start]}-{vlan}")
            start = index + 1
    return tuple(out)


def show_vlans(vlans: Iterable[int]) -> str:
    """Ranges joined by commas."""
    return ",".join(vlan_ranges(frozenset(vlans)))


class BadVlanList(ValueError):
    """A VLAN list that IOS refuses; the text is what it answers."""


def parse_vlans(text: str) -> frozenset[int]:
    """``10,20-30``. Raises BadVlanList."""
    ids: set[int] = set()
    position = 0
    for part in text.split(","):
        low, dash, high = part.partition("-")
        for number in (low, high) if dash else (low,):
            for offset, char in enumerate(number or ","):
                if not char.isdecimal():
                    at = position + offset + 1
                    raise BadVlanList(
                        f"Command rejected: Bad VLAN list - character #{at} is a non-numeric\n"
                        f"character ('{char}')."
                    )
            position += len(number)
            end = "EOL" if position >= len(text) else f"'{text[position]}'"
            if not 1 <= int(number) <= 4094:
                raise BadVlanList(
                    f"Command rejected: Bad VLAN list - character #{position + 1} ({end}) "
                    "delimits a VLAN number\n which is out of the range 1..4094."
                )
            position += 1
        first, last = int(low), int(high or low)
        if dash and last <= first:
            raise BadVlanList(
                f"Command rejected: Bad VLAN list - character #{position} ({end}) delimits "
                f"ending Vlan id ({last})\n of vlan-range, which is not larger than the "
                f"starting Vlan id ({first})."
            )
        ids.update(range(first, last + 1))
    return frozenset(ids)
