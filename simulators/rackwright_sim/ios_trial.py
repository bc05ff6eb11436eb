"""Changes on trial on an IOS-like switch: ``archive``, the revert timer, ``configure confirm``.

After *Configuration Rollback Confirmed Change* of Cisco's Managing Configuration Files guide.
"""

from __future__ import annotations

from rackwright_sim.ios_exec import configure_terminal
from rackwright_sim.ios_reply import CliError
from rackwright_sim.ios_session import IosSession
from rackwright_sim.ios_switch import Trial

NOTHING = "%No Rollback Confirmed Change pending"


def archive(session: IosSession) -> None:
    session.enter("archive")


def path(session: IosSession, where: str) -> None:
    session.config.archive = where


def no_path(session: IosSession, where: str = "") -> None:
    session.config.archive = ""


def begin(session: IosSession, minutes: int) -> str:
    device = session.device
    where = device.running.archive
    if not where:
        raise CliError("% Please turn config archive on before using Rollback Confirmed Change")
    if device.trial:
        raise CliError("% Rollback Confirmed Change is already pending")
    device.begin_trial(session.username, minutes)
    said = f"Rollback Confirmed Change: Backing up current running config to {where}-1\n\n"
    return said + configure_terminal(session)


def confirm(session: IosSession) -> None:
    _own(session)
    session.device.trial = None


def revert_now(session: IosSession) -> str:
    _own(session)
    session.device.revert()
    return "Rollback Confirmed Change: rolling back\n\nTotal number of passes: 1\nRollback Done\n\n"


def timer(session: IosSession) -> str:
    found = _pending(session)
    return (
        "Time configured(or reconfigured): 22:50:48 UTC Sat Feb 21 2009\n"
        "Timer type: absolute timer\n"
        f"Timer value: {found.minutes} min\n"
        f"User: {found.user}\n"
    )


def _own(session: IosSession) -> None:
    """Who did not begin the trial does not end it."""
    if _pending(session).user != session.username:
        raise CliError("% Only the user who began the Rollback Confirmed Change can do this")


def _pending(session: IosSession) -> Trial:
    device = session.device
    found = (
        device.trial if device.running else None
    )  # whose time is up is gone when it is looked at
    if found is None:
        raise CliError(NOTHING)
    return found
