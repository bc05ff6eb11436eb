"""outlet: look at a PDU's outlets, and reboot one. Nothing here is a declaration: it happens once."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rackwright.cli import options
from rackwright.cli.output import on_terminal, print_json, table
from rackwright.model.errors import InputError, Permanent, Problem, RackwrightError, Temporary

if TYPE_CHECKING:
    from rackwright.model.site import Node
    from rackwright.provider import AnyProvider, Registry, Surroundings

REDRAW = 0.5
"""Seconds between two drawings of the progress line."""


def _where(command: options.F) -> options.F:
    """The options that say where the node is found, and with which secrets."""
    command = click.option(
        "--at", "here", default="", metavar="HOST", help="The node name of this admin host."
    )(command)
    command = options.site(required=False)(options.state(options.secrets(command)))
    return options.store(command)


@click.group()
def outlet() -> None:
    """List a PDU's outlets, or reboot one."""


@outlet.command("list")
@click.argument("node")
@_where
@options.as_json
def list_(
    node: str,
    store_url: str | None,
    ca: Path | None,
    site: Path | None,
    state: Path,
    secrets_path: Path | None,
    here: str,
    as_json: bool,
) -> int:
    """Show the outlets of NODE as they are now, and what each feeds. Reads only."""
    from rackwright.model.change import Wanted
    from rackwright.provider import Registry, Surroundings

    options.log_to_stderr()
    registry = Registry.installed()
    told = _node(node, registry, store_url, ca, site, state)
    noun = registry.nouns()["outlet"]
    secrets = secrets_path or state / "secrets"
    around = Surroundings(state=state / node)
    with _session(told, registry, secrets, around, here) as (provider, session):
        found = provider.read(session, Wanted(frozenset({noun}), {}))
    rows: list[dict[str, Any]] = []
    for seen in found.values():
        power, label = getattr(seen, "state", None), getattr(seen, "label", None)
        feeds = _feeds(told, provider, registry, seen.name)
        rows.append({"outlet": seen.name, "state": power, "label": label, "feeds": feeds})
    if as_json:
        print_json(rows)
        return 0
    shown = [
        [row["outlet"], row["state"] or "?", row["label"] or "", ", ".join(row["feeds"])]
        for row in rows
    ]
    click.echo(table(["outlet", "state", "label", "feeds"], shown))
    return 0


@outlet.command()
@click.argument("address", metavar="NODE/OUTLET")
@_where
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even if the outlet feeds this admin host.")
@options.as_json
def reboot(
    address: str,
    store_url: str | None,
    ca: Path | None,
    site: Path | None,
    state: Path,
    secrets_path: Path | None,
    here: str,
    yes: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Switch the outlet NODE/OUTLET off and on again, once: ``rackwright outlet reboot pdu-a1/3``.

    The outlet must be on. The unit's own command is used where it has one: it is carried out to its
    end even if this program is killed.
    """
    from rackwright.provider import Registry

    options.log_to_stderr()
    name, slash, number = address.partition("/")
    number = number.removeprefix("outlet/")
    if not (name and slash and number):
        raise click.UsageError(f"NODE/OUTLET, as in pdu-a1/3, and not {address!r}")
    registry = Registry.installed()
    told = _node(name, registry, store_url, ca, site, state)
    try:
        registry.nouns()["outlet"](name=number)
    except ValueError as error:
        raise InputError([Problem(f"{address}: {error}")]) from None
    fed = _feeds(told, registry.provider(told.platform), registry, number)
    ours = here or os.uname().nodename
    if not force and any(end.partition(":")[0] == ours for end in fed):
        raise Permanent(f"{address} feeds {', '.join(fed)}, this admin host: --force does it still")
    if not yes:
        _confirm(f"{name}/{number}", fed)
    return _reboot(told, number, registry, secrets_path or state / "secrets", state, here, as_json)


def _confirm(address: str, fed: list[str]) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: --yes says that it is meant")
    feeds = f", which feeds {', '.join(fed)}" if fed else ""
    click.confirm(f"Take the power of {address}{feeds}, and give it back?", abort=True, err=True)


def _reboot(
    node: Node,
    number: str,
    registry: Registry,
    secrets: Path,
    state: Path,
    here: str,
    as_json: bool,
) -> int:
    """Do it, report it; the exit code."""
    from rackwright.engine.files import run_lock
    from rackwright.model.secret import Masker
    from rackwright.provider import Surroundings
    from rackwright.vault import read_secrets

    stop, began, via = threading.Event(), time.monotonic(), ""
    around = Surroundings(state=state / node.name, writable=True, stop=stop)
    error: RackwrightError | None = None
    try:
        with (
            run_lock(state / node.name / "run.lock"),
            _session(node, registry, secrets, around, here) as (provider, session),
        ):
            if not hasattr(provider, "reboot"):
                raise Permanent(f"{node.name} is a {provider.platform}: it reboots no outlets")
            via = session.via
            _Work(provider, session, number, f"{node.name}/{number}").run(stop)
    except RackwrightError as raised:
        error = raised
    outcome, code = "rebooted", 0
    if error is not None:
        away = isinstance(error, Temporary)
        outcome, code = ("unreachable", 4) if away else ("failed", 2)
        if stop.is_set():
            outcome, code = "stopped", 130
    seconds = time.monotonic() - began
    said = Masker(read_secrets(secrets).values()).text(str(error)) if error else ""
    if as_json:
        print_json(
            {
                "node": node.name,
                "outlet": number,
                "state": outcome,
                "error": said,
                "via": via,
                "seconds": round(seconds, 1),
            }
        )
    elif error:
        click.echo(click.style("error: ", fg="red", bold=True) + said, err=True)
    else:
        done = click.style(outcome, fg="green")
        click.echo(f"{node.name}/{number}: {done}, it is on again, {seconds:.0f} s")
    return code


class _Work:
    """The reboot on a thread of its own, while this one draws, and listens to signals."""

    def __init__(self, provider: Any, session: Any, number: str, address: str) -> None:
        self._provider, self._session = provider, session
        self._number, self._address = number, address
        self._error: BaseException | None = None

    def run(self, stop: threading.Event) -> None:
        """Until it is done. Raises what the provider raises."""
        from rackwright.daemon import Signals

        with Signals(signal.SIGINT, signal.SIGTERM) as signals, _Line(self._address) as line:
            thread = threading.Thread(target=self._do, args=(signals.poke,), daemon=True)
            thread.start()
            while thread.is_alive():
                for number in signals.wait(REDRAW):
                    if number and stop.is_set():
                        os._exit(128 + number)
                    if number:
                        stop.set()
                line.draw()
            thread.join()
        if self._error is not None:
            raise self._error

    def _do(self, ended: Any) -> None:
        try:
            self._provider.reboot(self._session, self._number)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error
        finally:
            ended()


class _Line(logging.Handler):
    """The last thing that the provider told, on one line with the time; only on a terminal. Elsewhere
    the log has it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address, self._said, self._began = address, "", time.monotonic()
        self._logger, self._drawn = logging.getLogger("rackwright_providers"), on_terminal()

    def emit(self, record: logging.LogRecord) -> None:
        self._said = record.getMessage()

    def draw(self) -> None:
        """Once more."""
        if self._drawn:
            waited = time.monotonic() - self._began
            click.echo(
                f"\r\x1b[K{self._address}: {self._said} ({waited:.0f} s)", nl=False, err=True
            )

    def __enter__(self) -> _Line:
        if self._drawn:
            self._logger.addHandler(self)
            self._logger.propagate = False
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._logger.propagate = True
            self._logger.removeHandler(self)
            click.echo("\r\x1b[K", nl=False, err=True)


def _node(
    name: str,
    registry: Registry,
    store_url: str | None,
    ca: Path | None,
    site: Path | None,
    state: Path,
) -> Node:
    """The node as the site, or the store, tells of it."""
    if bool(store_url) == bool(site):
        raise click.UsageError("Give either --store URL or --site SITE.")
    if site:
        from rackwright.cli.tree import Tree

        return Tree(site, registry, state).bundle(name).node
    from rackwright.client import StoreClient
    from rackwright.source import StoreSource, credential

    client = StoreClient(store_url or "", ca=str(ca) if ca else None)
    key = credential(state, client, name, "")
    return StoreSource(client, name, key, state / name).bundle().node


@contextmanager
def _session(
    node: Node,
    registry: Registry,
    secrets: Path,
    around: Surroundings,
    here: str,
) -> Iterator[tuple[Any, Any]]:
    """The node's provider and an open session, as a converge opens it."""
    from rackwright.reach import Reach
    from rackwright.vault import read_secrets

    provider = registry.provider(node.platform)
    if not node.reach:
        raise Permanent(f"{node.name} has no `reach`: it is no managed node")
    reach = Reach(provider, here)
    try:
        session = reach.session(node, read_secrets(secrets), around)
        yield getattr(provider, "chosen", provider), session  # of `platform: auto`
    finally:
        reach.close()


def _feeds(node: Node, provider: AnyProvider, registry: Registry, name: str) -> list[str]:
    """What the site's links say hangs on the outlet ``name``: ``web1:psu1``, or ``web1`` where the
    power supply has no name of its own."""
    noun = registry.nouns()["outlet"]

    def canonical(written: str) -> str:
        try:
            return provider.canonical(noun(name=written)).name
        except (RackwrightError, ValueError):
            return written

    wanted = canonical(name)
    return [
        link.peer
        if link.peer_port == f"{node.name}/{link.port}"
        else f"{link.peer}:{link.peer_port}"
        for link in node.links
        if canonical(link.port.removeprefix("outlet/")) == wanted
    ]
