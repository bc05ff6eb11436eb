"""status, node, proposal, runs, token: what people ask a store."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click

from rackwright.cli import options
from rackwright.cli.admin import admin, connect
from rackwright.cli.node_words import matter_of, state_of
from rackwright.cli.output import ago, many, print_json, style_state, table


@click.command()
@admin
@options.as_json
def status(store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool) -> int:
    """Show every node: revision, state, last run, what it waits for."""
    found = connect(store_url, ca, credential).status()
    if as_json:
        print_json(found)
    else:
        show_status(found)
    return 0


def show_status(found: dict[str, Any]) -> None:
    """The table of all nodes, and above it how the store itself is doing."""
    for line in store_lines(found["store"]):
        click.echo(line)
    if any(item["state"] != "done" for item in found["rollouts"]):
        from rackwright.cli.rollout import rollout_line

        for item in found["rollouts"]:
            if item["state"] != "done":
                click.echo(rollout_line(item))
    rows = []
    for node in found["nodes"]:
        said = matter_of(node, found["rollouts"])
        if not said and node["pending"]:
            said = f"{node['outstanding']} to do for {node['pending'][:10]}"
        if node["at"]:
            said = f"at {node['at']}" + (f": {said}" if said else "")
        if node["overdue"]:
            waited = ago(node["waiting_since"]).removesuffix(" ago")
            late = click.style(f"overdue, has waited for {waited}", fg="red")
            said = f"{late}: {said}" if said else late
        if node["state"] == "changed" and not node["pending"]:
            said = said or counts_text({**node["counts"], "in_sync": 0})
        rows.append(
            (
                node["node"],
                node["type"],
                style_state(state_of(node)),
                node["revision"][:10] or "-",
                ago(node["last_run"]) if node["last_run"] else "-",
                said,
            )
        )
    click.echo(table(["node", "type", "state", "revision", "last run", ""], rows))
    for gone in found["retired"]:
        why = f": {gone['why']}" if gone["why"] else ""
        click.echo(f"{gone['node']} was retired by {gone['who']}, {ago(gone['at'])}{why}")


def store_lines(store: dict[str, Any]) -> list[str]:
    """The revision in force, and why the branch's head is not it when it is not."""
    force, refused = store.get("in_force"), store.get("refused")
    lines = []
    if force:
        lines.append(f"{store['site']} at {click.style(force['commit'][:10], bold=True)}")
    if refused:
        problems = refused["problems"]
        what = f"{refused['commit'][:10]} is refused, {many(len(problems), 'error')}:"
        lines.append(click.style(what, fg="red"))
        for problem in problems[:10]:
            hint = f" ({problem['hint']})" if problem["hint"] else ""
            lines.append(f"  {problem['where']}: {problem['message']}{hint}")
    if store["error"]:
        lines.append(click.style(store["error"], fg="red"))
    return lines


@click.command()
@click.argument("name", required=False)
@admin
@options.as_json
def node(
    name: str | None, store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool
) -> int:
    """Show node NAME as the store knows it; without NAME list the nodes."""
    client = connect(store_url, ca, credential)
    if name is None:
        nodes = client.nodes()
        if as_json:
            print_json(nodes)
        else:
            rows = [
                (item["node"], item["type"], item["platform"], ", ".join(item.get("roles", [])))
                for item in nodes
            ]
            click.echo(table(["node", "type", "platform", "roles"], rows))
        return 0
    found = client.node(name)
    if as_json:
        print_json(found)
        return 0
    about = found["status"]
    click.echo(
        f"{click.style(name, bold=True)}  {about['type']}, {about['platform']}, {style_state(state_of(about))}"
    )
    if about["error"]:
        click.echo(f"  {about['error']}")
    resources: list[tuple[str, str, str]] = []
    outstanding = set(found["outstanding"])
    for item in found["bundle"].get("resources", []):
        address = f"{item['type']}/{item['data']['name']}"
        done = address not in outstanding
        state = click.style("verified", fg="green") if done else click.style("to do", fg="yellow")
        resources.append((address, state, origin_text(item["origin"])))
    for item in about["deferred"]:
        waits = click.style(f"waits for the fact {item['fact']}", fg="magenta")
        resources.append((item["address"], waits, ""))
    click.echo(table(["resource", "state", "declared at"], resources))
    return 0


def origin_text(origin: dict[str, Any] | None) -> str:
    """``file:line@commit``"""
    if not origin:
        return ""
    commit = f"@{origin['commit'][:10]}" if origin.get("commit") else ""
    return f"{origin['file']}:{origin['line']}{commit}"


@click.command()
@admin
@options.as_json
def proposal(store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool) -> int:
    """Show the proposals in force and where they are deployed."""
    found = connect(store_url, ca, credential).proposals()
    if as_json:
        print_json(found)
        return 0
    rows = [
        (item["proposal"], role, ", ".join(nodes), origin_text(item["origin"]))
        for item in found
        for role, nodes in (item["deploy"] or {"-": []}).items()
    ]
    click.echo(table(["proposal", "role", "nodes", "at"], rows))
    return 0


@click.command()
@click.argument("name", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@admin
@options.as_json
def runs(
    name: str | None,
    limit: int,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Show the last runs, of node NAME or of all, newest first."""
    found = connect(store_url, ca, credential).runs(name or "", limit)
    if as_json:
        print_json(found)
        return 0
    if not found:
        click.echo(f"no run of {name} is known" if name else "no run is known")
        return 0
    rows = [
        (
            ago(item["finished"]),
            item["node"],
            item["revision"][:10] or "-",
            f"{item['finished'] - item['started']:.1f} s",
            counts_text(item["counts"]),
            item["error"],
        )
        for item in found
    ]
    click.echo(table(["when", "node", "revision", "took", "outcome", ""], rows))
    return 0


def counts_text(counts: dict[str, int]) -> str:
    """``2 changed, 14 in sync``, coloured."""
    order = ["changed", "removed", "released", "blocked", "failed", "refused", "in_sync"]
    return ", ".join(
        f"{counts[state]} {style_state(state).replace('_', ' ')}"
        for state in order
        if counts.get(state)
    )


@click.group()
def token() -> None:
    """Make one-time enrolment tokens."""


@token.command("create")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE…")
@click.option(
    "--ttl",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    help="Seconds for which it is good.",
)
@admin
@options.as_json
def create(
    nodes: tuple[str, ...],
    ttl: float,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Make a token that enrols each NODE once. It is shown once and kept nowhere in clear."""
    made = connect(store_url, ca, credential).create_token(nodes, ttl)
    if as_json:
        print_json(made)
        return 0
    click.echo(made["token"])
    if os.isatty(1):
        left = max(0, made["expires"] - time.time())
        click.echo(f"good once for {', '.join(made['nodes'])}, for {left / 60:.0f} min", err=True)
    return 0
