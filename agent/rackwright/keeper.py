"""Keeps the leases of one process: one request renews, takes and gives back all of them."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rackwright.engine.files import Busy, replace, run_lock
from rackwright.leasing import Asked, Lease, NoLease, Table, Tenure, Wish, boot_time
from rackwright.model import typed
from rackwright.model.errors import RackwrightError, Temporary

if TYPE_CHECKING:
    from rackwright.client import StoreClient

log = logging.getLogger(__name__)

RETRY = 0.5
"""Seconds after a request that failed to the next one; doubled, up to a third of a lease."""
GIVE_BACK = 3.0
"""Seconds that a process which leaves takes to give its leases back; what it cannot give back ends by
itself."""


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Differs between any two machines, and between two boots of one (random(4))."""


class _Kept(msgspec.Struct, frozen=True):
    instance: str
    epoch: int = 0
    """The highest that was held."""
    boot: str = ""
    """Of the machine that wrote this."""
    written: int = 0
    """The epoch under which the directory was written last, in this boot; 0: in none."""


def _boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Claim:
    """One node that this process wants to converge: its lease, and what its state directory knows of
    earlier ones. The directory's lease lock shows that no other process here has the lease."""

    def __init__(self, node: str, state: Path) -> None:
        """``state``: the node's own state directory."""
        self.node = node
        self._file, self._lock_file = state / "lease.json", state / "lease.lock"
        self._lock: ExitStack | None = None
        self._kept = _Kept("")
        self.lease: Lease | None = None
        self.why = "the store has not answered yet"
        """Why there is no lease."""
        self.settled = False
        """Whether the store, or its silence, has said yes or no."""
        self.since = time.time()
        """Unix seconds since when it is as it is."""
        self.leaving = ""
        """Where the store wants the node to go; empty while it is to stay here."""
        self.changed: Callable[[], None] = lambda: None
        """Called, on the keeper's thread, when the lease comes or goes, or is refused."""

    def lock(self) -> None:
        """Keep other processes from the state directory. Raises Busy when one has it, OSError when it
        cannot be written."""
        if self._lock is not None:
            return
        with ExitStack() as stack:
            stack.enter_context(run_lock(self._lock_file))
            kept, boot = self._read(), _boot()
            if kept is None or kept.boot != boot:
                # The lock tells nothing of another machine, which may have begun as a copy of this one's
                # disk: to the store the two are two holders, and neither's ledger is the newest for sure.
                kept = _Kept(secrets.token_hex(16), kept.epoch if kept else 0, boot)
                replace(self._file, msgspec.json.encode(kept))
            self._kept, self._lock = kept, stack.pop_all()

    def _read(self) -> _Kept | None:
        try:
            return typed.decode(self._file.read_bytes(), _Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            # A damaged one is as none: with a new instance the store sees another holder.
            return None

    @property
    def wish(self) -> Wish:
        """What to ask the store for."""
        return Wish(self._kept.instance, self._kept.epoch)

    def current(self) -> Lease:
        """The lease. Raises NoLease that says who has it, or why it is not known."""
        lease = self.lease
        if lease is None or lease.left() <= 0:
            raise NoLease(f"{self.node} is not converged from here: {self.why}")
        return lease

    def follows(self, lease: Lease) -> bool:
        """Whether nobody else held the node since this state directory was last written under a
        lease, so that the ledger here is the newest."""
        return lease.epoch in (self._kept.written, self._kept.written + 1)

    def adopt(self, lease: Lease) -> None:
        """Note that the state directory is as it must be under ``lease``; on return it is on disk."""
        if self._kept.written != lease.epoch:
            self._kept = msgspec.structs.replace(self._kept, epoch=lease.epoch, written=lease.epoch)
            replace(self._file, msgspec.json.encode(self._kept))

    def unlock(self) -> None:
        """Let another process have the state directory."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class Keeper:
    """A thread that keeps the leases on all claimed nodes for one subject of the store.

    Each third of a lease it asks, also when nothing is wanted: it is the subject's sign of life. When
    no answer comes it asks again until the leases end, and after.
    """

    def __init__(
        self,
        client: StoreClient,
        credential: str,
        *,
        clock: Callable[[], float] = boot_time,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        """``heard`` is called on the keeper's thread after each answer of the store."""
        self.credential = credential
        """Of the subject: a host, or a managed node itself. May be replaced."""
        self.trouble = ""
        """Why the store does not answer; empty while it does."""
        self._client, self._clock, self._heard = client, clock, heard
        self._process = secrets.token_hex(16)
        self._lock = threading.Condition()
        self._table = Table()
        self._claims: dict[str, Claim] = {}
        self._poked = self._ending = False
        self._tried = float("-inf")
        self._failures = 0
        self.thread = threading.Thread(target=self._go, name="leases", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self.thread.start()

    def want(self, claim: Claim) -> None:
        """Ask for the lease of ``claim``, and keep it; as soon as its state directory is ours."""
        with self._lock:
            self._claims[claim.node] = claim
            self._poke()

    def give_up(self, claim: Claim) -> None:
        """Nothing more is sent under the lease of ``claim``: give it back. On return it has ended
        here; `released` says when the store knows."""
        with self._lock:
            if self._claims.get(claim.node) is not claim:
                return
            del self._claims[claim.node]
            if claim.lease is not None:
                claim.lease.end("it was given back")
            claim.lease, claim.why = None, "it was given back"
            self._table = self._table.giving_up(claim.node)
            self._poke()

    def released(self, node: str) -> bool:
        """Whether nothing is left here of ``node``."""
        with self._lock:
            return node not in self._claims and node not in self._table.leaving

    def close(self) -> None:
        """Give all leases back, for `GIVE_BACK` seconds at most, and end."""
        for claim in list(self._claims.values()):
            self.give_up(claim)
        with self._lock:
            self._ending = True
            self._poke()
            self._lock.wait_for(lambda: not self._table.leaving or not self.thread.is_alive(), GIVE_BACK)  # fmt: skip
            self._table = Table()
            self._lock.notify_all()

    def _poke(self) -> None:
        self._poked = True
        self._lock.notify_all()

    def _go(self) -> None:
        while not (self._ending and not self._table.leaving):
            try:
                self._turn()
            except Exception:
                # All leases end with this thread, so it goes on, whatever bug this is.
                log.exception("the leases are not renewed")
                self._failures += 1
                self._tried, self._poked = self._clock(), False  # or it would try again at once

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        with self._lock:
            self._lock.wait_for(lambda: self._poked, self._pause())
            self._expire()
            self._take_in()
            if not self._poked and self._due() > 0:
                return
            self._poked = False
            asked = self._table.asking()
        self._ask(asked)

    def _due(self) -> float:
        """Seconds to the next request."""
        now = self._clock()
        if not self._failures:
            return self._table.due(now)
        pause = min(RETRY * 2 ** min(self._failures - 1, 8), self._table.ttl / 3)
        return self._tried + float(pause) - now

    def _pause(self) -> float:
        """Seconds for which there is nothing to do, as far as is known."""
        # Not for longer than a moment: the wait's clock may stand still where ours does not.
        return max(0.0, min(self._due(), self._table.looks(self._clock()), 1.0))

    def _take_in(self) -> None:
        """Wish for what was claimed meanwhile, and whose state directory is free."""
        for node in self._claims.keys() - self._table.wanted.keys():
            claim = self._claims[node]
            try:
                claim.lock()
            except (Busy, OSError) as error:
                self._deny(claim, str(error))
            except Exception as error:
                # A bug with one node must not end the leases of all others.
                if not claim.settled:
                    log.exception("%s: its lease is not asked for", node)
                self._deny(claim, f"a fault in Rackwright, see its log: {error}")
            else:
                self._table = self._table.wishing(node, claim.wish)
                self._poked = True

    def _expire(self) -> None:
        ended = self._table.expired(self._clock())
        self._table = self._table.without(ended)
        for node in ended:
            self._lose(self._claims[node], f"the store was not heard in time ({self.trouble})")

    def _ask(self, asked: Asked) -> None:
        sent = self._tried = self._clock()
        try:
            answer = self._client.leases(self.credential, self._process, *asked)
        except RackwrightError as error:
            with self._lock:
                if self.trouble != str(error):
                    level = logging.WARNING if isinstance(error, Temporary) else logging.ERROR
                    log.log(level, "the leases are not renewed: %s", error)
                self.trouble = str(error)
                self._failures += 1
                for claim in self._claims.values():
                    if claim.lease is None:
                        self._deny(claim, f"the store gives no lease: {error}")
            return
        with self._lock:
            if self.trouble:
                log.info("the store renews leases again")
            self.trouble, self._failures = "", 0
            self._table = self._table.answered(asked, sent, answer)
            for node, claim in self._claims.items():
                if node not in asked.want:
                    continue
                if node in self._table.held:
                    self._hold(claim, self._table.held[node])
                    claim.leaving = answer.leaving.get(node, "")
                elif node in self._table.denied:
                    self._refuse(claim, self._table.denied[node].why)
            if self._table.leaving.keys() - asked.release.keys():
                self._poked = True  # what was given back while the request was under way
            self._lock.notify_all()
        self._heard()

    def _hold(self, claim: Claim, tenure: Tenure) -> None:
        lease = claim.lease
        if lease is not None and lease.epoch == tenure.epoch:
            lease.prolong(tenure.ends)
            return
        if lease is not None:
            lease.end(f"a new one began (epoch {tenure.epoch})")
        claim.lease = Lease(claim.node, tenure.epoch, tenure.ends, self._clock)
        claim.settled, claim.since, claim.why = True, time.time(), ""
        log.info("%s: converged from here (epoch %d)", claim.node, tenure.epoch)
        claim.changed()

    def _refuse(self, claim: Claim, why: str) -> None:
        if claim.lease is not None:
            self._lose(claim, why)
        else:
            self._deny(claim, why)

    def _lose(self, claim: Claim, why: str) -> None:
        if claim.lease is not None:
            claim.lease.end(why)
            claim.lease = None
            log.warning("%s: its lease has ended: %s", claim.node, why)
        claim.settled, claim.since, claim.why = True, time.time(), why
        claim.changed()

    def _deny(self, claim: Claim, why: str) -> None:
        if claim.settled and claim.why == why:
            return
        log.warning("%s: not converged from here: %s", claim.node, why)
        claim.settled, claim.since, claim.why = True, time.time(), why
        claim.changed()
