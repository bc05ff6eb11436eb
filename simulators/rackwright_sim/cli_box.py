"""What simulated devices with a plain command line share: state that outlives them, faults, counters.

Such a device has one prompt and no modes. A subclass says which commands write and answers them from
`Box.data`, which is plain data; everything that a session needs (echo, login, SSH, a serial line) is
in ``cli_terminal``, ``cli_ssh`` and ``cli_line``.
"""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from rackwright_sim.faults import Faults


@dataclass(frozen=True, slots=True)
class Access:
    """Who may log in, and how fast the device is."""

    username: str = "rack"
    password: str = "staple"
    latency: float = 0.0
    """Seconds before each answer."""


@dataclass(slots=True)
class Counters:
    """What was done to the device since it started."""

    sessions: int = 0
    refused: int = 0
    commands: int = 0
    writes: int = 0
    """Commands that could change the device, taken or refused."""
    rejected: int = 0

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the device does on a command."""

    text: str = ""
    status: int = 0
    """Of a command that is run without a terminal."""
    error: str = ""
    """What such a command says on standard error."""
    close: bool = False
    """It ends the session."""
    cut: bool = False
    """It ends the session without a word."""


class Box:
    """One device. Sessions call `respond`. All `Faults` are known but ``garbage``."""

    writing: ClassVar[re.Pattern[str]]
    """Found in commands that can change the device."""
    refusal: ClassVar[Reply]
    """What the device answers to a command that it refuses."""
    leaving: ClassVar[frozenset[str]] = frozenset({"exit", "logout", "quit"})
    takes_input: ClassVar[bool] = False
    """Whether its commands read their standard input, to its end, before they do anything."""

    def __init__(
        self,
        data: dict[str, Any],
        *,
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        """``data`` is what the device holds when it is new; ``state``, a JSON file, is where it
        remembers what it holds, and its host key."""
        self.access = access or Access()
        self.counters = Counters()
        self.hangups: set[Callable[[], None]] = set()
        """Of the sessions that are open: each ends its session without a word."""
        self.data = data
        self.host_key: str | None = None
        self._state = state
        self._lock = threading.RLock()  # a test looks in from another thread than the sessions'
        self.faults = faults or Faults()
        if state is not None and state.exists():
            kept = json.loads(state.read_text())
            self.data, self.host_key = kept["data"], kept["host_key"]

    @property
    def faults(self) -> Faults:
        """Replace them to change how it misbehaves."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults, self._written, self._dropped = faults, 0, False

    @property
    def prompt(self) -> str:
        """What it shows where a command can be typed."""
        raise NotImplementedError

    def greeting(self) -> str:
        """What it shows after a login."""
        return ""

    def answer(self, line: str) -> Reply:
        """Carry out a command. The lock is held."""
        raise NotImplementedError

    def keep_host_key(self, key: str) -> None:
        """A private key, which it has from now on."""
        with self._lock:
            self.host_key = key
            self.keep()

    def keep(self) -> None:
        """Write down what it holds."""
        if self._state is not None:
            kept = {"data": self.data, "host_key": self.host_key}
            self._state.write_text(json.dumps(kept))

    def run(self, command: str, given: bytes) -> Reply:
        """What the device does on a command that is run without a terminal and ``given`` its standard
        input."""
        return self.respond(command)

    def respond(self, line: str) -> Reply:
        """What the device does on a line that was typed."""
        line = line.strip()
        with self._lock:
            self.counters.commands += bool(line)
            if line in self.leaving:
                return Reply(close=True)
            if not self.writing.search(line):
                return self.answer(line)
            return self._write(line)

    def _write(self, line: str) -> Reply:
        faults = self._faults
        self.counters.writes += 1
        before, self._written = self._written, self._written + 1
        if not self._dropped and faults.drop_before == before:
            self._dropped = True
            return Reply(cut=True)
        if faults.reject or (faults.reject_only and re.search(faults.reject_only, line)):
            self.counters.rejected += 1
            return self.refusal
        held = copy.deepcopy(self.data) if faults.lie else None
        reply = self.answer(line)
        if held is not None:
            self.data = held
        self.keep()
        drops = faults.drop_after is not None and self._written >= faults.drop_after
        if drops and (faults.drop_always or not self._dropped):
            self._dropped, self._written = True, 0
            return Reply(cut=True)
        return reply
