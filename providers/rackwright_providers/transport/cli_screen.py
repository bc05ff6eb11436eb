"""One exchange at a time with a device's screen: write a line, read up to the next prompt.

An answer counts only when the device has echoed the whole command and then shown its prompt, so a
prompt or an output that is left over from before is never taken for the answer. Log messages that
the device prints in between are taken out. Nothing here sleeps: every wait is for the stream.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rackwright.model.errors import Unreachable
from rackwright_providers.transport.stream import Stream

RETURN = "\r"
CONTROL_C = "\x03"
CONTROL_V = "\x16"
"""Takes the next character literally; IOS answers a bare ``?`` with help, wherever it stands."""

QUIET = 0.5
"""Seconds of silence after which an unusual end of an answer is considered."""
STOPPING = 5.0
"""Seconds that an exchange in hand may still take when the process must leave."""
LIMIT = 16 * 1024 * 1024
"""Bytes of one answer; a device that says more is babbling."""
SCROLLED = 8
"""Characters that must be left of a scrolled line to recognise it; IOS leaves dozens."""
PATIENCE = 10
"""An answer that keeps coming may take this many times its time limit."""

PROMPT = re.compile(rb"[A-Za-z0-9][\w.:@/+-]{0,63}(?:\([^()\r\n]{1,64}\))?[>#] ?")
"""What may be a prompt, as long as the device's own is not known."""
MORE = re.compile(rb"-+ ?more ?-+[ \t]*\Z", re.IGNORECASE)
QUESTION = re.compile(rb"(?:\[confirm\]|\[(?:yes/no|y/n)\]:?|\?)[ \t]*\Z", re.IGNORECASE)
LOGGED_OUT = re.compile(rb"(?:ress RETURN to get started|Username:|login:)[\s.!]*\Z")
LOG_LINE = re.compile(r"%[A-Z][A-Z0-9_]*(?:-[A-Z0-9_]+)*-[0-7]-[A-Z0-9_]+: ")
"""A log message: ``%LINK-3-UPDOWN: …``. Errors of the command line are ``% Invalid …``."""

_LOG = re.compile(LOG_LINE.pattern.encode())
_LOG_BREAK = re.compile(rb"[\r\n]+[^\r\n]*" + _LOG.pattern + rb"[^\r\n]*[\r\n]+")
_LOG_TRAIL = re.compile(rb"(?:" + _LOG_BREAK.pattern + rb")+\Z")
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[A-Z])")
_MORE_LEFT = re.compile(r"^\s*-+ ?more ?-+ *", re.IGNORECASE)
_NAME = re.compile(rb"([^()>#]+)")
_CUT_AT = 16
"""IOS shortens long host names in the prompts of configuration modes; this much always stays."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device said to one command."""

    text: str
    """Without echo, prompt and log messages; lines end in ``\\n``."""
    prompt: str
    noisy: bool = False
    """Log messages came in between, so a line may have been torn apart."""
    question: str = ""
    """It asked something that was not foreseen; it was answered with Control-C."""


class Screen:
    """A `Stream` read as a screen. One thread at a time. Every method that reads or writes raises
    Unreachable when the device is gone or does not answer in time; then the screen is `dead`."""

    def __init__(
        self, stream: Stream, stop: threading.Event, prompt: re.Pattern[bytes] | None = None
    ) -> None:
        self.stream = stream
        self.via = stream.via
        self.prompt = ""
        """The prompt seen last."""
        self.dead = False
        self.now: Callable[[], float] = getattr(stream, "now", time.monotonic)
        """The stream's own clock where it has one: a recording is played in no time."""
        self.heard = self.now()
        """When the device last answered in full."""
        self.stop = stop
        self._began = self.heard
        self._buffer = bytearray()
        self._own_prompt = prompt
        self._prompt = prompt or PROMPT
        self._doing = "login"
        """For what is said when no answer comes."""

    def learn(self, prompt: str) -> None:
        """From now on only prompts with the host name of ``prompt`` count."""
        self.prompt = prompt.strip()
        if self._own_prompt:
            return
        found = _NAME.match(self.prompt.encode())
        name = found[1] if found else b""
        host = re.escape(name)
        if len(name) > _CUT_AT:
            host = re.escape(name[:_CUT_AT]) + rb"[^\s()>#]*"
        self._prompt = re.compile(host + rb"(?:\([^()\r\n]{1,64}\))?[>#] ?")

    def write(self, text: str) -> None:
        """Send ``text`` as it is."""
        self._began = self.now()
        try:
            self.stream.write(text.encode())
        except Unreachable:
            self._die()
            raise

    def drain(self) -> str:
        """What has arrived and nobody asked for, taken out."""
        while (more := self._read(0.0)) and len(self._buffer) < LIMIT:
            self._buffer += more
        if more:
            raise self._lost("it sends without end")
        text = self._buffer.decode(errors="replace")
        self._buffer.clear()
        return text

    def exchange(
        self, line: str, timeout: float, answers: Sequence[tuple[re.Pattern[str], str]] = ()
    ) -> Answer:
        """Send ``line`` and wait for the whole answer: ``timeout`` seconds for its next byte.

        ``answers`` are questions that the device may ask on the way, and what we say to them.
        """
        self.drain()
        self._doing = repr(line.strip()) if line.strip() else "Return"
        self.write(line.replace("?", CONTROL_V + "?") + RETURN)
        return self._collect(line.strip().encode(), timeout, answers)

    def wait(self, ready: Callable[[bytes], int | None], timeout: float) -> str:
        """Read until ``ready`` (of what is there) gives the length to take; return that much. For
        what comes before there is a prompt, so for a login."""
        deadline = self.now() + timeout
        self._doing = "login"
        while (end := ready(bytes(self._buffer))) is None:
            self._fill(deadline)
        text = self._buffer[:end].decode(errors="replace")
        del self._buffer[:end]
        return text

    def settled(self, quiet: float, timeout: float) -> str:
        """What arrives until ``quiet`` seconds of silence; empty when nothing came at all."""
        deadline = self.now() + timeout
        while not self._buffer and (left := deadline - self.now()) > 0:
            self._buffer += self._read(min(left, QUIET))
        while self._buffer and self.now() < deadline + timeout:
            more = self._read(quiet)
            self._buffer += more
            if not more:
                break
        text = self._buffer.decode(errors="replace")
        self._buffer.clear()
        return text

    def at_prompt(self, seen: bytes) -> bool:
        """Whether the last line of ``seen`` is a prompt; notes it."""
        tail = last_line(calm(seen))
        if not self._prompt.fullmatch(tail):
            return False
        self.prompt = tail.decode(errors="replace").strip()
        return True

    def close(self) -> None:
        """Never raises."""
        self.dead = True
        self.stream.close()

    def _collect(
        self, line: bytes, timeout: float, answers: Sequence[tuple[re.Pattern[str], str]]
    ) -> Answer:
        seen = self._buffer
        start = self.now()
        last_chance = start + timeout * PATIENCE
        deadline = start + timeout
        answered = 0  # what lies before has been answered
        probe = b""  # a line that may be the prompt after the host name changed, and where it ends
        question = ""
        more = b""
        while True:
            arrived = bool(more) or self._fill(deadline, wait=QUIET)
            more = b""
            if arrived:
                deadline = min(self.now() + timeout, last_chance)
            now = seen if arrived else calm(seen)
            tail = last_line(now)
            if self._prompt.fullmatch(tail) and (
                body := _after_echo(now, line, thorough=not arrived)
            ):
                # A log message makes the device show its prompt once more, before the real end.
                torn = arrived and b"%" in body and _LOG.search(body)
                if more := self._read(QUIET if torn else 0.0):  # it only looked like the end
                    seen += more
                    continue
                return self._answer(bytes(body), tail, question)
            if arrived:
                fresh = bytes(seen[max(answered, len(seen) - 200) :])
                if MORE.search(fresh):
                    reply = " "
                elif answers:
                    reply = next(
                        (say for asked, say in answers if asked.search(_decode(fresh))), ""
                    )
                else:
                    reply = ""
                if reply:
                    answered = len(seen)
                    self.write(reply)
                elif probe and len(seen) > answered and tail == probe:
                    self.learn(tail.decode(errors="replace"))
                    body = _after_echo(seen[:answered], line, thorough=True) or seen[:answered]
                    return self._answer(bytes(body), tail, question)
            elif PROMPT.fullmatch(tail) and not probe and _after_echo(seen, line, thorough=True):
                probe, answered = bytes(tail), len(seen)
                self.write(RETURN)
            elif LOGGED_OUT.search(seen[-200:]):
                raise self._lost("it has ended the session")
            elif not question and QUESTION.search(seen[answered:]):
                question = tail.decode(errors="replace").strip()
                answered = len(seen)
                self.write(CONTROL_C)

    def _answer(self, body: bytes, prompt: bytes, question: str) -> Answer:
        self._buffer.clear()
        self.prompt = prompt.decode(errors="replace").strip()
        self.heard = self.now()
        text = body.decode(errors="replace")
        cut = max(text.rfind("\n"), text.rfind("\r"))
        text = text[: max(cut, 0)]  # the prompt's own line
        if "\x1b" in text:
            text = _ANSI.sub("", text)
        lines = [_shown(part) for part in text.split("\n")]
        quiet = [part for part in lines if not ("%" in part and LOG_LINE.search(part))]
        return Answer("\n".join(quiet).strip("\n"), self.prompt, len(quiet) != len(lines), question)

    def _fill(self, deadline: float, wait: float = 1.0) -> bool:
        """Read once, for ``wait`` seconds at most; whether something came."""
        left = deadline - self.now()
        if left <= 0:
            raise self._lost(f"{self._doing}: it does not answer")
        if self.stop.is_set() and self.now() - self._began > STOPPING:
            raise self._lost("stopped while waiting for it")
        more = self._read(min(left, wait))
        self._buffer += more
        if len(self._buffer) > LIMIT:
            raise self._lost("it sends without end")
        return bool(more)

    def _read(self, timeout: float) -> bytes:
        try:
            return self.stream.read(timeout)
        except Unreachable:
            self._die()
            raise

    def _lost(self, why: str) -> Unreachable:
        self._die()
        return Unreachable(f"{self.via}: {why}")

    def _die(self) -> None:
        # What comes later would be taken for the answer to something else.
        self.close()


def last_line(seen: bytes | bytearray) -> bytes:
    """The line under the cursor."""
    start = max(seen.rfind(b"\n"), seen.rfind(b"\r")) + 1
    tail = bytes(seen[start:]) if len(seen) - start < 512 else b""
    if b"\x08" in tail or b"\x1b" in tail:
        tail = _shown(_ANSI.sub("", _decode(tail))).encode()
    return tail


def calm(seen: bytes | bytearray) -> bytes | bytearray:
    """``seen`` without log messages at its end: they come after a prompt, which is not repeated."""
    return _LOG_TRAIL.sub(b"", seen) if b"%" in seen else seen


def _after_echo(
    seen: bytes | bytearray, line: bytes, *, thorough: bool
) -> bytes | bytearray | None:
    """What follows the echo of ``line``; None when it is not there in full. ``thorough``: also
    look for an echo that a log message or the edge of the screen has torn apart."""
    if not line:
        return seen if len(seen) > 1 else None
    at = seen.find(line)
    if at >= 0:
        rest = seen[at + len(line) :]
        if rest.lstrip(b" \x00")[:1] in (b"\r", b"\n"):
            return rest
    if not thorough:
        return None
    return _after_scrolled(seen, line) or _after_torn(seen, line)


def _after_scrolled(seen: bytes | bytearray, line: bytes) -> bytes | bytearray | None:
    """IOS scrolls a line that is wider than the screen: ``sw1#$`` and its last part stay."""
    end = seen.find(b"\n")
    _, dollar, rest = _shown(_decode(seen[: max(end, 0)])).encode().partition(b"$")
    if dollar and len(rest) > SCROLLED and line.endswith(rest):
        return seen[end:]
    return None


def _after_torn(seen: bytes | bytearray, line: bytes) -> bytes | None:
    torn = rb"\s*".join(re.escape(bytes([byte])) for byte in line if byte != 0x20)
    whole = _LOG_BREAK.sub(b"\n", seen)
    found = re.search(torn + rb"[ \x00]*(?=[\r\n])", whole)
    if found is None:
        return None
    logs = b"".join(_LOG_BREAK.findall(seen))  # kept, so that the answer counts as noisy
    return logs + whole[found.end() :]


def _shown(line: str) -> str:
    """One line as a terminal shows it after its backspaces and carriage returns."""
    line = line.rstrip("\r").lstrip("\r")
    if "\x08" in line or "\r" in line:
        cells: list[str] = []
        at = 0
        for char in line:
            if char == "\x08":
                at = max(at - 1, 0)
            elif char == "\r":
                at = 0
            else:
                cells[at : at + 1] = char
                at += 1
        line = "".join(cells)
    if "ore" in line or "ORE" in line:
        line = _MORE_LEFT.sub("", line)
    return line.rstrip().replace("\x00", "")


def _decode(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
