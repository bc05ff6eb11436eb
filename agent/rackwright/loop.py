"""Converges one node again and again: when woken, at intervals, and after a back-off."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from rackwright.model.errors import Temporary
from rackwright.model.report import Report
from rackwright.run import NodeRunner

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rackwright.leasing import Lease

log = logging.getLogger(__name__)

T = TypeVar("T")

BACK_OFF = 5.0
"""Seconds to the first retry of a node that could not be reached; doubled up to the interval."""
PROBE = 5.0
"""Seconds between two looks at a resting session under a lease: another host may reach what this one
has lost."""
LOOK = 1.0
"""Seconds between two looks at whether a lease has come."""
TELL, TELL_RARELY = 2.0, 60.0
"""Seconds after which the store is told again what it could not be told; doubled up to the second."""


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
        """Something is to be looked at: a run may be due."""
        self._due = False
        """A run was asked for."""
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
        self._due = True
        self._wake.set()

    def store_is_back(self) -> None:
        """Tell it now what it could not be told."""
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
            try:
                ran = self._round()
            except Exception:
                if self._once:
                    raise
                # A bug. Nobody would converge the node any more, so it goes on.
                log.exception("%s: it could not be converged", self.runner.node)
                ran, self._failures = True, self._failures + 1
            if not ran:
                continue
            if self._once or stop.is_set():
                return
            self.resting = True
            self._rest(self.pause())
            self.resting = False

    def _round(self) -> bool:
        """One run, if there may be one now; whether there was."""
        self._wake.clear()
        if not self._may_run():
            self._do_asked()
            self._wake.wait(LOOK)
            return False
        # Whatever woke us until here is served by this run. What comes now is not lost: see `wake`.
        self._due = False
        self._wake.clear()
        self._do_asked()
        fresh = self._fresh
        if fresh:
            self._fresh = False
        report = self.runner.run(why_run=self._why_run, fresh_facts=fresh)
        self._failures = self._failures + 1 if report.kind == "unreachable" else 0
        try:
            self._report(report)
        except Exception:
            # Whoever read our output has gone, say: no reason to leave the device alone.
            log.exception("%s: its report could not be shown", self.runner.node)
        return True

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
            self.wake()

    def _rest(self, seconds: float) -> None:
        """Until woken, or told by the session itself that the device is gone. Meanwhile the store is told
        what it could not be told: others may wait for that."""
        claim = self.runner.claim
        now = time.monotonic()
        end, pause = now + seconds, TELL
        tell = now + self._spread(pause)
        while not self._due and (left := end - time.monotonic()) > 0:
            probed = claim is not None and not self._failures
            looks = [left, PROBE] if probed else [left]
            if self.runner.behind:
                looks.append(max(0.0, tell - time.monotonic()))
            back = self._wake.wait(min(looks))
            self._wake.clear()
            if self._due:
                return
            if self.runner.behind and (back or time.monotonic() >= tell):
                if self.runner.catch_up():
                    return
                pause = min(2 * pause, TELL_RARELY)
                tell = time.monotonic() + self._spread(pause)
            if probed and claim is not None and claim.lease is not None and self.runner.lost():
                return

    def _spread(self, seconds: float) -> float:
        return seconds * (0.75 + 0.5 * self._jitter())

    def pause(self) -> float:
        """Seconds to the next run when nothing wakes us."""
        pace = self._pace
        if self._failures:
            backed_off: float = BACK_OFF * 2 ** min(self._failures - 1, 16)
            return self._spread(min(pace.interval, backed_off))
        return pace.interval + pace.splay * self._jitter()
