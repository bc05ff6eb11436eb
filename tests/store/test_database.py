from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from rackwright.model.errors import Permanent, Problem
from rackwright_store.database import Database
from rackwright_store.kept import reports as kept_reports
from rackwright_store.kept import revisions as kept_revisions
from rackwright_store.records import Retirement, Revision
from rackwright_store.runs import RunSummary
from rackwright_store.schema import MIGRATIONS


def summary(
    identity: str, finished: float, *, why_run: bool = False, node: str = "n"
) -> RunSummary:
    return RunSummary(id=identity, node=node, started=finished, finished=finished, why_run=why_run)


def put(database: Database, what: RunSummary, **made: str) -> bool:
    return database.reports.put(what, b"{}", set_verified=made, clear_verified=())


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "store.db")


def test_settings_of_a_connection(database: Database) -> None:
    with database.reading() as connection:
        said = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert said == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "busy_timeout": 10000,
    }


def test_a_report_is_kept_once(database: Database) -> None:
    assert put(database, summary("r1", 10), a="one")
    assert not put(database, summary("r1", 10), a="two")
    assert database.reports.all_verified() == {"n": {"a": "one"}}
    assert put(database, summary("r1", 10, node="other"))
    assert len(database.reports.runs("", 10)) == 2


def test_the_newest_reports_stay(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_reports, "REPORTS_KEPT", kept := 10)
    for number in range(kept + 7):
        put(database, summary(f"r{number}", float(number)))
        put(database, summary(f"w{number}", float(number), why_run=True))
    found = database.reports.runs("n", 1000)
    assert len(found) == 2 * kept
    assert {run.id for run in found if not run.why_run} == {
        f"r{number}" for number in range(7, kept + 7)
    }
    assert database.reports.last_runs()["n"].id == f"r{kept + 6}"
    assert database.reports.get("n", "r0") is None


def test_verified_is_set_and_cleared_with_the_report(database: Database) -> None:
    put(database, summary("r1", 1), **{"vlan/1": "a", "vlan/2": "b"})
    database.reports.put(
        summary("r2", 2), b"{}", set_verified={"vlan/1": "c"}, clear_verified=["vlan/2", "vlan/9"]
    )
    assert database.reports.all_verified() == {"n": {"vlan/1": "c"}}


def test_a_ledger_clears_what_nobody_knows_any_more(database: Database) -> None:
    put(database, summary("r1", 1), **{"vlan/1": "a", "vlan/2": "b"})
    put(database, summary("r1", 1, node="other"), **{"vlan/1": "a"})
    database.ledgers.put("n", b"{}", 2, ["vlan/1", "vlan/9"])
    assert database.reports.all_verified() == {"n": {"vlan/2": "b"}, "other": {"vlan/1": "a"}}


def test_a_retired_node_leaves_nothing_that_opens_a_door_or_holds_another(
    database: Database,
) -> None:
    for node in ("n", "other"):
        database.enrolments.add_tokens(f"t-{node}", [node], expires=100, now=0)
        assert database.enrolments.enrol(f"t-{node}", node, f"h-{node}", 1)
        database.enrolments.add_tokens(f"u-{node}", [node], expires=100, now=0)
        database.ledgers.put(node, b"{}", 1)
        database.reports.put(
            summary("r1", 1, node=node),
            b"{}",
            set_verified={"a": "one"},
            clear_verified=(),
            standing={},
        )
    gone = Retirement(node="n", at=2, who="me", why="sold")
    database.enrolments.retire(gone)
    assert database.enrolments.all_retired() == {"n": gone}
    assert database.enrolments.all_credentials() == {"other": "h-other"}
    assert database.ledgers.all() == {"other": b"{}"}
    assert database.reports.all_verified() == {"other": {"a": "one"}}
    assert database.reports.all_standings() == {"other": {}}
    assert not database.enrolments.enrol("u-n", "n", "h", 3)
    assert database.enrolments.enrol("u-other", "other", "h", 3)


def test_a_token_is_good_once_for_each_of_its_nodes_until_it_expires(database: Database) -> None:
    database.enrolments.add_tokens("t", ["a", "b"], expires=100, now=0)
    assert not database.enrolments.enrol("wrong", "a", "h0", 1)
    assert not database.enrolments.enrol("t", "c", "h0", 1)
    assert database.enrolments.enrol("t", "a", "h1", 1)
    assert not database.enrolments.enrol("t", "a", "h2", 1)
    assert not database.enrolments.enrol("t", "b", "h3", 101)
    assert database.enrolments.enrol("t", "b", "h3", 100)
    assert database.enrolments.all_credentials() == {"a": "h1", "b": "h3"}


def test_revisions_are_noted_once_and_the_last_good_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_revisions, "REVISIONS_KEPT", 5)
    bad = Revision(commit="b", accepted=False, problems=(Problem("no", file="x", line=1),), at=2)
    database.revisions.add(Revision(commit="a", accepted=True, at=1))
    database.revisions.add(bad)
    database.revisions.add(bad)
    for number in range(20):
        database.revisions.add(Revision(commit=f"c{number}", accepted=False, at=3))
    found = database.revisions.last_accepted()
    assert found is not None
    assert found.commit == "a"
    assert len(database.revisions.newest(1000)) == 6
    database.revisions.add(Revision(commit="good", accepted=True, at=4))
    assert len(database.revisions.newest(1000)) == 5
    assert [entry.commit for entry in database.revisions.newest(2)] == ["good", "c19"]


def test_what_was_written_is_there_when_opened_again(tmp_path: Path) -> None:
    first = Database(tmp_path / "store.db")
    first.facts.put("n", b'{"values":{}}', 1)
    first.ledgers.put("n", b"{}", 1)
    first.ledgers.put("n", b'{"entries":{}}', 2)
    first.close()
    again = Database(tmp_path / "store.db")
    assert again.facts.all() == {"n": b'{"values":{}}'}
    assert again.ledgers.all() == {"n": b'{"entries":{}}'}


def test_migrations_run_once_each_and_in_order(tmp_path: Path) -> None:
    ran: list[int] = []

    def step(number: int) -> None:
        ran.append(number)

    def second(connection: sa.Connection) -> None:
        step(2)
        connection.exec_driver_sql("ALTER TABLE facts ADD COLUMN extra TEXT")

    path = tmp_path / "store.db"
    Database(path).facts.put("n", b"{}", 1)
    Database(path, migrations=(*MIGRATIONS, second))
    Database(path, migrations=(*MIGRATIONS, second, lambda connection: step(3)))
    assert ran == [2, 3]
    with pytest.raises(Permanent, match="newer Rackwright"):
        Database(path)


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).close()

    def broken(connection: sa.Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (a TEXT)")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        Database(path, migrations=(*MIGRATIONS, broken))
    with sqlite3.connect(path) as plain:
        names = {row[0] for row in plain.execute("SELECT name FROM sqlite_master")}
    assert "half" not in names
    Database(path).close()


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is a text, and a long enough one to be read as a header")
    with pytest.raises(Permanent, match="cannot be used"):
        Database(path)


def test_what_is_written_together_fails_alone(database: Database) -> None:
    def fails() -> None:
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO facts VALUES ('x', x'00', 1)")
            raise RuntimeError("half way")

    done = database.together(
        [
            lambda: put(database, summary("r1", 1), a="one"),
            fails,
            lambda: put(database, summary("r1", 1), a="one"),
        ]
    )
    assert [result for result, _ in done] == [True, None, False]
    assert [type(error) for _, error in done] == [type(None), RuntimeError, type(None)]
    assert database.facts.all() == {}
    assert database.reports.all_verified() == {"n": {"a": "one"}}
    assert put(database, summary("r2", 2))
