"""What goes wrong around a run must cost neither ownership nor the next run."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.engine.files import run_lock
from rackwright.engine.ledger import Entry, Ledger, LedgerFile
from rackwright.loop import Loop, Pace
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.facts import Facts

from ..engine.memory import Line, declare
from .fakes import Rig
from .test_run import ladder, rig, way


def made(name: str) -> Ledger:
    return Ledger(entries={f"thing/{name}": Entry(type="thing", data={"name": name}, made=True)})


def test_a_ledger_that_cannot_be_fetched_is_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, device = rig(tmp_path, declare("thing/a"))
    source.ledger = made("a")

    def away() -> None:
        raise Unreachable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(source, "mirrored", away)
        assert runner.run().exit_code == 4
    assert source.ledger == made("a")
    runner.run()
    assert LedgerFile(tmp_path / "dev1" / "ledger.json").load().entries["thing/a"].made
    assert source.ledger.entries["thing/a"].made
    assert device.device.reads


def test_a_mirror_that_failed_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))

    def away(_ledger: Ledger) -> None:
        raise Unreachable("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(source, "mirror", away)
        assert runner.run().exit_code == 0
    assert source.ledger is None
    runner.run()
    assert source.ledger is not None
    assert source.ledger.entries["thing/a"].made


def test_a_killed_agent_mirrors_when_it_starts_again(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    runner.run()
    source.ledger = Ledger()
    again, other, device = rig(tmp_path, declare("thing/a"))
    device.device.state = dict(runner._provider.device.state)  # type: ignore[union-attr]
    again.run()
    assert other.ledger is not None
    assert list(other.ledger.entries) == ["thing/a"]


class Liar(Rig):
    """Its session dies without knowing it, and discovery is the first to see that."""

    dies = False

    def open(self, way: Any, around: Any) -> Any:
        self.dies = False
        return super().open(way, around)

    def discover(self, session: Line) -> Facts:
        if self.dies:
            raise Unreachable("the session is dead")
        return super().discover(session)


def test_a_kept_session_that_lies_to_discovery_is_opened_again(tmp_path: Path) -> None:
    runner, _, made = rig(tmp_path, declare("thing/a"))
    liar = Liar(made.device)
    runner.registry.rig = liar  # type: ignore[attr-defined]
    runner.run()
    liar.dies = True
    assert runner.run(fresh_facts=True).exit_code == 0
    assert len(liar.opened) == 2


def test_a_clock_that_was_set_back_does_not_make_facts_last(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    runner.run()
    file = tmp_path / "dev1" / "facts.json"
    kept = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode({**kept, "at": time.time() + 1e6}))
    made.discover = lambda _session: Facts(values={"model": "M2"})  # type: ignore[method-assign]
    runner.run()
    assert source.facts[-1].values == {"model": "M2"}


def test_refused_facts_do_not_keep_a_node_from_its_roles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))

    def refuse(_facts: Facts) -> None:
        raise Permanent("too many facts")

    monkeypatch.setattr(source, "send_facts", refuse)
    assert [runner.run().exit_code for _ in range(2)] == [0, 0]
    assert made.device.writes == ["create thing/a"]


def test_why_a_way_was_not_used_shows_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("pw: hunter2\n")
    secrets.chmod(0o600)
    runner, source, made = rig(tmp_path, declare("thing/a"), secrets=secrets)
    ladder(source, way("ssh"), way("serial"))
    made.dead["ssh"] = Unreachable("login: rack\r\nhunter2\r\nLogin incorrect")
    report = runner.run()
    assert report.exit_code == 0
    assert "Login incorrect" in report.via
    assert "hunter2" not in report.via + caplog.text


def test_a_fault_shows_no_secret_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = tmp_path / "secrets"
    secrets.write_text("pw: hunter2\n")
    secrets.chmod(0o600)
    runner, _, made = rig(tmp_path, declare("thing/a"), secrets=secrets)
    made.dead["local"] = KeyError("it's\nhunter2")
    with caplog.at_level(logging.DEBUG):
        report = runner.run()
    assert report.exit_code == 2
    assert "KeyError" in caplog.text
    assert "hunter2" not in caplog.text + report.error


def test_a_secret_that_is_missing_for_one_way_leaves_the_other(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    first = msgspec.structs.replace(way("ssh"), options={"password": "⟦secret:gone⟧"})
    ladder(source, first, way("serial"))
    report = runner.run()
    assert report.exit_code == 0
    assert "secret 'gone'" in report.via


def test_a_reader_that_has_gone_does_not_end_the_loop(tmp_path: Path) -> None:
    stop, seen = threading.Event(), threading.Semaphore(0)
    runner, _, _ = rig(tmp_path, declare("thing/a"), stop=stop)

    def broken(_report: object) -> None:
        seen.release()
        raise BrokenPipeError

    loop = Loop(runner, Pace(interval=3600, splay=0), broken)
    loop.start()
    try:
        assert seen.acquire(timeout=10)
        loop.wake()
        assert seen.acquire(timeout=10)
    finally:
        stop.set()
        loop.wake()
    loop.thread.join(10)


def test_a_run_that_found_another_under_way_says_nothing_of_the_node(tmp_path: Path) -> None:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    with run_lock(tmp_path / "dev1" / "run.lock"):
        report = runner.run()
    assert (report.exit_code, "another run" in report.error) == (4, True)
    assert source.reports == []


def test_a_state_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    runner, _, made = rig(tmp_path, declare("thing/a"))
    (tmp_path / "dev1").write_text("a file where the directory should be")
    report = runner.run()
    assert "dev1" in report.error
    assert "a fault in Rackwright" not in report.error
    assert made.device.writes == []
