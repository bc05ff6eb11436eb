"""A stand-in for powerman's vpcd on a serial line: 16 plugs, numbered prompts, no echo.

Answers are those of vpcd 2.3.27 itself, which the tests hold beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Literal

from rackwright_sim.cli_box import Access, Box, Reply
from rackwright_sim.cli_line import Later, PtyLine
from rackwright_sim.faults import Faults

PLUGS = 16
_COMMAND = re.compile(r"(stat|on|off|reset) (\*|\d+)")


class Vpcd(Box):
    """One controller. All plugs are off when it is new."""

    writing: ClassVar[re.Pattern[str]] = re.compile(r"^(?:on|off|reset|flash|unflash)\b")
    refusal = Reply("UNKNOWN: refused")
    leaving: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        *,
        access: Access | None = None,
        faults: Faults | None = None,
        state: Path | None = None,
    ) -> None:
        plugs = {str(number): "off" for number in range(PLUGS)}
        super().__init__({"plugs": plugs}, access=access, faults=faults, state=state)

    @property
    def plugs(self) -> dict[str, Literal["on", "off"]]:
        """By number. Change them to play a person at the unit."""
        found: dict[str, Literal["on", "off"]] = self.data["plugs"]
        return found

    def answer(self, line: str) -> Reply:
        """The lines before the result, and the result as the last."""
        found = _COMMAND.match(line)
        if line == "login":
            return Reply("OK")
        if not found:
            return Reply(f"UNKNOWN: {line}")
        verb, number = found[1], found[2]
        chosen = list(self.plugs) if number == "*" else [str(int(number))]
        if not self.plugs.keys() >= set(chosen):
            return Reply(f"BADVAL: {number}")
        if verb == "stat":
            lines = [f"plug {one}: {self.plugs[one].upper()}\n" for one in chosen]
            return Reply("".join(lines) + "OK")
        if verb in ("on", "off"):
            self.plugs.update(dict.fromkeys(chosen, "on" if verb == "on" else "off"))
        return Reply("OK")


class VpcdLine(PtyLine):
    """Its line. When its session is cut, it is hung up, and another one is there."""

    def __init__(self, box: Vpcd, link: Path) -> None:
        super().__init__(link, lambda write, later: _End(self, box, write, later))
        self.box = box


class _End:
    def __init__(
        self, line: VpcdLine, box: Vpcd, write: Callable[[bytes], None], later: Later
    ) -> None:
        self._line, self._box, self._write, self._later = line, box, write, later
        self._number = 0
        self._logged_in = False
        self._typed = bytearray()

    def start(self) -> None:
        self._prompt()

    def stop(self) -> None:
        self._typed.clear()

    def receive(self, data: bytes) -> None:
        if self._box.faults.hang:
            return
        self._typed += data
        while b"\n" in self._typed:
            line, _, rest = bytes(self._typed).partition(b"\n")
            self._typed = bytearray(rest)
            if not self._take(line.decode("ascii", "replace").strip()):
                return

    def _take(self, line: str) -> bool:
        if line == "login":
            self._logged_in = True
            self._box.counters.sessions += 1
        if line and not self._logged_in:
            self._show("Please login")
        elif line:
            reply = self._box.respond(line)
            if reply.cut:
                self._line.hang_up()
                return False
            before, newline, result = reply.text.rpartition("\n")
            self._show(result, before + newline)
        self._number += 1
        self._prompt()
        return True

    def _show(self, result: str, before: str = "") -> None:
        self._write(f"{before}{self._number} {result}\n".encode())

    def _prompt(self) -> None:
        self._write(f"{self._number} vpc> ".encode())
