"""What a reviewer holds against a PDU's MIB: one platform's outlets as a table."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Power = Literal["on", "off"]


class Object(NamedTuple):
    """A MIB object: its OID, without an outlet's index where it is a column, and its name there."""

    oid: str
    name: str
    syntax: str = ""
    """Of an enumeration the values, as the MIB has them: ``off(1), on(2)``. Others of this table are
    given by these names; the conformance suite takes them at their word."""

    def value(self, named: int | str) -> int:
        """The number of a value. Raises ValueError for a name that is not in `syntax`."""
        if isinstance(named, int):
            return named
        try:
            return enumeration(self.syntax)[named]
        except KeyError:
            raise ValueError(f"{self.name} has no value {named!r}, only {self.syntax!r}") from None


@functools.cache
def enumeration(syntax: str) -> Mapping[str, int]:
    """``off(1), on(2)`` as names and numbers."""
    return {name: int(number) for name, number in re.findall(r"(\w+)\s*\(\s*(-?\d+)\s*\)", syntax)}


class Setting(NamedTuple):
    """A column and the value (INTEGER) to write into it, or to find there."""

    column: Object
    named: int | str
    """The number, or the name of an enumeration's value."""

    @property
    def value(self) -> int:
        """The number."""
        return self.column.value(self.named)


class Label(NamedTuple):
    """The column with an outlet's name, and how many characters it takes."""

    column: Object
    longest: int = 63
    shortest: int = 0


class Delay(NamedTuple):
    """A column that holds seconds, and the range that it takes."""

    column: Object
    least: int
    most: int
    unsigned: bool = False
    """Its syntax is Unsigned32 instead of INTEGER."""
    own: Setting | None = None
    """What says, where the unit has one value for all outlets, that this outlet's own counts. It is
    set along; while it says anything else the outlet has no delay of its own."""


class Pending(NamedTuple):
    """A column that shows a command which is not carried out yet."""

    column: Object
    values: range | tuple[int | str, ...]
    """Its values while there is one."""
    cancel: Setting | None = None
    """What takes the command back, where the unit can."""

    def holds(self, number: int | None) -> bool:
        """Whether ``number`` in the column says that a command is pending."""
        if isinstance(self.values, range):
            return number in self.values
        return number in {self.column.value(named) for named in self.values}


class Load(NamedTuple):
    """The unit's load: a scalar (with its instance), and how many of its units are an ampere."""

    scalar: Object
    ampere: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletTable:
    """One platform's outlets: which objects, which values. What a unit has not is left out."""

    object_ids: tuple[str, ...] = ()
    """Prefixes of the sysObjectIDs of such units."""
    index: tuple[str, ...] = ("outlet",)
    """The INDEX of the rows, as the MIB names it; the outlet's number comes last."""
    first: tuple[int, ...] = ()
    """The index before the number on the first unit, whose outlets are named by their numbers alone;
    any other outlet by its whole index: ``2.1.3``."""
    status: Object
    """The state of each outlet."""
    states: Mapping[int | str, Power]
    """Its settled values; any other value means that the outlet is on its way, or unknown."""
    leaving: Mapping[int | str, Power] = field(default_factory=dict)
    """Its values while a command is pending: what the outlet still is."""
    command: Mapping[Power, Setting]
    """What switches an outlet now."""
    reboot: Setting | None = None
    """What makes the unit switch an outlet off and, by itself, on again."""
    pending: tuple[Pending, ...] = ()
    label: Label | None = None
    on_delay: Delay | None = None
    off_delay: Delay | None = None
    reboot_delay: Delay | None = None
    all_reboot_delay: Object | None = None
    """A scalar (with its instance): seconds without power in a reboot of an outlet that has no
    `reboot_delay` of its own."""
    facts: Mapping[str, Object] = field(default_factory=dict)
    """Facts by name, each a scalar with its instance."""
    load: Load | None = None
    patience: float = 30.0
    """Seconds that an outlet may take to reach the commanded state. While the unit says that a
    command is pending, its own delay is granted on top."""

    def row(self, name: str) -> str:
        """The index of the outlet that has this canonical name."""
        return name if "." in name else ".".join(map(str, (*self.first, name)))

    def name(self, row: str) -> str | None:
        """The canonical name of the outlet in ``row``; None for what is no row of this table."""
        parts = row.split(".")
        if len(parts) != len(self.index) or not all(part.isdecimal() for part in parts):
            return None
        return parts[-1] if tuple(map(int, parts[:-1])) == self.first else row

    def oid(self, column: Object, name: str) -> str:
        """The instance of ``column`` for the outlet ``name``."""
        return f"{column.oid}.{self.row(name)}"

    @property
    def delays(self) -> Mapping[str, Delay]:
        """By the noun's field."""
        named = {
            "on_delay": self.on_delay,
            "off_delay": self.off_delay,
            "reboot_delay": self.reboot_delay,
        }
        return {name: delay for name, delay in named.items() if delay}

    def state(self, status: int | None) -> Power | None:
        """What ``status`` says; None while it is not settled."""
        return _lookup(self.status, self.states, status)

    def still(self, status: int | None) -> Power | None:
        """What an outlet with ``status`` is now, also while a command is pending."""
        return self.state(status) or _lookup(self.status, self.leaving, status)

    def __post_init__(self) -> None:
        # Every name must be one of its enumeration: found out here, not when it is wanted.
        for named in (*self.states, *self.leaving):
            self.status.value(named)
        for pending in self.pending:
            pending.holds(None)
        cancels = [pending.cancel for pending in self.pending]
        owns = [delay.own for delay in self.delays.values()]
        for setting in (*self.command.values(), self.reboot, *cancels, *owns):
            if setting:
                setting.column.value(setting.named)
        if len(self.first) + 1 != len(self.index):
            raise ValueError("`first` is the index of the first unit without the outlet's number")


def _lookup(column: Object, named: Mapping[int | str, Power], number: int | None) -> Power | None:
    return next((power for name, power in named.items() if column.value(name) == number), None)
