"""sequence, watch, why-waiting: what comes when, where it stands, and why something waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.admin import SITE_OR_STORE, admin, connect
from rackwright.cli.output import (
    STANDS_STYLE,
    STATE_STYLE,
    ago,
    many,
    print_json,
    stands_text,
    table,
)
from rackwright.model.errors import InputError, Problem

if TYPE_CHECKING:
    from rackwright_proposals.sequence import Graph

GROUPS_SHOWN = 3
"""Groups of a cell that are spelled out; the rest is counted."""


@click.command()
@click.argument("names", nargs=-1, metavar="[NODE…]")
@options.site(required=False)
@options.state
@admin
@options.as_json
def sequence(
    names: tuple[str, ...],
    site: Path | None,
    state: Path,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Show in which order everything goes, wave by wave.

    With NODE… (or addresses, sw-a1:vlan/20) only these, what comes before them and what comes after.
    With --store also where the revision in force stands in it.
    """
    if site:
        found = _of_site(site, state)
    else:
        found = connect(store_url, ca, credential, SITE_OR_STORE).sequence()
    steps = {step["address"]: step for wave in found["waves"] for step in wave}
    relation = _relations(names, steps)
    shown = {
        "commit": found["commit"],
        "waves": [
            wave
            for all_of_it in found["waves"]
            if (wave := [step for step in all_of_it if step["address"] in relation])
        ],
        "longest": found["longest"],
    }
    if as_json:
        print_json(shown)
    else:
        _show_sequence(shown, relation if names else {}, with_state=site is None)
    return 0


def _of_site(site: Path, state: Path) -> dict[str, Any]:
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry
    from rackwright_proposals.sequence import graph_of, implied_of

    compiled = Tree(site, Registry.installed(), state).checked()
    graph = graph_of(compiled.bundles, implied_of(compiled))
    return {
        "commit": compiled.commit,
        "waves": [
            [{"address": step, "needs": list(graph.needs[step])} for step in wave]
            for wave in graph.waves
        ],
        "longest": list(graph.longest),
    }


def _relations(names: Iterable[str], steps: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """Step → ``before``, ``after`` or empty, for what is to be shown."""
    from rackwright_proposals.sequence import Graph

    graph: Graph = Graph({step: tuple(about["needs"]) for step, about in steps.items()})
    asked: list[str] = []
    for name in names:
        meant = graph.of(name)
        if not meant:
            import difflib

            known = {step.partition("/")[0].rpartition(":")[0] for step in steps} | set(steps)
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "give a node or node:type/name"
            raise InputError([Problem(f"nothing is declared for {name!r}", hint)])
        asked.extend(meant)
    if not names:
        return dict.fromkeys(steps, "")
    return {
        **dict.fromkeys(graph.after(asked), "after"),
        **dict.fromkeys(graph.before(asked), "before"),
        **dict.fromkeys(asked, ""),
    }


def _show_sequence(found: dict[str, Any], relation: Mapping[str, str], *, with_state: bool) -> None:
    rows: list[tuple[str, ...]] = []
    nodes: set[str] = set()
    total = 0
    for number, wave in enumerate(found["waves"], 1):
        first = str(number)
        for (node, _, rel, remove), group in _groups(wave, relation).items():
            nodes.add(node)
            total += len(group)
            what = _few(step["address"].removeprefix(f"{node}:") for step in group)
            what = f"{what} (to go)" if remove else what
            waits = _few(_flat(step["needs"] for step in group))
            cells: tuple[str, ...] = (first, node, what, waits)
            if with_state:
                cells = (*cells, stands_text(_count(step["state"] for step in group)))
            rows.append((first, rel, *cells[1:]) if relation else cells)
            first = ""
    if not rows:
        click.echo("nothing is declared")
        return
    head = ["wave", *([""] if relation else []), "node", "resources", "waits for"]
    head += ["stands"] if with_state else []
    click.echo(table(head, rows))
    waves = len(found["waves"])
    click.echo(f"{many(waves, 'wave')}, {many(total, 'resource')} on {many(len(nodes), 'node')}")
    if len(found["longest"]) > 1 and not relation:
        click.echo(f"longest chain: {' → '.join(found['longest'])}")


def _groups(
    wave: Iterable[dict[str, Any]], relation: Mapping[str, str]
) -> dict[tuple[str, str, str, bool], list[dict[str, Any]]]:
    from rackwright_proposals.sequence import node_of, type_of

    found: dict[tuple[str, str, str, bool], list[dict[str, Any]]] = {}
    for step in sorted(wave, key=lambda step: node_of(step["address"])):
        address = step["address"]
        key = (node_of(address), type_of(address), relation.get(address, ""), step.get("remove", False))  # fmt: skip
        found.setdefault(key, []).append(step)
    return found


def _few(texts: Iterable[str]) -> str:
    """``vlan/20 and 30 more``, and so on, as short as a cell must be."""
    from rackwright_proposals.sequence import grouped

    groups = grouped(texts)
    more = len(groups) - GROUPS_SHOWN
    return ", ".join(groups[:GROUPS_SHOWN]) + (f", and {more} more kinds" if more > 0 else "")


def _flat(lists: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(item for items in lists for item in items))


def _count(texts: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for text in texts:
        found[text] = found.get(text, 0) + 1
    return found


@click.command("why-waiting")
@click.argument("name", metavar="NODE")
@admin
@options.as_json
def why_waiting(
    name: str, store_url: str | None, ca: Path | None, credential: Path | None, as_json: bool
) -> int:
    """Show what NODE waits for, down to the root: the last error, since when, and who can act."""
    found = connect(store_url, ca, credential).waiting(name)
    if as_json:
        print_json(found)
    else:
        show_waiting(found)
    return 0


def show_waiting(found: dict[str, Any]) -> None:
    """One block for each root."""
    chains = found["chains"]
    if not chains:
        click.echo(f"{click.style(found['node'], bold=True)} waits for nothing")
        return
    late = click.style(", overdue", fg="red") if found["overdue"] else ""
    waited = found["waiting_since"]
    since = f"has waited for {ago(waited).removesuffix(' ago')}" if waited else "waits"
    click.echo(
        f"{click.style(found['node'], bold=True)} {since}{late}: {many(len(chains), 'reason')}"
    )
    for chain in chains:
        click.echo("")
        for depth, step in enumerate(chain["path"]):
            arrow = "  " if not depth else "  " + "   " * (depth - 1) + "└─ "
            state = click.style(step["state"], fg=STANDS_STYLE.get(step["state"], "magenta"))
            when = f", {ago(step['since'])}" if step["since"] else ""
            tell = "" if step["state"] in ("node", "fact", "rollout") else f"  {state}{when}"
            why = f" ({step['why']})" if step["why"] else ""
            click.echo(f"{arrow}{step['what']}{tell}{why}")
        colour = STATE_STYLE.get(chain["kind"], "magenta")
        said = click.style(f"{chain['kind']}:", fg=colour, bold=True)
        click.echo(f"    {said} {chain['error']}")
        if chain["since"]:
            late = click.style(" (overdue)", fg="red") if chain["overdue"] else ""
            click.echo(f"    since: {ago(chain['since'])}{late}")
        click.echo(f"    who can act: {chain['act']}")
        if chain["waiting"] > 1:
            click.echo(f"    {chain['waiting']} resources of {found['node']} wait for this")


@click.command()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Give up after so many seconds.",
)
@admin
@options.as_json
def watch(
    timeout: float | None,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Follow the revision in force until every node has verified it, or nothing goes on by itself.

    The store looks at its branch first, so a commit that was just pushed is what is followed. Exit
    codes as for a run: 0 all verified; 1 the newest commit is refused; 2 something failed; 3 something
    waits for what does not come; 4 a node cannot be reached, or the store. With --json it prints an object
    a line, whenever something is new; the last one has the exit code as `code`.
    """
    from rackwright.cli.watching import Watch

    return Watch(connect(store_url, ca, credential), timeout, as_json=as_json).run()
