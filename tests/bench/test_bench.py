"""Each bench runs, tiny and without peers, and its table can be made. Nothing is said of how fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import __main__ as command
from bench import compile as compiling
from bench import large, local, plan, site, store, switches, table

MACHINE = {"cpus": 2, "python": "3.11.0"}


def rows_of(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]


def test_switches() -> None:
    said: list[str] = []
    result = switches.run(
        said.append, quick=True, sizes=(2,), latencies=(0.0,), who=("rackwright",)
    )
    (row,) = result["rows"]
    assert (row["switches"], row["latency_ms"]) == (2, 0)
    assert set(row["rackwright"]) == {
        *(f"{phase}_{what}" for phase in switches.PHASES for what in ("wall", "cpu")),
        "peak",
    }
    assert "rackwright" in said[0]


def test_a_client_that_does_not_do_the_work_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switches, "PHASES", ("meet", "meet", "first"))
    with pytest.raises(
        RuntimeError, match=r"VLANs \[100, .*\] are not in running|wrote in a no-op"
    ):
        # The second phase is the client's first converge, and taken here for one that writes nothing.
        switches.run(print, quick=True, sizes=(1,), latencies=(0.0,), who=("rackwright",))


def test_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "FILES", 4)
    monkeypatch.setattr(local, "DIRECTORIES", 2)
    result = local.run(print, quick=True, who=("rackwright",), accounts=False)
    assert set(result["second"]) == {"rackwright"}
    rows = rows_of(table.local({**result, "machine": MACHINE}))
    assert [row[0] for row in rows[2:]] == ["rackwright", "`rackwright --help`", "bare python"]


def test_store() -> None:
    result = store.run(print, quick=True)
    assert result["unchanged"]["per_second"] > 0
    assert [(row["agents"], row["hook"]) for row in result["woken"]] == [
        (1, True), (4, True), (1, False), (4, False),
    ]  # fmt: skip
    assert len(rows_of(table.store({**result, "machine": MACHINE}))) == 2 + 1 + 4 + 1


def test_large() -> None:
    result = large.run(print, quick=True, vlans=(4, 300), ports=(2,))
    assert [(row["size"], row["saves"], row["lines"]) for row in result["rows"]] == [
        (4, 1, 1), (300, 1, 2), (2, 1, 28),
    ]  # fmt: skip
    assert len(rows_of(table.large({**result, "machine": MACHINE}))) == 2 + 3


def test_compile() -> None:
    result = compiling.run(print, quick=True, sizes=(2, 4))
    assert [row["nodes"] for row in result["rows"]] == [2, 4]
    assert len(rows_of(table.compiling({**result, "machine": MACHINE}))) == 2 + 2


def test_site() -> None:
    result = site.run(print, quick=True, sizes=(10, 20))
    assert [(row["nodes"], row["links"]) for row in result["rows"]] == [(10, 100), (20, 200)]
    assert all(row["resources"] >= 100 * row["nodes"] for row in result["rows"])
    assert all(len(row["edits"]) == 7 for row in result["rows"])
    assert len(rows_of(table.whole_site({**result, "machine": MACHINE}))) == 2 + 2 + 2 + 7


def test_a_commit_that_costs_more_than_promised_fails() -> None:
    many = {"what": "all", "few": False, "cpu": 9.0}
    site.hold({"nodes": 10, "edits": [{"what": "a link", "few": True, "cpu": 0.5}, many]})
    with pytest.raises(RuntimeError, match=r"^10 nodes: more than 0\.5 s of CPU: a link$"):
        site.hold({"nodes": 10, "edits": [{"what": "a link", "few": True, "cpu": 0.51}, many]})


def test_plan() -> None:
    result = plan.run(print, sizes=(10,))
    (row,) = result["rows"]
    assert (row["nodes"], row["waves"]) == (10, 6)
    assert len(rows_of(table.planning({**result, "machine": MACHINE}))) == 2 + 1


def test_a_page_gets_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"first_wall": 1.0, "kept_wall": 0.1, "new_wall": 0.5, "meet_wall": 0.7, "peak": 90.0}
    figures |= {f"{phase}_cpu": 0.01 for phase in switches.PHASES}
    row: dict[str, Any] = {"switches": 10, "latency_ms": 20}
    row |= {"rackwright": figures, "netmiko": figures, "nornir": {**figures, "first_wall": 4.0}}
    result = {"what": "10 VLANs", "rows": [row], "machine": MACHINE}
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    (tmp_path / "switches.json").write_text(json.dumps(result))
    table.renew(page, tmp_path)
    table.renew(page, tmp_path)
    text = page.read_text()
    assert text.startswith(f"before\n{table.BEGIN}\n")
    assert text.endswith(f"{table.END}\nafter\n")
    assert "old" not in text
    ratios = rows_of(text)[-1]
    assert ratios[3:5] == ["*1.00 × netmiko*", "*0.20 × nornir, new session; 1.00 kept*"]

    monkeypatch.setattr(command, "BENCHES", ("compile",))
    with pytest.raises(SystemExit):
        command.main(["compile", "nonsense"])


def test_failover_is_a_table() -> None:
    rows = [{"loss": "killed", "median": 4.04, "worst": 5.0}]
    result = {"what": "Two hosts", "lease": 3.0, "allowed": 8.0, "rows": rows, "machine": MACHINE}
    assert rows_of(table.failover(result))[2:] == [["killed", "4.0", "5.0"]]
    assert "needs root" in table.failover(
        {"what": "Two hosts", "skipped": "needs root", "machine": MACHINE}
    )
