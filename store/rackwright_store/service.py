"""What the store does for whoever asks, without HTTP. What it tells people is in `views`.

Lives in the event loop. Whatever is acknowledged is in the database first; then it changes what is
in memory; then it wakes whom it concerns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any
from weakref import WeakValueDictionary

from rackwright.model import typed
from rackwright.model.bundle import Origin
from rackwright.model.facts import Facts
from rackwright.model.lease import LEASE_SECONDS
from rackwright.model.lease import Leases as Given
from rackwright.model.report import Report
from rackwright_store import auth
from rackwright_store.database import Database
from rackwright_store.following import Following
from rackwright_store.gates import Rests, under_way
from rackwright_store.hosts import Hosts, Want
from rackwright_store.live import Live
from rackwright_store.records import Drain, Retirement, Revision
from rackwright_store.revisions import Compiler, Revisions
from rackwright_store.runs import after, newest_of, summarise, verification
from rackwright_store.standing import standings
from rackwright_store.threads import Threads

log = logging.getLogger(__name__)
LOOK_AROUND = 30.0
"""Seconds between two looks at who has fallen silent."""
RETIRE_AFTER = 600.0
"""Seconds since its last report after which a node of the site may be retired."""


class Service:
    """One store, serving one site."""

    def __init__(
        self, database: Database, following: Following, compiler: Compiler[Any], admin_hash: str
    ) -> None:
        self.database = database
        self.following = following
        self.live = Live(
            database.reports.all_verified(),
            database.ledgers.all(),
            database.reports.last_runs(),
            database.reports.all_standings(),
        )
        self.live.retired = self.retired = database.enrolments.all_retired()
        self.live.care.spell(compiler.spelling)
        facts = {node: typed.decode(body, Facts) for node, body in database.facts.all().items()}
        self.revisions: Revisions[Any] = Revisions(
            compiler, facts, live=self.live, record=self._record, keep=following.keep
        )
        self.revisions.found_at.update(database.facts.found_at())
        self.credentials = auth.Credentials(admin_hash, database.enrolments.all_credentials())
        self.hosts = Hosts(
            self.live,
            database.leases.all(),
            database.leases.all_drains(),
            self.retired,
            ttl=self._ttl,
            origin=self._origin,
            later=lambda seconds, what: asyncio.get_running_loop().call_later(seconds, what),
        )
        self.started = time.time()
        self.threads = Threads(database)
        # Whoever may only say a node's name, to enrol it, leaves nothing here.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Put the last good revision in force, and begin to follow the branch."""
        last = self.database.revisions.last_accepted()
        if last is not None:
            await self.following.restore(last, self.revisions)
        if self.revisions.compiled is None:
            await self.following.check(self.revisions)
        self._tasks = [
            asyncio.create_task(self.following.run(self.revisions)),
            asyncio.create_task(self._look_around()),
        ]

    def let_go(self) -> None:
        """End all long polls, and let no new one wait."""
        self.live.waiters.close()

    async def stop(self) -> None:
        """Finish what is being written, and close everything."""
        self.let_go()
        self.hosts.places.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.following.close()
        self.revisions.close()
        await self.threads.close()
        self.database.close()

    async def _look_around(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AROUND)
            try:
                self.live.look_around()
            except Exception:
                log.exception("who has fallen silent is not seen; going on")

    def heard_from(self, node: str) -> None:
        """The node's agent gave a sign of life."""
        self.live.heard_from(node)

    async def lease(
        self, subject: str, process: str, want: Mapping[str, Want], release: Mapping[str, int]
    ) -> Given:
        """The answer to one request for leases. Epochs in it are on the disk."""
        given = self.hosts.ask(subject, process, want, release)
        unsaved = self.hosts.leases.unsaved({*want, *release})
        if unsaved:
            await self.threads.write(lambda: self.database.leases.put(unsaved))
            self.hosts.leases.saved(unsaved)
        for node in given.held:
            self.heard_from(node)
        return given

    async def granted(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` held the lease of ``node`` under this epoch."""
        return (
            bool(epoch)
            and await self.threads.read(lambda: self.database.leases.granted(node, epoch))
            == subject
        )

    async def drain(self, host: str, who: str, *, drain: bool) -> dict[str, Any]:
        """``host`` is to hold nothing, or may again. Returns how it is doing now."""
        known = self.hosts.places.draining.get(host)
        wanted = (known or Drain(at=time.time(), who=who)) if drain else None
        if wanted != known:
            await self.threads.write(lambda: self.database.leases.put_drain(host, wanted))
            self.hosts.places.drain(host, wanted)
        return self.hosts.views.host_data(host)

    async def put_facts(self, node: str, body: bytes, facts: Facts) -> str:
        """Keep a node's facts and render with them. Returns the ETag of its bundle now; empty
        while it has none."""
        now = time.time()
        if self.revisions.facts.get(node) != facts:
            async with self._turn(node):
                await self.threads.write(lambda: self.database.facts.put(node, body, now))
            self.revisions.found_at[node] = now
            await self.revisions.put_facts(node, facts)
        else:
            await self.revisions.catch_up()
            await self._confirm_facts(node, now)
        return self.live.bundle_etag(node)

    async def _confirm_facts(self, node: str, at: float) -> None:
        """A node's facts were found again at ``at``, as they are known."""
        if at > self.revisions.found_at.get(node, at):
            await self.threads.write(lambda: self.database.facts.confirm(node, at))
            await self.revisions.confirm_facts(node, at)

    async def put_ledger(
        self, node: str, body: bytes, rests: Rests, allowed: Callable[[], None]
    ) -> None:
        """Mirror a node's ledger, unless ``allowed`` raises when its turn has come."""
        now = time.time()
        async with self._turn(node):
            allowed()
            if self.live.ledgers.get(node) == body:
                return
            begun = under_way(body) & self.live.verified.get(node, {}).keys()
            await self.threads.write(lambda: self.database.ledgers.put(node, body, now, begun))
            self.live.note_ledger(node, body, rests)

    async def post_outrun(self, body: bytes, report: Report, epoch: int = 0) -> None:
        """Keep a report as history: another has converged the node since."""
        summary = summarise(report, time.time(), epoch)
        async with self._turn(report.node):
            await self.threads.write(
                lambda: self.database.reports.put(
                    summary, body, set_verified={}, clear_verified=(), outrun=True
                )
            )

    async def post_report(
        self, body: bytes, report: Report, host: str = "", epoch: int = 0
    ) -> None:
        """Keep a report, once, with what it verified. ``host``: the one that made it, if it was not
        the node's own agent; ``epoch``: that of its lease."""
        received = time.time()
        async with self._turn(report.node):
            last = self.live.last_runs.get(report.node)
            # A server's own agent has no lease, and its node may have had delegates before.
            epoch = epoch or (last.epoch if last else 0)
            known = self.live.verified.get(report.node, {})
            newest = newest_of(last, epoch)
            summary = summarise(report, received, epoch)
            came = verification(report, known, newest, received)
            stood = self.live.standings.get(report.node, {})
            standing = standings(report, stood, newest, received)
            if standing is not None:
                summary = after(last, summary)
            kept = await self.threads.write(
                lambda: self.database.reports.put(
                    summary,
                    body,
                    set_verified=came.set,
                    clear_verified=came.clear,
                    standing=standing,
                )
            )
            if kept:
                self.live.note_run(summary, came, standing)
                if host and standing is not None:
                    self.hosts.places.note_report(host, report)
        await self._confirm_facts(report.node, min(report.facts_at, received))

    async def add_token(self, nodes: Collection[str], ttl: float) -> tuple[str, float]:
        """A new enrolment token, good once for each of ``nodes``, and when it expires."""
        token, now = auth.new_secret(), time.time()
        await self.threads.write(
            lambda: self.database.enrolments.add_tokens(auth.hashed(token), nodes, now + ttl, now)
        )
        return token, now + ttl

    async def enrol(self, token: str, node: str) -> str | None:
        """A credential for ``node``, replacing any that it had; None when the token is not good."""
        credential, now = auth.new_secret(), time.time()
        found = auth.hashed(credential)
        async with self._turn(node):
            good = await self.threads.write(
                lambda: self.database.enrolments.enrol(auth.hashed(token), node, found, now)
            )
            if not good:
                return None
            self.credentials.replace(node, found)
            if self.retired.pop(node, None) is not None:
                self.live.rejoin(node)
                self.hosts.places.refresh()
        return credential

    def known(self, node: str) -> bool:
        """Whether ``node`` is in the site, or was and has left something here."""
        live = self.live
        return (
            node in live.bundles
            or node in live.ledgers
            or node in live.last_runs
            or self.credentials.enrolled(node)
        )

    def reported_lately(self, node: str) -> bool:
        """Whether ``node`` is in the site and has reported within `RETIRE_AFTER`."""
        last = self.live.last_runs.get(node)
        return (
            node in self.live.bundles
            and last is not None
            and time.time() - last.finished < RETIRE_AFTER
        )

    def would_retire(self, node: str, who: str, why: str) -> Retirement:
        """What retiring ``node`` would be."""
        released = self.live.rests(node)
        return Retirement(node=node, at=time.time(), who=who, why=why, released=released)

    async def retire(self, node: str, who: str, why: str) -> Retirement:
        """``node`` is gone for good: end its credential and its tokens, and release what it held. Of
        one that was retired already what was said then stays."""
        async with self._turn(node):
            if before := self.retired.get(node):
                return before
            retirement = self.would_retire(node, who, why)
            self.credentials.end(node)
            await self.threads.write(lambda: self.database.enrolments.retire(retirement))
            self.retired[node] = retirement
            self.live.retire(node)
            self.hosts.places.refresh()
        return retirement

    def _ttl(self) -> float:
        compiled = self.revisions.compiled
        return LEASE_SECONDS if compiled is None else self.revisions.compiler.lease(compiled)

    def _origin(self, node: str) -> Origin | None:
        compiled = self.revisions.compiled
        return None if compiled is None else self.revisions.compiler.origin(compiled, node)

    async def _record(self, revision: Revision) -> None:
        await self.threads.write(lambda: self.database.revisions.add(revision))

    def _turn(self, node: str) -> asyncio.Lock:
        """What is written of one node is written in the order in which it changes our memory."""
        return self._turns.setdefault(node, asyncio.Lock())
