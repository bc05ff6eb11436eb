"""The daemon: interval, splay, wake-ups, signals. It runs any number of nodes, each on its own.

An agent has one node, a delegate many. Every node has its own thread, its own state directory and
run lock, its own back-off: one that hangs, refuses or lies delays no other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rackwright.model.errors import RackwrightError, Temporary
from rackwright.model.report import Report
from rackwright.run import NodeRunner
from rackwright.source import StoreSource

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rackwright.client import StoreClient, Watch
    from rackwright.leasing import Lease

log = logging.getLogger(__name__)

T = TypeVar("T")

BACK_OFF = 5.0
"""Seconds to the first retry of a node that could not be reached; doubled up to the interval."""
STORE_BACK_OFF = 5.0
"""Seconds at most, give or take a half, until a store that is away is asked again: a host that does not
hear of what it is to let go of keeps it from others."""
POLL = 55.0
"""Seconds that one long poll at the store lasts; below what proxies cut at."""
LEASED_POLL = 5.0
"""The same where nodes come and go: one that comes is in the next poll."""
PROBE = 5.0
"""Seconds between two looks at a resting session under a lease: another host may reach what this one
has lost."""
LOOK = 1.0
"""Seconds between two looks at whether a lease has come."""


class Pace(NamedTuple):
    """How often a node is converged. Seconds."""

    interval: float = 1800.0
    splay: float = 300.0


def _chance() -> float:
    from random import random  # one run alone needs no chance, and this takes long to import

    return random()  # noqa: S311 - it spreads load and keeps no secret


class Loop:
    """Converges one node until told to stop."""

    def __init__(
        self,
        runner: NodeRunner,
        pace: Pace,
        report: Callable[[Report], None] = lambda _report: None,
        jitter: Callable[[], float] = _chance,
        *,
        why_run: bool = False,
    ) -> None:
        """With ``why_run`` it shows what would be done and writes nothing."""
        self.runner, self._pace, self._report, self._jitter = runner, pace, report, jitter
        self._wake = threading.Event()
        self._fresh = False
        self._failures = 0
        self._why_run = why_run
        self._once = False
        self.running = False
        self.resting = False
        """Between two runs."""
        self._ended: Callable[[], None] = lambda: None
        self.thread = threading.Thread(target=self._go, name=runner.node, daemon=True)
        claim = runner.claim
        if claim is not None:
            claim.changed = self._lease_changed
        self._served: Lease | None = None
        """The lease for which a run has begun."""
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    @property
    def watched(self) -> bool:
        """Whether the store may be asked for its news: not while somebody else has the lease."""
        claim = self.runner.claim
        return claim is None or claim.lease is not None

    def start(self, *, once: bool = False, ended: Callable[[], None] = lambda: None) -> None:
        """Begin; ``ended`` is called when the thread is about to end."""
        self._once, self._ended = once, ended
        self.running = True
        self.thread.start()

    def wake(self, *, fresh_facts: bool = False) -> None:
        """Run now, or once more after the run under way. Doubled wake-ups are harmless."""
        self._fresh = self._fresh or fresh_facts
        self._wake.set()

    def between_runs(self, work: Callable[[], T]) -> Future[T]:
        """Have ``work`` done by the thread that runs the node, after the run under way; a run follows.
        Any thread may call it."""
        from concurrent.futures import Future

        asked: Future[T] = Future()
        self._asked.put((asked, work))
        self.wake()
        if not self.running:
            self._refuse_asked()
        return asked

    def _go(self) -> None:
        try:
            try:
                self._rounds()
            finally:
                self._leave()
        except Exception:
            # A bug: whoever keeps us sees that we do not run, gives the lease back and starts another.
            log.exception("%s: its loop has ended", self.runner.node)
        finally:
            self.running = False
            self._refuse_asked()
            self._ended()

    def _do_asked(self) -> None:
        while not self.runner.stop.is_set():
            try:
                asked, work = self._asked.get_nowait()
            except queue.Empty:
                return
            if asked.set_running_or_notify_cancel():
                try:
                    asked.set_result(work())
                except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                    asked.set_exception(error)

    def _refuse_asked(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                asked, _ = self._asked.get_nowait()
                if asked.set_running_or_notify_cancel():
                    asked.set_exception(Temporary(f"{self.runner.node} is left: nothing was done"))

    def _leave(self) -> None:
        self.runner.close()
        if self.runner.claim is not None:
            self.runner.deliver()  # it may be long until this node comes here again

    def _rounds(self) -> None:
        stop = self.runner.stop
        while not stop.is_set():
            self._wake.clear()
            if not self._may_run():
                self._do_asked()
                self._wake.wait(LOOK)
                continue
            self._wake.clear()  # whatever woke us is served by this run
            self._do_asked()
            fresh, self._fresh = self._fresh, False
            report = self.runner.run(why_run=self._why_run, fresh_facts=fresh)
            self._failures = self._failures + 1 if report.kind == "unreachable" else 0
            try:
                self._report(report)
            except Exception:
                # Whoever read our output has gone, say: no reason to leave the device alone.
                log.exception("%s: its report could not be shown", self.runner.node)
            if self._once or stop.is_set():
                return
            self.resting = True
            self._rest(self.pause())
            self.resting = False

    def _may_run(self) -> bool:
        """Whether there is a lease, where one is needed. With ``once`` also when it is refused: the
        run then says why."""
        claim = self.runner.claim
        if claim is None or self._why_run:
            return True
        lease = claim.lease
        if lease is not None and lease.left() > 0:
            self._served = lease
            return True
        if self._once:
            return claim.settled
        self.runner.close()  # cut off: not even a goodbye may be sent
        return False

    def _lease_changed(self) -> None:
        claim = self.runner.claim
        if claim is None or claim.lease is None or claim.lease is not self._served:
            self._wake.set()

    def _rest(self, seconds: float) -> None:
        """Until woken, or told by the session itself that the device is gone."""
        claim = self.runner.claim
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            probed = claim is not None and not self._failures
            if self._wake.wait(min(left, PROBE) if probed else left):
                return
            if probed and claim is not None and claim.lease is not None and self.runner.lost():
                return

    def pause(self) -> float:
        """Seconds to the next run when nothing wakes us."""
        pace = self._pace
        if self._failures:
            backed_off: float = BACK_OFF * 2 ** min(self._failures - 1, 16)
            return min(pace.interval, backed_off) * (0.75 + 0.5 * self._jitter())
        return pace.interval + pace.splay * self._jitter()


class Waker:
    """One long poll at the store for all nodes of this process; it wakes those that changed."""

    def __init__(
        self,
        client: StoreClient,
        loops: Sequence[Loop],
        stop: threading.Event,
        poll: float = POLL,
    ) -> None:
        """``loops`` may change meanwhile; ``poll`` is how long one long poll lasts, in seconds."""
        self._client, self._stop, self._given, self._poll = client, stop, loops, poll
        self.thread = threading.Thread(target=self._go, name="wake", daemon=True)

    def _go(self) -> None:
        from rackwright.client import Watch
        from rackwright.store_http import WatchRefused

        failures = 0
        refused: dict[str, Watch] = {}
        told: dict[str, Watch] = {}
        while not self._stop.is_set():
            loops = {loop.runner.node: loop for loop in self._given if loop.watched}
            watch = [
                Watch(node, source.credential, source.etag, source.gates_etag, source.epoch)
                for node, loop in loops.items()
                for source in (loop.runner.source,)
                # In its first run a node has its bundle before its gates, and would be woken for these.
                if isinstance(source, StoreSource)
                and source.etag
                and (source.gates_etag or loop.resting)
            ]
            # A node that was woken and has not fetched its news yet would make the poll return at
            # once, again and again: leave it out until it has.
            fresh = [item for item in watch if told.get(item.node) != item]
            fresh = [item for item in fresh if not _same(refused.get(item.node), item)]
            if not fresh:
                self._stop.wait(0.2)
                continue
            try:
                # After a failure a short poll, which tells soon that the store is back.
                whole = len(fresh) == len(loops.keys() - refused.keys()) and not failures
                changed = self._client.wait(fresh, self._poll if whole else 1.0)
                if failures:
                    # What was reported while it was away need not wait for the next run.
                    for loop in loops.values():
                        loop.runner.deliver()
                failures = 0
            except WatchRefused as error:
                log.error("%s", error)
                refused.update({item.node: item for item in fresh if item.node in error.nodes})
                if not any(item.node in error.nodes for item in fresh):
                    self._stop.wait(30.0)  # it names none that we could leave out
                continue
            except Temporary:
                failures += 1
                self._stop.wait(
                    min(STORE_BACK_OFF, 0.5 * 2 ** min(failures, 6)) * (0.5 + _chance())
                )
                continue
            except RackwrightError as error:
                log.error("the store refuses to wake us: %s", error)
                self._stop.wait(30.0)
                continue
            for item in fresh:
                if item.node in changed:
                    told[item.node] = item
                    loops[item.node].wake()


def _same(refused: Watch | None, item: Watch) -> bool:
    """Whether ``item`` has the credential, and is of the tenure, with which its node was refused."""
    return refused is not None and (refused.credential, refused.epoch) == (
        item.credential,
        item.epoch,
    )


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
            Waker(client, loops, stop).thread.start()
        tell_systemd(f"READY=1\nSTATUS=converging {len(loops)} node(s)")
        watchdog = watchdog_interval()
        while any(loop.running for loop in loops):
            for number in signals.wait(watchdog):
                if number in (signal.SIGTERM, signal.SIGINT):
                    if stop.is_set():
                        os._exit(128 + number)
                    tell_systemd("STOPPING=1")
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
