"""init, lint, schema, why: commands on a site's files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rackwright.cli import options
from rackwright.cli.output import print_json, show_problems
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
        path.write_text(path.read_text().replace("THIS-HOST", host))
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
    if compiled.problems:
        show_problems(compiled.problems)
        return 1
    resources = sum(len(bundle.resources) for bundle in compiled.bundles.values())
    click.echo(
        f"{click.style('ok', fg='green')}  {len(compiled.nodes)} nodes, "
        f"{len(compiled.proposals)} proposals, {resources} resources"
    )
    return 0


@click.command()
def schema() -> int:
    """Print the JSON Schema of site files, for editors (yaml-language-server and others)."""
    from rackwright_proposals.schema import site_schema

    from rackwright.provider import Registry

    print_json(site_schema(Registry.installed().nouns()))
    return 0
