"""delegates: the daemon of an admin host's delegates."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import click

from rackwright.cli import options
from rackwright.cli.shown import Shown


@click.command()
@click.option("--node", "host", default=None, help="This host's node name. [its hostname]")
@options.store
@options.state
@options.secrets
@click.option(
    "--interval",
    type=click.FloatRange(1),
    default=1800.0,
    show_default=True,
    help="Seconds between runs of a managed node.",
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
def delegates(
    host: str | None,
    store_url: str | None,
    ca: Path | None,
    state: Path,
    secrets_path: Path | None,
    interval: float,
    splay: float,
    verbose: bool,
    as_json: bool,
) -> int:
    """Converge the managed nodes that the store has placed on this host.

    Which they are is the state of this host, and its own agent keeps it. Runs as a daemon beside the
    agent, with the agent's credential; the role delegate-host installs it. SIGTERM finishes the
    resource in hand of each node and gives all leases back.
    """
    from rackwright.client import StoreClient
    from rackwright.engine.files import run_lock
    from rackwright.hosting import Delegates, serve
    from rackwright.loop import Pace
    from rackwright.model.address import NODE_NAME
    from rackwright.provider import Registry

    if not store_url:
        raise click.UsageError("Give --store URL: without a store nothing is placed on a host.")
    name = host or os.uname().nodename
    if not NODE_NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} cannot be a node's name: give --node HOST.")
    options.log_to_stderr()
    shown = Shown(as_json=as_json, verbose=verbose, lines=True)
    with run_lock(state / name / "delegates.lock"):
        shared = Delegates(
            host=name,
            client=StoreClient(store_url, ca=str(ca) if ca else None),
            registry=Registry.installed(),
            state=state,
            secrets=secrets_path or state / "secrets",
            pace=Pace(interval, splay),
            report=shown,
        )
        serve(shared, threading.Event())
    return 0
