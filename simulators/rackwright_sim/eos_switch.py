"""What an EOS-like switch holds: its configuration, its configuration sessions, a commit on trial."""

from __future__ import annotations

import copy
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rackwright_sim import modal_accounts
from rackwright_sim.eos_config import Config
from rackwright_sim.faults import Faults
from rackwright_sim.ios_reply import CliError
from rackwright_sim.modal_device import ModalDevice, ModalOptions

PENDING = 5
"""Sessions that may be pending at once (the factory's ``service configuration session max pending``)."""


@dataclass(slots=True)
class Trial:
    """A commit that waits for its confirmation."""

    name: str
    before: Config
    ends: float


class EosSwitch(ModalDevice):
    """One switch, but for its command line (`rackwright_sim.eos_device.EosDevice`)."""

    def __init__(
        self,
        options: ModalOptions,
        state: Path | None = None,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(options, state, faults)
        self._clock = clock
        self.pending: dict[str, Config] = {}
        """Configuration sessions that are not ended, by name."""
        self.trial: Trial | None = None
        self._running = self.boot()

    @property
    def running(self) -> Config:
        """The running configuration. A trial that has had its time is over."""
        if self.trial and self._clock() >= self.trial.ends:
            self._running, self.trial = self.trial.before, None
        return self._running

    def boot(self) -> Config:
        """The configuration that the switch comes up with."""
        raise NotImplementedError

    def admits(self, username: str, password: str) -> bool:
        user = self.running.users.get(username)
        return user is not None and modal_accounts.fits(user.secret, password)

    def enter(self, name: str) -> None:
        """Begin a configuration session, or go on with it. Raises CliError."""
        if name not in self.pending:
            if len(self.pending) >= PENDING:
                raise CliError("% Maximum number of pending sessions has been reached.")
            self.pending[name] = copy.deepcopy(self.running)

    def commit(self, name: str, seconds: float | None) -> None:
        """Make a session's configuration the running one, or confirm a trial. Raises CliError."""
        running = self.running
        if self.trial and self.trial.name == name:
            self.trial = None
            return
        if self.trial:
            raise CliError(f"% Cannot commit: commit timer of session {self.trial.name} is running")
        if name not in self.pending:
            raise CliError(f"% Session {name} does not exist")
        wanted = self.pending.pop(name)
        if self.faults.lie:
            return
        if seconds is not None:
            self.trial = Trial(name, running, self._clock() + seconds)
        self._running = wanted

    def abort(self, name: str) -> None:
        """End a session without its changes; of a trial: take them back. Raises CliError."""
        if self.running and self.trial and self.trial.name == name:
            self._running, self.trial = self.trial.before, None
        elif self.pending.pop(name, None) is None:
            raise CliError(f"% Session {name} does not exist")

    def save(self) -> None:
        """Running to startup."""
        self.keep_startup(self.running.text())

    @property
    def mac(self) -> str:
        """The system's address, made up from its first name."""
        digest = zlib.crc32(self.options.hostname.encode())
        return f"5254.{digest >> 16:04x}.{digest & 0xFFFF:04x}"
