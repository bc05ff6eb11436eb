"""Switching an outlet over SNMP: command, then poll until the unit itself says that it is so.

The state lags the command by seconds, which is no failure. An outlet that is on is never switched off
on the way to on, except by `reboot`, which somebody asked for.
"""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary, Unreachable
from rackwright_providers.pdu.outlet_table import OutletTable, Pending, Power, Setting
from rackwright_providers.transport.snmp import SnmpReader, SnmpSession, integer

log = logging.getLogger(__name__)

LOOK = 0.2
"""Seconds between two looks at first; the shortest time without power in a reboot is 1 s."""
REBOOT_SECONDS = 10
"""Without power in a reboot, where the unit has neither a reboot of its own nor a time for it."""
LONGEST_REBOOT = 60
"""Granted to the reboot of a unit that does not say how long it leaves the outlet without power."""
TRIES = 3
"""Of the command that gives an outlet its power back."""


class Seen(NamedTuple):
    """One look at an outlet."""

    value: int | None
    """Of the status column; None where there is no such outlet."""
    state: Power | None
    """Settled, else None."""
    pending: tuple[Pending, ...]
    """Commands that are not carried out yet."""


def look(session: SnmpReader, table: OutletTable, name: str) -> Seen:
    """I/O: the outlet as the unit shows it, in one exchange."""
    status = table.oid(table.status, name)
    columns = [table.oid(pending.column, name) for pending in table.pending]
    found = session.get(status, *columns)
    value = found[status].number if status in found else None
    waiting = tuple(
        pending
        for pending, oid in zip(table.pending, columns, strict=True)
        if oid in found and pending.holds(found[oid].number)
    )
    return Seen(value, table.state(value), waiting)


def switch(
    session: SnmpSession, table: OutletTable, name: str, power: Power, delay: float = 0
) -> None:
    """I/O: switch now, and wait. ``delay``: seconds that the unit itself may add. Raises Rejected when
    the outlet does not get there, Temporary when the session is told to stop."""
    _cancel(session, table, name, look(session, table, name))
    _command(session, table, name, table.command[power])
    began, pause = time.monotonic(), LOOK
    while True:
        seen = look(session, table, name)
        if seen.state == power and not seen.pending:
            return
        waited = time.monotonic() - began
        on_its_way = seen.pending or seen.state is None
        if waited > table.patience + (delay if on_its_way else 0):
            raise Rejected(
                f"outlet {name}: the unit took the command {power}, and "
                f"{waited:.0f} s later the outlet is {seen.state or 'in no known state'}"
                + (" with a command pending" if seen.pending else ""),
                output=seen.state or "",
            )
        if session.stop.wait(pause):
            raise Temporary(f"told to stop while outlet {name} was going {power}")
        pause = min(1.0, pause * 1.5)


def reboot(session: SnmpSession, table: OutletTable, name: str) -> None:
    """I/O: switch an outlet that is on off and on again, by the unit's own command where it has one,
    and wait until it is on. Raises Permanent for one that is off, Rejected when the unit does not do
    it, Temporary when the session is told to stop."""
    seen = look(session, table, name)
    if seen.value is None:
        raise Rejected(f"the unit has no outlet {name}")
    state = table.still(seen.value)
    if state == "off":
        raise Permanent(f"outlet {name} is off, and a reboot would switch it on")
    if state is None:
        raise Permanent(
            f"outlet {name} is neither on nor off ({table.status.name} says {seen.value}): "
            "it can be rebooted once it is on"
        )
    _cancel(session, table, name, seen)
    seconds = _seconds_off(session, table, name)
    if table.reboot is None:
        _off_and_on(session, table, name, REBOOT_SECONDS if seconds is None else seconds)
        return
    _command(session, table, name, table.reboot)
    log.info("outlet %s: the unit has the command to reboot it", name)
    _await(session, table, name, "off", table.patience)
    log.info("outlet %s is off", name)
    longest = LONGEST_REBOOT if seconds is None else seconds
    _await(session, table, name, "on", longest + table.patience)
    log.info("outlet %s is on again", name)


def _await(
    session: SnmpSession, table: OutletTable, name: str, power: Power, seconds: float
) -> None:
    """Poll until the outlet has left on, or is back there."""
    began = time.monotonic()
    while True:
        seen = look(session, table, name)
        if power == "on" and seen.state == "on" and not seen.pending:
            return
        # Some show an outlet without power as waiting for it, not as off.
        if power == "off" and table.still(seen.value) != "on":
            return
        if (waited := time.monotonic() - began) > seconds:
            raise Rejected(
                f"outlet {name}: the unit took the command to reboot it, and {waited:.0f} s later "
                + ("it has not been off" if power == "off" else "it is not on again"),
                output=seen.state or "",
            )
        if session.stop.wait(LOOK):
            raise Temporary(
                f"told to stop while outlet {name} was being rebooted; the unit goes on by itself"
            )


def _off_and_on(session: SnmpSession, table: OutletTable, name: str, seconds: float) -> None:
    """The reboot of a unit that has none. Whatever happens between, power is given back."""
    try:
        switch(session, table, name, "off")
        log.info("outlet %s is off, for %.0f s", name, seconds)
        stopped = session.stop.wait(seconds)
    except RackwrightError:
        _power_back(session, table, name)
        raise
    _power_back(session, table, name)
    if stopped:
        raise Temporary(f"told to stop while outlet {name} was off; it has its power back")
    _await(session, table, name, "on", table.patience)
    log.info("outlet %s is on again", name)


def _power_back(session: SnmpSession, table: OutletTable, name: str) -> None:
    for left in reversed(range(TRIES)):
        try:
            _command(session, table, name, table.command["on"])
        except Unreachable as error:
            if not left:
                raise Unreachable(f"outlet {name} is left off: {error}") from error
        else:
            return


def _seconds_off(session: SnmpSession, table: OutletTable, name: str) -> int | None:
    """For how long a reboot leaves the outlet without power, as far as the unit tells."""
    if delay := table.reboot_delay:
        column = table.oid(delay.column, name)
        own = table.oid(delay.own.column, name) if delay.own else None
        found = session.get(column, *([own] if own else ()))
        counts = not delay.own or (own in found and found[own].number == delay.own.value)
        if column in found and counts:
            return found[column].number
    if scalar := table.all_reboot_delay:
        found = session.get(scalar.oid)
        return found[scalar.oid].number if scalar.oid in found else None
    return None


def _cancel(session: SnmpSession, table: OutletTable, name: str, seen: Seen) -> None:
    """Take back what is pending: else it would undo our command when it is due."""
    for pending in seen.pending:
        if pending.cancel:
            _command(session, table, name, pending.cancel)


def _command(session: SnmpSession, table: OutletTable, name: str, setting: Setting) -> None:
    session.set({table.oid(setting.column, name): integer(setting.value)})
