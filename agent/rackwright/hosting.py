"""The daemon of an admin host's delegates: a loop for each managed node that the host's own agent has
declared here, while this host holds its lease.

All in one process, with the host's own credential. Which nodes are declared is looked at again and
again, and at once when somebody pokes, so a lost poke is harmless. See `rackwright.hosted`.
"""

from __future__ import annotations

import errno
import logging
import os
import queue
import select
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from rackwright import hosted
from rackwright.daemon import Signals, tell_systemd, watchdog_interval
from rackwright.errand import News, Rebooted
from rackwright.hosted import Told
from rackwright.keeper import Claim, Keeper
from rackwright.loop import Loop, Pace
from rackwright.rebooting import reboot
from rackwright.run import NodeRunner
from rackwright.source import StoreSource, kept_credential
from rackwright.waker import LEASED_POLL, Waker

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rackwright.client import StoreClient
    from rackwright.model.report import Report
    from rackwright.provider import Registry

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at what is declared, when nobody pokes."""
ENROLMENT = 0.25
"""Seconds between two looks for the host's credential."""
LONGEST = 512
"""Bytes of what is asked on the socket."""
PATIENCE = 2.0
"""Seconds that who asks on the socket may take."""
SHORT_OF = 1.0
"""Seconds to the next try to hear who asks, when the process has no descriptor left."""


class Delegates(NamedTuple):
    """What all delegates of a host share."""

    host: str
    client: StoreClient
    registry: Registry
    state: Path
    """Holds the state directories of all nodes, the host's among them."""
    secrets: Path
    pace: Pace
    report: Callable[[Report], None]

    @property
    def own(self) -> Path:
        """The host's own state directory."""
        return self.state / self.host

    def credential(self) -> str:
        """The host's own at the store; empty while its agent is not enrolled."""
        return kept_credential(self.state, self.host)


class _Delegate(NamedTuple):
    loop: Loop
    claim: Claim
    source: StoreSource


class Hosting:
    """Starts and stops delegates as they are declared. Any thread may `look` and ask what is `told`."""

    def __init__(self, shared: Delegates, keeper: Keeper, ended: Callable[[], None]) -> None:
        """``ended`` is called from a delegate's thread when it is about to end."""
        self._shared, self._keeper, self._ended = shared, keeper, ended
        self._lock = threading.Lock()
        self._delegates: dict[str, _Delegate] = {}
        self._leaving = False
        self.loops: list[Loop] = []
        """Of all delegates that are not told to stop."""

    def look(self) -> None:
        """Make what runs what is declared, as far as that is possible at once."""
        with self._lock:
            credential = self._shared.credential()
            if credential and credential != self._keeper.credential:
                log.info("the host's credential is a new one")
                self._keeper.credential = credential
                for one in self._delegates.values():
                    one.source.credential = credential
            declared = frozenset() if self._leaving else hosted.declared(self._shared.own)
            for node, one in list(self._delegates.items()):
                if not one.loop.running:
                    self._end(node, one)
                elif node not in declared or one.claim.leaving:
                    # The store tells us, too: the host's agent may be busy for long, or dead. Until it has
                    # looked, the node stays declared, and we wait for its lease like for any other.
                    self._stop(one)
            for node in sorted(declared - self._delegates.keys()):
                self._delegates[node] = self._start(node)
            running = [one.loop for one in self._delegates.values()]
            self.loops[:] = [loop for loop in running if not loop.runner.stop.is_set()]

    def _start(self, node: str) -> _Delegate:
        shared = self._shared
        state = shared.state / node
        claim = Claim(node, state)
        source = StoreSource(shared.client, node, self._keeper.credential, state)
        runner = NodeRunner(
            node=node,
            source=source,
            registry=shared.registry,
            state=state,
            secrets=shared.secrets,
            here=shared.host,
            claim=claim,
        )
        loop = Loop(runner, shared.pace, shared.report)
        loop.start(ended=self._ended)
        self._keeper.want(claim)
        return _Delegate(loop, claim, source)

    def _stop(self, one: _Delegate) -> None:
        if not one.loop.runner.stop.is_set():
            why = one.claim.leaving or "it is to go elsewhere"
            why = "this daemon stops" if self._leaving else why
            log.info("%s: no longer converged from here: %s", one.claim.node, why)
            one.loop.runner.stop.set()
            one.loop.wake()

    def _end(self, node: str, one: _Delegate) -> None:
        """Give the lease back of a delegate whose loop has ended, and forget it once the store knows."""
        self._keeper.give_up(one.claim)
        if self._keeper.released(node):
            one.claim.unlock()
            del self._delegates[node]

    def leave(self) -> None:
        """Have all of them stop, and start none any more."""
        self._leaving = True
        self.look()

    @property
    def empty(self) -> bool:
        """Whether no loop runs any more."""
        return not any(one.loop.running for one in self._delegates.values())

    def wake(self) -> None:
        """Converge all of them now, with fresh facts."""
        for loop in list(self.loops):
            loop.wake(fresh_facts=True)

    def reboot(
        self, node: str, outlet: str, tell: Callable[[str], None]
    ) -> Future[Rebooted] | None:
        """Have an outlet rebooted between two runs of its node; None when the node is not here."""
        with self._lock:
            one = self._delegates.get(node)
        if one is None:
            return None
        runner = one.loop.runner
        return one.loop.between_runs(lambda: reboot(runner, outlet, tell))

    def told(self) -> dict[str, Told]:
        """How each is doing."""
        with self._lock:
            return {node: _told(one) for node, one in self._delegates.items()}


def _told(one: _Delegate) -> Told:
    lease, claim = one.claim.lease, one.claim
    if claim.leaving:
        return Told(since=claim.since, state="waiting", why=claim.leaving)
    if one.loop.runner.stop.is_set() or not one.loop.running:
        return Told(since=claim.since, state="stopped", why="it is to go elsewhere")
    if lease is None or lease.left() <= 0:
        return Told(since=claim.since, state="waiting", why=claim.why)
    return Told(epoch=lease.epoch, since=claim.since, state="running")


def serve(shared: Delegates, stop: threading.Event) -> None:
    """Run the host's delegates until SIGTERM or SIGINT; then each finishes the resource in hand, and
    all leases are given back. A second signal ends the process at once. SIGHUP and SIGUSR1 converge
    all of them now. The caller holds the daemon's lock."""
    with Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
        if not _enrolled(shared, stop, signals):
            return
        keeper = Keeper(shared.client, shared.credential(), heard=signals.poke)
        hosting = Hosting(shared, keeper, signals.poke)
        with hosted.listen(shared.own) as line:
            # Only now: whoever has started the service pokes it next.
            tell_systemd("READY=1")
            keeper.start()
            threading.Thread(
                target=_answer, args=(line, hosting), name="asked", daemon=True
            ).start()
            Waker(shared.client, hosting.loops, stop, LEASED_POLL).thread.start()
            watchdog = watchdog_interval()
            while not (stop.is_set() and hosting.empty):
                _hear(signals.wait(min(watchdog or LOOK, LOOK)), hosting, stop)
                try:
                    hosting.look()
                except OSError as error:
                    log.error("what is declared here cannot be read, and stays as it is: %s", error)
                except RuntimeError as error:  # no thread to be had: those that run go on
                    log.error("a delegate cannot be started: %s", error)
                tell_systemd(f"WATCHDOG=1\nSTATUS={len(hosting.loops)} delegate(s)")
            keeper.close()
            with suppress(OSError):
                (shared.own / hosted.SOCKET).unlink()


def _enrolled(shared: Delegates, stop: threading.Event, signals: Signals) -> bool:
    """Wait for the host's credential; False when told to leave before."""
    said = False
    while not shared.credential():
        if not said:
            tell_systemd("READY=1\nSTATUS=waiting for the credential of the host's agent")
            log.warning(
                "%s is not enrolled yet: no %s. Its agent enrols it: `rackwright agent --node %s "
                "--store … --token TOKEN`",
                shared.host,
                shared.own / "credential",
                shared.host,
            )
            said = True
        if {signal.SIGTERM, signal.SIGINT} & set(signals.wait(ENROLMENT)):
            stop.set()
            return False
        tell_systemd("WATCHDOG=1")
    return True


def _hear(heard: list[int], hosting: Hosting, stop: threading.Event) -> None:
    for number in heard:
        if number in (signal.SIGTERM, signal.SIGINT):
            if stop.is_set():
                os._exit(128 + number)
            tell_systemd("STOPPING=1")
            stop.set()
            hosting.leave()
        elif number:
            hosting.wake()


def _answer(line: socket.socket, hosting: Hosting) -> None:
    """Answer who asks on the socket, one after the other, until it is closed. What takes its time has
    a thread of its own."""
    while line.fileno() >= 0:
        try:
            who = _accepted(line)
            with ExitStack() as stack:
                stack.enter_context(who)
                who.settimeout(PATIENCE)
                words = who.recv(LONGEST).decode(errors="replace").split()
                if len(words) == 3 and words[0] == "reboot":
                    threading.Thread(
                        target=_reboot, args=(who, hosting, *words[1:]), name="asked", daemon=True
                    ).start()
                    stack.pop_all()  # that thread closes it
                    continue
                if words == ["poke"]:
                    hosting.look()
                who.sendall(msgspec.json.encode(hosting.told()))
        except OSError as error:
            log.debug("who asked on the socket got no answer: %s", error)
        except Exception:
            # Whoever asks next is answered, or the host's agent could start and stop nothing any more.
            log.exception("who asked on the socket got no answer")


def _accepted(line: socket.socket) -> socket.socket:
    """Who asks next. Without a descriptor for him, after a moment; then he is still there."""
    try:
        return line.accept()[0]
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            log.error("who asks on the socket has to wait: %s", error.strerror)
            select.select([], [], [], SHORT_OF)
        raise


def _reboot(who: socket.socket, hosting: Hosting, node: str, outlet: str) -> None:
    """Have an outlet rebooted, and tell ``who`` of it; nothing is done for one who has left before."""
    news: queue.SimpleQueue[News] = queue.SimpleQueue()

    def end(done: Future[Rebooted]) -> None:
        ended = _ended(done)
        log.info("%s: reboot of outlet %s: %s", node, outlet, ended.error or ended.state)
        news.put(News(ended=ended))

    log.info("%s: somebody on this host asks for a reboot of outlet %s", node, outlet)
    with who, suppress(OSError):
        asked = hosting.reboot(node, outlet, lambda said: news.put(News(said=said)))
        if asked is None:
            gone = Rebooted(state="unreachable", error=f"{node} is not converged from here")
            who.sendall(msgspec.json.encode(News(ended=gone)) + b"\n")
            return
        asked.add_done_callback(end)
        try:
            while True:
                try:
                    one = news.get(timeout=LOOK)
                except queue.Empty:
                    if select.select([who], [], [], 0)[0] and not who.recv(1):
                        return
                    continue
                who.sendall(msgspec.json.encode(one) + b"\n")
                if one.ended is not None:
                    return
        finally:
            asked.cancel()  # of no effect once it has begun


def _ended(done: Future[Rebooted]) -> Rebooted:
    if done.cancelled():
        return Rebooted(state="stopped")
    error = done.exception()
    return done.result() if error is None else Rebooted(state="unreachable", error=str(error))
