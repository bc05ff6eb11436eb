"""plan, agent, delegate: the commands that converge."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from rackwright.cli import options
from rackwright.cli.output import on_terminal, print_json, show_report, worst
from rackwright.model.report import Report

if TYPE_CHECKING:
    from rackwright.cli.tree import Tree
    from rackwright.client import StoreClient
    from rackwright.daemon import Loop
    from rackwright.provider import Registry
    from rackwright.source import Source


@click.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE…")
@options.site(required=True)
@options.state
@options.secrets
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/",
    help="Plan a server's files under DIR.",
)
@click.option("--at", "here", default="", metavar="HOST", help="Plan as seen from this admin host.")
@options.verbose
@options.as_json
def plan(
    nodes: tuple[str, ...],
    site: Path,
    state: Path,
    secrets_path: Path | None,
    root: Path,
    here: str,
    verbose: bool,
    as_json: bool,
) -> int:
    """Show as a diff what a converge of NODE… would do. Writes nothing, ever."""
    from rackwright.cli.tree import Tree, TreeSource
    from rackwright.provider import Registry
    from rackwright.run import NodeRunner

    options.log_to_stderr()
    registry = Registry.installed()
    tree = Tree(site, registry, state)
    for node in nodes:
        tree.bundle(node)
    reports = []
    for node in nodes:
        runner = NodeRunner(
            node=node,
            source=TreeSource(tree, node),
            registry=registry,
            state=state / node,
            secrets=secrets_path or state / "secrets",
            here=here,
            root=root,
        )
        reports.append(runner.run(why_run=True))
        if not as_json:
            show_report(reports[-1], verbose=verbose)
    if as_json:
        print_json(reports)
    return worst(reports)


@click.command()
@click.option("--node", default=None, help="This host's node name. [its hostname]")
@options.store
@options.site(required=False)
@click.option(
    "--token",
    default="",
    envvar="RACKWRIGHT_TOKEN",
    help="Enrolment token, for the first run with a store.",
)
@click.option("--once", is_flag=True, help="Converge once and leave; else run as a daemon.")
@click.option("--why-run", is_flag=True, help="Show what would be done; write nothing.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/",
    help="Converge file-like resources under DIR.",
)
@options.state
@options.secrets
@click.option(
    "--interval",
    type=click.FloatRange(1),
    default=1800.0,
    show_default=True,
    help="Seconds between runs.",
)
@click.option(
    "--splay",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="At most so many seconds more, by chance.",
)
@options.verbose
@options.as_json
def agent(
    node: str | None,
    store_url: str | None,
    ca: Path | None,
    site: Path | None,
    token: str,
    once: bool,
    why_run: bool,
    root: Path,
    state: Path,
    secrets_path: Path | None,
    interval: float,
    splay: float,
    verbose: bool,
    as_json: bool,
) -> int:
    """Converge this host: what its roles and proposals say it is.

    As a daemon it runs every --interval, at once when the store wakes it, and on SIGHUP or SIGUSR1.
    SIGTERM finishes the resource in hand and leaves.
    """
    name = node or os.uname().nodename
    stop = threading.Event()
    shown = _Shown(as_json=as_json, verbose=verbose, quiet_when_same=not once)
    origin = _Origin(store_url, ca, site, token, state)
    from rackwright.daemon import Loop, Pace
    from rackwright.run import NodeRunner

    if not once:
        shown.lines = True
    runner = NodeRunner(
        node=name,
        source=origin.source(name),
        registry=origin.registry,
        state=state / name,
        secrets=secrets_path or state / "secrets",
        here=name,
        root=root,
        stop=stop,
    )
    return _go([Loop(runner, Pace(interval, splay), shown)], origin, shown, stop, once, why_run)


@click.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE…")
@options.store
@options.site(required=False)
@click.option(
    "--token",
    default="",
    envvar="RACKWRIGHT_TOKEN",
    help="Enrolment token, for the first run with a store.",
)
@click.option("--once", is_flag=True, help="Converge once and leave; else run as a daemon.")
@click.option("--why-run", is_flag=True, help="Show what would be done; write nothing.")
@click.option("--at", "here", default="", metavar="HOST", help="The node name of this admin host.")
@options.state
@options.secrets
@click.option(
    "--interval",
    type=click.FloatRange(1),
    default=1800.0,
    show_default=True,
    help="Seconds between runs.",
)
@click.option(
    "--splay",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="At most so many seconds more, by chance.",
)
@options.verbose
@options.as_json
def delegate(
    nodes: tuple[str, ...],
    store_url: str | None,
    ca: Path | None,
    site: Path | None,
    token: str,
    once: bool,
    why_run: bool,
    here: str,
    state: Path,
    secrets_path: Path | None,
    interval: float,
    splay: float,
    verbose: bool,
    as_json: bool,
) -> int:
    """Converge managed nodes from this admin host, each on its own."""
    from rackwright import delegate as delegates
    from rackwright.daemon import Pace

    stop = threading.Event()
    shown = _Shown(as_json=as_json, verbose=verbose, quiet_when_same=not once)
    shown.lines = not once
    origin = _Origin(store_url, ca, site, token, state)
    loops = delegates.loops(
        nodes,
        origin.source,
        registry=origin.registry,
        state=state,
        secrets=secrets_path or state / "secrets",
        here=here,
        pace=Pace(interval, splay),
        stop=stop,
        report=shown,
    )
    return _go(loops, origin, shown, stop, once, why_run)


class _Origin:
    """Where bundles come from: a store or a site's tree, exactly one of them."""

    def __init__(
        self, store_url: str | None, ca: Path | None, site: Path | None, token: str, state: Path
    ) -> None:
        if bool(store_url) == bool(site):
            raise click.UsageError("Give either --store URL or --site SITE.")
        from rackwright.provider import Registry

        self.registry: Registry = Registry.installed()
        self.client: StoreClient | None = None
        self._tree: Tree | None = None
        self._token, self._state = token, state
        if store_url:
            from rackwright.client import StoreClient

            self.client = StoreClient(store_url, ca=str(ca) if ca else None)
        elif site:
            from rackwright.cli.tree import Tree

            self._tree = Tree(site, self.registry, state)

    def source(self, node: str) -> Source:
        if self._tree is not None:
            from rackwright.cli.tree import TreeSource

            self._tree.bundle(node)
            return TreeSource(self._tree, node)
        from rackwright.delegate import credential
        from rackwright.source import StoreSource

        assert self.client is not None  # noqa: S101 - __init__ sets one of the two
        key = credential(self._state, self.client, node, self._token)
        return StoreSource(self.client, node, key, self._state / node)


class _Shown:
    """Prints reports as they come, from any loop's thread."""

    def __init__(self, *, as_json: bool, verbose: bool, quiet_when_same: bool) -> None:
        self._json, self._verbose, self._quiet = as_json, verbose, quiet_when_same
        self._lock = threading.Lock()
        self._bar: Callable[[Report], None] = lambda _report: None
        self.lines = False
        """One JSON object a line, for daemons, rather than one list at the end."""
        self.reports: list[Report] = []

    def __call__(self, report: Report) -> None:
        with self._lock:
            if not self.lines:
                self.reports.append(report)
                self._bar(report)
                if not self._json:
                    show_report(report, verbose=self._verbose)
                return
            same = not report.error and report.count("in_sync", "released") == len(report.outcomes)
            if self._json:
                click.echo(msgspec.json.encode(report).decode())
            elif not (same and self._quiet) or self._verbose:
                show_report(report, verbose=self._verbose)
            sys.stdout.flush()

    def progress(self, count: int) -> None:
        """Draw how many of ``count`` nodes are done, on a terminal."""
        if count < 2 or not on_terminal():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        bar = Progress(
            "[progress.description]{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        task = bar.add_task("nodes", total=count)
        bar.start()

        def advance(_report: Report) -> None:
            bar.advance(task)
            if bar.finished:
                bar.stop()

        self._bar = advance

    def end(self) -> int:
        if self._json and not self.lines:
            print_json(self.reports)
        return worst(self.reports)


def _go(
    loops: list[Loop],
    origin: _Origin,
    shown: _Shown,
    stop: threading.Event,
    once: bool,
    why_run: bool,
) -> int:
    from rackwright.daemon import serve

    options.log_to_stderr()
    if why_run:
        for loop in loops:
            loop.why_run = True
        once = True
        shown.lines = False
    if once:
        shown.progress(len(loops))
    serve(loops, stop, origin.client, once=once)
    code = shown.end()
    if stop.is_set() and once:
        return 130
    return code
