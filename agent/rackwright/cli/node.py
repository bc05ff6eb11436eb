"""node: what the store knows of one, and its retirement."""

from __future__ import annotations

from pathlib import Path

import click

from rackwright.cli import ask, options
from rackwright.cli.admin import admin, connect, user
from rackwright.cli.output import ago, print_json


class _ShowsByDefault(click.Group):
    """``node NAME`` shows NAME; only the names of commands mean these."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["show", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = bool(args) and args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["show", *args])


@click.group(cls=_ShowsByDefault)
def node() -> None:
    """Show one node as the store knows it (node NAME), list all (node), or retire one."""


node.add_command(ask.node, "show")


@node.command()
@click.argument("name", metavar="NODE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Though it is in the site and has reported lately.")
@click.option("--why", default="", metavar="TEXT", help="Kept with it, for those who ask later.")
@admin
@options.as_json
def retire(
    name: str,
    yes: bool,
    force: bool,
    why: str,
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    as_json: bool,
) -> int:
    """NODE is gone for good: let go of what it holds of other nodes, and end its credential.

    What rested on nothing but its word (an export that it had mounted) may then be taken away.
    """
    client = connect(store_url, ca, credential)
    who = user()
    would = {} if yes else client.retire(name, who=who, why=why, dry_run=True)
    if not yes and not would["already"]:
        held = ", ".join(would["released"]) or "nothing"
        click.echo(f"{name} holds {held}; what it holds is let go of, and its credential ends", err=True)  # fmt: skip
        click.confirm(f"Is {name} gone for good?", abort=True, err=True)
    done = client.retire(name, who=who, why=why, force=force)
    if as_json:
        print_json(done)
    elif done["already"]:
        said = f": {done['why']}" if done["why"] else ""
        click.echo(f"{name} was retired already, by {done['who']}, {ago(done['at'])}{said}")
    else:
        click.echo(f"{name} is retired; released: {', '.join(done['released']) or 'nothing'}")
    return 0
