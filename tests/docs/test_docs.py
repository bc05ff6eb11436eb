"""What the docs say works: every command parses, every site lints, every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from rackwright.cli.main import COMMANDS, group
from rackwright.provider import Registry
from rackwright_proposals.compile import compile_site
from rackwright_proposals.tree import Source
from tests.docs import platform_table

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#]+)")


def blocks(page: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == kind]


def commands(page: Path) -> list[str]:
    return [
        line[2:].partition("  #")[0].strip()
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith(("$ rackwright ", "# rackwright "))
    ] + [
        line.partition("ExecStart=")[2].replace("/opt/rackwright/bin/", "")
        for block in blocks(page, "ini")
        for line in block.splitlines()
        if line.startswith("ExecStart=")
    ]


COMMAND_LINES = [(page.name, line) for page in PAGES for line in commands(page)]
SITES = [
    (page.name, block)
    for page in PAGES
    for block in blocks(page, "yaml")
    if block.startswith("site:")
]


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_command_parses(
    page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("store.crt", "store.key", "ca.crt", "sw-a1.recording"):
        (tmp_path / name).touch()
    words = shlex.split(re.sub(r"/etc/rackwright/", "", re.sub(r"\$\([^)]*\)", "host", line)))[1:]
    words = words[: words.index(">")] if ">" in words else words
    context: click.Context = click.Context(group, info_name="rackwright")
    command: click.Command = group
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
    command.make_context("x", words, parent=context)


@pytest.mark.parametrize(("page", "text"), SITES)
def test_site_lints(page: str, text: str) -> None:
    registry = Registry.installed()
    compiled = compile_site(
        Source({"site.yaml": text.encode()}), registry.nouns(), {}, registry.platforms
    )
    assert compiled.problems == ()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_there_is_something_to_test() -> None:
    assert len(COMMAND_LINES) > 15
    assert len(SITES) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_json_where_it_prints(name: str) -> None:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.help
    prints = {"plan", "agent", "delegate", "discover", "lint", "status", "node", "proposal"}
    prints |= {"links", "runs", "why", "sim", "sequence", "why-waiting", "rollout", "watch", "host"}
    if name in prints:
        printing = command.commands.values() if isinstance(command, click.Group) else [command]
        assert all(any("--json" in item.opts for item in one.params) for one in printing)


def test_the_table_of_platforms_is_what_was_proven() -> None:
    text = platform_table.PAGE.read_text()
    assert text == platform_table.page(text, platform_table.table()), "run `make docs`"


def test_every_platform_has_its_notes() -> None:
    heads = " ".join(
        line for line in platform_table.PAGE.read_text().splitlines() if line.startswith("### ")
    )
    for platform in set(Registry.installed().platforms) - {"auto"}:
        assert f"`{platform}`" in heads, platform


@pytest.mark.parametrize(
    "mark",
    [
        '@pytest.mark.proves("x", "vlan", over="ssh", on="hearsay", by="a friend")',
        '@pytest.mark.proves("x", over="ssh", on="real", by="y")',
        '@pytest.mark.proves("x", "vlan", on="real", by="y")',
        '@pytest.mark.proves(NAME, "vlan", over="ssh", on="real", by="y")',
    ],
)
def test_a_mark_that_proves_nothing_is_found(mark: str, tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(f"{mark}\ndef test_x(): ...\n")
    with pytest.raises(platform_table.WrongMark, match=r"test_x\.py:1"):
        list(platform_table.marked(tmp_path))
