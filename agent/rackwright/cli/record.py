"""record and replay: a session with a device as a file that shows no secret, and what is read of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from rackwright.cli import options
from rackwright.cli.output import print_json, table
from rackwright.model.errors import Permanent, RackwrightError, Unreachable

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright.model.resource import Resource
    from rackwright.model.site import Node, Way
    from rackwright.provider import AnyProvider
    from rackwright_providers.transport.recording import Recording


@click.command()
@click.argument("node")
@options.site(required=True)
@options.state
@options.secrets
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file. [NODE.recording]",
)
@click.option("--over", default="", metavar="TRANSPORT", help="Which way to use. [the first]")
@click.option("--at", "here", default="", metavar="HOST", help="The node name of this admin host.")
def record(
    node: str,
    site: Path,
    state: Path,
    secrets_path: Path | None,
    output: Path | None,
    over: str,
    here: str,
) -> int:
    """Keep a session with NODE as a file: log in, read everything, leave. Reads only.

    Secrets are taken out before the file is written. Look through it before you give it away:
    names, addresses and descriptions are in it.
    """
    from datetime import UTC, datetime

    from rackwright.cli.tree import Tree
    from rackwright.engine.files import replace
    from rackwright.model.secret import reveal
    from rackwright.provider import Registry
    from rackwright.vault import read_secrets
    from rackwright_providers.transport import recording, replay

    options.log_to_stderr()
    registry = Registry.installed()
    described = Tree(site, registry, state).bundle(node).node
    if not described.reach:
        raise Permanent(f"{node} has no `reach`: only a managed node's session can be recorded")
    ways = [way for way in described.reach if over in ("", way.transport)]
    if not ways:
        offered = ", ".join(way.transport for way in described.reach)
        raise Permanent(f"{node} is reached over {offered}, not over {over!r}")
    secrets = read_secrets(secrets_path or state / "secrets")
    provider = registry.provider(described.platform)
    way, kept, found = _recorded(provider, described, ways, secrets, state / node, here)
    revealed = structs.replace(way, options=reveal(way.options, secrets))
    hidden = [*secrets.values(), *recording.secrets_of(found)]
    platform = getattr(provider, "chosen", provider).platform  # of `auto`: what it has found
    today = datetime.now(UTC).date().isoformat()
    body = kept.redacted(node, platform, revealed, hidden, today)
    file = output or Path(f"{node}.recording")
    replace(file, body)
    click.echo(f"{file}: {len(found)} resources of {node} over {way.transport}")
    try:
        again, _ = _read_file(replay.parsed(body))
        unlike = "" if again.keys() == found.keys() else f"it gives {len(again)} resources"
    except RackwrightError as error:
        unlike = str(error)
    if unlike:
        warning = click.style("warning: ", fg="yellow", bold=True)
        click.echo(f"{warning}it does not play as the device did: {unlike}", err=True)
    return 0


def _recorded(
    provider: AnyProvider,
    node: Node,
    ways: Sequence[Way],
    secrets: Mapping[str, str],
    state: Path,
    here: str,
) -> tuple[Way, Recording, dict[Any, Resource]]:
    """Read all of ``node`` over the first of ``ways`` that works: that way, what was said over it,
    and what was read."""
    from rackwright.provider import Surroundings
    from rackwright.reach import Reach
    from rackwright_providers.identify import AUTO
    from rackwright_providers.transport import recording

    reach = Reach(provider, here)
    said = []
    for way in ways:
        only = structs.replace(node, reach=(way,))
        kept = recording.Recording()
        try:
            if node.platform == AUTO:
                # `auto` looks at the device in a session of its own, which no one plays back.
                reach.session(only, secrets, Surroundings(state=state))
                reach.close()
            session = reach.session(only, secrets, Surroundings(state=state, recorder=kept))
            try:
                found, _ = _read(provider, session)
            finally:
                reach.close()
        except RackwrightError as error:
            said.append(error)
            continue
        if not len(kept):
            raise Permanent(f"a session over {way.transport} cannot be recorded")
        return way, kept, found
    if len(said) == 1:
        raise said[0]
    raise Unreachable("; ".join(map(str, said)))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--platform", default="", help="Read it as this platform. [what was recorded]")
@click.option("--snmprec", is_flag=True, help="Print the recorded MIB for snmpsim instead.")
@options.as_json
def replay(file: Path, platform: str, snmprec: bool, as_json: bool) -> int:
    """Show what a provider reads from a recorded session. No device is needed."""
    from rackwright.cli.discover import show_facts
    from rackwright.model.resource import to_data
    from rackwright_providers.transport import replay as player
    from rackwright_providers.transport import snmprec as mib

    options.log_to_stderr()
    recorded = player.load(file)
    if snmprec:
        for oid, value in recorded.mib.items():
            click.echo(mib.line(oid, value))
        return 0
    found, facts = _read_file(recorded, platform)
    if as_json:
        resources = {str(address): to_data(resource) for address, resource in found.items()}
        print_json({"head": recorded.head, "resources": resources, "facts": facts})
        return 0
    rows = []
    for address, resource in sorted(found.items(), key=lambda item: str(item[0])):
        data = {key: value for key, value in to_data(resource).items() if key != "name"}
        rows.append([str(address), ", ".join(f"{key}: {value}" for key, value in data.items())])
    click.echo(table(["resource", "as read"], rows))
    click.echo()
    show_facts(facts)
    return 0


def _read_file(recorded: Any, platform: str = "") -> tuple[dict[Any, Resource], Facts]:
    from rackwright.provider import Registry
    from rackwright_providers.transport import replay

    provider = Registry.installed().provider(platform or recorded.head.platform)
    session = replay.open(recorded, platform)
    try:
        return _read(provider, session)
    finally:
        session.close()


def _read(provider: AnyProvider, session: Any) -> tuple[dict[Any, Resource], Facts]:
    """All that a provider reads."""
    from rackwright.model.change import Wanted

    found = dict(provider.read(session, Wanted(provider.resources, {})))
    return found, provider.discover(session)
