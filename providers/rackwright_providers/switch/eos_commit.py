"""One configuration session of EOS: sent, looked at, committed on trial, confirmed by a new login.

``configure session NAME commit timer hh:mm:ss`` makes the change and takes it back when it is not
confirmed in time by ``configure session NAME commit``; ``configure session NAME abort`` does so at
once (EOS User Manual, *Configure Session*; the same commands in napalm's `eos.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import secrets
from collections.abc import Sequence

from rackwright.model.errors import RackwrightError, Rejected, Temporary, Unreachable
from rackwright_providers.switch import eos_parse
from rackwright_providers.switch.cli_lines import LineStep
from rackwright_providers.transport.cli import CliReader, CliSession

log = logging.getLogger(__name__)

SHOW_SESSIONS = "show configuration sessions detail | json"
TIMER = "00:02:00"
"""How long EOS waits for the confirmation before it takes the change back; enough for a login by an
AAA server that is down."""
COMMIT_TIMEOUT = 110.0
"""Seconds; a commit of thousands of lines takes tens of them, and must end before `TIMER`."""
FULL = re.compile(r"Maximum number of pending sessions", re.IGNORECASE)


def commit(session: CliSession, steps: Sequence[LineStep]) -> None:
    """All of ``steps`` or nothing. Raises Rejected when the device refuses a line of them, Temporary
    when the change could not be confirmed and is taken back."""
    name = f"{eos_parse.OUR_SESSION}{secrets.token_hex(4)}"
    command = f"configure session {name}"
    # The session of before is over; each commit has its own name.
    session.dialect = dataclasses.replace(session.dialect, config_enter=command)
    try:
        session.configure(())
        for step in steps:
            session.configure(step.lines)
        changes = session.run(f"show session-config named {name} diffs")
        if changes.strip():
            session.execute(f"{command} commit timer {TIMER}", timeout=COMMIT_TIMEOUT)
    except Unreachable:
        raise  # the next session aborts it
    except Rejected as refusal:
        _abort(session, name)
        if FULL.search(refusal.output):
            raise Temporary(f"{session.via}: {refusal}", delay=60.0) from None
        raise
    except BaseException:
        _abort(session, name)
        raise
    if not changes.strip():
        _abort(session, name)  # all of it was there already; reading back will tell
        return
    _confirm(session, name)


def _confirm(session: CliSession, name: str) -> None:
    """By a session of its own: that it can be had is what is to be confirmed."""
    try:
        with contextlib.closing(session.again()) as fresh:
            fresh.execute(f"configure session {name} commit", timeout=COMMIT_TIMEOUT)
    except RackwrightError as error:
        gone = "it is taken back" if _abort(session, name) else f"EOS takes it back within {TIMER}"
        text = f"the change was not confirmed by a new session ({error}): {gone}"
        raise (Unreachable if isinstance(error, Unreachable) else Temporary)(text) from None


def _abort(session: CliSession, name: str) -> bool:
    try:
        session.execute(f"configure session {name} abort", timeout=COMMIT_TIMEOUT)
    except RackwrightError as error:
        log.info("%s: configuration session %s: %s", session.via, name, error)
        return False
    return True


def clear(session: CliReader) -> None:
    """Abort what is left of a run that was killed: until then its change on trial would be read as
    the device's state. Nobody else's session is touched."""
    if not isinstance(session, CliSession):
        return
    try:
        left = eos_parse.our_sessions(session.run(SHOW_SESSIONS))
    except Rejected:
        return  # an EOS that has none; a commit will say so
    except ValueError as error:
        raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
    for name in left:
        log.warning("%s: aborting configuration session %s of a run cut short", session.via, name)
        session.execute(f"configure session {name} abort", timeout=COMMIT_TIMEOUT)
