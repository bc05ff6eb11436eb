"""Plans a whole site: every node is read where that can be done from here, and told from what is known
of it where not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.cli.output import on_terminal
from rackwright.cli.placed import with_placed
from rackwright.cli.site_gates import SiteGates
from rackwright.cli.site_known import heard_here, known_here
from rackwright.cli.site_lines import SitePlan, site_plan
from rackwright.cli.site_steps import NodeRead
from rackwright.cli.tree import compile_tree, found_under, no_such_node
from rackwright.engine.declared import Platform
from rackwright.engine.forecast import AnyPlatform, forecast
from rackwright.engine.known import Known
from rackwright.engine.ledger import Ledger
from rackwright.model import typed
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import InputError, Permanent, RackwrightError
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.resource import Resource
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.vault import read_secrets
from rackwright_proposals.compile import Compiled, recompile
from rackwright_proposals.evidence import Found, LinkState, judge
from rackwright_proposals.paths import Paths, paths_of
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
    known = {**known_here(state), **(_told(store.known()) if store else {})}
    planned = _Planned(path, registry, state, known)
    local = here or os.uname().nodename
    at = here or (local if local in planned.bundles else "")
    reads = _read_live(planned, _to_read(planned.bundles, local), state, secrets, at, root)
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
        planned.compiled.rollouts,
    )


def plan_nodes(
    nodes: Sequence[str],
    path: Path,
    *,
    state: Path,
    secrets: Path,
    here: str,
    root: Path,
    tell: Callable[[Report], None],
) -> list[Report]:
    """What a converge of each of ``nodes`` would do now, one after the other; ``tell`` hears each. Raises
    InputError with every problem of the site, and for a node that it does not have."""
    registry = Registry.installed()
    planned = _Planned(path, registry, state, known_here(state))
    for node in nodes:
        if node not in planned.bundles:
            raise no_such_node(node, planned.bundles, path)
    reports = []
    for node in nodes:
        source = _PlanSource(planned, node, waves=True)
        runner = _runner(source, node, planned.registry, state, secrets, here, root)
        reports.append(runner.run(why_run=True))
        tell(reports[-1])
    return reports


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
        self._gates = SiteGates(heard_here(known, self.compiled.bundles))
        self._hosts: dict[str, tuple[Bundle, Bundle]] = {}
        """Host → its bundle, and that with what the store has placed there."""
        self._led = self._links()
        self._installed: Mapping[str, Bundle] = {}
        self._install()

    @property
    def bundles(self) -> Mapping[str, Bundle]:
        """Of every node."""
        return self.compiled.bundles

    def bundle(self, node: str) -> Bundle:
        """Of ``node``, with what the store has placed there."""
        plain = self.bundles[node]
        kept = self._hosts.get(node)
        if kept is None or kept[0] is not plain:
            ledger = self.known[node].ledger if node in self.known else None
            kept = self._hosts[node] = (plain, with_placed(plain, ledger or Ledger()))
        return kept[1]

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
        """What of other nodes ``node`` may count on and must spare, by what is known of them."""
        with self._lock:
            if self._installed is not self.compiled.bundles:
                self._install()
            return self._gates.gates(node)

    def note_reads(self, reports: Mapping[str, Report]) -> None:
        """These nodes were read just now, or could not be; links are as all facts say that are known by
        now."""
        with self._lock:
            for node, report in reports.items():
                self._gates.note_read(node, report.kind)
            self._led = self._links()
            self._gates.note_links(*self._led)

    def _install(self) -> None:
        self._installed = self.compiled.bundles
        whole = {node: self.bundle(node) for node in self._installed}
        self._gates.install(whole, self.compiled.rollouts, *self._led)

    def _links(self) -> tuple[tuple[LinkState, ...], Paths]:
        spelling = self.registry.nouns().get("port", Resource).spelling
        links = judge(self.compiled.bundles, self._found, spelling)
        return links, paths_of(self.compiled.bundles, links, self._found, spelling)


class _PlanSource:
    """One node of a planned site, for its runner."""

    collects = False
    epoch = 0

    def __init__(self, planned: _Planned, node: str, *, waves: bool = False) -> None:
        """``waves``: what waits for its wave of a rollout is held back. Without, the plan looks further
        (`rackwright.cli.site_going`)."""
        self._planned, self._node, self._waves = planned, node, waves
        self.given: Bundle | None = None
        """Of the site, the bundle that was given last."""
        self.told = Gates()
        """The gates that were."""

    def forget(self) -> None:
        """Nothing is kept from before."""

    def send_facts(self, facts: Facts) -> None:
        self._planned.send_facts(self._node, facts)

    def bundle(self) -> Bundle:
        self.given = self._planned.bundles[self._node]
        return self._planned.bundle(self._node)

    def gates(self) -> Gates:
        self.told = self._planned.gates(self._node)
        return self.told if self._waves else _whatever_wave(self.told)

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


def _whatever_wave(gates: Gates) -> Gates:
    return msgspec.structs.replace(gates, later={}) if gates.later else gates


def _runner(
    source: _PlanSource,
    node: str,
    registry: Registry,
    state: Path,
    secrets: Path,
    here: str,
    root: Path,
) -> NodeRunner:
    return NodeRunner(
        node=node,
        source=source,
        registry=registry,
        state=state / node,
        secrets=secrets,
        here=here,
        root=root,
    )


def _read_live(
    planned: _Planned, nodes: list[str], state: Path, secrets: Path, here: str, root: Path
) -> dict[str, NodeRead]:
    stop = threading.Event()
    sources = {node: _PlanSource(planned, node) for node in nodes}
    runners = {
        node: _runner(source, node, planned.registry, state, secrets, here, root)
        for node, source in sources.items()
    }
    for runner in runners.values():
        runner.stop = stop
    reports = _run(runners, stop)
    # What was found meanwhile may have changed what others are told, what links are, and who answers.
    planned.note_reads(reports)
    again = {
        node: runner
        for node, runner in runners.items()
        if not reports[node].error
        and (
            sources[node].given is not planned.bundles[node]
            or sources[node].told != planned.gates(node)
        )
    }
    reports.update(_run(again, stop))
    return {node: _as_read(planned.bundles[node], report) for node, report in reports.items()}


def _run(runners: Mapping[str, NodeRunner], stop: threading.Event) -> dict[str, Report]:
    found: dict[str, Report] = {}
    if not runners:
        return found
    # Not as a context manager: it would wait for the reads that hang, also after a Ctrl-C.
    pool = ThreadPoolExecutor(min(AT_ONCE, len(runners)), thread_name_prefix="plan")
    try:
        with _progress(len(runners)) as advance:
            futures = {
                pool.submit(runner.run, why_run=True): node for node, runner in runners.items()
            }
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                advance()
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
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
    error = about.error or known.trouble
    try:
        platform = _platform(planned.registry, bundle, planned.facts(node))
        found = forecast(bundle, _whatever_wave(planned.gates(node)), platform, known)
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
        return typed.convert(answer.get("nodes"), dict[str, Known])
    except msgspec.ValidationError as error:
        raise Permanent(
            f"the store does not tell what it knows in a way that can be read here: {error}"
        ) from error


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
