"""Delegates of an admin host: a file for each managed node in the agent's own state directory, which the
daemon ``rackwright delegates`` follows (see `rackwright.hosted`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rackwright import hosted
from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected
from rackwright.model.resource import Resource
from rackwright_providers.server.handler import LocalStep
from rackwright_providers.server.software_resources import Delegate
from rackwright_providers.transport.local import Host, Reader

SERVICE = "rackwright-delegates"
LEAVING = 60.0
"""Seconds that a delegate has for the resource in hand before its removal counts as failed."""
TAKING = 15.0
"""Seconds that the daemon has to take up what is declared: it may have just been told to leave, and is started
again."""
LOOK = 0.2
"""Seconds between two looks at whether it has taken it up, or let go."""


class DelegateHandler:
    """`Delegate`. One is there while its file is, or the daemon still has it: what reads as gone has
    given its lease back."""

    nouns: tuple[type[Resource], ...] = (Delegate,)
    root_only_files = True  # the state directory is the agent's own, whichever root it converges

    def read(self, host: Reader, wanted: Sequence[Resource]) -> Mapping[Address, Resource]:
        """All that there are, wanted or not, so that ``purge`` finds those of an older placement."""
        state = host.state
        if state is None:
            return {}
        files, told = hosted.declared(state), hosted.ask(state, "list") or {}
        found: dict[Address, Resource] = {}
        for name in sorted(files | told.keys()):
            taken = name in files and _taken(name, told)
            half: Any = None  # not declarable: see the noun
            one = Delegate(name=name) if taken else Delegate(name=name, state=half)
            found[one.address] = one
        return found

    def render(self, changes: Sequence[Change]) -> Sequence[LocalStep]:
        return [_step(change) for change in changes]


def _step(change: Change) -> LocalStep:
    name = change.address.name
    if change.action == "remove":
        return Leave(addresses=(change.address,), text=f"stop delegate {name}", name=name)
    return Take(addresses=(change.address,), text=f"start delegate {name}", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Take(LocalStep):
    """Have the daemon converge one more node."""

    name: str

    def apply(self, host: Host) -> None:
        state = _state(host)
        if hosted.ask(state, "list") is None:
            raise Rejected(f"the service {SERVICE} is not running here")
        folder = state / hosted.FOLDER
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            # Empty and with no name but its own: it is there or not, so it needs no draft.
            (folder / self.name).touch(mode=0o600)
        except OSError as error:
            raise Permanent(f"{error.filename}: {error.strerror}") from error
        told = hosted.ask(state, "poke")
        end = time.monotonic() + TAKING
        while not _taken(self.name, told) and time.monotonic() < end:
            if host.stop.wait(LOOK):
                raise Permanent("the agent was told to leave")
            told = hosted.ask(state, "list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(LocalStep):
    """Have the daemon let go of a node, and wait until it has. A daemon that does not run has let go of
    all: leases end by themselves."""

    name: str

    def apply(self, host: Host) -> None:
        state = _state(host)
        try:
            with contextlib.suppress(FileNotFoundError):
                (state / hosted.FOLDER / self.name).unlink()
        except OSError as error:
            raise Permanent(f"{error.filename}: {error.strerror}") from error
        told = hosted.ask(state, "poke")
        end = time.monotonic() + LEAVING
        while told is not None and self.name in told:
            if time.monotonic() > end:
                raise Rejected(f"the delegate of {self.name} is still busy after {LEAVING:.0f} s")
            if host.stop.wait(LOOK):
                raise Permanent("the agent was told to leave")
            told = hosted.ask(state, "list")


def _taken(name: str, told: Mapping[str, hosted.Told] | None) -> bool:
    """Whether the daemon has a delegate ``name`` that it was not told to stop."""
    return told is not None and name in told and told[name].state != "stopped"


def _state(host: Host) -> Path:
    if host.state is None:
        raise Permanent("delegates need the agent's state directory")
    return host.state
