"""The line between a client and a plain command line: echo, login, exit.

Free of I/O: bytes come in by `Terminal.receive`, go out by a function, and time passes by another.
"""

from __future__ import annotations

from collections.abc import Callable

from rackwright_sim.cli_box import Box, Reply
from rackwright_sim.cli_line import Later

LOGIN_TRIES = 3


class Terminal:
    """One line of the device. Made ready by `start`."""

    def __init__(
        self,
        box: Box,
        write: Callable[[bytes], None],
        later: Later,
        close: Callable[[bool], None],
        *,
        logged_in: bool = False,
    ) -> None:
        """``close`` ends the line, at once when its argument is true. Without ``logged_in`` the
        terminal is a console, which asks who is there, and asks again when somebody leaves."""
        self._box, self._write, self._later, self._close = box, write, later, close
        self._console = not logged_in
        self._state = "closed"
        """``closed``, ``username``, ``password``, ``ready``, ``busy``."""
        self._typed = bytearray()
        self._inbox = bytearray()
        self._username = ""
        self._after_return = False

    def start(self) -> None:
        """Greet, or show the first prompt."""
        self._box.hangups.add(self.hang_up)
        if self._console:
            self._ask("username")
        else:
            self._log_in()

    def stop(self) -> None:
        """The client is gone."""
        self._state = "closed"
        self._box.hangups.discard(self.hang_up)

    def hang_up(self) -> None:
        """The device ends the session."""
        self._end(cut=True)

    def receive(self, data: bytes) -> None:
        """What the client sent. It waits while an answer is under way, as typed-ahead input does."""
        if not self._box.faults.hang:
            self._inbox += data
            self._pump()

    def _pump(self) -> None:
        while self._inbox and self._state not in ("busy", "closed"):
            byte = self._inbox[0]
            del self._inbox[0]
            again = byte == 0x0A and self._after_return
            self._after_return = byte == 0x0D
            if byte in (0x0D, 0x0A):
                if not again:
                    self._send("\n")
                    line = self._typed.decode("utf-8", "replace")
                    self._typed.clear()
                    self._enter(line)
            elif byte == 0x03:
                self._typed.clear()
                self._send("^C\n")
                self._ask(self._state)
            elif byte in (0x08, 0x7F):
                if self._typed:
                    del self._typed[-1]
                    self._send("\b \b")
            elif byte >= 0x20:
                self._typed.append(byte)
                if self._state != "password":
                    self._write(bytes([byte]))

    def _enter(self, line: str) -> None:
        access = self._box.access
        if self._state == "username":
            self._username = line.strip()
            self._ask("password" if self._username else "username")
        elif self._state == "password":
            if (self._username, line) == (access.username, access.password):
                self._log_in()
            else:
                self._send("Login incorrect\n\n")
                self._ask("username")
        elif access.latency:
            self._state = "busy"
            self._later(access.latency, lambda: self._late(line))
        else:
            self._show(self._box.respond(line))

    def _late(self, line: str) -> None:
        if self._state == "busy":
            self._show(self._box.respond(line))
            self._pump()

    def _show(self, reply: Reply) -> None:
        if reply.cut or reply.close:
            self._end(cut=reply.cut)
            return
        if reply.text:
            self._send(reply.text.rstrip("\n") + "\n")
        self._ask("ready")

    def _log_in(self) -> None:
        self._box.counters.sessions += 1
        self._send(self._box.greeting())
        self._ask("ready")

    def _ask(self, state: str) -> None:
        self._state = state
        questions = {"username": "login: ", "password": "Password: ", "ready": self._box.prompt}
        self._send(questions[state])

    def _end(self, *, cut: bool) -> None:
        if self._state == "closed":
            return
        self._typed.clear()
        self._inbox.clear()
        if self._console:
            self._send("\n")
            self._ask("username")
        else:
            self._state = "closed"
            self._close(cut)

    def _send(self, text: str) -> None:
        if text:
            self._write(text.replace("\n", "\r\n").encode())


def console(box: Box) -> Callable[[Callable[[bytes], None], Later], Terminal]:
    """What makes the terminal of a serial line: it asks who is there."""
    return lambda write, later: Terminal(box, write, later, lambda cut: None)
