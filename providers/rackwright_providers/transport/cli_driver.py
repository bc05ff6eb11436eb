"""Login by netmiko's drivers over a stream of ours.

netmiko knows, for each platform, the words of a login on a line, of enable, of paging and of the
terminal's width. Its own connections, and its reads that poll and sleep, are replaced by a
`Screen`: so one driver serves SSH, serial devices, ptys, ``socket://`` and ``rfc2217://`` lines.

Imported when the first session is opened, never before: netmiko takes long to import.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netmiko import log as netmiko_log
from netmiko.ssh_dispatcher import CLASS_MAPPER

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.secret import Masker
from rackwright_providers.transport.cli_dialect import Dialect
from rackwright_providers.transport.cli_screen import (
    CONTROL_C,
    MORE,
    PROMPT,
    RETURN,
    Screen,
    calm,
    last_line,
)

LOGIN_TIMEOUT = 60.0
"""Seconds from the first character to a prompt; AAA servers that are down cost tens of seconds."""
SHELL_TIMEOUT = 30.0
"""Seconds from an open SSH shell to its prompt."""
ANSWER_TIMEOUT = 20.0
NUDGE = 3.0
"""Seconds of silence after which Return is pressed."""
SETTLE = 0.3
"""Seconds of silence by which a login prompt on a line counts as the last thing said."""
TRIES = 2
"""The first try on a line may meet somebody else's half-finished login."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What a login may ask for. No repr: it must not end in a log."""

    username: str
    password: str
    enable: str


def log_in(
    screen: Screen, dialect: Dialect, credentials: Credentials, *, line: bool, privileged: bool
) -> None:
    """Bring ``screen`` to the exec prompt, paging off. ``line``: a console in an unknown state.

    Raises Permanent (credentials refused; which step), Unreachable or Temporary. Without
    ``privileged`` a user prompt will do when there is no enable secret.
    """
    driver = _driver(dialect.netmiko)(screen, dialect, credentials, line)
    try:
        driver.establish_connection()
        if "(" in screen.prompt:  # left there by a run that was killed
            screen.exchange(dialect.config_leave, ANSWER_TIMEOUT)
        if not screen.prompt.endswith(dialect.privileged) and (privileged or credentials.enable):
            driver.enable()
        driver._try_session_preparation(force_data=False)
    except RackwrightError:
        raise
    except Exception as error:  # noqa: BLE001  netmiko raises its own kinds and ValueError
        masked = Masker((credentials.password, credentials.enable)).text(str(error))
        raise Temporary(f"{screen.via}: login: {type(error).__name__}: {masked}") from None
    finally:
        netmiko_log.removeFilter(driver._secrets_filter)


@functools.cache
def _driver(device_type: str) -> Any:
    return type("Driver", (_OverScreen, CLASS_MAPPER[device_type]), {})


class _OverScreen:
    """The parts of a netmiko driver that read and write, over a `Screen`. The signatures are
    netmiko's; what they take and we have no use for is ignored."""

    username: str
    password: str
    secret: str
    base_prompt: str
    serial_login: Callable[[], str]
    session_preparation: Callable[[], None]

    def __init__(
        self, screen: Screen, dialect: Dialect, credentials: Credentials, line: bool
    ) -> None:
        self.screen = screen
        self._dialect = dialect
        self._line = line
        self._prepared = False
        # mypy cannot see the netmiko class that comes next in the order of resolution.
        super().__init__(  # type: ignore[call-arg]
            host=screen.via,
            username=credentials.username,
            password=credentials.password,
            secret=credentials.enable,
            device_type=dialect.netmiko,
            default_enter=RETURN,
            auto_connect=False,
        )

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        if self._line:
            self.screen.drain()
            # Somebody's half-typed line must not be carried out by our Return.
            self.screen.write(CONTROL_C)
            self.serial_login()
            return
        self.screen.wait(self._started, SHELL_TIMEOUT)
        if not self.screen.prompt:
            self.telnet_login()

    def _started(self, seen: bytes) -> int | None:
        """A shell over SSH shows a prompt at once; a few ask for the name once more."""
        tail = last_line(seen)
        if (self._dialect.prompt or PROMPT).fullmatch(tail):
            self.screen.learn(tail.decode(errors="replace"))
            return len(seen)
        if _ASKS.search(tail):
            return 0
        return None

    def _try_session_preparation(self, force_data: bool = True) -> None:
        self.session_preparation()

    def _test_channel_read(self, *args: Any, **kwargs: Any) -> str:
        return ""  # the prompt has been seen, and nothing comes after it

    def write_channel(self, out_data: str) -> None:
        self.screen.write(out_data)

    def read_channel(self) -> str:
        return self.screen.drain()

    def clear_buffer(self, *args: Any, **kwargs: Any) -> str:
        return self.screen.drain()

    def read_until_pattern(
        self, pattern: str = "", read_timeout: float = 10.0, re_flags: int = 0, *args: Any
    ) -> str:
        wanted = re.compile(pattern.encode(), re_flags)

        def ready(seen: bytes) -> int | None:
            found = wanted.search(seen)
            return found.end() if found else None

        return self.screen.wait(ready, ANSWER_TIMEOUT)

    def read_until_prompt_or_pattern(self, pattern: str = "", **kwargs: Any) -> str:
        """The last line must be the prompt, or have the pattern."""
        wanted = re.compile(pattern.encode(), kwargs.get("re_flags", 0)) if pattern else None

        def ready(seen: bytes) -> int | None:
            if self.screen.at_prompt(seen) or (wanted and wanted.search(last_line(seen))):
                return len(seen)
            return None

        return self.screen.wait(ready, ANSWER_TIMEOUT)

    def read_until_prompt(self, *args: Any, **kwargs: Any) -> str:
        return self.read_until_prompt_or_pattern()

    def find_prompt(self, delay_factor: float = 1.0, pattern: str | None = None) -> str:
        return self.screen.prompt

    def set_base_prompt(self, *args: Any, **kwargs: Any) -> str:
        # The screen knows the prompt, whatever it ends with.
        self.base_prompt = self.screen.prompt.rstrip("#>$ ")
        return self.base_prompt

    def check_enable_mode(self, check_string: str = "") -> bool:
        return self.screen.prompt.endswith(check_string or self._dialect.privileged)

    def check_config_mode(self, *args: Any, **kwargs: Any) -> bool:
        return bool(self._dialect.config_prompt.search(self.screen.prompt))

    def set_terminal_width(self, command: str = "", *args: Any, **kwargs: Any) -> str:
        return self._prepare(command)

    def disable_paging(self, command: str = "terminal length 0", *args: Any, **kwargs: Any) -> str:
        return self._prepare(command)

    def _prepare(self, command: str) -> str:
        # A refusal is no error: we answer --More-- then, and take long echoes as they come.
        return self.screen.exchange(command, ANSWER_TIMEOUT).text if command else ""

    def enable(self, *args: Any, **kwargs: Any) -> str:
        try:
            output: str = super().enable(*args, **kwargs)  # type: ignore[misc]
        except ValueError:  # what netmiko raises when the prompt did not change
            why = "the device refused the secret" if self.secret else "no secret is given"
            raise Permanent(f"{self.screen.via}: enable: {why}") from None
        return output

    def enable_secret_handler(self, pattern: str, output: str, re_flags: int = 0) -> str:
        if not re.search(pattern, output, flags=re_flags):
            return ""
        # Wrong secrets are asked for again, three times in all, before the prompt comes back.
        answer = self.secret
        for _ in range(4):
            self.screen.write(answer + RETURN)
            output = self.read_until_prompt_or_pattern(pattern=pattern, re_flags=re_flags)
            if self.screen.at_prompt(output.encode()):
                break
            answer = ""
        return output

    def telnet_login(
        self,
        pri_prompt_terminator: str = r"#\s*$",
        alt_prompt_terminator: str = r">\s*$",
        username_pattern: str = r"(?:user:|username|login|user name)",
        pwd_pattern: str = r"assword",  # noqa: S107  a pattern
        delay_factor: float = 1.0,
        max_loops: int = 20,
    ) -> str:
        """Answer what the line asks until it shows a prompt: only its last line counts, and only
        when nothing comes after it."""
        via = self.screen.via
        asks_name = re.compile(username_pattern + r"\W*$", re.IGNORECASE)
        asks_password = re.compile(pwd_pattern + r".*:\W*$", re.IGNORECASE)
        deadline = self.screen.now() + LOGIN_TIMEOUT
        seen = echo = ""
        patience = NUDGE
        acted = self.screen.now()
        names = passwords = 0

        def say(text: str, *, answer: bool) -> None:
            nonlocal seen, patience, acted
            # After an answer the device may ask an AAA server first; a Return would answer for us.
            seen, patience, acted = "", ANSWER_TIMEOUT if answer else NUDGE, self.screen.now()
            self.screen.write(text)

        while self.screen.now() < deadline:
            # Our first Returns may be answered twice; wait for both.
            more = self.screen.settled(SETTLE if names or passwords else 3 * SETTLE, NUDGE)
            seen += more
            # What comes before the echo of the username was said before it.
            at = seen.find(echo)
            rest = seen[at + len(echo) :] if at >= 0 else ""
            shown = last_line(calm(rest.encode()).rstrip(b"\r\n "))
            last = shown.decode(errors="replace").strip()
            if "assword required, but none set" in seen:
                raise Permanent(f"{via}: login: the line has no password set")
            if passwords >= TRIES and (
                self._dialect.login_refused.search(seen)
                or asks_name.search(last)
                or asks_password.search(last)
            ):
                raise Permanent(f"{via}: login: wrong username or password")
            if asks_password.search(last):
                passwords, echo = passwords + 1, ""
                say(self.password + RETURN, answer=True)
            elif asks_name.search(last):
                if not self.username:
                    raise Permanent(f"{via}: login: it asks for a username and none is given")
                if names > 2 * TRIES:
                    raise Permanent(f"{via}: login: it keeps asking for the username")
                names, echo = names + 1, self.username
                say(self.username + RETURN, answer=True)
            elif (self._dialect.prompt or PROMPT).fullmatch(last.encode()):
                self.screen.learn(last)
                return seen
            elif MORE.search(shown):
                say("q", answer=False)
            elif "[yes/no]" in last:  # the dialogue of a device without a configuration
                say("no" + RETURN, answer=False)
            elif "ress RETURN" in last or self.screen.now() - acted > patience:
                echo = ""
                say(RETURN, answer=False)
        raise Unreachable(f"{via}: login: no prompt within {LOGIN_TIMEOUT:g} s")


_ASKS = re.compile(rb"(?:user:|username:?|login:|user name:?|assword:)\s*\Z", re.IGNORECASE)
