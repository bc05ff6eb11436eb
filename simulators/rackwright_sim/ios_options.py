"""What an IOS-like switch is, and what it sees around it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LldpNeighbour:
    """What a neighbour said over LLDP on one of our ports."""

    port: str
    """Our port, in full."""
    chassis_id: str
    port_id: str
    port_description: str = ""
    system_name: str = ""
    system_description: str = ""
    capabilities: str = "B"
    address: str = ""


@dataclass(frozen=True, slots=True)
class MacEntry:
    """A learnt address: ``mac`` as ``0011.2233.4455``, ``port`` in full."""

    vlan: int
    mac: str
    port: str
    kind: str = "DYNAMIC"


@dataclass(frozen=True, slots=True)
class ArpEntry:
    """A host that the switch itself has talked to: ``interface`` as ``Vlan10``."""

    address: str
    mac: str
    interface: str


@dataclass(frozen=True, slots=True)
class IosOptions:
    """What the device is. Times in seconds."""

    hostname: str = "Switch"
    username: str = "rack"
    password: str = "rack"
    enable: str = ""
    """The enable secret. Empty: who logs in is privileged at once."""
    ports: int | tuple[str, ...] = 24
    """How many GigabitEthernet1/0/x, or all names in full."""
    cabled: frozenset[str] | None = None
    """Ports with something at the other end; None: all."""
    latency: float = 0.0
    """From a command line to the start of its answer."""
    save_delay: float = 0.0
    """How long ``write memory`` takes."""
    sessions: int = 5
    """SSH sessions at once; a further one is turned away."""
    lldp: tuple[LldpNeighbour, ...] = ()
    macs: tuple[MacEntry, ...] = ()
    arp: tuple[ArpEntry, ...] = ()
    serial_number: str = ""
    old_ssh: bool = False
    """Speak what old switches speak and no more: SHA-1 key exchange, ssh-rsa host key."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """All ports, in full."""
        if isinstance(self.ports, int):
            return tuple(f"GigabitEthernet1/0/{number}" for number in range(1, self.ports + 1))
        return self.ports
