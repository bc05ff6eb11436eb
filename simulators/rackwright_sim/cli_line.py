"""A simulated device's serial line: a pseudo terminal, reached by a symbolic link.

As on a real console there is one session, and it stays as it is when the cable is pulled: who
opens the line next finds it where the last one left it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

from rackwright_sim.loop import on_thread

REOPEN_POLL = 0.05
"""Seconds between looks for a client: a pty does not tell when one opens it."""
CHUNK = 4096


Later = Callable[[float, Callable[[], None]], Any]
"""Calls a function after some seconds."""


class End(Protocol):
    """What is at the device's end of a line."""

    def start(self) -> None:
        """Greet, if it does."""

    def stop(self) -> None:
        """The line is closed."""

    def receive(self, data: bytes) -> None:
        """What the client sent."""


class PtyLine:
    """One line. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(self, link: Path, attach: Callable[[Callable[[bytes], None], Later], End]) -> None:
        """``link``: where the symbolic link to the pty is made. ``attach`` makes the device's end of
        it, from what writes on the line and what calls later."""
        self.link = link
        self._attach = attach
        self.pty = ""
        """The pty's own name, once it is started."""
        self._master = -1
        self._out = bytearray()
        self._waiting: asyncio.TimerHandle | None = None

    @property
    def attached(self) -> bool:
        """Whether a client has the line open, as far as was noticed (within `REOPEN_POLL`)."""
        return self._waiting is None

    async def start(self) -> None:
        """Open the line. Raises OSError, FileExistsError when something else is at ``link``."""
        if self.link.is_symlink():
            self.link.unlink()  # of a simulator that was killed
        elif self.link.exists():
            raise FileExistsError(f"{self.link} is there already, and is no link of a simulator")
        self._loop = asyncio.get_running_loop()
        self._open()
        self.link.parent.mkdir(parents=True, exist_ok=True)
        self.link.symlink_to(self.pty)

    async def stop(self) -> None:
        """Close the line and take the link away."""
        if self._master < 0:
            return
        self._let_go()
        os.close(self._master)
        self._master = -1
        if self.link.is_symlink() and str(self.link.readlink()) == self.pty:
            self.link.unlink()

    def hang_up(self) -> None:
        """On the loop: close the line under its client. A new one is there before it notices."""
        old = self._master
        self._let_go()
        self._open()
        fresh = self.link.with_name(f"{self.link.name}.new")
        fresh.symlink_to(self.pty)
        fresh.replace(self.link)
        os.close(old)

    def _open(self) -> None:
        self._master, slave = os.openpty()
        self.pty = os.ttyname(slave)
        tty.setraw(slave)  # the terminal that echoes is the device
        os.close(slave)
        os.set_blocking(self._master, False)
        self._end = self._attach(self._write, self._loop.call_later)
        self._end.start()
        self._await_client()

    def _let_go(self) -> None:
        if self._waiting:
            self._waiting.cancel()
        self._end.stop()
        self._out.clear()
        self._loop.remove_reader(self._master)
        self._loop.remove_writer(self._master)

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())

    def _events(self) -> int:
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return sum(event for _, event in poll.poll(0))

    def _await_client(self) -> None:
        events = self._events()
        if events & select.POLLIN or not events & select.POLLHUP:
            self._waiting = None
            self._loop.add_reader(self._master, self._read)
        else:
            self._waiting = self._loop.call_later(REOPEN_POLL, self._await_client)

    def _read(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: the client has closed it
            data = b""
        if data:
            self._end.receive(data)
            return
        self._loop.remove_reader(self._master)
        self._forget_output()
        self._await_client()

    def _forget_output(self) -> None:
        """What nobody reads is lost on a real line; a pty would keep it for the next client."""
        self._out.clear()
        self._loop.remove_writer(self._master)
        with contextlib.suppress(OSError):
            slave = os.open(self.pty, os.O_RDWR | os.O_NOCTTY)
            try:
                termios.tcflush(slave, termios.TCIFLUSH)
            finally:
                os.close(slave)

    def _write(self, data: bytes) -> None:
        if self._master < 0 or self._events() & select.POLLHUP:
            return
        self._out += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._master, self._out)]
        except BlockingIOError:
            self._loop.add_writer(self._master, self._flush)
            return
        except OSError:
            self._out.clear()
        self._loop.remove_writer(self._master)
