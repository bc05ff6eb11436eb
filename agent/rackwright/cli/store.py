"""store: serve a site from git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rackwright.cli import options

if TYPE_CHECKING:
    from rackwright_store.server import Ready


@click.command()
@click.option("--site", required=True, metavar="PATH|GIT_URL", help="The git repository to follow.")
@click.option("--branch", default="", help="The branch to follow. [the repository's HEAD]")
@click.option("--listen", default="127.0.0.1:8417", show_default=True, metavar="HOST:PORT")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the store keeps its own. [/var/lib/rackwright/store]",
)
@click.option("--db", default="", metavar="URL", help="Database. [sqlite in the data directory]")
@click.option("--tls-cert", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--tls-key", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--insecure-http",
    is_flag=True,
    help="Serve without TLS beyond loopback, on a network that is encrypted otherwise.",
)
def store(
    site: str,
    branch: str,
    listen: str,
    data: Path | None,
    db: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure_http: bool,
) -> int:
    """Serve a site from git to agents and delegates, until SIGTERM."""
    from rackwright_store.server import serve

    options.log_to_stderr()

    def ready(store: Ready) -> None:
        click.echo(f"store at {store.url}, admin credential in {store.admin_credential}")

    serve(
        site,
        listen,
        data or options.default_state() / "store",
        branch=branch,
        db=db,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure_http=insecure_http,
        on_ready=ready,
    )
    return 0
