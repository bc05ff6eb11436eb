"""A change on trial: IOS takes it back unless a new login confirms it in time.

``configure terminal revert timer MINUTES`` keeps a copy of the running configuration where ``archive``
/ ``path`` says, and goes back to it when the time is up, unless ``configure confirm`` is given;
``configure revert now`` goes back at once (Configuration Rollback Confirmed Change, Cisco IOS
Configuration Fundamentals Command Reference; from 12.4(20)T and 12.2(33)SRC, SB and SXI on). Only the
user who began it can end it.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import RackwrightError, Rejected, Temporary, Unreachable
from rackwright_providers.switch.resources import Vlan
from rackwright_providers.transport.cli import CliReader, CliSession

log = logging.getLogger(__name__)

MINUTES = 4
"""For the change and one new login, by an AAA server that is down too. Few people would choose the
same time, so that a trial of this length by our own account is one of ours."""
START_TIMEOUT = 60.0
"""Seconds of silence: the running configuration is written to flash first."""
REVERT_TIMEOUT = 120.0

SHOW_ARCHIVE = "show running-config | section ^archive"
SHOW_TIMER = "show archive config rollback timer"
START = f"configure terminal revert timer {MINUTES}"

_PATH = re.compile(r"^ path (\S+)", re.MULTILINE)
_REMOTE = re.compile(r"(?:tftp|s?ftp|scp|rcp|https?):", re.IGNORECASE)
"""File systems that are out of reach when the path is cut, and with them the way back."""
_USER = re.compile(r"^\s*User: *(\S+)", re.MULTILINE)
_VALUE = re.compile(r"^\s*Timer value: *(\d+) min", re.MULTILINE)

_CARRIES = "this carries the path by which the device is reached, and"
_INSTEAD = "move the path first, or change it by hand on the console"
_BY_ITSELF = f"IOS takes the change back within {MINUTES} min"


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for its confirmation: who began it, and the time that it was given, in minutes (0:
    it is not told)."""

    user: str
    minutes: int


def irrevocable(session: CliReader, changes: Sequence[Change]) -> dict[Address, str]:
    """Which of ``changes``, all of which cut our path, could not be taken back, and why.

    All of them on a console, which has one session to give, and where no archive is kept on the
    switch itself; VLANs everywhere, since those of a switch that speaks VTP are not in its
    configuration but in ``vlan.dat``, which is not rolled back.
    """
    if session.via.startswith("serial "):
        why = f"{_CARRIES} nobody can confirm it: a console has one session only; {_INSTEAD}"
        return {change.address: why for change in changes}
    found = {
        change.address: f"{_CARRIES} IOS does not take back what becomes of a VLAN; {_INSTEAD}"
        for change in changes
        if change.address.type == Vlan.kind
    }
    if len(found) < len(changes) and not _has_archive(session):
        why = (
            f"{_CARRIES} IOS takes a change back only where it keeps an archive of its own: "
            f"configure `archive` / `path flash:…` to allow this; or {_INSTEAD}"
        )
        found.update((c.address, why) for c in changes if c.address not in found)
    return found


def commit(session: CliSession, send: Callable[[], None]) -> None:
    """``send`` on trial, confirmed by a new session. Raises what ``send`` does, after all of it was
    taken back, Temporary when it could not be confirmed and was taken back, and Unreachable when the
    device has to do that by itself."""
    session.execute(START, timeout=START_TIMEOUT)
    # What is not armed is not sent. This leaves the configuration mode that the timer is set by; the
    # timer is of the device, not of that mode.
    if not _ours(pending(session), session.username):
        _revert(session)  # it may run all the same
        raise Unreachable(f"{session.via}: the device does not say that its revert timer runs")
    try:
        send()
    except Unreachable as error:
        raise Unreachable(f"{error}; {_BY_ITSELF}") from None
    except BaseException as error:
        if not _revert(session):
            raise Unreachable(f"{error}; {_BY_ITSELF}") from error
        raise
    _confirm(session)


def _confirm(session: CliSession) -> None:
    """By a session of its own: that it can be had is what is to be confirmed."""
    try:
        with contextlib.closing(session.again()) as fresh:
            fresh.execute("configure confirm", timeout=START_TIMEOUT)
            if pending(fresh) is not None:
                raise Temporary(f"{fresh.via}: the device has not taken the confirmation")
    except RackwrightError as error:
        undone = _revert(session)
        gone = "it is taken back" if undone else _BY_ITSELF
        text = f"the change was not confirmed by a new session ({error}): {gone}"
        lost = isinstance(error, Unreachable) or not undone
        raise (Unreachable if lost else Temporary)(text) from None


def _revert(session: CliSession) -> bool:
    """Go back now; whether the device says that nothing is pending after it."""
    try:
        session.execute("configure revert now", timeout=REVERT_TIMEOUT)
        return pending(session) is None
    except RackwrightError as error:
        log.info("%s: configure revert now: %s", session.via, error)
        return False


def pending(session: CliReader) -> Pending | None:
    """What is on trial; None when nothing is, or the image knows no trials."""
    try:
        text = session.run(SHOW_TIMER)
    except Rejected:  # "%No Rollback Confirmed Change pending", or no such command
        return None
    user, value = _USER.search(text), _VALUE.search(text)
    if user is None and value is None:
        return None
    return Pending(user[1] if user else "", int(value[1]) if value else 0)


def _ours(found: Pending | None, username: str) -> bool:
    return found is not None and (found.user, found.minutes) == (username, MINUTES)


def clear(session: CliReader) -> None:
    """Take back what a killed run of ours has left on trial: until then it would be read as the
    device's state. Raises Temporary while a trial that is not ours, or that we must not end, lasts."""
    found = pending(session)
    if found is None:
        return
    if isinstance(session, CliSession) and _ours(found, session.username):
        log.warning("%s: taking back a change that a run cut short left on trial", session.via)
        if _revert(session):
            return
    who = f" by {found.user}" if found.user else ""
    text = f"{session.via}: a change{who} waits for `configure confirm`; until then nothing is sure"
    raise Temporary(text, delay=30.0)


def _has_archive(session: CliReader) -> bool:
    try:
        found = _PATH.search(session.run(SHOW_ARCHIVE))
    except Rejected:
        return False
    return found is not None and not _REMOTE.match(found[1])
