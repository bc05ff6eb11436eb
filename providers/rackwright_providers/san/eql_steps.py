"""The steps that change an EqualLogic group. Each reads what is there right before it acts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rackwright.model.change import Step
from rackwright.model.errors import RackwrightError, Rejected, Temporary
from rackwright_providers.san import eql_parse, eql_rules, sizes

if TYPE_CHECKING:
    from rackwright_providers.transport.cli import CliReader, CliSession

VOLUMES = "volume show"
VOLUME = "volume select {} show"
ACCESS = "volume select {} access show"
ACCOUNTS = "chapuser show"
ACCOUNT = "chapuser show {}"
POOLS = "show pool"
GROUP = "grpparams show"

CREATE_VOLUME = "volume create {} {}MB"
IN_POOL = " pool {}"
THIN = " thin-provision"
GROW = "volume select {} size {}MB"
"""The size is the new one, and less is taken too: the group would shrink the volume."""
OFFLINE = "volume select {} offline"
ONLINE = "volume select {} online"
DELETE_VOLUME = "volume delete {}"
CREATE_ACCESS = "volume select {} access create initiator {} authmethod {}"
CHAP_USER = " username {}"
DELETE_ACCESS = "volume select {} access delete {}"
CREATE_ACCOUNT = "chapuser create {} password {} enable"
SET_PASSWORD = "chapuser select {} password {}"  # noqa: S105
DELETE_ACCOUNT = "chapuser delete {}"

TIMEOUT = 60.0
"""Seconds: making or deleting a volume is said to be done when all members of the group know of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EqlStep(Step):
    """One step. ``apply`` does it; it raises Rejected or Temporary."""

    def apply(self, session: CliSession) -> None:
        """I/O."""
        raise AssertionError(f"{type(self).__name__} does not say how it is applied")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume(EqlStep):
    """A new volume that lets nobody in."""

    command: str

    def apply(self, session: CliSession) -> None:
        session.execute(self.command, TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowVolume(EqlStep):
    """Make it larger, when it is not that large already. ``size`` in bytes."""

    name: str
    size: int
    command: str

    def apply(self, session: CliSession) -> None:
        held = sizes.round_up(rows(session)[self.name].size, eql_rules.UNIT)
        if held > self.size:
            raise Rejected(f"volume {self.name} has {sizes.show(held)} by now: it is not shrunk")
        if held < self.size:
            session.execute(self.command, TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVolume(EqlStep):
    """Take it offline and delete it, when nobody is connected to it."""

    name: str

    def apply(self, session: CliSession) -> None:
        row = rows(session).get(self.name)
        if row is None:
            return
        if row.connections:
            raise Rejected(f"volume {self.name} is in use: connections: {row.connections}")
        if row.online:
            session.execute(OFFLINE.format(self.name), TIMEOUT)
        try:
            session.execute(DELETE_VOLUME.format(self.name), TIMEOUT)
        except Rejected:
            if row.online:
                with contextlib.suppress(RackwrightError):
                    session.execute(ONLINE.format(self.name), TIMEOUT)
            raise


@dataclass(frozen=True, slots=True, kw_only=True)
class PutExport(EqlStep):
    """A record as wanted first, then the others for that initiator go: it is never locked out."""

    volume: str
    initiator: str
    chap: str | None
    """None: as it is."""
    command: str

    def apply(self, session: CliSession) -> None:
        held = eql_rules.records_of(records(session, self.volume), self.initiator)
        wanted = "" if self.chap == eql_rules.NO_CHAP else self.chap
        right = [one for one in held if wanted is None or one.chap == wanted]
        if not right:
            session.execute(self.command, TIMEOUT)
        for one in held:
            if one not in right:
                session.execute(DELETE_ACCESS.format(self.volume, one.id), TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteExport(EqlStep):
    """All records that let this initiator in by name."""

    volume: str
    initiator: str

    def apply(self, session: CliSession) -> None:
        for one in eql_rules.records_of(records(session, self.volume), self.initiator):
            session.execute(DELETE_ACCESS.format(self.volume, one.id), TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutChap(EqlStep):
    """Make the account, or give it another password."""

    name: str
    password: str

    def apply(self, session: CliSession) -> None:
        there = self.name in eql_parse.accounts(session.run(ACCOUNTS))
        command = SET_PASSWORD if there else CREATE_ACCOUNT
        session.execute(command.format(self.name, self.password), TIMEOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteChap(EqlStep):
    """Delete the account."""

    name: str

    def apply(self, session: CliSession) -> None:
        if self.name in eql_parse.accounts(session.run(ACCOUNTS)):
            session.execute(DELETE_ACCOUNT.format(self.name), TIMEOUT)


def rows(session: CliReader) -> dict[str, eql_parse.Row]:
    """I/O: all volumes."""
    try:
        return eql_parse.volumes(session.run(VOLUMES))
    except ValueError as error:
        raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None


def records(session: CliReader, volume: str) -> tuple[eql_parse.Record, ...]:
    """I/O: who may log in to ``volume``."""
    try:
        return eql_parse.records(session.run(ACCESS.format(volume)))
    except ValueError as error:
        raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None
