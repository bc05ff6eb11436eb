"""A PDU as data: its MIB, what it is, what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from rackwright_sim.snmp_objects import Access, Path, Scalar

Power = Literal["on", "off"]
Phase = Literal["on", "off", "going_on", "going_off", "rebooting_on", "rebooting_off"]
"""An outlet as the columns of a unit may show it: settled, or with a command that is not carried out
yet; ``rebooting_on`` waits for power at the end of a reboot."""
Verb = Literal[
    "on", "off", "reboot", "delayed_on", "delayed_off", "delayed_reboot", "cancel", "nothing"
]


class Number(NamedTuple):
    """A column that may be set to a number."""

    field: str
    """Of `Outlet`."""
    allowed: range
    kind: type[int] = int
    """Gauge for Gauge32 (Unsigned32 is the same on the wire)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One kind of PDU: its MIB, as far as it is served. Columns are paths without the index."""

    object_id: str
    engine: int
    """The vendor's enterprise number, for the SNMP engine id."""
    model: str
    description: str
    banks: tuple[Path, ...] = ((),)
    """The index before the outlet's number, for each bank of outlets."""
    shows: Mapping[Path, Mapping[Phase, int]]
    """Columns that show an outlet's phase; what is not named is shown as ``on`` or ``off`` is."""
    verbs: Mapping[Path, Mapping[int, Verb]] = field(default_factory=dict)
    """Columns that are commanded by a value."""
    timers: Mapping[Path, Verb] = field(default_factory=dict)
    """Columns that are commanded by seconds, 0 for now, -1 to cancel; read, they count down."""
    labels: Mapping[Path, range] = field(default_factory=dict)
    """Columns with an outlet's name, and how long it may be."""
    numbers: Mapping[Path, Number] = field(default_factory=dict)
    counted: tuple[Path, ...] = ()
    """Columns that hold the outlet's number."""
    fixed: Mapping[Path, Scalar] = field(default_factory=dict)
    """Scalars, each with its instance. A text may name ``{name}``, ``{model}``, ``{serial}``,
    ``{firmware}``."""
    counts: tuple[Path, ...] = ()
    """Scalars that hold how many outlets there are."""
    loads: Mapping[Path, tuple[type[int], int]] = field(default_factory=dict)
    """Scalars that hold the load: their type, and how many of their units are a tenth of an ampere."""
    shared_reboot: tuple[Path, type[int]] | None = None
    """A scalar and its type: seconds without power in a reboot of any outlet whose ``shared`` is 1."""


@dataclass(frozen=True, slots=True)
class PduOptions:
    """What the unit is. Times in seconds."""

    name: str = "RackPDU"
    outlets: int = 24
    """In each bank."""
    banks: int = 1
    model: str = ""
    """Empty: the unit's usual one."""
    serial: str = "5A1000E00001"
    firmware: str = "v6.7.2"
    lag: float = 0.0
    """From an outlet's command to its state; real units take 5 to 20."""
    latency: float = 0.0
    """Before each answer."""
    load: int = 12
    """Tenths of amperes."""
    shared_reboot: int = 10
    """Where the unit has one reboot time for all outlets."""
    access: Access = field(default_factory=Access)


@dataclass(slots=True)
class Outlet:
    """One outlet."""

    label: str
    state: Power = "on"
    on_delay: int = 0
    off_delay: int = 0
    reboot: int = 5
    shared: int = 1
    """SNMPv2-TC TruthValue: 1 while the unit's one reboot time counts for it."""
