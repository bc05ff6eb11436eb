"""outlet: look at a PDU's outlets, and reboot one. Nothing here is a declaration: it happens once."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.outlet_unit import Asked, unit
from rackwright.cli.output import print_json, table
from rackwright.model.errors import InputError, Permanent, Problem, RackwrightError

if TYPE_CHECKING:
    from rackwright.model.site import Node
    from rackwright.provider import AnyProvider, Registry, Surroundings


def _asked(command: Callable[..., int]) -> Callable[..., int]:
    """The options that say where the node is found, and with which secrets, handed over as one."""

    @functools.wraps(command)
    def gathered(**given: Any) -> int:
        asked = Asked(**{name: given.pop(name) for name in Asked._fields})
        return command(asked, **given)

    given = click.option(
        "--at", "here", default="", metavar="HOST", help="The node name of this admin host."
    )(gathered)
    given = options.site(required=False)(options.state(options.secrets(given)))
    return options.store(given)


def _host(asked: Asked) -> str:
    return asked.here or os.uname().nodename


@click.group()
def outlet() -> None:
    """List a PDU's outlets, or reboot one."""


@outlet.command("list")
@click.argument("node")
@_asked
@options.as_json
def list_(asked: Asked, node: str, as_json: bool) -> int:
    """Show the outlets of NODE as they are now, and what each feeds. Reads only."""
    from rackwright.model.change import Wanted
    from rackwright.provider import Registry, Surroundings

    options.log_to_stderr()
    registry = Registry.installed()
    told = unit(node, asked, registry, _host(asked)).node
    noun = registry.nouns()["outlet"]
    around = Surroundings(state=asked.state / node)
    with _session(told, registry, asked, around) as (provider, session):
        found = provider.read(session, Wanted(frozenset({noun}), {}))
    rows: list[dict[str, Any]] = []
    for seen in found.values():
        power, label = getattr(seen, "state", None), getattr(seen, "label", None)
        feeds = _feeds(told, provider, registry, seen.name)
        rows.append({"outlet": seen.name, "state": power, "label": label, "feeds": feeds})
    if as_json:
        print_json(rows)
        return 0
    shown = [
        [row["outlet"], row["state"] or "?", row["label"] or "", ", ".join(row["feeds"])]
        for row in rows
    ]
    click.echo(table(["outlet", "state", "label", "feeds"], shown))
    return 0


@outlet.command()
@click.argument("address", metavar="NODE/OUTLET")
@_asked
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--force",
    is_flag=True,
    help="Even if the outlet feeds this admin host; and with --yes, even if it is the last live feed "
    "of a node that answers.",
)
@options.as_json
def reboot(asked: Asked, address: str, yes: bool, force: bool, as_json: bool) -> int:
    """Switch the outlet NODE/OUTLET off and on again, once: ``rackwright outlet reboot pdu-a1/3``.

    The outlet must be on. The unit's own command is used where it has one: it is carried out to its
    end even if this program is killed. With --store it is done under the node's lease, by the delegate
    on this host if the store has put the node here.
    """
    from rackwright.cli import outlet_reboot
    from rackwright.provider import Registry

    options.log_to_stderr()
    name, slash, number = address.partition("/")
    number = number.removeprefix("outlet/")
    if not (name and slash and number):
        raise click.UsageError(f"NODE/OUTLET, as in pdu-a1/3, and not {address!r}")
    registry, host = Registry.installed(), _host(asked)
    told = unit(name, asked, registry, host)
    try:
        registry.nouns()["outlet"](name=number)
    except ValueError as error:
        raise InputError([Problem(f"{address}: {error}")]) from None
    provider = registry.provider(told.node.platform)
    fed = _feeds(told.node, provider, registry, number)
    if not force and any(end.partition(":")[0] == host for end in fed):
        raise Permanent(f"{address} feeds {', '.join(fed)}, this admin host: --force does it still")
    if not yes or not force:
        wanted = _canonical(provider, registry, number)
        dark = [
            why
            for port, why in told.last_feeds().items()
            if _canonical(provider, registry, port) == wanted
        ]
        if not yes:
            _confirm(f"{name}/{number}", fed, dark)
        elif dark:
            raise Permanent(f"{address}: {'; '.join(dark)}: --force does it still")
    began = time.monotonic()
    ended = outlet_reboot.reboot(told, number, registry, asked, host)
    seconds = time.monotonic() - began
    if as_json:
        print_json(
            {
                "node": name,
                "outlet": number,
                "state": ended.state,
                "error": ended.error,
                "via": ended.via,
                "seconds": round(seconds, 1),
            }
        )
    elif ended.error:
        click.echo(click.style("error: ", fg="red", bold=True) + ended.error, err=True)
    else:
        done = click.style(ended.state, fg="green")
        click.echo(f"{name}/{number}: {done}, it is on again, {seconds:.0f} s")
    return {"rebooted": 0, "failed": 2, "unreachable": 4, "stopped": 130}[ended.state]


def _confirm(address: str, fed: list[str], dark: list[str]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: --yes says that it is meant")
    for why in dark:
        click.echo(click.style("warning: ", fg="yellow", bold=True) + why, err=True)
    feeds = f", which feeds {', '.join(fed)}" if fed else ""
    click.confirm(f"Take the power of {address}{feeds}, and give it back?", abort=True, err=True)


@contextmanager
def _session(
    node: Node, registry: Registry, asked: Asked, around: Surroundings
) -> Iterator[tuple[Any, Any]]:
    """The node's provider and an open session, as a converge opens it."""
    from rackwright.reach import Reach
    from rackwright.vault import read_secrets

    provider = registry.provider(node.platform)
    if not node.reach:
        raise Permanent(f"{node.name} has no `reach`: it is no managed node")
    reach = Reach(provider, asked.here)
    try:
        session = reach.session(node, read_secrets(asked.secrets), around)
        yield getattr(provider, "chosen", provider), session  # of `platform: auto`
    finally:
        reach.close()


def _feeds(node: Node, provider: AnyProvider, registry: Registry, name: str) -> list[str]:
    """What the site's links say hangs on the outlet ``name``: ``web1:psu1``, or ``web1`` where the
    power supply has no name of its own."""
    wanted = _canonical(provider, registry, name)
    return [
        link.peer
        if link.peer_port == f"{node.name}/{link.port}"
        else f"{link.peer}:{link.peer_port}"
        for link in node.links
        if _canonical(provider, registry, link.port) == wanted
    ]


def _canonical(provider: AnyProvider, registry: Registry, written: str) -> str:
    """The one name of the outlet that is called ``written``, or ``outlet/written``."""
    name = written.removeprefix("outlet/")
    try:
        return provider.canonical(registry.nouns()["outlet"](name=name)).name
    except (RackwrightError, ValueError):
        return name
