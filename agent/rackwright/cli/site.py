"""init, lint, schema, why: commands on a site's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.admin import SITE_OR_STORE, connect
from rackwright.cli.ask import origin_text
from rackwright.cli.output import ago, many, print_json, show_problems, table
from rackwright.model.errors import InputError, Problem

if TYPE_CHECKING:
    from rackwright.cli.tree import Tree


def _tree(site: Path, state: Path | None = None) -> Tree:
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry

    # Without a state directory no facts are known: what reads one is deferred, not wrong.
    return Tree(site, Registry.installed(), state or site / ".no-state")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def init(directory: Path) -> int:
    """Make a new site in DIR: one server, one role, one proposal. It lints and plans as it is."""
    import shutil
    import socket
    from importlib.resources import as_file, files

    if directory.exists() and any(directory.iterdir()):
        raise InputError([Problem("it is not empty", "give a new directory", str(directory))])
    with as_file(files("rackwright_proposals")) as package:
        # In a wheel the examples lie in the package, in a checkout beside it.
        inside = package / "examples" / "minimal"
        source = inside if inside.is_dir() else package.parent / "examples" / "minimal"
        shutil.copytree(source, directory, dirs_exist_ok=True)
    host = socket.gethostname().split(".")[0] or "localhost"
    for path in directory.rglob("*.yaml"):
        path.write_text(path.read_text().replace("server1", host))
    click.echo(f"made {directory}: try  rackwright lint {directory}")
    click.echo(f"            and  rackwright plan {host} --site {directory}")
    return 0


@click.command()
@click.argument(
    "site", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[SITE]"
)
@options.as_json
def lint(site: Path, as_json: bool) -> int:
    """Find all errors of SITE, with their lines. Exit code 1 when there are any."""
    compiled = _tree(site).compiled()
    if as_json:
        print_json(
            [
                {**problem._asdict(), "where": problem.where, "severity": severity}
                for severity, problems in (
                    ("error", compiled.problems),
                    ("warning", compiled.warnings),
                )
                for problem in problems
            ]
        )
        return 1 if compiled.problems else 0
    for warning in compiled.warnings:
        click.echo(
            f"{warning.where}: {click.style('warning:', fg='yellow')} {warning.message}", err=True
        )
        if warning.hint:
            click.echo(f"    {click.style('hint:', fg='cyan')} {warning.hint}", err=True)
    if compiled.problems:
        show_problems(compiled.problems)
        return 1
    resources = sum(len(bundle.resources) for bundle in compiled.bundles.values())
    click.echo(
        f"{click.style('ok', fg='green')}  {many(len(compiled.nodes), 'node')}, "
        f"{many(len(compiled.proposals), 'proposal')}, {many(resources, 'resource')}"
    )
    return 0


@click.command()
def schema() -> int:
    """Print the JSON Schema of site files, for editors (yaml-language-server and others)."""
    from rackwright.provider import Registry
    from rackwright_proposals.schema import site_schema

    print_json(site_schema(Registry.installed().nouns()))
    return 0


@click.command()
@click.argument("node")
@click.argument("path", required=False)
@options.site(required=False)
@options.state
@options.store
@click.option(
    "--credential",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="RACKWRIGHT_ADMIN",
    help="File with the store's admin credential.",
)
@options.as_json
def why(
    node: str,
    path: str | None,
    site: Path | None,
    state: Path,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """Say where a value or a resource of NODE comes from; NODE:PATH is the same as NODE PATH.

    PATH is an attribute (vlans.666.name) or a resource (vlan/666, file//etc/motd). With --store it may
    be delegate/OTHER on an admin host: why the store has put OTHER there.
    """
    import msgspec

    if path is None:
        node, _, path = node.partition(":")
        if not path:
            raise click.UsageError("Give NODE PATH, or NODE:PATH as in sw-a1:vlan/666.")
    if site is not None:
        from rackwright_proposals.why import why as explain

        found = msgspec.to_builtins(explain(_tree(site, state).checked(), node, path))
    else:
        found = connect(store_url, ca, credential, SITE_OR_STORE).why(node, path)
    if as_json:
        print_json(found)
    elif "address" in found:
        _show_resource(found)
    else:
        _show_value(found)
    return 0


def _show_value(found: dict[str, Any]) -> None:
    value = json.dumps(found.get("value"), ensure_ascii=False)
    click.echo(f"{found['node']} {click.style(found['path'], bold=True)} = {value}")
    said = found.get("said", [])
    rows = [
        (
            item["level"],
            item["by"],
            json.dumps(item["value"], ensure_ascii=False),
            origin_text(item["origin"]),
            "" if number == len(said) - 1 or isinstance(item["value"], dict) else "overridden",
        )
        for number, item in enumerate(said)
    ]
    click.echo(table(["level", "by", "value", "at", ""], rows))
    if found.get("leaves") and not found.get("origin"):
        click.echo()
        leaves = [(path, origin_text(origin)) for path, origin in found["leaves"].items()]
        click.echo(table(["leaf", "at"], leaves))


def _declarer(node: str, origin: dict[str, Any]) -> str:
    return f"at {origin_text(origin)} by role {origin['role']} of {origin.get('node') or node}"


def _show_resource(found: dict[str, Any]) -> None:
    click.echo(f"{found['node']}:{click.style(found['address'], bold=True)}")
    rows = [("declared at", origin_text(found["origin"])), ("role", found["role"])]
    if found.get("placed"):
        rows.append(("placed here", f"{found['placed']}, {ago(found['since'])}"))
    if found.get("put_by"):
        rows.append(("put here by", found["put_by"]))
    rows += [("deployed by", name) for name in found.get("proposals", [])]
    rows += [("also declared", _declarer(found["node"], one)) for one in found.get("also", [])]
    rows += [("needs", need) for need in found.get("needs", [])]
    rows += [("needed by", need) for need in found.get("needed_by", [])]
    if found.get("waits_for"):
        rows.append(("waits for the fact", found["waits_for"]))
    rows += [
        (key, json.dumps(value, ensure_ascii=False))
        for key, value in found.get("data", {}).items()
        if key != "name"
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"  {name:<{width}}  {value}")
