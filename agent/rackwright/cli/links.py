"""links: what is cabled to what, by the site and by what the devices see."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from rackwright.cli import options
from rackwright.cli.admin import SITE_OR_STORE, admin, connect
from rackwright.cli.output import ago, print_json, table
from rackwright.model import typed
from rackwright.model.errors import InputError, Problem

if TYPE_CHECKING:
    from rackwright_proposals.adopt import Adopted
    from rackwright_proposals.evidence import LinkState

STYLE = {"proven": "green", "unseen": "yellow", "found": "cyan", "contradicted": "red"}


@click.command()
@click.option("--check", is_flag=True, help="Exit 1 when a link is contradicted and not trusted.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Add the found links to their nodes in SITE, to review; without --site print them as YAML.",
)
@options.site(required=False)
@options.state
@admin
@options.as_json
def links(
    check: bool,
    adopt: bool,
    site: Path | None,
    state: Path,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Show every link with its state and the evidence for it.

    proven: declared and seen. unseen: declared, and nothing seen at either end. found: seen, not
    declared. contradicted: declared, and something else is seen.

    With --store they are the store's; with --site alone, from the facts under --state.
    """
    if store_url:
        found = _of_store(connect(store_url, ca, credential).links())
    elif site is not None:
        found = _tree(site, state).links()
    else:
        raise click.UsageError(SITE_OR_STORE)
    if adopt:
        return _adopt(found, site, state, as_json=as_json)
    if as_json:
        from rackwright_proposals.evidence import link_data

        print_json([link_data(link) for link in found])
    else:
        click.echo(shown(found))
    wrong = any(link.state == "contradicted" and not link.trust for link in found)
    return 1 if check and wrong else 0


def shown(found: tuple[LinkState, ...]) -> str:
    """The table."""
    if not found:
        return "no link is declared, and none is seen"
    rows = []
    for link in found:
        state = click.style(link.state, fg=STYLE[link.state])
        if link.trust:
            state += " (trusted)"
        said = [(item.says, ago(item.at)) for item in link.evidence] or [(link.reason, "")]
        rows.append((link.node, link.port, link.peer, link.peer_port, state, *said[0]))
        rows += [("", "", "", "", "", *more) for more in said[1:]]
    return table(["node", "port", "peer", "peer port", "state", "evidence", "age"], rows)


def _of_store(rows: list[dict[str, Any]]) -> tuple[LinkState, ...]:
    from rackwright_proposals.evidence import LinkState

    # It says what is wrong as told at the one end that is shown first.
    said = [{**row, "wrong": [row.get("wrong", ""), ""]} for row in rows]
    return typed.convert(said, tuple[LinkState, ...])


def _tree(site: Path, state: Path) -> Any:
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry

    return Tree(site, Registry.installed(), state)


def _adopt(found: tuple[LinkState, ...], site: Path | None, state: Path, *, as_json: bool) -> int:
    from rackwright_proposals.adopt import adoptable

    wanted = adoptable(found)
    files: tuple[str, ...] = ()
    if site is not None and wanted.links:
        files, refused = _write(wanted, site, state)
        wanted = msgspec.structs.replace(wanted, left=(*wanted.left, *refused))
    if as_json:
        print_json({**msgspec.to_builtins(wanted), "written": files})
        return 0
    if not wanted.links and not wanted.left:
        click.echo("no link is found that the site does not declare", err=True)
    if site is None or files:
        _print(wanted)
    for name in files:
        click.echo(f"wrote {name}: look at it with git diff")
    for why in wanted.left:
        click.echo(f"{click.style('left out:', fg='yellow')} {why}", err=True)
    return 0


def _print(wanted: Adopted) -> None:
    node = ""
    for link in wanted.links:
        if link.node != node:
            node = link.node
            click.echo(click.style(f"# node: {node}", bold=True))
            click.echo("links:")
        note = click.style(f"  # {link.evidence}", dim=True) if link.evidence else ""
        click.echo(f"  {link.line}{note}")


def _write(wanted: Adopted, site: Path, state: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Add the links to the site's files, all or none. Returns the files written, and what could not be
    added, with the reason. Raises InputError when the site would not lint."""
    from rackwright.engine.files import replace
    from rackwright.provider import Registry
    from rackwright_proposals.adopt import written
    from rackwright_proposals.compile import compile_site
    from rackwright_proposals.tree import Source, read_tree

    registry = Registry.installed()
    files = read_tree(site).files
    there = compile_site(Source(files), registry.nouns(), None, registry.platforms).bundles
    taken = {(node, link.port) for node, bundle in there.items() for link in bundle.node.links}
    # The store has not seen yet what was added to SITE and is not committed.
    fresh = [one for one in wanted.links if (one.node, one.port) not in taken]
    had = [
        f"{one.node}:{one.port} to {one.to}: {site} has a link there already"
        for one in wanted.links
        if one not in fresh
    ]
    changed, refused = written(files, fresh)
    made = compile_site(Source({**files, **changed}), registry.nouns(), None, registry.platforms)
    if made.problems:
        raise InputError(
            [
                *made.problems,
                Problem("nothing was written: with the found links the site would not lint"),
            ]
        )
    for name, body in changed.items():
        path = (site / name).resolve()
        replace(path, body, mode=os.stat(path).st_mode & 0o777)  # noqa: PTH116
    return tuple(sorted(changed)), (*had, *refused)
