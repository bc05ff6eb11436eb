"""A case and a rig for an `OutletTable` that comes with neither, made from the table alone.

The device is an agent that serves the table's objects. What its values mean it takes from their names
in the MIB (`Object.syntax`), not from what the table does with them: a table that switches an outlet
off by ``immediateOn`` is found out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rackwright_providers.pdu.outlet_table import (
    Delay,
    Object,
    OutletTable,
    Pending,
    Power,
    Setting,
    enumeration,
)
from rackwright_sim.snmp_objects import Gauge
from rackwright_sim.snmp_objects import Path as Oid
from rackwright_sim.snmp_pdu_unit import Number, Phase, Unit, Verb

from .rig import Case, Impossible, Maker, Written
from .snmp_pdus import simulated

MOST = 7200
"""Of a delay that the noun takes."""
PLAIN = frozenset(
    [
        "outlet",
        "status",
        "state",
        "immediate",
        "immediately",
        "now",
        "power",
        "turn",
        "switch",
        "switched",
    ]
)
"""Words that change nothing in ``outletStatusOn``, ``immediateOff``."""
MEANINGS: Mapping[frozenset[str], Verb] = {
    frozenset(["on"]): "on",
    frozenset(["off"]): "off",
    frozenset(["reboot"]): "reboot",
    frozenset(["cycle"]): "reboot",
    frozenset(["cancel"]): "cancel",
    frozenset(["cancel", "pending", "command"]): "cancel",
}


def meaning(name: str) -> Verb | None:
    """What a value called ``name`` does or says; None when its name does not tell."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return MEANINGS.get(frozenset(words - PLAIN))


def unit(table: OutletTable) -> Unit:
    """A PDU that serves ``table``."""
    shows: dict[Oid, Mapping[Phase, int]] = {}
    verbs: dict[Oid, dict[int, Verb]] = {}
    said: list[tuple[Setting, Verb]] = [
        (setting, power) for power, setting in table.command.items()
    ]
    said += [(table.reboot, "reboot")] if table.reboot else []
    said += [(pending.cancel, "cancel") for pending in table.pending if pending.cancel]
    for setting, verb in said:
        column = _path(setting.column)
        known = verbs.setdefault(column, _meanings(setting.column))
        if setting.value not in known:
            known[setting.value] = verb
        shows[column] = {"on": 0, "off": 0}
    for pending in table.pending:
        shows[_path(pending.column)] = _pending(pending)
    shows[_path(table.status)] = _states(table)
    numbers = {}
    for what, delay in table.delays.items():
        held = "reboot" if what == "reboot_delay" else what
        allowed = range(delay.least, delay.most + 1)
        numbers[_path(delay.column)] = Number(held, allowed, Gauge if delay.unsigned else int)
        if delay.own:
            numbers[_path(delay.own.column)] = Number("shared", range(-1, 100))
    return Unit(
        object_id=table.object_ids[0] if table.object_ids else "1.3.6.1.4.1.8072.9999",
        engine=8072,
        model="made from a table",
        description="A PDU made from a table",
        banks=(table.first,),
        shows=shows,
        verbs=verbs,
        labels=(
            {_path(table.label.column): range(table.label.shortest, table.label.longest + 1)}
            if table.label
            else {}
        ),
        numbers=numbers,
        fixed={_path(fact): name for name, fact in table.facts.items()},
    )


def _path(item: Object) -> Oid:
    return tuple(map(int, item.oid.split(".")))


def _meanings(column: Object) -> dict[int, Verb]:
    return {
        number: verb
        for name, number in enumeration(column.syntax).items()
        if (verb := meaning(name))
    }


def _states(table: OutletTable) -> Mapping[Phase, int]:
    powers: tuple[Power, ...] = ("on", "off")
    shown: dict[Phase, int] = {}
    for power in powers:
        by_name = [number for number, verb in _meanings(table.status).items() if verb == power]
        by_table = [
            table.status.value(name) for name in table.states if table.states[name] == power
        ]
        shown[power] = (by_name or by_table)[0]
    return shown


def _pending(pending: Pending) -> Mapping[Phase, int]:
    numbers = [*enumeration(pending.column.syntax).values(), *range(-1, 100)]
    busy = next(number for number in numbers if pending.holds(number))
    idle = next(number for number in numbers if not pending.holds(number))
    return {
        "on": idle,
        "off": idle,
        "going_on": busy,
        "going_off": busy,
        "rebooting_on": busy,
        "rebooting_off": busy,
    }


def rigs(table: OutletTable) -> Mapping[str, Maker]:
    """An agent that serves the table."""
    return {"sim": simulated(unit(table))}


def case(platform: str, table: OutletTable) -> Case:
    """Outlets 3, 4 and 5 with all that the table has, and the ends of its ranges."""
    label: list[str | None] = ["web1 psu a", "spare"] if table.label else [None, None]
    delays = {what: _two(delay) for what, delay in table.delays.items()}
    first: Written = {what: values[0] for what, values in delays.items()} or {"state": "off"}
    other: Written = {what: values[1] for what, values in delays.items()} or {"state": "on"}
    lasts = {what: min(delay.most, MOST) for what, delay in table.delays.items()}
    ends = [
        _written("1", {what: delay.least for what, delay in table.delays.items()}),
        _written("24", lasts),
    ]
    impossible = [
        Impossible(_written("3", {"ensure": "absent"}), "say `state: off`"),
        Impossible(_written("99", {"state": "off"}), "no outlet/99"),
    ]
    impossible += [
        Impossible(_written("3", {what: delay.most + 1}), "is not within")
        for what, delay in table.delays.items()
        if delay.most < MOST
    ]
    names: list[Written] = []
    if table.label:
        names = [
            _written("1", {"label": "Übertragung ⚡"}),
            _written("2", {"label": "x" * 63}),
            _written("3", {"label": "x" * table.label.longest}),
            _written("4", {"label": "x" * table.label.shortest}),
            _written("5", {"label": 'a "quoted" $name; reboot'}),
        ]
    return Case(
        platform=platform,
        declare=(
            _written("3", {"state": "off", "label": label[0]}),
            _written("04", first),
            _written("5", {"label": "web2 psu a"} if table.label else {"state": "off"}),
        ),
        then=(
            _written("3", {"state": "on", "label": label[1]}),
            _written("4", other),
            _written("5", {"state": "off"} if table.label else {"state": "on"}),
        ),
        reject=("outlet/3", "outlet/4"),
        impossible=tuple(impossible),
        ends=(tuple(ends),) if table.delays else (),
        names=tuple(names),
    )


def _two(delay: Delay) -> tuple[int, int]:
    """Two values that no outlet has at first."""
    within: Iterable[int] = range(delay.least, min(delay.most, MOST) + 1)
    first, second, *_ = (seconds for seconds in within if seconds not in (0, 5))
    return first, second


def _written(name: str, given: Mapping[str, object]) -> Written:
    return {"outlet": name, **{key: value for key, value in given.items() if value is not None}}
