"""sim: simulated devices for a site's managed nodes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.output import print_json, table
from rackwright.model import typed
from rackwright.model.errors import InputError, Permanent, Problem

if TYPE_CHECKING:
    from rackwright_sim.run import Farm


@click.command()
@options.site(required=True)
@options.secrets
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the devices remember what they saved. [they forget all when they stop]",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NODE=FAULT",
    help="Let NODE misbehave: hang, garbage, refuse, reject, lie, drop_after:N. May be repeated.",
)
@click.option(
    "--latency", type=click.FloatRange(0), default=0.0, help="Seconds before each answer."
)
@options.as_json
def sim(
    site: Path,
    secrets_path: Path | None,
    state: Path | None,
    faults: tuple[str, ...],
    latency: float,
    as_json: bool,
) -> int:
    """Start a simulated device for each managed node of SITE, where its reach says, until Ctrl-C.

    Devices listen on the addresses that the site names, so these should be 127.0.0.1 with high
    ports; serial lines are ptys under the path that the site names.
    """
    farm = start(site, secrets_path or options.default_state() / "secrets", state, faults, latency)
    try:
        if as_json:
            print_json(farm.table())
        else:
            rows = [
                (row["node"], row["platform"], row["transport"], row["address"], row["host_key"])
                for row in farm.table()
            ]
            click.echo(table(["node", "platform", "over", "at", "host key"], rows))
            for sentence in farm.skipped:
                click.echo(click.style(sentence, fg="yellow"), err=True)
            click.echo("devices are up; Ctrl-C ends them")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        farm.stop()
    return 0


def start(
    site: Path,
    secrets_path: Path,
    state: Path | None,
    faults: tuple[str, ...] = (),
    latency: float = 0.0,
) -> Farm:
    """Simulators for the managed nodes of ``site``. Raises InputError."""
    # Before any thread starts, so that all of them leave the signals to sigwait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry
    from rackwright.vault import read_secrets
    from rackwright_sim.run import SimError, SimLink, SimNode, SimWay, start_for_site

    bundles = Tree(site, Registry.installed(), site / ".no-state").checked().bundles
    misbehaving = dict(_fault(text, bundles) for text in faults)
    secrets = read_secrets(secrets_path)
    nodes = [
        SimNode(
            name=node.name,
            platform=node.platform,
            ways=tuple(
                SimWay(way.transport, _revealed(way.options, secrets)) for way in node.reach
            ),
            links=tuple(SimLink(link.port, link.peer, link.peer_port) for link in node.links),
            latency=latency,
            **misbehaving.get(node.name, {}),
        )
        for node in (bundle.node for bundle in bundles.values())
        if node.managed
    ]
    if not nodes:
        raise InputError([Problem("the site has no managed node to simulate", "", str(site))])
    try:
        return start_for_site(nodes, state=state)
    except SimError as error:
        raise Permanent(str(error)) from error


def _revealed(values: dict[str, Any], secrets: dict[str, str]) -> dict[str, Any]:
    from rackwright.model.secret import reveal

    revealed: dict[str, Any] = reveal(values, secrets)
    return revealed


def _fault(text: str, nodes: Any) -> tuple[str, dict[str, Any]]:
    from rackwright_sim.faults import Faults

    node, equals, fault = text.partition("=")
    name, _, number = fault.partition(":")
    known = {field.name: field.type for field in Faults.__dataclass_fields__.values()}
    if not equals or node not in nodes or name not in known:
        raise click.UsageError(
            f"--fault {text}: write NODE=FAULT with a node of the site and one of {', '.join(known)}"
        )
    if name == "drop_after":
        if not number.isdecimal():
            raise click.UsageError(f"--fault {text}: write {node}=drop_after:N")
        return node, {"faults": Faults(drop_after=int(number))}
    return node, {"faults": typed.convert({name: True}, Faults)}
