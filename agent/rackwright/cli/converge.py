"""plan, agent, delegate: the commands that converge."""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from rackwright.cli import options
from rackwright.cli.admin import admin, connect
from rackwright.cli.output import print_json, show_report, worst
from rackwright.cli.shown import Shown

if TYPE_CHECKING:
    from rackwright.cli.tree import Tree
    from rackwright.client import StoreClient
    from rackwright.keeper import Claim, Keeper
    from rackwright.model.report import Report
    from rackwright.provider import Registry
    from rackwright.source import Source


def _left_at_once(command: Callable[..., int]) -> Callable[..., int]:
    """A dry run, which Ctrl-C ends whatever it waits for: it has written nothing."""

    @functools.wraps(command)
    def dry_run(**given: Any) -> int:
        try:
            return command(**given)
        except KeyboardInterrupt:
            click.echo("stopped: nothing was written", err=True)
            # A plain exit would wait for the threads that read devices.
            os._exit(130)

    return dry_run


@click.command()
@click.argument("nodes", nargs=-1, metavar="[NODE…]")
@options.site(required=True)
@options.state
@options.secrets
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/",
    help="Plan a server's files under DIR.",
)
@click.option(
    "--at",
    "here",
    default="",
    metavar="HOST",
    help="Plan as seen from this admin host. [without NODE: the hostname]",
)
@admin
@options.verbose
@options.as_json
@_left_at_once
def plan(
    nodes: tuple[str, ...],
    site: Path,
    state: Path,
    secrets_path: Path | None,
    root: Path,
    here: str,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Show as a diff what a converge of NODE… would do. Writes nothing, ever.

    Without NODE the whole site, in the order in which it would go, with what hangs off each change. Managed
    nodes, and this host, are read; the others are told from their last reports, with --store. Exit codes:
    0 printed; 1 the site is wrong; 2 something fails or is refused; 3 something waits for what is not in
    the plan; 4 a node could neither be read nor is known, or the store does not answer.
    """
    options.log_to_stderr()
    secrets = secrets_path or state / "secrets"
    if nodes:
        source = click.get_current_context().get_parameter_source("store_url")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--store goes with the plan of the whole site: leave NODE out.")
        return _plan_nodes(
            nodes, site, state, secrets, root, here, verbose=verbose, as_json=as_json
        )
    from rackwright.cli.site_lines import plan_data
    from rackwright.cli.site_plan import plan_site
    from rackwright.cli.site_shown import show_plan

    # Why a node was not read stands in the plan itself.
    logging.getLogger("rackwright.reach").setLevel(logging.ERROR)
    store = connect(store_url, ca, credential) if store_url else None
    found = plan_site(site, state=state, secrets=secrets, here=here, root=root, store=store)
    if as_json:
        print_json(plan_data(found))
    else:
        show_plan(found, verbose=verbose)
        if store is None and any(node.by == "nothing" for node in found.nodes):
            click.echo("what other nodes reported last is told by the store: --store URL")
    return found.exit_code


def _plan_nodes(
    nodes: Sequence[str],
    site: Path,
    state: Path,
    secrets: Path,
    root: Path,
    here: str,
    *,
    verbose: bool,
    as_json: bool,
) -> int:
    from rackwright.cli.site_plan import plan_nodes

    def tell(report: Report) -> None:
        if not as_json:
            show_report(report, verbose=verbose)

    reports = plan_nodes(nodes, site, state=state, secrets=secrets, here=here, root=root, tell=tell)
    if as_json:
        print_json(reports)
    return worst(reports)


class _Asked(NamedTuple):
    """What agent and delegate are both asked."""

    store_url: str | None
    ca: Path | None
    site: Path | None
    token: str
    once: bool
    why_run: bool
    state: Path
    secrets_path: Path | None
    interval: float
    splay: float
    verbose: bool
    as_json: bool

    @property
    def secrets(self) -> Path:
        """Where this host's secrets are."""
        return self.secrets_path or self.state / "secrets"


def _converging(command: Callable[..., int]) -> Callable[..., int]:
    """The options of agent and delegate, handed over as one `_Asked`."""

    @functools.wraps(command)
    def gathered(**given: Any) -> int:
        asked = _Asked(**{name: given.pop(name) for name in _Asked._fields})
        return command(asked, **given)

    for option in reversed(
        (
            options.store,
            options.site(required=False),
            click.option(
                "--token",
                default="",
                envvar="RACKWRIGHT_TOKEN",
                help="Enrolment token, for the first run with a store.",
            ),
            click.option(
                "--once", is_flag=True, help="Converge once and leave; else run as a daemon."
            ),
            click.option("--why-run", is_flag=True, help="Show what would be done; write nothing."),
            options.state,
            options.secrets,
            click.option(
                "--interval",
                type=click.FloatRange(1),
                default=1800.0,
                show_default=True,
                help="Seconds between runs.",
            ),
            click.option(
                "--splay",
                type=click.FloatRange(0),
                default=300.0,
                show_default=True,
                help="At most so many seconds more, by chance.",
            ),
            options.verbose,
            options.as_json,
        )
    ):
        gathered = option(gathered)
    return gathered


@click.command()
@click.option("--node", default=None, help="This host's node name. [its hostname]")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default="/",
    help="Converge file-like resources under DIR.",
)
@_converging
def agent(asked: _Asked, node: str | None, root: Path) -> int:
    """Converge this host: what its roles and proposals say it is.

    As a daemon it runs every --interval, at once when the store wakes it, and on SIGHUP or SIGUSR1.
    SIGTERM finishes the resource in hand and leaves.
    """
    return _go(asked, [node or os.uname().nodename], here=node or os.uname().nodename, root=root)


@click.command()
@click.argument("nodes", nargs=-1, required=True, metavar="NODE…")
@click.option("--at", "here", default="", metavar="HOST", help="The node name of this admin host.")
@_converging
def delegate(asked: _Asked, nodes: tuple[str, ...], here: str) -> int:
    """Converge managed nodes from this admin host, each on its own."""
    return _go(asked, nodes, here=here, leased=True)


def _go(
    asked: _Asked,
    nodes: Sequence[str],
    *,
    here: str,
    root: Path = Path("/"),
    leased: bool = False,
) -> int:
    from rackwright.daemon import serve
    from rackwright.delegate import loops
    from rackwright.loop import Pace

    options.log_to_stderr()
    # Not for the commands that the agent runs.
    os.environ.pop("RACKWRIGHT_TOKEN", None)
    once = asked.once or asked.why_run
    stop = threading.Event()
    shown = Shown(as_json=asked.as_json, verbose=asked.verbose, lines=not once)
    origin = _Origin(asked.store_url, asked.ca, asked.site, asked.token, asked.state)
    keepers = _Keepers(origin, asked.state) if leased and not asked.why_run else None
    made = loops(
        nodes,
        origin.source,
        claim=keepers.claim if keepers is not None else lambda _node: None,
        registry=origin.registry,
        state=asked.state,
        secrets=asked.secrets,
        here=here,
        root=root,
        pace=Pace(asked.interval, asked.splay),
        why_run=asked.why_run,
        stop=stop,
        report=shown,
        progress=shown.steps if len(nodes) == 1 else None,
    )
    if once:
        shown.nodes(len(made))
    if keepers is not None:
        keepers.start()
    try:
        serve(made, stop, origin.client, once=once)
    finally:
        if keepers is not None:
            keepers.close()
    code = shown.end()
    return 130 if stop.is_set() and once else code


class _Keepers:
    """The leases of managed nodes that are converged by hand, each with the node's own credential."""

    def __init__(self, origin: _Origin, state: Path) -> None:
        self._origin, self._state = origin, state
        self._kept: list[tuple[Keeper, Claim]] = []

    def claim(self, node: str) -> Claim | None:
        """None without a store: then nobody else is known of."""
        from rackwright.keeper import Claim, Keeper

        if self._origin.client is None:
            return None
        claim = Claim(node, self._state / node)
        keeper = Keeper(self._origin.client, self._origin.key(node))
        self._kept.append((keeper, claim))
        return claim

    def start(self) -> None:
        """Ask for all of them."""
        for keeper, claim in self._kept:
            keeper.start()
            keeper.want(claim)

    def close(self) -> None:
        """Give all of them back."""
        for keeper, claim in self._kept:
            keeper.give_up(claim)
        for keeper, claim in self._kept:
            keeper.close()
            claim.unlock()


class _Origin:
    """Where bundles come from: a store or a site's tree, exactly one of them."""

    def __init__(
        self, store_url: str | None, ca: Path | None, site: Path | None, token: str, state: Path
    ) -> None:
        store_url = options.store_or_site(store_url, site)
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
        from rackwright.source import StoreSource, kept_credential

        assert self.client is not None  # noqa: S101 - __init__ sets one of the two
        renewed = functools.partial(kept_credential, self._state, node)
        return StoreSource(self.client, node, self.key(node), self._state / node, renewed)

    def key(self, node: str) -> str:
        """The node's own credential at the store."""
        from rackwright.source import credential

        assert self.client is not None  # noqa: S101 - without a store nobody asks
        return credential(self._state, self.client, node, self._token)
