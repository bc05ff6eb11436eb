"""Sessions with vpcd on a line: one that reads, one that also writes.

vpcd does not echo. It numbers its prompts, and its answers by the prompt at which the command was
given (``4 vpc> ``, ``4 OK``, ``4 BADVAL: 99``), so an answer is known by its number. Words and forms
are those of vpcd(8) and of powerman's vpc.dev.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any

from rackwright.model.errors import RackwrightError, Rejected, Temporary, Unreachable
from rackwright_providers.pdu.plain_pdu import Power
from rackwright_providers.transport.stream import Stream

ANSWER_TIMEOUT = 10.0
"""Seconds for a whole answer."""
FRESH = 10.0
"""Seconds after an answer for which a session counts as alive without asking."""
STOPPING = 5.0
"""Seconds that an exchange in hand may still take when the process must leave."""
SLICE = 0.5
OFF_TIME = 1.0
"""Seconds without power in a reboot, as in vpc.dev's script ``cycle``."""
LIMIT = 64 * 1024
"""Bytes of one answer."""

LOGIN = "login"
"""Asks for no name and no password, and does nothing when one is logged in. There is a ``logoff``;
it is never sent, because vpcd ends at it."""
_ANSWER = re.compile(r"(?:\A|\n|> )(\d+) (OK|UNKNOWN: .*|BADVAL: .*|Please login)\n(\d+) vpc> \Z")
_PLUG = re.compile(r"plug (\d+): (ON|OFF)")
_STATES: Mapping[str, Power] = {"ON": "on", "OFF": "off"}


class VpcdReader:
    """Has no way to write. One thread at a time."""

    def __init__(self, stream: Stream, stop: threading.Event) -> None:
        """Logs in. Raises Unreachable when vpcd does not answer."""
        self.via = stream.via
        self.stop = stop
        self._stream = stream
        self._dead = False
        self._heard = 0.0
        self._number: int | None = None
        """Of the prompt that waits for a command."""
        # Whatever earlier sessions left unread ends before the answer to a word that is only ours.
        token = f"sync-{secrets.token_hex(8)}"
        try:
            self._send(f"\n{LOGIN}\n{token}\n")
            self._collect(re.compile(rf"(\d+) (UNKNOWN: {token})\n(\d+) vpc> \Z"), "login")
        except BaseException:
            self.close()
            raise

    def alive(self) -> bool:
        """Whether vpcd still answers. Asks only when it has not lately."""
        if self._dead:
            return False
        if time.monotonic() - self._heard < FRESH:
            return self._stream.alive()
        with contextlib.suppress(RackwrightError):
            self._ask(LOGIN)
            return True
        return False

    def close(self) -> None:
        """Give the line back. Never raises."""
        self._dead = True
        self._stream.close()

    def states(self) -> Mapping[str, Power | None]:
        """All plugs."""
        return plugs(self._ask("stat *"))

    def state(self, name: str) -> Power | None:
        """One plug. Raises Rejected when there is none of that number."""
        return plugs(self._ask(f"stat {int(name)}")).get(name)

    def facts(self) -> dict[str, Any]:
        """It says nothing of itself."""
        return {"model": "vpcd"}

    def _ask(self, command: str) -> str:
        """The lines of the answer. Raises Rejected, or Unreachable; then the session is dead."""
        if self._dead:
            raise Unreachable(f"{self.via}: the session has ended")
        self._send(f"{command}\n")
        body, result = self._collect(_ANSWER, repr(command))
        if result == "Please login":  # it has been started anew
            self.close()
            raise Unreachable(f"{self.via}: vpcd was restarted")
        if result != "OK":
            raise Rejected(f"vpcd rejects {command!r}: {result}", output=result)
        return body

    def _send(self, text: str) -> None:
        try:
            self._stream.write(text.encode("ascii"))
        except Unreachable:
            self.close()
            raise

    def _collect(self, end: re.Pattern[str], what: str) -> tuple[str, str]:
        """What precedes the result, and the result."""
        began = time.monotonic()
        seen = ""
        while not (found := end.search(seen)):
            patience = STOPPING if self.stop.is_set() else ANSWER_TIMEOUT
            if time.monotonic() - began > patience or len(seen) > LIMIT:
                # What comes later would be taken for the answer to something else.
                self.close()
                raise Unreachable(f"{self.via}: {what}: vpcd does not answer")
            try:
                arrived = self._stream.read(SLICE)
            except Unreachable:
                self.close()
                raise
            seen += arrived.decode("ascii", "replace").replace("\r", "")
        given, now = int(found[1]), int(found[3])
        if self._number not in (None, given) or now != given + 1:
            self.close()
            raise Unreachable(f"{self.via}: {what}: answer {given} where {self._number} was due")
        self._number, self._heard = now, time.monotonic()
        return seen[: found.start()], found[2]


class VpcdWriter(VpcdReader):
    """Can also write."""

    def switch(self, name: str, power: Power) -> None:
        """Raises Rejected when vpcd refuses."""
        self._ask(f"{power} {int(name)}")

    def cycle(self, name: str) -> None:
        """Off for `OFF_TIME`, then on, whatever asks us to stop in between."""
        self.switch(name, "off")
        self.stop.wait(OFF_TIME)
        self.switch(name, "on")


def plugs(answer: str) -> dict[str, Power | None]:
    """The plugs in the answer to ``stat``. Pure. Raises Temporary for what is no such answer."""
    found: dict[str, Power | None] = {}
    for line in filter(None, answer.split("\n")):
        plug = _PLUG.fullmatch(line)
        if plug is None:
            raise Temporary(f"vpcd: an answer that makes no sense: {line[:80]!r}")
        found[str(int(plug[1]))] = _STATES[plug[2]]
    return found
