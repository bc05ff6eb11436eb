"""Sessions on a device's command line, over SSH or a serial line: a reader that cannot write, and
the session that can."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from rackwright.model import typed
from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary
from rackwright.model.site import Serial, Ssh, Way
from rackwright.provider import Surroundings
from rackwright_providers.transport.cli_dialect import Dialect
from rackwright_providers.transport.cli_screen import LOGGED_OUT, RETURN, Answer, Screen
from rackwright_providers.transport.stream import Stream

__all__ = ["CliReader", "CliSession", "Dialect", "open_cli"]

READ_TIMEOUT = 30.0
"""Seconds without a byte; a stack of switches thinks long before it shows its configuration."""
CONFIG_TIMEOUT = 20.0
SAVE_TIMEOUT = 120.0
"""``write memory`` takes 12 to 25 s on many switches, and longer on large stacks."""
PROBE_TIMEOUT = 5.0
LEAVE_TIMEOUT = 1.5
"""Seconds that a line may take from ``exit`` to its next login prompt."""
FRESH = 10.0
"""Seconds after an answer for which a session counts as alive without asking."""
ERROR_WITHIN = 512
"""Characters at the start of a read's answer where an error stands; later ones are data."""
RETORN = 2
"""How often a read is asked again because log messages tore its answer apart."""


def open_cli(way: Way, around: Surroundings, dialect: Dialect) -> CliReader:
    """A session over ``way`` (secrets revealed), logged in: a `CliSession` where
    ``around.writable``, else a `CliReader`.

    Raises Unreachable, Temporary, or Permanent that names the step of the login that failed.
    """
    from rackwright_providers.transport import cli_driver

    stream: Stream
    options: Any
    try:
        if way.transport == "ssh":
            from rackwright_providers.transport import ssh

            options = typed.convert(way.options, Ssh)
            stream = ssh.open_shell(options, around)
        elif way.transport == "serial":
            from rackwright_providers.transport import serial

            options = typed.convert(way.options, Serial)
            stream = serial.open_serial(options, around)
        else:
            raise Permanent(f"a command line is not reached over {way.transport!r}")
    except msgspec.ValidationError as error:
        raise Permanent(f"{way.transport}: {error}") from None
    screen = Screen(stream, around.stop, dialect.prompt)
    credentials = cli_driver.Credentials(options.username, options.password, options.enable)
    try:
        cli_driver.log_in(
            screen,
            dialect,
            credentials,
            line=way.transport == "serial",
            privileged=around.writable or dialect.reads_privileged,
        )
    except BaseException:
        _log_out(screen, dialect)
        raise
    session = (
        CliSession(screen, dialect, lambda: open_cli(way, around, dialect))
        if around.writable
        else CliReader(screen, dialect)
    )
    session.username = options.username
    return session


class CliReader:
    """Reads only. One thread at a time."""

    def __init__(self, screen: Screen, dialect: Dialect) -> None:
        self.via = screen.via
        self.dialect = dialect
        self.stop = screen.stop
        """Set when the process must leave."""
        self.username = ""
        """Who is logged in, where the way says so."""
        self._screen = screen

    @property
    def prompt(self) -> str:
        """What the device showed last where a command can be typed."""
        return self._screen.prompt

    def run(self, command: str, timeout: float = READ_TIMEOUT) -> str:
        """The device's answer to a command that only reads, lines ending in ``\\n``.

        ``timeout`` is how long the device may be silent, in seconds. Raises Rejected when the
        device answers with an error, Unreachable when the session is lost, and Permanent, before
        anything is sent, for a command that is not in the dialect's table of reads.
        """
        self._permit(command)
        if self.dialect.config_prompt.search(self._screen.prompt):
            self._screen.exchange(self.dialect.config_leave, CONFIG_TIMEOUT)
        answer = self._screen.exchange(command, timeout)
        for _ in range(RETORN):
            if not answer.noisy:
                break
            answer = self._screen.exchange(command, timeout)
        self._judge(command, answer, within=ERROR_WITHIN)
        return answer.text

    def alive(self) -> bool:
        """Whether the device still shows its prompt. Asks only when it has not answered lately."""
        screen = self._screen
        if screen.dead:
            return False
        try:
            if screen.now() - screen.heard < FRESH:
                screen.drain()
            else:
                screen.exchange("", PROBE_TIMEOUT)
        except RackwrightError:
            return False
        return True

    def gone(self) -> bool:
        """Whether the far end has left, as far as it is known without asking."""
        told = getattr(self._screen.stream, "gone", None)
        return self._screen.dead or (told is not None and bool(told()))

    def close(self) -> None:
        """Log out, so that a line is not left open to whoever comes next. Never raises."""
        _log_out(self._screen, self.dialect)

    def _permit(self, command: str) -> None:
        first = command.split(" ", 1)[0]
        pipes = {part.split(maxsplit=1)[0] for part in command.split("|")[1:] if part.strip()}
        dialect = self.dialect
        reads = first in dialect.read_verbs or dialect.read_commands.fullmatch(command)
        if not reads or pipes & dialect.read_pipes_that_write:
            raise Permanent(f"{command!r} is not a command that only reads")
        _one_line(command)

    def _judge(self, line: str, answer: Answer, within: int | None = None) -> None:
        if answer.question:
            raise Rejected(f"the device asks after {line!r}: {answer.question}", output=answer.text)
        found = self.dialect.errors.search(answer.text[:within])
        if found:
            start = answer.text.rfind("\n", 0, found.start()) + 1
            said = answer.text[start:].split("\n", 1)[0].strip()
            raise Rejected(f"the device rejects {line!r}: {said}", output=answer.text)


class CliSession(CliReader):
    """Reads and writes. One thread at a time."""

    def __init__(
        self, screen: Screen, dialect: Dialect, reopen: Callable[[], CliReader] | None = None
    ) -> None:
        super().__init__(screen, dialect)
        self._reopen = reopen

    def again(self) -> CliSession:
        """One more session over the same way, for what must be confirmed on a fresh one; the caller
        closes it. Raises as `open_cli` does."""
        fresh = self._reopen() if self._reopen else None
        if fresh is None:
            raise Permanent(f"{self.via}: there is no way to open one more session")
        if not isinstance(fresh, CliSession):
            raise Permanent(f"{fresh.via}: this session cannot write")
        return fresh

    def execute(
        self,
        command: str,
        timeout: float = CONFIG_TIMEOUT,
        answers: Sequence[tuple[re.Pattern[str], str]] = (),
    ) -> str:
        """The answer to a command that writes, given outside configuration mode (which is left for
        it). ``answers`` are questions that it may ask, and what we say to them. Raises as
        `configure` does."""
        _one_line(command)
        if self.dialect.config_prompt.search(self._screen.prompt):
            self._screen.exchange(self.dialect.config_leave, CONFIG_TIMEOUT)
        answer = self._screen.exchange(command, timeout, answers)
        self._judge(command, answer)
        return answer.text

    def configure(
        self,
        lines: Sequence[str],
        timeout: float = CONFIG_TIMEOUT,
        answers: Sequence[tuple[re.Pattern[str], str]] = (),
    ) -> None:
        """Send configuration lines one by one, each checked before the next is sent.

        Configuration mode is entered when needed and kept until the next read or save. ``answers``
        are questions that a line may ask, and what we say to them. Raises
        Rejected at the first line that the device refuses (what came before it stays), Temporary
        when somebody else holds the configuration, Unreachable when the session is lost.
        """
        for line in lines:
            _one_line(line)
        modal = bool(self.dialect.config_enter)
        if modal and not self.dialect.config_prompt.search(self._screen.prompt):
            self._enter()
        for line in lines:
            answer = self._screen.exchange(line, timeout, answers)
            self._judge(line, answer)
            if modal and not self.dialect.config_prompt.search(answer.prompt):
                raise Temporary(f"{self.via}: the device left configuration mode after {line!r}")

    def save(self) -> None:
        """Running to startup. Raises Temporary when the device is busy, Rejected when it refuses."""
        dialect = self.dialect
        if dialect.config_prompt.search(self._screen.prompt):
            self._screen.exchange(dialect.config_leave, CONFIG_TIMEOUT)
        answer = self._screen.exchange(dialect.save, SAVE_TIMEOUT, dialect.save_answers)
        if dialect.save_done.search(answer.text):
            return
        if dialect.save_busy.search(answer.text):
            raise Temporary(f"{self.via}: {dialect.save!r}: the device is busy", delay=10.0)
        self._judge(dialect.save, answer)
        said = answer.text.strip().rpartition("\n")[2].strip() or "nothing"
        raise Rejected(
            f"{dialect.save!r} was not confirmed by the device, which says: {said}",
            output=answer.text,
        )

    def _enter(self) -> None:
        answer = self._screen.exchange(self.dialect.config_enter, CONFIG_TIMEOUT)
        if self.dialect.config_prompt.search(answer.prompt):
            return
        if "lock" in answer.text.lower():
            raise Temporary(f"{self.via}: somebody else holds the configuration", delay=10.0)
        self._judge(self.dialect.config_enter, answer)
        raise Rejected(
            f"{self.dialect.config_enter!r} did not lead to configuration mode", output=answer.text
        )


def _log_out(screen: Screen, dialect: Dialect) -> None:
    if not screen.dead and screen.prompt:
        with contextlib.suppress(RackwrightError):
            if dialect.config_prompt.search(screen.prompt):
                screen.exchange(dialect.config_leave, PROBE_TIMEOUT)
            screen.write("exit" + RETURN)
            if screen.via.startswith("serial "):
                # Who opens the line at once must meet the next login, not the rest of this one.
                screen.wait(
                    lambda seen: len(seen) if LOGGED_OUT.search(seen[-200:]) else None,
                    LEAVE_TIMEOUT,
                )
    screen.close()


def _one_line(line: str) -> None:
    """A line break inside a value would be one more command."""
    if any(ord(char) < 32 or ord(char) == 127 for char in line):
        raise Permanent(f"control characters in {line!r} cannot be sent")
