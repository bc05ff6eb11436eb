"""How a command reaches the store as its admin."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rackwright.cli import options
from rackwright.model.errors import InputError, Problem

if TYPE_CHECKING:
    from rackwright.client import AdminClient


SITE_OR_STORE = "Give --site SITE or --store URL, or set RACKWRIGHT_STORE."


def admin(command: options.F) -> options.F:
    """``--store URL --ca FILE --credential FILE``"""
    command = click.option(
        "--credential",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="RACKWRIGHT_ADMIN",
        help="File with the admin credential. [DATA/admin.credential of a store on this host]",
    )(command)
    return options.store(command)


def user() -> str:
    """Who gives the command: ``name@host``."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())  # a user without an entry
    return f"{name}@{os.uname().nodename}"


def connect(
    store_url: str | None,
    ca: Path | None,
    credential: Path | None,
    missing: str = "Give --store URL, or set RACKWRIGHT_STORE.",
) -> AdminClient:
    """The client of the store that the options (or the environment) name. Raises UsageError with
    ``missing`` when they name none, and InputError for what is no credential."""
    from rackwright.client import AdminClient

    if not store_url:
        raise click.UsageError(missing)
    path = credential or options.default_state() / "store" / "admin.credential"
    hint = "the store wrote it at its first start; give its path with --credential"
    try:
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        what = f"no admin credential: {error.strerror}"
        raise InputError([Problem(what, hint, str(path))]) from None
    except UnicodeDecodeError:
        key = ""
    if len(key.split()) != 1:
        raise InputError([Problem("this is no admin credential", hint, str(path))])
    return AdminClient(store_url, key, ca=str(ca) if ca else None)
