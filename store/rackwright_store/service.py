"""What the store does for whoever asks, without HTTP.

Lives in the event loop. Whatever is acknowledged is in the database first; then it changes what is
in memory; then it wakes whom it concerns.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from rackwright.model.bundle import Gates, Origin
from rackwright.model.facts import Facts
from rackwright.model.lease import LEASE_SECONDS
from rackwright.model.lease import Leases as Given
from rackwright.model.report import Report
from rackwright_proposals.documents import HANDOFF_DEADLINE
from rackwright_store import auth, status
from rackwright_store.database import Database, Drain, Retirement, Revision
from rackwright_store.following import Following
from rackwright_store.gates import Rests
from rackwright_store.hosts import Hosts, Want
from rackwright_store.known import known_nodes
from rackwright_store.live import Live
from rackwright_store.ordering import sequence_data
from rackwright_store.revisions import Compiler, Revisions
from rackwright_store.rollouts import fronts_of, rollouts_data
from rackwright_store.runs import summarise, verification
from rackwright_store.standing import Seen, standings
from rackwright_store.waiting import Rack, chains_data

T = TypeVar("T")

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
            database.all_verified(),
            database.all_ledgers(),
            database.last_runs(),
            database.all_standings(),
        )
        self.live.retired = self.retired = database.all_retired()
        facts = {
            node: msgspec.json.decode(body, type=Facts)
            for node, body in database.all_facts().items()
        }
        self.revisions: Revisions[Any] = Revisions(
            compiler, facts, live=self.live, record=self._record, keep=following.keep
        )
        self.revisions.found_at.update(database.facts_at())
        self.credentials = auth.Credentials(admin_hash, database.all_credentials())
        self.hosts = Hosts(
            self.live,
            database.all_leases(),
            database.all_drains(),
            self.retired,
            ttl=self._ttl,
            origin=self._origin,
            later=lambda seconds, what: asyncio.get_running_loop().call_later(seconds, what),
        )
        self._heard = self.live.heard
        self._started = time.time()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read")
        self._pending: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._turns: dict[str, asyncio.Lock] = {}
        self._follow: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Put the last good revision in force, and begin to follow the branch."""
        last = self.database.last_accepted()
        if last is not None:
            await self.following.restore(last, self.revisions)
        if self.revisions.compiled is None:
            await self.following.check(self.revisions)
        self._follow = asyncio.create_task(self.following.run(self.revisions))

    def let_go(self) -> None:
        """End all long polls, and let no new one wait."""
        self.live.waiters.close()

    async def stop(self) -> None:
        """Finish what is being written, and close everything."""
        self.let_go()
        self.hosts.close()
        if self._follow is not None:
            self._follow.cancel()
            await asyncio.gather(self._follow, return_exceptions=True)
        self.following.close()
        self.revisions.close()
        if self._writing is not None:
            await self._writing
        self._writer.shutdown(wait=True)
        self._reader.shutdown(wait=True)
        self.database.close()

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
            await self._write(lambda: self.database.put_leases(unsaved))
            self.hosts.leases.saved(unsaved)
        for node in given.held:
            self.heard_from(node)
        return given

    async def granted(self, subject: str, node: str, epoch: int) -> bool:
        """Whether ``subject`` held the lease of ``node`` under this epoch."""
        return (
            bool(epoch) and await self._read(lambda: self.database.granted(node, epoch)) == subject
        )

    async def drain(self, host: str, who: str, *, drain: bool) -> dict[str, Any]:
        """``host`` is to hold nothing, or may again. Returns how it is doing now."""
        known = self.hosts.draining.get(host)
        wanted = (known or Drain(at=time.time(), who=who)) if drain else None
        if wanted != known:
            await self._write(lambda: self.database.put_drain(host, wanted))
            self.hosts.drain(host, wanted)
        return self.hosts.host_data(host)

    async def put_facts(self, node: str, body: bytes, facts: Facts) -> str:
        """Keep a node's facts and render with them. Returns the ETag of its bundle now; empty
        while it has none."""
        now = time.time()
        if self.revisions.facts.get(node) != facts:
            async with self._turn(node):
                await self._write(lambda: self.database.put_facts(node, body, now))
            self.revisions.found_at[node] = now
            await self.revisions.put_facts(node, facts)
        else:
            await self._confirm_facts(node, now)
        return self.live.bundle_etag(node)

    async def _confirm_facts(self, node: str, at: float) -> None:
        """A node's facts were found again at ``at``, as they are known."""
        if at > self.revisions.found_at.get(node, at):
            await self._write(lambda: self.database.confirm_facts(node, at))
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
            await self._write(lambda: self.database.put_ledger(node, body, now))
            self.live.note_ledger(node, body, rests)

    async def post_outrun(self, body: bytes, report: Report) -> None:
        """Keep a report as history: another has converged the node since."""
        summary = summarise(report, time.time())
        async with self._turn(report.node):
            await self._write(
                lambda: self.database.put_report(
                    summary, body, set_verified={}, clear_verified=(), outrun=True
                )
            )

    async def post_report(self, body: bytes, report: Report, host: str = "") -> None:
        """Keep a report, once, with what it verified. ``host``: the one that made it, if it was not
        the node's own agent."""
        received = time.time()
        summary = summarise(report, received)
        async with self._turn(report.node):
            last = self.live.last_runs.get(report.node)
            known = self.live.verified.get(report.node, {})
            newest = last.finished if last else None
            came = verification(report, known, newest, received)
            stood = self.live.standings.get(report.node, {})
            standing = standings(report, stood, newest, received)
            kept = await self._write(
                lambda: self.database.put_report(
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
                    self.hosts.note_report(host, report)
        await self._confirm_facts(report.node, min(report.facts_at, received))

    async def add_token(self, nodes: Collection[str], ttl: float) -> tuple[str, float]:
        """A new enrolment token, good once for each of ``nodes``, and when it expires."""
        token, now = auth.new_secret(), time.time()
        await self._write(
            lambda: self.database.add_tokens(auth.hashed(token), nodes, now + ttl, now)
        )
        return token, now + ttl

    async def enrol(self, token: str, node: str) -> str | None:
        """A credential for ``node``, replacing any that it had; None when the token is not good."""
        credential, now = auth.new_secret(), time.time()
        found = auth.hashed(credential)
        async with self._turn(node):
            good = await self._write(
                lambda: self.database.enrol(auth.hashed(token), node, found, now)
            )
            if not good:
                return None
            self.credentials.replace(node, found)
            if self.retired.pop(node, None) is not None:
                self.live.rejoin(node)
                self.hosts.refresh()
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
        """``node`` is gone for good: end its credential and its tokens, and release what it held."""
        async with self._turn(node):
            retirement = self.would_retire(node, who, why)
            self.credentials.end(node)
            await self._write(lambda: self.database.retire(retirement))
            self.retired[node] = retirement
            self.live.retire(node)
            self.hosts.refresh()
        return retirement

    def status(self) -> dict[str, Any]:
        """How every node and the store itself are doing."""
        revisions, following = self.revisions, self.following
        rack = self._rack()
        return {
            "store": {
                "site": following.shown,
                "head": following.head,
                "checked": following.checked or None,
                "error": following.error,
                "waiting": len(self.live.waiters),
                "in_force": status.revision_data(revisions.in_force),
                "refused": status.revision_data(revisions.refused),
            },
            "nodes": [self._node_status(node, rack) for node in sorted(self.live.bundles)],
            "rollouts": self.rollouts(),
            "retired": [msgspec.to_builtins(item) for _, item in sorted(self.retired.items())],
        }

    async def sequence(self) -> dict[str, Any]:
        """The order of everything, and where the revision in force stands in it."""
        compiled, in_force = self.revisions.compiled, self.revisions.in_force
        rack, ledgers = self._rack(), dict(self.live.ledgers)

        def work() -> dict[str, Any]:
            implied = {} if compiled is None else self.revisions.compiler.implied(compiled)
            return sequence_data(rack, implied, ledgers, in_force.commit if in_force else "")

        return await self._read(work)

    async def known_body(self) -> bytes:
        """What is known of every node (JSON)."""
        live, revisions = self.live, self.revisions
        nodes = known_nodes(live, revisions.facts, revisions.found_at)
        commit = revisions.in_force.commit if revisions.in_force else ""
        return await self._read(lambda: msgspec.json.encode({"commit": commit, "nodes": nodes}))

    def rollouts(self) -> list[dict[str, Any]]:
        """Every rollout of the revision in force: its waves and where they stand."""
        return rollouts_data(self.live.rolling)

    async def waiting(self, node: str) -> dict[str, Any]:
        """Why ``node``, which is in the site, waits: the chains to the roots."""
        rack = self._rack()
        chains = await self._read(lambda: rack.why(node))
        since = rack.waiting_since(node)
        return {
            "node": node,
            "chains": chains_data(chains),
            "waiting_since": since,
            "overdue": rack.overdue(since),
            "deadline": rack.deadline,
        }

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of the site."""
        bundles = sorted(self._bundles().items())
        return [
            {
                "node": name,
                "type": bundle.node.type,
                "platform": bundle.node.platform,
                "managed": bundle.node.managed,
                "enrolled": self._enrolled(name),
                "roles": list(bundle.roles),
                "resources": len(bundle.resources),
            }
            for name, bundle in bundles
        ]

    def node(self, name: str) -> dict[str, Any] | None:
        """All about one node."""
        bundle = self.live.bundle(name)
        if bundle is None:
            return None
        known = self.live.verified.get(name, {})
        facts = self.revisions.facts.get(name)
        return {
            "status": self._node_status(name, self._rack()),
            "bundle": msgspec.to_builtins(bundle),
            "gates": msgspec.to_builtins(self.live.gates[name].value),
            "facts": msgspec.to_builtins(facts) if facts else None,
            "verified": dict(sorted(known.items())),
            "outstanding": list(status.outstanding(bundle, known, self.live.last_runs.get(name))),
            "facts_problems": status.problem_list(self.revisions.facts_refused.get(name, ())),
        }

    async def runs(self, node: str, limit: int) -> list[dict[str, Any]]:
        """The newest runs of one node, or of all."""
        found = await self._read(lambda: self.database.runs(node, limit))
        return [_run_data(summary) for summary in found]

    async def report(self, node: str, identity: str) -> bytes | None:
        """One whole report (JSON)."""
        return await self._read(lambda: self.database.report(node, identity))

    async def history(self, limit: int) -> list[dict[str, Any] | None]:
        """What came of the newest commits."""
        found = await self._read(lambda: self.database.revisions(limit))
        return [status.revision_data(revision) for revision in found]

    def links(self) -> list[dict[str, Any]]:
        """Every link of the site: declared, seen, or both."""
        return [status.link_data(link) for link in self.live.links]

    def proposals(self) -> list[dict[str, Any]]:
        """The proposals of the revision in force."""
        compiled = self.revisions.compiled
        return [] if compiled is None else self.revisions.compiler.proposals(compiled)

    def why(self, node: str, path: str) -> dict[str, Any]:
        """Where a value of a node came from. Raises InputError when there is no such thing."""
        return self.revisions.compiler.why(self.revisions.compiled, node, path)

    def _bundles(self) -> dict[str, Any]:
        return {name: self.live.bundle(name) for name in self.live.bundles}

    def _rack(self) -> Rack:
        """All nodes as they are now, for any thread."""
        compiled = self.revisions.compiled
        deadline = (
            HANDOFF_DEADLINE
            if compiled is None
            else self.revisions.compiler.handoff_deadline(compiled)
        )
        now = time.time()
        nodes = {name: self._seen(name, now) for name in self.live.bundles}
        return Rack(nodes, now, deadline, fronts_of(self.live.rolling))

    def _seen(self, name: str, now: float) -> Seen:
        live, bundle = self.live, self.live.bundle(name)
        assert bundle is not None  # noqa: S101 - the caller has the name from the bundles
        gates = live.gates[name].value
        assert isinstance(gates, Gates)  # noqa: S101 - it is that table
        problems = self.revisions.facts_refused.get(name, ())
        return Seen(
            bundle=bundle,
            verified=dict(live.verified.get(name, {})),
            standing=live.standings.get(name, {}),
            last=live.last_runs.get(name),
            gates=gates,
            told=live.told[name],
            deferred=live.deferred.get(name, {}),
            silent=now - max(self._last_heard(name), self._started),
            enrolled=self._enrolled(name),
            retired=name in self.retired,
            at=self.hosts.whereabouts(name),
            facts_problem=str(problems[0]) if problems else "",
        )

    def _enrolled(self, name: str) -> bool:
        """Whether there is an agent for ``name``: its own, or that of the host where it is placed."""
        return self.credentials.enrolled(self.hosts.target(name) or name)

    def _ttl(self) -> float:
        compiled = self.revisions.compiled
        return LEASE_SECONDS if compiled is None else self.revisions.compiler.lease(compiled)

    def _origin(self, node: str) -> Origin | None:
        compiled = self.revisions.compiled
        return None if compiled is None else self.revisions.compiler.origin(compiled, node)

    def _last_heard(self, name: str) -> float:
        last = self.live.last_runs.get(name)
        return max(self._heard.get(name, 0.0), last.finished if last else 0.0)

    def _node_status(self, name: str, rack: Rack) -> dict[str, Any]:
        bundle = self.live.bundle(name)
        assert bundle is not None  # noqa: S101 - the caller has the name from the bundles
        last = self.live.last_runs.get(name)
        heard = self._last_heard(name)
        in_force = self.revisions.in_force
        about = status.node_status(
            bundle,
            last,
            self.live.verified.get(name, {}),
            heard=heard,
            silent=time.time() - max(heard, self._started),
            enrolled=self._enrolled(name),
            at=rack.nodes[name].at,
            commit=in_force.commit if in_force else "",
            facts_problems=self.revisions.facts_refused.get(name, ()),
        )
        since = rack.waiting_since(name)
        return {
            **about,
            "state": "retired" if name in self.retired else about["state"],
            "standing": rack.counts(name),
            "waiting_since": since,
            "overdue": rack.overdue(since),
            "moving": rack.moving(name),
        }

    async def _record(self, revision: Revision) -> None:
        await self._write(lambda: self.database.add_revision(revision))

    def _turn(self, node: str) -> asyncio.Lock:
        """What is written of one node is written in the order in which it changes our memory."""
        return self._turns.setdefault(node, asyncio.Lock())

    async def _write(self, work: Callable[[], T]) -> T:
        """Write, together with whatever else waits to be written. On return it is on the disk."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending.append((work, future))
        if self._writing is None:
            self._writing = asyncio.create_task(self._flush())
        return await future

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            works = [work for work, _ in batch]
            done = await asyncio.get_running_loop().run_in_executor(
                self._writer, self.database.together, works
            )
            for (_, future), (result, error) in zip(batch, done, strict=True):
                if future.done():
                    continue  # whoever asked has been cancelled
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        self._writing = None

    async def _read(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)


def _run_data(summary: Any) -> dict[str, Any]:
    fields = {name: getattr(summary, name) for name in summary.__struct_fields__}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()
    }
