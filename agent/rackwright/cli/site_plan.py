"""Plans a whole site: every node is read where that can be done from here, and told from what is known
of it where not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.cli.output import on_terminal
from rackwright.cli.placed import with_placed
from rackwright.cli.site_lines import NodeRead, SitePlan, site_plan
from rackwright.cli.tree import compile_tree, found_under
from rackwright.engine.declared import Platform
from rackwright.engine.forecast import AnyPlatform, forecast
from rackwright.engine.known import Known, gates_of, of_ledger, rests_of, staying
from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import InputError, Permanent, RackwrightError
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.resource import Resource
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.vault import read_secrets
from rackwright_proposals.compile import Compiled, recompile
from rackwright_proposals.evidence import Found, contradicted, judge
from rackwright_proposals.sequence import implied_of

if TYPE_CHECKING:
    from rackwright.client import AdminClient

AT_ONCE = 32
"""Nodes that are read at the same time. Each has its own timeouts, so a dead one keeps one place of
these busy and nothing else."""


def plan_site(
    path: Path,
    *,
    state: Path,
    secrets: Path,
    here: str,
    root: Path = Path("/"),
    store: AdminClient | None = None,
) -> SitePlan:
    """What a converge of every node of the site at ``path`` would do.

    ``here`` is this host's node name; empty: its host name, where the site has a server of that name. Raises
    InputError with every problem of the site, and what ``store`` raises.
    """
    read_secrets(secrets)  # what is wrong with them is wrong for every node
    registry = Registry.installed()
    known = {**_known_here(state), **(_told(store.known()) if store else {})}
    planned = _Planned(path, registry, state, known)
    local = here or os.uname().nodename
    reads = _read_live(planned, _to_read(planned.bundles, local), state, secrets, here, local, root)
    for node, bundle in planned.bundles.items():
        if bundle.node.platform and not (node in reads and reads[node].by == "live"):
            reads[node] = _foreseen(planned, node, reads.get(node))
    return site_plan(
        planned.compiled.site,
        list(reads.values()),
        planned.bundles,
        implied_of(planned.compiled),
        planned.parents,
        known,
        registry.nouns(),
    )


class _Planned:
    """The site as it is to be, compiled with all facts that are known here and at the store; and with
    those that are found on the way. Any thread may ask."""

    def __init__(
        self, path: Path, registry: Registry, state: Path, known: Mapping[str, Known]
    ) -> None:
        self.registry, self.known = registry, known
        self._lock = threading.Lock()
        self._found = _newest(known, found_under(state))
        facts = {node: found.facts for node, found in self._found.items()}
        self.compiled: Compiled = compile_tree(path, registry, facts)
        if self.compiled.problems:
            raise InputError(self.compiled.problems)
        self._rests = rests_of(known)
        self.wrong: dict[str, dict[str, str]] = {}
        """Node → its ports at which somebody else is seen than the site says, and why that is so."""
        self.judge_links()

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """Of every node."""
        return self.compiled.bundles

    def bundle(self, node: str) -> Bundle:
        """Of ``node``, with what the store has placed there."""
        ledger = self.known[node].ledger if node in self.known else None
        return with_placed(self.bundles[node], ledger or Ledger())

    @property
    def parents(self) -> dict[str, str]:
        """Node → the node that it is in."""
        checked = self.compiled.checked
        inside = checked.resolved.containment.parents if checked else {}
        return {name: place.node for name, place in inside.items()}

    def facts(self, node: str) -> Facts:
        """What is known of ``node``."""
        return self._found[node].facts if node in self._found else Facts()

    def send_facts(self, node: str, facts: Facts) -> None:
        """Render with ``facts`` from now on. Raises InputError when they do not compile."""
        with self._lock:
            made = recompile(self.compiled, {node: facts})
            if made.problems:
                raise InputError(made.problems)
            self.compiled = made
            self._found[node] = Found(facts, time.time())

    def gates(self, node: str) -> Gates:
        """What of other nodes ``node`` may count on, by what is known of them."""
        with self._lock:
            bundles = self.compiled.bundles
            around = {
                name: staying(bundles[name]) for name in self._around(node) if name in bundles
            }
            gates = gates_of(bundles[node], around, self.known, self._rests)
        wrong = self.wrong.get(node, {})
        return msgspec.structs.replace(gates, contradicted=wrong) if wrong else gates

    def judge_links(self) -> None:
        """Hold the links against all facts that are known by now; `gates` go by the last such look."""
        spelling = self.registry.nouns().get("port", Resource).spelling
        self.wrong = contradicted(judge(self.compiled.bundles, self._found, spelling))

    def _around(self, node: str) -> set[str]:
        users = self._rests.get(node, {}).values()
        return {node, *(other for of_one in users for other, _ in of_one)}


class _PlanSource:
    """One node of a planned site, for its runner."""

    collects = False
    epoch = 0

    def __init__(self, planned: _Planned, node: str) -> None:
        self._planned, self._node = planned, node
        self.given: Bundle | None = None
        """Of the site, the bundle that was given last."""

    def forget(self) -> None:
        """Nothing is kept from before."""

    def send_facts(self, facts: Facts) -> None:
        self._planned.send_facts(self._node, facts)

    def bundle(self) -> Bundle:
        self.given = self._planned.bundles[self._node]
        return self._planned.bundle(self._node)

    def gates(self) -> Gates:
        return self._planned.gates(self._node)

    def deliver(self, report: Report) -> None:
        """Nowhere: it is a dry run's."""

    def mirror(self, ledger: Ledger) -> None:
        """Nowhere: a dry run writes none."""

    def mirrored(self) -> Ledger | None:
        about = self._planned.known.get(self._node)
        return about.ledger if about else None


def _to_read(bundles: Mapping[str, Bundle], local: str) -> list[str]:
    """The nodes to be read from here: managed ones, and the server that this is."""
    return [
        name
        for name, bundle in bundles.items()
        if bundle.node.platform and (bundle.node.managed or name == local)
    ]


def _read_live(
    planned: _Planned,
    nodes: list[str],
    state: Path,
    secrets: Path,
    here: str,
    local: str,
    root: Path,
) -> dict[str, NodeRead]:
    stop = threading.Event()
    at = here or (local if local in planned.bundles else "")
    sources = {node: _PlanSource(planned, node) for node in nodes}
    runners = {
        node: NodeRunner(
            node=node,
            source=sources[node],
            registry=planned.registry,
            state=state / node,
            secrets=secrets,
            here=at,
            root=root,
            stop=stop,
        )
        for node in nodes
    }
    reports = _run(runners, stop)
    # Facts that were found meanwhile may have changed what others are told, and what links are.
    before = planned.wrong
    planned.judge_links()
    again = {
        node: runner
        for node, runner in runners.items()
        if not reports[node].error
        and (
            sources[node].given is not planned.bundles[node]
            or before.get(node) != planned.wrong.get(node)
        )
    }
    reports.update(_run(again, stop))
    return {node: _as_read(planned.bundles[node], report) for node, report in reports.items()}


def _run(runners: Mapping[str, NodeRunner], stop: threading.Event) -> dict[str, Report]:
    found: dict[str, Report] = {}
    if not runners:
        return found
    with (
        ThreadPoolExecutor(min(AT_ONCE, len(runners)), thread_name_prefix="plan") as pool,
        _progress(len(runners)) as advance,
    ):
        futures = {pool.submit(runner.run, why_run=True): node for node, runner in runners.items()}
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                advance()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _as_read(bundle: Bundle, report: Report) -> NodeRead:
    about = NodeRead(
        node=bundle.node.name, type=bundle.node.type, platform=bundle.node.platform, by="nothing"
    )
    if report.error:
        return msgspec.structs.replace(about, error=report.error, kind=report.kind)
    return msgspec.structs.replace(
        about, by="live", at=report.finished, via=report.via, outcomes=report.outcomes
    )


def _foreseen(planned: _Planned, node: str, tried: NodeRead | None) -> NodeRead:
    """A node that was not read: told from what is known of it, if anything is."""
    bundle, known = planned.bundle(node), planned.known.get(node, Known())
    about = tried or NodeRead(
        node=node, type=bundle.node.type, platform=bundle.node.platform, by="nothing"
    )
    error = about.error or (f"its last run ended: {known.kind}" if known.kind else "")
    try:
        platform = _platform(planned.registry, bundle, planned.facts(node))
        found = forecast(bundle, planned.gates(node), platform, known)
    except RackwrightError as problem:
        return msgspec.structs.replace(about, error=error or str(problem))
    return msgspec.structs.replace(
        about,
        by=known.by if known.seen else "nothing",
        at=known.last_run,
        error=error,
        outcomes=found,
    )


def _platform(registry: Registry, bundle: Bundle, facts: Facts) -> Platform:
    """The platform of a node; of one that nobody has identified yet, any."""
    named = bundle.node.platform
    if named == "auto":
        named = str(facts.values.get("platform", ""))
        if not named:
            return AnyPlatform(registry.nouns().values())
    return registry.provider(named)


def _told(answer: Mapping[str, Any]) -> dict[str, Known]:
    """What a store knows. Raises Permanent when this version of Rackwright cannot read it."""
    try:
        return msgspec.convert(answer.get("nodes"), dict[str, Known])
    except msgspec.ValidationError as error:
        raise Permanent(
            f"the store does not tell what it knows in a way that can be read here: {error}"
        ) from error


def _known_here(state: Path) -> dict[str, Known]:
    """By the ledgers under the state directory. Raises Permanent for a damaged one."""
    found = {}
    for path in state.glob("*/ledger.json"):
        ledger, at = LedgerFile(path).load(), path.stat().st_mtime
        found[path.parent.name] = of_ledger(ledger, at)
    return found


def _newest(known: Mapping[str, Known], here: Mapping[str, Found]) -> dict[str, Found]:
    """The facts of every node, as found last by anybody."""
    found = dict(here)
    for node, about in known.items():
        if about.facts is not None and about.facts_at is not None:
            mine = found.get(node)
            if mine is None or mine.at < about.facts_at:
                found[node] = Found(about.facts, about.facts_at)
    return found


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Counts nodes on a terminal, when there are several."""
    if total < 2 or not on_terminal():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = ("reading nodes", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)
