"""The daemon: signals, and what the service manager is told. It runs any number of nodes, each on its own.

An agent has one node, a delegate many. Every node has its own thread, its own state directory and
run lock, its own back-off: one that hangs, refuses or lies delays no other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rackwright.loop import Loop

if TYPE_CHECKING:
    from rackwright.client import StoreClient

log = logging.getLogger(__name__)


class Signals:
    """Signals as something to wait for: handlers only write a byte, so they can never deadlock."""

    def __init__(self, *numbers: int) -> None:
        self._numbers = numbers
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._old: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in self._numbers:
            self._old[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
        # A thread may still poke; it must not meet another file under the same number.
        read, write, self._read, self._write = self._read, self._write, -1, -1
        os.close(read)
        os.close(write)

    def _heard(self, number: int, _frame: object) -> None:
        with contextlib.suppress(OSError):  # full, or closed
            os.write(self._write, bytes([number]))

    def poke(self) -> None:
        """End a wait from another thread."""
        self._heard(0, None)

    def wait(self, timeout: float | None) -> list[int]:
        """Signals heard, after at most ``timeout`` seconds; 0 stands for a poke."""
        select.select([self._read], [], [], timeout)
        try:
            return list(os.read(self._read, 64))
        except BlockingIOError:
            return []


def serve(
    loops: Sequence[Loop],
    stop: threading.Event,
    client: StoreClient | None = None,
    *,
    once: bool = False,
) -> None:
    """Run ``loops`` until SIGTERM or SIGINT, or with ``once`` until each has run once.

    SIGHUP and SIGUSR1 converge now, with fresh facts. On SIGTERM each node finishes the resource
    in hand; a second one ends the process at once.
    """
    with Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
        for loop in loops:
            loop.start(once=once, ended=signals.poke)
        if client is not None and not once:
            from rackwright.waker import Waker

            Waker(client, loops, stop).thread.start()
        tell_systemd(f"READY=1\nSTATUS=converging {len(loops)} node(s)")
        watchdog = watchdog_interval()
        while any(loop.running for loop in loops):
            for number in signals.wait(watchdog):
                if number in (signal.SIGTERM, signal.SIGINT):
                    if stop.is_set():
                        os._exit(128 + number)
                    tell_systemd("STOPPING=1")
                    log.info(
                        "stopping: what is in hand is finished first; once more ends it at once"
                    )
                    stop.set()
                    for loop in loops:
                        loop.wake()
                elif number:
                    for loop in loops:
                        loop.wake(fresh_facts=True)
            tell_systemd("WATCHDOG=1")


def tell_systemd(state: str) -> None:
    """sd_notify(3): tell the service manager, where there is one that listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    import socket

    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(state.encode(), address)
    except OSError as error:
        log.debug("systemd was not told: %s", error)


def watchdog_interval() -> float | None:
    """Half of what systemd allows between two signs of life, in seconds; None: it does not ask."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2_000_000 if microseconds.isdecimal() else None
