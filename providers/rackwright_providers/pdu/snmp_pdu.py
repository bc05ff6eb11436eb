"""PDUs that are managed over SNMP: one engine, and a table (`OutletTable`) a platform."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Snmp, Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.transport.snmp import (
    SnmpReader,
    SnmpSession,
    Value,
    integer,
    octets,
    open_snmp,
)

SYSTEM_NAME = "1.3.6.1.2.1.1.5.0"  # sysName.0, SNMPv2-MIB
SYSTEM_OBJECT_ID = "1.3.6.1.2.1.1.2.0"  # sysObjectID.0, SNMPv2-MIB
MOST_ROWS = 25
"""Outlets asked for in one GETBULK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletStep(Step):
    """What is sent for one outlet."""

    number: str
    missing: bool = False
    """The unit has no such outlet."""
    settings: tuple[tuple[str, str, Value], ...] = ()
    """(object's name, OID, value), written in one request."""
    power: Power | None = None
    delay: int = 0
    """Seconds that the unit itself may add to ``power``."""


class SnmpPdu:
    """The provider of every platform that is an `OutletTable`."""

    resources: frozenset[type[Resource]] = frozenset({Outlet})
    transports: frozenset[str] = frozenset({"snmp"})
    atomic: bool = False
    undoes: bool = False

    def __init__(self, platform: str, table: OutletTable) -> None:
        self.platform, self.table = platform, table

    def open(self, way: Way, around: Surroundings) -> SnmpReader:
        """I/O: a session; without ``around.writable`` one that cannot write."""
        try:
            options = msgspec.convert(way.options, Snmp)
        except msgspec.ValidationError as error:
            raise Permanent(f"snmp: {error}") from None
        return open_snmp(options, around)

    def canonical(self, resource: Resource) -> Outlet:
        """Pure: the outlet's number in plain decimal, everything within what the platform takes."""
        if not isinstance(resource, Outlet):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        name = resource.name
        if not (name.isdecimal() and 1 <= int(name) <= 999):
            raise Permanent(f"outlet {name}: an outlet of {self.platform} is a number, 1 to 999")
        if resource.ensure == "absent":
            raise Permanent(f"outlet {name} cannot be absent: say `state: off`")
        self._check_label(resource.label)
        for what, delay in (("on_delay", self.table.on_delay), ("off_delay", self.table.off_delay)):
            seconds = getattr(resource, what)
            if seconds is None:
                continue
            if delay is None:
                raise Permanent(f"{self.platform} has no {what}")
            if not delay.least <= seconds <= delay.most:
                raise Permanent(f"{what} {seconds} is not within {delay.least} to {delay.most} s")
        return msgspec.structs.replace(resource, name=str(int(name)))

    def _check_label(self, label: str | None) -> None:
        if label is None:
            return
        if self.table.label is None:
            raise Permanent(f"{self.platform} has no names for outlets")
        if not (label.isascii() and label.isprintable()):  # DisplayString, RFC 2579
            raise Permanent(f"label {label!r} is not plain ASCII, which is all that the unit takes")
        if len(label) > self.table.label_length:
            raise Permanent(f"label {label!r} is longer than {self.table.label_length} characters")

    def read(self, session: SnmpReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: all outlets, the columns side by side by GETBULK."""
        if Outlet not in wanted.types:
            return {}
        outlets = self._outlets(session)
        return {outlet.address: outlet for outlet in outlets}

    def _outlets(self, session: SnmpReader) -> list[Outlet]:
        table = self.table
        columns = [
            column
            for column in (
                table.status,
                table.label,
                table.on_delay and table.on_delay.column,
                table.off_delay and table.off_delay.column,
            )
            if column
        ]
        # One row more than there are shows the end in the same answer; 25 of four columns are 2.6 kB.
        rows = min(session.remembered.get("outlets", MOST_ROWS - 1) + 1, MOST_ROWS)
        found = session.walk(*(column.oid for column in columns), repetitions=rows)
        first = f"{table.status.oid}.{table.before}"
        numbers = [
            oid.removeprefix(first)
            for oid in found
            if oid.startswith(first) and oid.removeprefix(first).isdigit()
        ]
        session.remembered["outlets"] = len(numbers)

        def seconds(delay: Delay | None, number: str) -> int | None:
            value = found.get(table.oid(delay.column, number)) if delay else None
            return value.number if value else None

        def label(number: str) -> str | None:
            value = found.get(table.oid(table.label, number)) if table.label else None
            return value.text if value else None

        return [
            Outlet(
                name=number,
                state=self._state(found[table.oid(table.status, number)]),
                label=label(number),
                on_delay=seconds(table.on_delay, number),
                off_delay=seconds(table.off_delay, number),
            )
            for number in numbers
        ]

    def _state(self, value: Value | None) -> Power | None:
        number = value.number if value else None
        return None if number is None else self.table.states.get(number)

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Nothing: each outlet stands for itself."""
        return {}

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[OutletStep]:
        """Pure: one step an outlet."""
        return [
            self._step(change, change.after)
            for change in changes
            if isinstance(change.after, Outlet) and change.action in ("create", "update")
        ]

    def _step(self, change: Change, after: Outlet) -> OutletStep:
        table, number, names = self.table, after.name, change.field_names
        if change.action == "create":
            text = f"outlet {number} is not there"
            return OutletStep(addresses=(change.address,), text=text, number=number, missing=True)
        settings: list[tuple[str, str, Value]] = []
        if "label" in names and table.label and after.label is not None:
            settings.append((table.label.name, table.oid(table.label, number), octets(after.label)))
        for what, delay in (("on_delay", table.on_delay), ("off_delay", table.off_delay)):
            seconds = getattr(after, what)
            if what in names and delay and seconds is not None:
                settings.append(
                    (delay.column.name, table.oid(delay.column, number), integer(seconds))
                )
        lines = [f"{name}.{number} = {_shown(value)}" for name, _, value in settings]
        power = after.state if "state" in names else None
        if power:
            setting = table.command[power]
            lines.append(f"{setting.column.name}.{number} = {setting.value} ({power})")
        before = change.before if isinstance(change.before, Outlet) else after
        slow = [
            delay or 0
            for outlet in (before, after)
            for delay in (outlet.on_delay if power == "on" else outlet.off_delay,)
        ]
        return OutletStep(
            addresses=(change.address,),
            text="\n".join(lines),
            number=number,
            settings=tuple(settings),
            power=power,
            delay=max(0, *slow),
        )

    def commit(self, session: SnmpSession, steps: Sequence[OutletStep]) -> None:
        """I/O: write, and wait for each outlet until the unit itself says that it is so."""
        for step in steps:
            if step.missing:
                raise Rejected(f"the unit has no outlet {step.number}")
            if step.settings:
                self._write(session, step)
            if step.power:
                self._switch(session, step, step.power)

    def _write(self, session: SnmpSession, step: OutletStep) -> None:
        wanted = {oid: value for _, oid, value in step.settings}
        session.set(wanted)
        held = session.get(*wanted)
        for name, oid, value in step.settings:
            if oid not in held or _shown(held[oid]) != _shown(value):
                now = _shown(held[oid]) if oid in held else "nothing"
                raise Rejected(
                    f"{name}.{step.number}: the unit took {_shown(value)} and holds {now}",
                    output=now,
                )

    def _switch(self, session: SnmpSession, step: OutletStep, power: Power) -> None:
        """Command now, then wait: the state lags, which is no failure. An outlet that is on is never
        switched off on the way to on."""
        table = self.table
        if self._pending(session, step.number)[1] and table.cancel:
            session.set({table.oid(table.cancel.column, step.number): integer(table.cancel.value)})
        setting = table.command[power]
        session.set({table.oid(setting.column, step.number): integer(setting.value)})
        began, pause = time.monotonic(), 0.2
        while True:
            state, pending = self._pending(session, step.number)
            if state == power and not pending:
                return
            waited = time.monotonic() - began
            if waited > table.patience + (step.delay if pending else 0):
                raise Rejected(
                    f"outlet {step.number}: the unit took the command {power}, and "
                    f"{waited:.0f} s later the outlet is {state or 'in no known state'}"
                    + (" with a command pending" if pending else ""),
                    output=state or "",
                )
            if session.stop.wait(pause):
                raise Temporary(f"told to stop while outlet {step.number} was going {power}")
            pause = min(1.0, pause * 1.5)

    def _pending(self, session: SnmpReader, number: str) -> tuple[Power | None, bool]:
        """The outlet's state, and whether a command is pending."""
        table = self.table
        status = table.oid(table.status, number)
        if table.pending is None:
            state = self._state(session.get(status).get(status))
            return state, state is None
        pending = table.oid(table.pending.column, number)
        found = session.get(status, pending)
        value = found.get(pending)
        return self._state(found.get(status)), bool(value and value.number == table.pending.value)

    def save(self, session: SnmpSession) -> bool:
        """A PDU keeps what it is told by itself."""
        return False

    def carriers(
        self, session: SnmpReader, observed: Mapping[Address, Resource]
    ) -> Collection[Address]:
        """The unit cannot tell which outlet feeds the network on the way to it."""
        return ()

    def discover(self, session: SnmpReader) -> Facts:
        """I/O: what the unit says of itself; what it does not have is left out."""
        table = self.table
        scalars = {"name": SYSTEM_NAME, "object_id": SYSTEM_OBJECT_ID}
        scalars |= {name: item.oid for name, item in table.facts.items()}
        asked = [*scalars.values(), table.load.oid] if table.load else list(scalars.values())
        found = session.get(*asked)
        values: dict[str, object] = {
            name: value.data if isinstance(value.data, int) else value.text.strip()
            for name, oid in scalars.items()
            if (value := found.get(oid))
        }
        outlets = self._outlets(session)
        values["outlets"] = len(outlets)
        values["outlet_names"] = {outlet.name: outlet.label for outlet in outlets if outlet.label}
        tenths = found[table.load.oid].number if table.load and table.load.oid in found else None
        if tenths is not None and tenths >= 0:
            amperes = steady(session.remembered.get("load"), tenths / 10)
            values["load_amperes"] = session.remembered["load"] = amperes
        return Facts(values=values)


def steady(before: int | None, amperes: float) -> int:
    """Whole amperes that stay as they were ``before`` until the load has moved by a whole one: a
    fact that flickers around a half would make the store render again at every run."""
    return before if before is not None and abs(amperes - before) < 1 else round(amperes)


def _shown(value: Value) -> str:
    return repr(value.text) if value.kind == "octets" else str(value.data)
