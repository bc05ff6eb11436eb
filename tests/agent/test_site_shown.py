"""The plan of a whole site as people see it: aligned, whatever its lines hold, and within the terminal."""

from __future__ import annotations

import click
import pytest

from rackwright.cli.output import field_lines
from rackwright.cli.site_lines import SitePlan
from rackwright.cli.site_shown import show_plan
from rackwright.model.report import FieldChange

from .test_site_lines import FAR, SITE, bundle, declare, outcome, planned, read

LONG = "file//etc/systemd/system/a-service-with-a-long-name.service.d/override.conf"


def shown(
    plan: SitePlan, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    show_plan(plan)
    return capsys.readouterr().out.splitlines()


def rack() -> SitePlan:
    """Never seen, with several of one kind; and read, with a name that no column has room for."""
    files = [declare("file", f"/etc/network/interfaces.d/eth{n}") for n in range(4)]
    site = {**SITE, "web9": bundle("web9", "server", *files)}
    unseen = [outcome(f"file//etc/network/interfaces.d/eth{n}", action="create") for n in range(4)]
    return planned(
        read("web9", *unseen, by="nothing"),
        read("web1", outcome(LONG), outcome("file//etc/net"), by="report", at=1.0),
        read("sw1", outcome("vlan/20"), outcome(FAR.removeprefix("sw1:"))),
        site=site,
    )


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_would_be_done_stands_in_one_column(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = shown(rack(), width, capsys, monkeypatch)
    assert any("eth0 and 3 more" in line for line in page)
    done = [line for line in page[page.index("wave 1") :] if "would be" in line]
    assert len(done) == 5
    assert len({line.index("would be") for line in done}) == 1, "\n".join(page)
    assert max(map(len, done)) <= width
    alone = next(i for i, line in enumerate(page) if LONG in line)
    assert page[alone].strip() == f"~ {LONG}"
    assert page[alone + 1].strip().startswith("would be updated  read report ")


def test_no_line_of_what_hangs_off_a_change_ends_within_a_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in range(40, 60):
        page = shown(rack(), width, capsys, monkeypatch)
        for line in page[: page.index("wave 2")]:
            assert line.count("(") == line.count(")"), line


def test_what_a_node_that_was_never_seen_waits_for_is_not_said_to_be_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = outcome("file//etc/net", "blocked", action="create", waits_for=["san9:volume/x"])
    page = shown(planned(read("web1", waits, by="nothing")), 100, capsys, monkeypatch)
    (line,) = [line for line in page if "file//etc/net" in line]
    assert line.split()[2:] == ["blocked", "never", "seen"]


def diff(change: FieldChange, *, fresh: bool) -> list[str]:
    return [click.unstyle(line) for line in field_lines(change, fresh=fresh)]


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (10 * 2**30, "10GiB"),
        (3 * 2**39, "1536GiB"),
        (2**40, "1TiB"),
        (10 * 2**30 + 15 * 2**20, "10255MiB"),
        (10**10, "9765625KiB"),
        (1001, "1001"),
        ("10GiB", "10GiB"),
        (None, "nothing"),
    ],
)
def test_sizes_are_shown_as_a_site_spells_them(size: int | str | None, text: str) -> None:
    change = FieldChange(field="size", old=2**30, new=size)
    assert diff(change, fresh=False) == [f"size: 1GiB → {text}"]
    assert diff(change, fresh=True) == [f"size: {text}"]
    other = FieldChange(field="access_vlan", old=1, new=1024)
    assert diff(other, fresh=False) == ["access_vlan: 1 → 1024"]
