"""Options that several commands share."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

WRITING = threading.RLock()
"""Held while a line of the log is written, and while a progress bar is away for something else: a line that
comes in between would put the bar back."""


def default_state() -> Path:
    """Where agents keep their state: /var/lib for root, the user's state directory otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/rackwright")
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "rackwright"


def state(command: F) -> F:
    """``--state DIR``"""
    return click.option(
        "--state",
        type=click.Path(path_type=Path, file_okay=False),
        default=default_state,
        help="Directory for ledgers, facts and undelivered reports. [/var/lib/rackwright]",
    )(command)


def secrets(command: F) -> F:
    """``--secrets PATH``"""
    return click.option(
        "--secrets",
        "secrets_path",
        type=click.Path(path_type=Path),
        help="File (mode 600) or directory (700) of this host's secrets. [STATE/secrets]",
    )(command)


def site(*, required: bool) -> Callable[[F], F]:
    """``--site SITE``"""
    return click.option(
        "--site",
        type=click.Path(path_type=Path, file_okay=False),
        required=required,
        help="A site's directory; no store is needed.",
    )


def store(command: F) -> F:
    """``--store URL --ca FILE``"""
    command = click.option(
        "--ca",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        envvar="RACKWRIGHT_CA",
        help="CA certificate of the store, when it is not one of the system's.",
    )(command)
    return click.option(
        "--store",
        "store_url",
        envvar="RACKWRIGHT_STORE",
        help="The store's URL. [$RACKWRIGHT_STORE]",
    )(command)


def store_or_site(store_url: str | None, site: Path | None) -> str | None:
    """The store to go by; None when it is to be ``site``, which goes before RACKWRIGHT_STORE. Raises
    UsageError unless it is exactly one of them."""
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source("store_url")
    if site and source is ParameterSource.ENVIRONMENT:
        return None
    if bool(store_url) == bool(site):
        raise click.UsageError("Give either --store URL or --site SITE.")
    return store_url


def as_json(command: F) -> F:
    """``--json``"""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")(command)


def verbose(command: F) -> F:
    """``-v``"""
    return click.option(
        "-v", "--verbose", is_flag=True, help="Show what is in sync too, and what was sent."
    )(command)


class _ToStderr(logging.Handler):
    """Writes to what standard error is at the moment: a progress bar puts itself before it, and what is
    written past the bar lands on its line."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is None:
            return
        try:
            with WRITING:
                print(self.format(record), file=sys.stderr, flush=True)
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)


def log_to_stderr(*, verbose: bool = False) -> None:
    """Warnings and our own news on standard error; never the libraries' chatter."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[_ToStderr()],
    )
    for name in ("rackwright", "rackwright_providers", "rackwright_store"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in ("asyncssh", "paramiko", "netmiko", "pysnmp", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
