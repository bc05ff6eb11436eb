"""PDUs that are managed over SNMP: one engine, and a table (`OutletTable`) a platform."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from rackwright.model import typed
from rackwright.model.address import Address
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.model.site import Snmp, Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu import snmp_switching
from rackwright_providers.pdu.outlet_table import Delay, OutletTable, Power, Setting
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.transport.snmp import (
    SnmpReader,
    SnmpSession,
    Value,
    integer,
    octets,
    open_snmp,
    unsigned,
)

SYSTEM_NAME = "1.3.6.1.2.1.1.5.0"  # sysName.0, SNMPv2-MIB
SYSTEM_OBJECT_ID = "1.3.6.1.2.1.1.2.0"  # sysObjectID.0, SNMPv2-MIB
MOST_ROWS = 25
"""Outlets asked for in one GETBULK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutletStep(Step):
    """What is sent for one outlet."""

    outlet: str
    """Its canonical name."""
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
        self.object_ids: tuple[str, ...] = table.object_ids
        """Prefixes of sysObjectID that tell the platform."""

    def open(self, way: Way, around: Surroundings) -> SnmpReader:
        """I/O: a session; without ``around.writable`` one that cannot write."""
        try:
            options = typed.convert(way.options, Snmp)
        except msgspec.ValidationError as error:
            raise Permanent(f"snmp: {error}") from None
        return open_snmp(options, around)

    def canonical(self, resource: Resource) -> Outlet:
        """Pure: the outlet's name in plain decimal, everything within what the platform takes."""
        if not isinstance(resource, Outlet):
            raise Permanent(f"{self.platform} has no {resource.kind}")
        if resource.ensure == "absent":
            raise Permanent(f"outlet {resource.name} cannot be absent: say `state: off`")
        self._check_label(resource.label)
        for what in ("on_delay", "off_delay", "reboot_delay"):
            seconds, delay = getattr(resource, what), self.table.delays.get(what)
            if seconds is None:
                continue
            if delay is None:
                raise Permanent(f"{self.platform} has no {what}")
            if not delay.least <= seconds <= delay.most:
                raise Permanent(f"{what} {seconds} is not within {delay.least} to {delay.most} s")
        return msgspec.structs.replace(resource, name=self._canonical_name(resource.name))

    def _canonical_name(self, name: str) -> str:
        index, parts = self.table.index, name.split(".")
        if all(part.isdecimal() and len(part) < 10 for part in parts) and int(parts[-1]) > 0:
            numbers = [str(int(part)) for part in parts]
            canonical = numbers[0] if len(parts) == 1 else self.table.name(".".join(numbers))
            if canonical:
                return canonical
        whole = f", or {'.'.join(index)}" if len(index) > 1 else ""
        raise Permanent(f"{self.platform} names an outlet by its number{whole}: not {name!r}")

    def _check_label(self, label: str | None) -> None:
        if label is None:
            return
        held = self.table.label
        if held is None:
            raise Permanent(f"{self.platform} has no names for outlets")
        if not (label.isascii() and label.isprintable()):  # DisplayString, RFC 2579
            raise Permanent(f"label {label!r} is not plain ASCII, which is all that the unit takes")
        if len(label) > held.longest:
            raise Permanent(f"label {label!r} is longer than {held.longest} characters")
        if len(label) < held.shortest:
            raise Permanent("the unit takes no empty label")

    def read(self, session: SnmpReader, wanted: Wanted) -> Mapping[Address, Resource]:
        """I/O: all outlets, the columns side by side by GETBULK."""
        if Outlet not in wanted.types:
            return {}
        outlets = self._outlets(session)
        return {outlet.address: outlet for outlet in outlets}

    def _outlets(self, session: SnmpReader) -> list[Outlet]:
        table = self.table
        columns = [table.status, *([table.label.column] if table.label else [])]
        for delay in table.delays.values():
            columns += [delay.column, *([delay.own.column] if delay.own else [])]
        # One row more than there are shows the end in the same answer; 25 of five columns are 3.2 kB.
        rows = min(session.remembered.get("outlets", MOST_ROWS - 1) + 1, MOST_ROWS)
        found = session.walk(*(column.oid for column in columns), repetitions=rows)
        first = f"{table.status.oid}."
        rows_found = (oid.removeprefix(first) for oid in found if oid.startswith(first))
        names = [name for row in rows_found if (name := table.name(row))]
        session.remembered["outlets"] = len(names)
        return [self._outlet(found, name) for name in names]

    def _outlet(self, found: Mapping[str, Value], name: str) -> Outlet:
        """Pure: one outlet out of what a walk ``found``."""
        table = self.table
        status = found[table.oid(table.status, name)].number
        label = found.get(table.oid(table.label.column, name)) if table.label else None

        def seconds(delay: Delay | None) -> int | None:
            if delay is None:
                return None
            own = found.get(table.oid(delay.own.column, name)) if delay.own else None
            if delay.own and (own is None or own.number != delay.own.value):
                return None
            value = found.get(table.oid(delay.column, name))
            return value.number if value else None

        return Outlet(
            name=name,
            state=table.state(status),
            label=label.text if label else None,
            on_delay=seconds(table.on_delay),
            off_delay=seconds(table.off_delay),
            reboot_delay=seconds(table.reboot_delay),
        )

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
        table, name, names = self.table, after.name, change.field_names
        if change.action == "create":
            text = f"outlet {name} is not there"
            return OutletStep(addresses=(change.address,), text=text, outlet=name, missing=True)
        settings: list[tuple[str, str, Value]] = []
        if "label" in names and table.label and after.label is not None:
            column = table.label.column
            settings.append((column.name, table.oid(column, name), octets(after.label)))
        for what, delay in table.delays.items():
            seconds = getattr(after, what)
            if what in names and seconds is not None:
                value = unsigned(seconds) if delay.unsigned else integer(seconds)
                settings.append((delay.column.name, table.oid(delay.column, name), value))
                if delay.own:
                    settings.append(self._setting(delay.own, name))
        row = table.row(name)
        lines = [f"{column}.{row} = {_shown(value)}" for column, _, value in settings]
        power = after.state if "state" in names else None
        if power:
            setting = table.command[power]
            lines.append(f"{setting.column.name}.{row} = {setting.value} ({power})")
        before = change.before if isinstance(change.before, Outlet) else after
        slow = [
            delay or 0
            for outlet in (before, after)
            for delay in (outlet.on_delay if power == "on" else outlet.off_delay,)
        ]
        return OutletStep(
            addresses=(change.address,),
            text="\n".join(lines),
            outlet=name,
            settings=tuple(settings),
            power=power,
            delay=max(0, *slow),
        )

    def _setting(self, setting: Setting, name: str) -> tuple[str, str, Value]:
        column = setting.column
        return column.name, self.table.oid(column, name), integer(setting.value)

    def commit(self, session: SnmpSession, steps: Sequence[OutletStep]) -> None:
        """I/O: write, and wait for each outlet until the unit itself says that it is so."""
        for step in steps:
            if step.missing:
                raise Rejected(f"the unit has no outlet {step.outlet}")
            if step.settings:
                self._write(session, step)
            if step.power:
                snmp_switching.switch(session, self.table, step.outlet, step.power, step.delay)

    def _write(self, session: SnmpSession, step: OutletStep) -> None:
        wanted = {oid: value for _, oid, value in step.settings}
        session.set(wanted)
        held = session.get(*wanted)
        for name, oid, value in step.settings:
            if oid not in held or _shown(held[oid]) != _shown(value):
                now = _shown(held[oid]) if oid in held else "nothing"
                raise Rejected(
                    f"{name}.{self.table.row(step.outlet)}: the unit took {_shown(value)} and "
                    f"holds {now}",
                    output=now,
                )

    def reboot(self, session: SnmpSession, name: str) -> None:
        """I/O: power off and on again for the outlet ``name``, which must be on; see
        `rackwright.provider.Reboots`."""
        snmp_switching.reboot(session, self.table, self.canonical(Outlet(name=name)).name)

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
        asked = [*scalars.values(), *([table.load.scalar.oid] if table.load else [])]
        found = session.get(*asked)
        values: dict[str, object] = {
            name: value.data if isinstance(value.data, int) else value.text.strip()
            for name, oid in scalars.items()
            if (value := found.get(oid))
        }
        outlets = self._outlets(session)
        values["outlets"] = len(outlets)
        values["outlet_names"] = {outlet.name: outlet.label for outlet in outlets if outlet.label}
        reading = found.get(table.load.scalar.oid) if table.load else None
        units = reading.number if reading else None
        if table.load and units is not None and units >= 0:
            amperes = steady(session.remembered.get("load"), units / table.load.ampere)
            values["load_amperes"] = session.remembered["load"] = amperes
        return Facts(values=values)


def steady(before: int | None, amperes: float) -> int:
    """Whole amperes that stay as they were ``before`` until the load has moved by a whole one: a
    fact that flickers around a half would make the store render again at every run."""
    return before if before is not None and abs(amperes - before) < 1 else round(amperes)


def _shown(value: Value) -> str:
    return repr(value.text) if value.kind == "octets" else str(value.data)
