"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from rackwright.cli import options


@click.command()
@options.site(required=False)
@options.store
def command(site: Path | None, store_url: str | None, ca: Path | None) -> None:
    click.echo(options.store_or_site(store_url, site) or f"site {site}")


@pytest.mark.parametrize(
    ("typed", "environment", "said"),
    [
        ("--store http://a", "", "http://a"),
        ("--site .", "", "site ."),
        ("", "http://b", "http://b"),
        ("--site .", "http://b", "site ."),
        ("--store http://a", "http://b", "http://a"),
        ("--site . --store http://a", "http://b", "Error: Give either"),
        ("", "", "Error: Give either"),
    ],
)
def test_a_site_goes_before_the_store_of_the_environment(
    typed: str, environment: str, said: str
) -> None:
    done = CliRunner().invoke(command, typed, env={"RACKWRIGHT_STORE": environment or None})
    assert said in done.output
    assert done.exit_code == (2 if said.startswith("Error") else 0)
