"""host: what converges managed nodes, and moving everything away from one."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.admin import admin, connect, user
from rackwright.cli.output import ago, many, on_terminal, print_json, style_state, table
from rackwright.model.errors import InputError, Problem, Unreachable

if TYPE_CHECKING:
    from rackwright.client import AdminClient

POLL = 0.5
"""Seconds between two looks at a host that drains."""
STORE_AWAY = 30.0
"""Seconds for which the store may be away (it starts again) before it counts as unreachable."""


@click.group()
def host() -> None:
    """Show the hosts that converge managed nodes, drain one, or resume it."""


@host.command("list", short_help="List the hosts, and what each holds")
@admin
@options.as_json
def list_hosts(
    store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool
) -> int:
    """List the hosts with the role delegate-host: state, nodes held of those that are to be there.

    `4 → 1`: it holds four, and three are to go elsewhere.
    """
    found = connect(store_url, ca, credential).hosts()
    if as_json:
        print_json(found)
        return 0
    rows = [
        (
            item["host"],
            style_state(state_of(item)),
            _holds(len(held(item)), item["share"]),
            ago(item["since"]) if item["since"] else "-",
            ago(item["heard"]) if item["heard"] else "-",
            f"by {item['draining']['who']}, {ago(item['draining']['at'])}"
            if item["draining"]
            else "",
        )
        for item in found["hosts"]
    ]
    if not rows:
        click.echo("no node of the site has the role delegate-host")
        return 0
    click.echo(table(["host", "state", "holds", "alive since", "last heard", ""], rows))
    for item in found["unplaced"]:
        click.echo(f"{item['node']} {style_state('unplaced')}: {item['why']}")
    return 0


@host.command("show", short_help="Show the nodes of HOST, and why each is there")
@click.argument("name", metavar="HOST")
@admin
@options.as_json
def show_host(
    name: str, store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool
) -> int:
    """Show the nodes of HOST: the epoch of each lease, since when it holds it, and why it is there."""
    found = _one(connect(store_url, ca, credential), name)
    if as_json:
        print_json(found)
        return 0
    said = (
        f"last heard {ago(found['heard'])}" if found["heard"] else "not heard since the store began"
    )
    click.echo(f"{click.style(name, bold=True)}  {style_state(state_of(found))}, {said}")
    if found["draining"]:
        click.echo(f"  drained by {found['draining']['who']}, {ago(found['draining']['at'])}")
    rows = [
        (
            item["node"],
            style_state(item["state"]),
            str(item["epoch"] or "-"),
            ago(item["since"]) if item["since"] else "-",
            item["why"],
        )
        for item in found["nodes"]
    ]
    if rows:
        click.echo(table(["node", "state", "epoch", "since", "why"], rows))
    _show_stuck(found)
    return 0


@host.command(short_help="Move everything away from HOST")
@click.argument("name", metavar="HOST")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Give up after so many seconds; it goes on draining.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@admin
@options.as_json
def drain(
    name: str,
    timeout: float | None,
    yes: bool,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Move everything away from HOST, and follow until it holds nothing.

    HOST gets no node until `host resume`. Where no other live host could take some of its nodes, a
    terminal is asked first. Exit codes: 0 it holds nothing and others have it all; 3 the
    time is up, or some nodes can be nowhere else: each is named with the reason.
    """
    client = connect(store_url, ca, credential)
    _confirm(_one(client, name), yes=yes)
    try:
        found = client.drain(name, user(), drain=True)
        found = Drain(client, name, timeout, quiet=as_json).follow(found)
    except KeyboardInterrupt:
        text = f"{name} goes on draining, if the store has heard of it; `rackwright host resume {name}` ends that"
        click.echo(text, err=True)
        raise
    left = held(found)
    if as_json:
        print_json(found)
    elif left:
        click.echo(
            f"gave up after {timeout:g} s: {name} still holds {', '.join(left)}; it goes on draining"
        )
    else:
        click.echo(f"{name} holds nothing")
    if not as_json:
        _show_stuck(found)
    return 3 if left or found["stuck"] else 0


@host.command(short_help="End the drain of HOST")
@click.argument("name", metavar="HOST")
@admin
@options.as_json
def resume(
    name: str, store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool
) -> int:
    """End the drain of HOST: it gets its share again."""
    found = connect(store_url, ca, credential).drain(name, user(), drain=False)
    if as_json:
        print_json(found)
    else:
        there = (
            f"{many(found['share'], 'node')} {'is' if found['share'] == 1 else 'are'} to be there"
        )
        click.echo(f"{name} is {style_state(state_of(found))}; {there}")
    return 0


def _confirm(found: Mapping[str, Any], *, yes: bool) -> None:
    """Say which nodes nobody converges when this host is drained, and on a terminal ask. Raises Abort
    when the answer is no."""
    if not found["only"]:
        return
    name, left = found["host"], ", ".join(found["only"])
    click.echo(f"no other live host can reach {left}: nobody converges what {name} lets go of", err=True)  # fmt: skip
    if not yes and on_terminal() and sys.stdin is not None and sys.stdin.isatty():
        click.confirm(f"Drain {name} all the same?", abort=True, err=True)


class Drain:
    """Follows one drain. ``timeout`` in seconds; None: as long as it takes."""

    def __init__(
        self, client: AdminClient, name: str, timeout: float | None, *, quiet: bool = False
    ) -> None:
        self._client, self._name, self._timeout, self._quiet = client, name, timeout, quiet
        self._stop = threading.Event()
        self._said = -1

    def follow(self, found: dict[str, Any]) -> dict[str, Any]:
        """The host as it is when it holds nothing, or when the time is up. Raises Unreachable when the
        store stays away."""
        began = heard = time.monotonic()
        first = len(held(found))
        try:
            while True:
                left = None if self._timeout is None else began + self._timeout - time.monotonic()
                if not held(found) or (left is not None and left <= 0):
                    return found
                self._show(first, len(held(found)))
                self._stop.wait(POLL if left is None else min(POLL, left))
                try:
                    found = _one(self._client, self._name)
                    heard = time.monotonic()
                except Unreachable:
                    if time.monotonic() - heard > STORE_AWAY:
                        raise
        finally:
            if self._said >= 0 and on_terminal():
                click.echo("\r\033[K", nl=False, err=True)

    def _show(self, first: int, left: int) -> None:
        if self._quiet or left == self._said:
            return
        self._said = left
        text = f"{self._name} holds {left} of {max(first, left)} nodes"
        if on_terminal():
            click.echo(f"\r\033[K{text} …", nl=False, err=True)
        else:
            click.echo(text)


def held(found: Mapping[str, Any]) -> list[str]:
    """The nodes whose lease a host has."""
    return [item["node"] for item in found["nodes"] if item["epoch"] is not None]


def state_of(found: Mapping[str, Any]) -> str:
    """One word (or two) for a host."""
    if not found["draining"]:
        return str(found["state"])
    silent = ", silent" if found["state"] == "silent" else ""
    return ("draining" if held(found) else "drained") + silent


def _holds(held: int, share: int) -> str:
    """``3 of 4``; ``4 → 0`` while more is there than is to be."""
    return f"{held} → {share}" if held > share else f"{held} of {share}"


def _one(client: AdminClient, name: str) -> dict[str, Any]:
    hosts = {item["host"]: item for item in client.hosts()["hosts"]}
    if name not in hosts:
        hint = f"there are: {', '.join(hosts)}" if hosts else "no node has the role delegate-host"
        raise InputError([Problem(f"there is no host {name!r}", hint)])
    found: dict[str, Any] = hosts[name]
    return found


def _show_stuck(found: Mapping[str, Any]) -> None:
    if found["stuck"]:
        click.echo("nowhere else to go:")
    for item in found["stuck"]:
        click.echo(f"  {click.style(item['node'], bold=True)}: {item['why']}")
    if found["stuck"] and found["draining"]:
        until = f"another host can reach them, or `rackwright host resume {found['host']}`"
        click.echo(f"nobody converges them until {until}")
