"""A device in a few lines, behind a `Stream`: enough of IOS to talk to, and to cut off anywhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from rackwright.model.errors import Unreachable

PAUSE = "⏸"
"""In what a device says: nothing comes for a moment, so a read that does not wait finds nothing."""


class ScriptedStream:
    """Plays what a device says to each line, ``chunk`` bytes at a time; after ``cut`` bytes in all
    the line is dead (`Unreachable`), or, with ``hang``, silent."""

    def __init__(
        self,
        answer: Callable[[str], str],
        *,
        greeting: str = "",
        chunk: int = 1 << 16,
        cut: int | None = None,
        hang: bool = False,
    ) -> None:
        self.via = "ssh test"
        self.sent = ""
        self.closed = False
        self.said = 0
        """Bytes that the device has said."""
        self._answer = answer
        self._typed = ""
        self._pending = greeting.encode()
        self._chunk = chunk
        self._cut = cut
        self._hang = hang

    def read(self, timeout: float) -> bytes:
        left = len(self._pending) if self._cut is None else self._cut - self.said
        if left <= 0 and self._cut is not None and not self._hang:
            raise Unreachable("cut off")
        if self._pending.startswith(PAUSE.encode()):
            if not timeout:
                return b""
            self._pending = self._pending[len(PAUSE.encode()) :]
        now = self._pending[: max(min(left, self._chunk), 0)].split(PAUSE.encode())[0]
        if not now and timeout:
            time.sleep(min(timeout, 0.01))  # a silent device, ten milliseconds at a time
        self._pending = self._pending[len(now) :]
        self.said += len(now)
        return now

    def write(self, data: bytes) -> None:
        if self.closed:
            raise Unreachable("closed")
        text = data.decode()
        self.sent += text
        if text == " ":  # the next page
            self._pending += self._answer(text).encode()
            return
        for char in text:
            if char in "\r\x03":
                line, self._typed = self._typed, ""
                self._pending += self._answer(char if char != "\r" else line).encode()
            else:
                self._typed += char

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True

    @property
    def lines(self) -> list[str]:
        return re.split(r"[\r\x03]", self.sent)[:-1]


class Ios:
    """Answers of a switch that knows the commands of ``says``. Knows its mode; echoes."""

    def __init__(self, says: dict[str, str] | None = None, *, host: str = "sw1") -> None:
        self.says = {
            "terminal width 511": "",
            "terminal length 0": "",
            "configure terminal": "Enter configuration commands, one per line.  End with CNTL/Z.\n",
            "end": "",
            "exit": "",
            **(says or {}),
        }
        self.host = host
        self.mode = ""
        self.seen: list[str] = []

    def prompt(self) -> str:
        return f"{self.host}{self.mode}#"

    def __call__(self, line: str) -> str:
        if line == "\x03":
            self.mode = ""
            return f"^C\r\n{self.prompt()}"
        self.seen.append(line)
        command = line.strip().replace("\x16", "")
        if command == "configure terminal":
            self.mode = "(config)"
        elif command == "end":
            self.mode = ""
        elif command.startswith("vlan "):
            self.mode = "(config-vlan)"
        elif command.startswith("interface "):
            self.mode = "(config-if)"
        elif command.startswith("hostname "):
            self.host = command.split()[1]
        body = self.says.get(command)
        if body is None:
            known = bool(self.mode) or not command
            body = "" if known else "       ^\n% Invalid input detected at '^' marker.\n\n"
        return line.replace("\x16", "") + "\r\n" + body.replace("\n", "\r\n") + self.prompt()
