"""discover: facts and links of one node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.output import print_json, table

if TYPE_CHECKING:
    from rackwright.model.facts import Facts


@click.command()
@click.argument("node")
@options.site(required=True)
@options.state
@options.secrets
@click.option("--at", "here", default="", metavar="HOST", help="The node name of this admin host.")
@options.as_json
def discover(
    node: str, site: Path, state: Path, secrets_path: Path | None, here: str, as_json: bool
) -> int:
    """Find NODE's facts and links and print them. Reads only."""
    from rackwright.cli.tree import Tree
    from rackwright.provider import Registry, Surroundings
    from rackwright.reach import Reach
    from rackwright.vault import read_secrets

    options.log_to_stderr()
    registry = Registry.installed()
    bundle = Tree(site, registry, state).bundle(node)
    provider = registry.provider(bundle.node.platform)
    reach = Reach(provider, here)
    around = Surroundings(state=state / node)
    try:
        session = reach.session(
            bundle.node, read_secrets(secrets_path or state / "secrets"), around
        )
        facts = provider.discover(session)
    finally:
        reach.close()
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)
    return 0


def show_facts(facts: Facts) -> None:
    """Facts and links as tables."""
    tables = {key: value for key, value in facts.values.items() if _is_table(value)}
    plain = {key: value for key, value in facts.values.items() if key not in tables}
    click.echo(table(["fact", "value"], sorted(_leaves(plain))))
    for key, value in sorted(tables.items()):
        columns = list(dict.fromkeys(column for row in value.values() for column in row))
        click.echo()
        rows = [
            [name, *(_text(row.get(column, "")) for column in columns)]
            for name, row in sorted(value.items(), key=lambda item: _natural(item[0]))
        ]
        click.echo(table([key, *columns], rows))
    if facts.links:
        click.echo()
        seen = [(link.port, link.peer, link.peer_port, link.how) for link in facts.links]
        click.echo(table(["port", "peer", "peer port", "seen by"], seen))


def _is_table(value: Any) -> bool:
    """Whether ``value`` is a map of several flat maps, which read best as rows."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(row, dict) for row in value.values())
        and not any(isinstance(cell, dict) for row in value.values() for cell in row.values())
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``port 10`` behind ``port 9``."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _leaves(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Dotted paths and texts; lists of plain values stay on one line."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], f"{path}.{key}".lstrip("."))]
    if isinstance(value, (list, tuple)) and any(isinstance(item, (dict, list)) for item in value):
        return [leaf for i, item in enumerate(value) for leaf in _leaves(item, f"{path}.{i}")]
    return [(path, _text(value))]
