"""The line between a client and an IOS-like switch: echo, editing, login, paging, time.

Free of I/O: bytes come in by `Terminal.receive`, go out by a function, and time passes by another.
"""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_reply import BREAK, END, Reply
from rackwright_sim.ios_session import IosSession

MORE = " --More-- "
MORE_GONE = "\b" * 9 + " " * 8 + "\b" * 9
SYSLOG_DELAY = 0.02
"""Seconds from what happens to the log message: it comes after the answer, as on a real one."""
LOGIN_TRIES = 3
SCROLL = 10
_INPUT = re.compile(
    rb"\x1b\[[0-9;]*[A-Za-z~]|\x1b[A-Za-z]|[\x20-\x3e\x40-\x7e\x80-\xff]+|.", re.DOTALL
)


class Terminal:
    """One line of the device. Made ready by `start`."""

    def __init__(
        self,
        device: IosDevice,
        write: Callable[[bytes], None],
        later: Callable[[float, Callable[[], None]], Any],
        close: Callable[[bool], None],
        *,
        origin: str = "console",
        username: str = "",
    ) -> None:
        """``later`` calls a function after some seconds. ``close`` ends the line, at once and
        without a word when its argument is true. ``username`` is who logged in already; without
        it the terminal is a console, which asks."""
        self._device = device
        self._write = write
        self._later = later
        self._close = close
        self._origin = origin
        self._console = not username
        self._username = username
        self._session: IosSession | None = None
        self._state = "closed"
        """``closed``, ``idle`` (a console nobody uses), ``username``, ``password``, ``ready``,
        ``busy``, ``more``."""
        self._tries = 0
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._typed = bytearray()
        self._scrolled = 0
        self._quoted = False
        self._after_return = False
        self._prompt = ""
        self._hidden = False
        self._pages: deque[str] = deque()
        self._then: Reply = Reply()
        self._garbage = random.Random(device.options.hostname)

    def start(self) -> None:
        """Greet, or show the first prompt."""
        self._device.listeners.add(self._log)
        self._device.hangups.add(self.hang_up)
        if self._console:
            self._greet()
        else:
            self._log_in()
        self._flush()

    def stop(self) -> None:
        """The client is gone; what was under way is not finished."""
        self._close_session()
        self._state = "closed"
        self._device.listeners.discard(self._log)
        self._device.hangups.discard(self.hang_up)

    def hang_up(self) -> None:
        """The device ends the session."""
        self._end(cut=True)
        self._flush()

    def receive(self, data: bytes) -> None:
        """What the client sent. It waits while an answer is under way, as typed-ahead input does."""
        self._device.counters.bytes_in += len(data)
        if self._device.faults.hang or self._state == "closed":
            return
        self._inbox += data
        self._pump()
        self._flush()

    def _pump(self) -> None:
        while self._inbox and self._state not in ("busy", "closed"):
            found = _INPUT.match(self._inbox)
            if found is None:
                return
            chunk = found[0]
            if self._state == "more":
                del self._inbox[:1]
                self._turn(chunk[:1])
                continue
            del self._inbox[: len(chunk)]
            self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        newline_again = chunk == b"\n" and self._after_return
        self._after_return = chunk == b"\r"
        if self._quoted:
            self._quoted = False
            self._type(chunk)
        elif chunk in (b"\r", b"\n"):
            if not newline_again:
                self._enter()
        elif chunk in (b"\b", b"\x7f"):
            self._erase(1)
        elif chunk == b"\x15":
            self._erase(len(self._typed))
        elif chunk == b"\x17":
            kept = self._typed.rstrip().rpartition(b" ")
            self._erase(len(self._typed) - len(kept[0]) - len(kept[1]))
        elif chunk == b"\x16":
            self._quoted = True
        elif chunk == BREAK.encode():
            if self._state == "ready":
                self._typed.clear()
                self._send("\r\n")
                self._run(BREAK)
        elif chunk == END.encode():
            if self._state == "ready":
                self._send("^Z\r\n")
                self._run(self._taken() + END)
        elif chunk == b"?" and self._state == "ready" and not self._hidden:
            self._help()
        elif chunk[0] >= 0x20:
            self._type(chunk)

    def _type(self, chunk: bytes) -> None:
        if self._state == "idle":
            return
        self._typed += chunk
        if self._hidden:
            return
        room = (self._session.width if self._session else 0) - len(self._prompt) - 1
        if room <= SCROLL or len(self._typed) - self._scrolled <= room:
            self._send(chunk)
            return
        shown = len(self._typed) - len(chunk) - self._scrolled + (1 if self._scrolled else 0)
        while len(self._typed) - self._scrolled > room:
            self._scrolled += SCROLL
        tail = bytes(self._typed[self._scrolled :])
        self._send(b"\b" * shown + b"$" + tail + b" " * SCROLL + b"\b" * SCROLL)

    def _erase(self, count: int) -> None:
        count = min(count, len(self._typed))
        if count:
            del self._typed[len(self._typed) - count :]
            if not self._hidden:
                self._send("\b \b" * count)

    def _taken(self) -> str:
        line = self._typed.decode("utf-8", "replace")
        self._typed.clear()
        self._scrolled = 0
        return line

    def _enter(self) -> None:
        if self._state != "idle":
            self._send("\r\n")
        line = self._taken()
        if self._state == "ready":
            self._run(line)
        elif self._state == "idle":
            self._ask_who()
        elif self._state == "username":
            if line:
                self._username = line
                self._ask("password", "Password: ", hidden=True)
            else:
                self._ask("username", "Username: ")
        elif self._state == "password":
            self._check(line)

    def _greet(self) -> None:
        self._username = ""
        self._hidden = False
        self._state = "idle"
        name = self._device.running.hostname
        self._send(f"\r\n\r\n{name} con0 is now available\r\n\r\n\r\n\r\n\r\n")
        self._send("Press RETURN to get started.\r\n\r\n\r\n")

    def _ask_who(self) -> None:
        if self._device.faults.refuse:
            return
        if not self._device.options.username:
            self._log_in()
            return
        self._tries = 0
        self._send("\r\n\r\nUser Access Verification\r\n\r\n")
        self._ask("username", "Username: ")

    def _ask(self, state: str, question: str, *, hidden: bool = False) -> None:
        self._state, self._hidden, self._prompt = state, hidden, question
        self._send(question)

    def _check(self, password: str) -> None:
        if self._device.admits(self._username, password):
            self._log_in()
            return
        self._tries += 1
        self._send("% Login invalid\r\n\r\n")
        if self._tries >= LOGIN_TRIES:
            self._greet()
        else:
            self._ask("username", "Username: ")

    def _log_in(self) -> None:
        self._session = self._open_session()
        self._send("\r\n")
        self._ready()

    def _open_session(self) -> IosSession:
        session = IosSession(self._device, self._origin, self._username)
        session.monitor = self._console
        sessions, counters = self._device.sessions, self._device.counters
        sessions.append(session)
        counters.sessions += 1
        counters.open = len(sessions)
        counters.peak = max(counters.peak, counters.open)
        return session

    def _close_session(self) -> None:
        if self._session:
            self._device.sessions.remove(self._session)
            self._device.counters.open = len(self._device.sessions)
        self._session = None

    def _ready(self, question: str = "", *, hidden: bool = False) -> None:
        if self._session:
            self._ask("ready", question or self._session.prompt, hidden=hidden)

    def _run(self, line: str) -> None:
        self._state, self._hidden = "busy", False
        latency = self._device.options.latency
        if latency and line.strip():
            self._later(latency, lambda: self._answer_late(line))
        else:
            self._answer(line)

    def _answer(self, line: str) -> None:
        if self._session and self._state == "busy":
            self._show(self._session.run(line))

    def _answer_late(self, line: str) -> None:
        self._answer(line)
        self._pump()
        self._flush()

    def _show(self, reply: Reply) -> None:
        if reply.cut:
            self._end(cut=True)
            return
        self._then = reply
        self._pages.extend(reply.text.split("\n")[:-1] if reply.text else ())
        if reply.text and not reply.text.endswith("\n"):
            self._pages.append(reply.text.rpartition("\n")[2])
        self._page(self._session.length - 1 if self._session else 0)

    def _page(self, count: int) -> None:
        """Show ``count`` more lines, or all when the terminal does not page."""
        length = self._session.length if self._session else 0
        lines = list(self._pages)
        if length and len(lines) > count:
            lines = lines[:count]
        for _ in lines:
            self._pages.popleft()
        if lines:
            self._send("".join(f"{line}\r\n" for line in lines))
        if self._pages:
            self._state = "more"
            self._send(MORE)
            return
        self._state = "busy"
        self._proceed()

    def _turn(self, key: bytes) -> None:
        self._send(MORE_GONE)
        if key == b" " and self._session:
            self._page(self._session.length - 1)
        elif key in (b"\r", b"\n"):
            self._page(1)
        else:
            self._pages.clear()
            self._state = "busy"
            self._proceed()

    def _proceed(self) -> None:
        reply, self._then = self._then, Reply()
        if reply.close:
            self._end(cut=False)
        elif reply.then:
            then = reply.then
            if reply.pause:
                self._later(reply.pause, lambda: self._continue_late(then))
            else:
                self._continue(then)
        else:
            self._ready(reply.question, hidden=reply.hidden)

    def _continue(self, then: Callable[[], Reply]) -> None:
        if self._session:
            self._show(self._session.proceed(then))

    def _continue_late(self, then: Callable[[], Reply]) -> None:
        self._continue(then)
        self._pump()
        self._flush()

    def _help(self) -> None:
        line = self._typed.decode("utf-8", "replace")
        words = self._session.following(line) if self._session else []
        text = "".join(f"  {word}\r\n" for word in words) or "% Unrecognized command\r\n"
        self._send(f"?\r\n{text}\r\n{self._prompt}{line}")

    def _end(self, *, cut: bool) -> None:
        if self._state == "closed":
            return
        self._close_session()
        self._inbox.clear()
        self._typed.clear()
        self._pages.clear()
        if self._console:
            self._greet()
        else:
            self._state = "closed"
            if not cut:
                self._flush()
            self._outbox.clear()
            self._close(cut)

    def _log(self, line: str) -> None:
        if self._console or (self._session and self._session.monitor):
            self._later(SYSLOG_DELAY, lambda: self._show_log(line))

    def _show_log(self, line: str) -> None:
        if self._state != "closed":
            self._send(f"\r\n{line}\r\n" if self._state == "ready" else f"{line}\r\n")
            self._flush()

    def _send(self, text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        faults = self._device.faults
        if faults.hang:
            return
        if faults.garbage and self._session:
            noise = self._garbage
            data = bytes(
                noise.randrange(256) if noise.random() < 0.2 else byte for byte in data
            ) + noise.randbytes(noise.randrange(8))
        self._outbox += data

    def _flush(self) -> None:
        """What one event gave rise to leaves in one piece: a packet costs more than its bytes."""
        if self._outbox:
            data = bytes(self._outbox)
            self._outbox.clear()
            self._device.counters.bytes_out += len(data)
            self._write(data)
