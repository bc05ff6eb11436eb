"""Which revision is in force. One that does not compile is refused whole, and the last good stays.

Facts are treated alike: a node whose facts break a template keeps everybody else's bundles fresh,
its own facts are left out until they compile, and the status says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from rackwright.model.bundle import Bundle, Origin
from rackwright.model.errors import InputError, Problem
from rackwright.model.facts import Facts
from rackwright.model.site import Node
from rackwright_proposals.collecting import uncollected
from rackwright_proposals.evidence import Found, Judgement, LinkState, judged
from rackwright_proposals.paths import Paths, hosts_of, paths_of
from rackwright_proposals.rollouts import Rollout
from rackwright_store import heap
from rackwright_store.live import Live, Prepared
from rackwright_store.records import Revision

log = logging.getLogger(__name__)
Files = Mapping[str, bytes]
FactsByNode = Mapping[str, Facts]


class Compiled(Protocol):
    """One revision, compiled. With any problem nothing of it is used."""

    @property
    def problems(self) -> Sequence[Problem]: ...

    @property
    def bundles(self) -> Mapping[str, Bundle]: ...


C = TypeVar("C", bound=Compiled)


class Compiler(Protocol[C]):
    """How files become bundles. `compile` and `recompile` are pure and run in a thread."""

    def belongs(self, path: str) -> bool:
        """Whether the file at ``path`` of the site's tree is read at all."""

    def compile(self, files: Files, commit: str, facts: FactsByNode, before: C | None = None) -> C:
        """Compile a revision. ``before`` is one that was good: the bundles that are as they were there
        are the same objects."""

    def recompile(self, compiled: C, facts: FactsByNode) -> C:
        """Compile the same revision with other facts, leaving ``compiled`` as it is."""

    def proposals(self, compiled: C) -> list[dict[str, Any]]:
        """The proposals of the revision, as plain data."""

    def implied(self, compiled: C) -> Mapping[str, Mapping[str, Collection[str]]]:
        """Node → its ``type/name`` → what of the same node comes first without anybody saying so."""

    def spelling(self, port: str) -> str:
        """The one name of a switch's port."""

    def rollouts(self, compiled: C) -> Mapping[str, Rollout]:
        """The proposals of the revision that go out wave by wave."""

    def handoff_deadline(self, compiled: C) -> float:
        """Seconds after which a wait is overdue."""

    def lease(self, compiled: C) -> float:
        """Seconds that a lease on a managed node lasts."""

    def origin(self, compiled: C, node: str) -> Origin | None:
        """Where a node stands in the site."""

    def why(self, compiled: C, node: str, path: str) -> dict[str, Any]:
        """Where the value at ``path`` of ``node`` came from, as plain data. Raises InputError when
        there is no such thing."""


class _Leading(NamedTuple):
    """What paths are told from."""

    links: tuple[LinkState, ...]
    nodes: Mapping[str, Node]
    hosts: frozenset[str]
    found: Mapping[str, Found]


class Revisions(Generic[C]):
    """The revisions of one site. Lives in the event loop.

    ``live`` is where bundles are in force, ``record`` writes what came of a commit to the database,
    ``keep`` holds a commit in the mirror.
    """

    def __init__(
        self,
        compiler: Compiler[C],
        facts: FactsByNode,
        *,
        live: Live,
        record: Callable[[Revision], Awaitable[None]],
        keep: Callable[[str], Awaitable[None]],
    ) -> None:
        self.compiler = compiler
        self.facts: dict[str, Facts] = dict(facts)
        self.found_at: dict[str, float] = {}
        """When each node's facts were last found to be so, in Unix seconds."""
        self.compiled: C | None = None
        self.in_force: Revision | None = None
        self.refused: Revision | None = None
        """What came of the newest commit, if it was refused."""
        self.facts_refused: Mapping[str, Sequence[Problem]] = {}
        """The nodes whose newest facts do not compile with the revision in force."""
        self._live, self._record, self._keep = live, record, keep
        self._judged: Judgement | None = None
        self._led: tuple[_Leading, Paths] | None = None
        """The paths, and what they were told from: most commits leave them as they are."""
        self._accepted: FactsByNode = {}
        self._changes = 0
        self._rendered = 0
        self._again: tuple[str, Files] | None = None
        """The newest commit, if it was refused for facts alone: others may let it compile."""
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compile")

    async def offer(self, commit: str, files: Files, *, restored: Revision | None = None) -> None:
        """A commit is to be in force, if it compiles. ``restored``: it was already, before we
        started, and that is on record."""
        async with self._lock:
            await self._offer(commit, files, restored)

    async def _offer(self, commit: str, files: Files, restored: Revision | None) -> None:
        changes, facts = self._changes, dict(self.facts)
        found = await self._run(lambda: self._compile(files, commit, facts))
        now = time.time()
        if isinstance(found, tuple):
            compiled, left_out = found
            prepared = await self._run(lambda: self._prepare(compiled, facts))
            accepted = restored or Revision(commit=commit, accepted=True, at=now)
            if restored is None:
                await self._keep(commit)
                await self._record(accepted)
            self.compiled, self.in_force, self.refused = compiled, accepted, None
            self._again = None
            changed = self._use(facts, left_out, changes, prepared, accepted.at)
            if 2 * len(changed) > len(compiled.bundles):
                await self._run(lambda: heap.settle(compiled.bundles.values()))
            log.info("revision %s is in force", commit[:10])
            return
        self.refused = Revision(commit=commit, accepted=False, problems=tuple(found), at=now)
        if restored is None:
            await self._record(self.refused)
        if self._again is None or self._again[0] != commit:
            log.warning("revision %s is refused: %s", commit[:10], found[0])
            plain = facts and await self._run(
                lambda: self._try(lambda: self.compiler.compile(files, commit, {}))
            )
            self._again = (commit, files) if plain and not isinstance(plain, list) else None

    async def put_facts(self, node: str, facts: Facts) -> None:
        """A node's facts changed. Returns when the bundles are rendered with them; many that come
        together are rendered together. Goes on when the caller is cancelled."""
        self.facts[node] = facts
        self._changes += 1
        await asyncio.shield(asyncio.create_task(self._render(self._changes)))

    async def catch_up(self) -> None:
        """Returns when the bundles are rendered with all facts: what came before may have failed."""
        if self._rendered < self._changes:
            await asyncio.shield(asyncio.create_task(self._render(self._changes)))

    async def confirm_facts(self, node: str, at: float) -> None:
        """A node's facts were found again, as they are known. Where sightings of a link disagree, the
        newer one counts; links at which none do need no second look."""
        self.found_at[node] = max(at, self.found_at.get(node, 0.0))
        if not any(node in link.aged for link in self._live.links):
            return
        async with self._lock:
            compiled, facts = self.compiled, dict(self.facts)
            if compiled is not None:
                told = await self._run(lambda: self._lead(compiled.bundles, facts))
                self._live.note_links(*told)

    async def _render(self, change: int) -> None:
        async with self._lock:
            if self._rendered >= change or self.compiled is None:
                return
            changes, facts, base = self._changes, dict(self.facts), self.compiled
            compiled, left_out = await self._run(lambda: self._admit(base, self._accepted, facts))
            prepared = await self._run(lambda: self._prepare(compiled, facts))
            self.compiled = compiled
            self._use(facts, left_out, changes, prepared)
            if self._again is not None:
                await self._offer(*self._again, None)

    def _use(
        self,
        facts: FactsByNode,
        left_out: Mapping[str, Sequence[Problem]],
        changes: int,
        prepared: Prepared,
        at: float | None = None,
    ) -> frozenset[str]:
        old = self._accepted
        self._accepted = {
            node: facts[node] if node not in left_out else old[node]
            for node in facts
            if node not in left_out or node in old
        }
        self.facts_refused = left_out
        self._rendered = changes
        for node, problems in left_out.items():
            log.warning("facts of %s are left out: %s", node, problems[0])
        return self._live.install(prepared, at)

    def close(self) -> None:
        """Compile no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Below: in the compiling thread, on values that nobody changes.

    def _prepare(self, compiled: C, facts: FactsByNode) -> Prepared:
        with uncollected():
            # What breaks a template was seen all the same, so all facts count here.
            links, paths = self._lead(compiled.bundles, facts)
            rollouts = self.compiler.rollouts(compiled)
            return self._live.prepare(compiled.bundles, rollouts)._replace(links=links, paths=paths)

    def _lead(
        self, bundles: Mapping[str, Bundle], facts: FactsByNode
    ) -> tuple[tuple[LinkState, ...], Paths]:
        """The links, and the paths over them."""
        spelling = self.compiler.spelling
        found = {node: Found(item, self.found_at.get(node, 0.0)) for node, item in facts.items()}
        self._judged = judged(bundles, found, spelling, self._judged)
        links = self._judged.links
        nodes = {name: bundle.node for name, bundle in bundles.items()}
        leading = _Leading(links, nodes, hosts_of(bundles), found)
        if self._led is None or self._led[0] != leading:
            self._led = (leading, paths_of(bundles, links, found, spelling))
        return links, self._led[1]

    def _compile(
        self, files: Files, commit: str, facts: FactsByNode
    ) -> tuple[C, Mapping[str, Sequence[Problem]]] | list[Problem]:
        before = self.compiled
        whole = self._try(lambda: self.compiler.compile(files, commit, facts, before))
        if not isinstance(whole, list):
            return whole, {}
        # Facts that were good for the last revision and are not for this one refuse it. Facts
        # that were never in use must not.
        accepted = self._accepted
        if accepted == facts:
            return whole
        base = self._try(lambda: self.compiler.compile(files, commit, accepted, before))
        return whole if isinstance(base, list) else self._admit(base, accepted, facts)

    def _admit(
        self, base: C, accepted: FactsByNode, facts: FactsByNode
    ) -> tuple[C, dict[str, Sequence[Problem]]]:
        """``base`` (compiled with ``accepted``) with as much of ``facts`` as compiles, and what is
        wrong with the rest. Halves what is new until it finds who is to blame."""
        new = {node: found for node, found in facts.items() if accepted.get(node) != found}
        if not new:
            return base, {}
        compiled = self._try(lambda: self.compiler.recompile(base, {**accepted, **new}))
        if not isinstance(compiled, list):
            return compiled, {}
        if len(new) == 1:
            return base, dict.fromkeys(new, compiled)
        nodes = sorted(new)
        half = len(nodes) // 2
        first = {**accepted, **{node: new[node] for node in nodes[:half]}}
        base, left_out = self._admit(base, accepted, first)
        settled = {node: found for node, found in first.items() if node not in left_out}
        for node in left_out.keys() & accepted.keys():
            settled[node] = accepted[node]
        second = {**settled, **{node: new[node] for node in nodes[half:]}}
        base, more = self._admit(base, settled, second)
        return base, {**left_out, **more}

    def _try(self, work: Callable[[], C]) -> C | list[Problem]:
        try:
            compiled = work()
        except InputError as error:
            return list(error.problems)
        except Exception as error:
            # Whatever a commit or a fact can do to us, the last good revision stays in force.
            log.exception("compiling failed")
            what = f"internal error while compiling: {type(error).__name__}: {error}"
            return [Problem(what, "the store's log has the details; please report it")]
        return list(compiled.problems) or compiled
