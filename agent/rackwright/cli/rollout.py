"""rollout: how far proposals that go out wave by wave have come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rackwright.cli import options
from rackwright.cli.admin import SITE_OR_STORE, admin, connect
from rackwright.cli.output import ago, print_json, table
from rackwright.model.errors import InputError, Problem

STYLE = {"done": "green", "open": "cyan", "going": "cyan", "waiting": "magenta", "stopped": "red"}
NODES_SHOWN = 4
"""Nodes of a wave that are named; the rest is counted."""


@click.command()
@click.argument("proposal", required=False)
@options.site(required=False)
@options.state
@admin
@options.as_json
def rollout(
    proposal: str | None,
    site: Path | None,
    state: Path,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Show how far the rollout of PROPOSAL has come, or every rollout, wave by wave.

    With --store as the store knows it; with --site by what lies under --state. Exit codes: 0 all are
    done; 2 one is stopped; 3 one is going on.
    """
    if site is not None:
        found = _of_site(site, state)
    else:
        found = connect(store_url, ca, credential, SITE_OR_STORE).rollouts()
    if proposal is not None:
        found = [_named(proposal, found)]
    if as_json:
        print_json(found)
    else:
        _show(found)
    return exit_code(found)


def exit_code(found: Iterable[Mapping[str, Any]]) -> int:
    """Stopped comes before going on, and that before done."""
    states = {item["state"] for item in found}
    return 2 if "stopped" in states else 3 if "going" in states else 0


def rollout_line(item: Mapping[str, Any]) -> str:
    """One rollout in a line."""
    waves, state = item["waves"], item["state"]
    nodes = sum(len(wave["nodes"]) for wave in waves)
    done = sum(len(wave["done"]) for wave in waves)
    at = sum(wave["state"] == "done" for wave in waves)
    said = f"{at} of {len(waves)} waves done, {done} of {nodes} nodes"
    why = f": {item['why']}" if item["why"] else ""
    since = f" for {ago(item['since']).removesuffix(' ago')}" if item["since"] else ""
    return (
        f"rollout of {click.style(item['proposal'], bold=True)} "
        f"{click.style(state, fg=STYLE[state])}{since}, {said}{why}"
    )


def _named(name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    known = {item["proposal"]: item for item in found}
    if name in known:
        return known[name]
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    there = f"there are: {', '.join(known)}" if known else "no proposal has one"
    hint = f"did you mean {near[0]}?" if near else there
    raise InputError([Problem(f"there is no proposal {name!r} with a `rollout`", hint)])


def _of_site(site: Path, state: Path) -> list[dict[str, Any]]:
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry

    return Tree(site, Registry.installed(), state).rollouts()


def _show(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("no proposal has a rollout")
        return
    for i, item in enumerate(found):
        if i:
            click.echo("")
        click.echo(rollout_line(item))
        rows = [
            (
                str(number),
                nodes_text(wave["nodes"]),
                click.style(wave["state"], fg=STYLE[wave["state"]]),
                f"{wave['verified']}/{wave['resources']}",
                click.style(_failed(wave["failed"]), fg="red") if wave["failed"] else "",
            )
            for number, wave in enumerate(item["waves"], 1)
        ]
        if rows:
            click.echo(table(["wave", "nodes", "state", "verified", "failed"], rows))


def nodes_text(nodes: Sequence[str]) -> str:
    """``web1, web2, web3, web4 and 12 more``."""
    more = len(nodes) - NODES_SHOWN
    return ", ".join(nodes[:NODES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _failed(failed: Mapping[str, str]) -> str:
    node, why = next(iter(failed.items()))
    more = len(failed) - 1
    text = why if why.startswith(f"{node}:") else f"{node}: {why}"
    return text + (f" (and {more} more)" if more else "")
