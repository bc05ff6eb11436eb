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
from rackwright.engine.spool import Spool, new_id
from rackwright.keeper import Claim
from rackwright.leasing import Lease
from rackwright.loop import Loop, Pace
from rackwright.model.bundle import Gates
from rackwright.model.errors import NotAsked, Permanent, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.report import Report

from ..engine.memory import Line, Plug, declare
from ..waiting import until
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


def test_a_mirror_whose_answer_was_lost_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has taken the intent, which was then given up: as the last word it would hold what others
    are to take away."""
    runner, source, _ = rig(tmp_path)
    runner.run()
    before, bodies = source.ledger, []

    def unanswered(ledger: Ledger) -> None:
        bodies.append(ledger)
        source.ledger = ledger
        raise Unreachable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(source, "mirror", unanswered)
        runner._mirror(made("a"))
    assert source.ledger == made("a")
    assert runner.behind
    runner.catch_up()
    assert source.ledger == before
    assert not runner.behind


def test_a_new_tenure_mirrors_anew(tmp_path: Path) -> None:
    """Nobody knows what became of the copy in between."""
    claim = Claim("dev1", tmp_path / "dev1")
    runner, source, _ = rig(tmp_path, declare("thing/a"), claim=claim)
    claim.lease = Lease("dev1", 1, 1.0, lambda: 0.0)
    assert runner.run().exit_code == 0
    mirrored, source.ledger = source.ledger, None
    runner.run()
    assert source.ledger is None, "it has it"
    claim.lease = Lease("dev1", 2, 1.0, lambda: 0.0)
    runner.run()
    assert source.ledger is not None
    assert source.ledger == mirrored


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


def lost(_what: object) -> None:
    raise Unreachable("the store is away")


@pytest.mark.parametrize("what", ["deliver", "send_facts", "mirror"])
def test_what_the_store_could_not_be_told_is_told_without_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Others may wait for it, and the next run is an hour away."""
    monkeypatch.setattr("rackwright.loop.TELL", 0.01)
    stop = threading.Event()
    runner, source, made = rig(tmp_path, declare("thing/a"), stop=stop)
    loop = Loop(runner, Pace(interval=3600, splay=0))
    with monkeypatch.context() as patch:
        patch.setattr(source, what, lost)
        loop.start()
        until(lambda: loop.resting, what="its first run")
        assert runner.behind
    try:
        until(lambda: not runner.behind, what="the store has heard it")
        assert len(source.reports) == len(source.facts) == 1
        assert source.ledger is not None
        assert made.device.reads == 2  # one run, and its look at what it did
    finally:
        stop.set()
        loop.wake()
    loop.thread.join(10)


def test_a_run_that_was_held_back_by_reports_that_waited_is_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the turn, and could not use it: the store would not wake it for that again."""
    monkeypatch.setattr("rackwright.loop.TELL", 0.01)
    stop = threading.Event()
    runner, source, made = rig(tmp_path, declare("plug/1", state="off"), stop=stop)
    plug = Plug(name="1", state="on")
    made.device.state[plug.address] = plug
    source.gate = Gates(given={"1": 1})
    with monkeypatch.context() as patch:
        patch.setattr(source, "deliver", lost)
        runner.run()
        made.device.state[plug.address] = plug
        loop = Loop(runner, Pace(interval=3600, splay=0))
        loop.start()
        until(lambda: loop.resting, what="a run without the turn")
        assert made.device.state[plug.address] == plug
    try:
        until(lambda: made.device.state[plug.address].state == "off", what="a run with it")  # type: ignore[attr-defined]
    finally:
        stop.set()
        loop.wake()
    loop.thread.join(10)


def test_who_cannot_tell_the_store_tries_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.loop.TELL", 0.01)
    monkeypatch.setattr("rackwright.loop.TELL_RARELY", 3600.0)
    stop, tries = threading.Event(), 0
    runner, source, _ = rig(tmp_path, declare("thing/a"), stop=stop)

    def refuse(_report: object) -> None:
        nonlocal tries
        tries += 1
        raise Unreachable("the store is away")

    monkeypatch.setattr(source, "deliver", refuse)
    loop = Loop(runner, Pace(interval=3600, splay=0), jitter=lambda: 0.5)
    loop.start()
    until(lambda: tries > 3, what="it tries")
    loop.thread.join(0.5)
    assert tries < 10
    before = tries
    loop.store_is_back()
    until(lambda: tries > before, what="it tries at once")
    stop.set()
    loop.wake()
    loop.thread.join(10)


def test_a_clock_that_was_set_back_makes_no_report_an_old_one(tmp_path: Path) -> None:
    spool, told = Spool(tmp_path), []
    for number, finished in enumerate((1000.0, 40.0, 41.0, 2000.0)):
        started = finished - 5
        report = Report(id=new_id(started), node="n", started=started, finished=finished)
        spool.add(report)
        assert len(spool.waiting()) == number + 1
    spool.deliver(told.append)
    assert [report.finished for report in told] == sorted(report.finished for report in told)
    assert [report.finished - report.started for report in told[:1]] == [5.0]
    assert told[-1].finished == 2000.0
    assert told[1].finished == pytest.approx(1000.0, abs=0.1)


def test_a_report_that_nobody_takes_holds_back_no_other(tmp_path: Path) -> None:
    spool, told = Spool(tmp_path), []

    def take(report: Report) -> None:
        if report.id == "1":
            raise Permanent("never")
        told.append(report.id)

    for number in (1, 2, 3):
        spool.add(Report(id=str(number), node="n", started=number, finished=number))
    assert spool.deliver(take) == "never"
    assert told == ["2", "3"]


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


def test_a_store_that_is_away_is_not_the_device(tmp_path: Path) -> None:
    runner, source, made = rig(tmp_path, declare("thing/a"))
    bundle = source.bundle

    def away() -> Any:
        raise NotAsked("http://store: Connection refused")

    source.bundle = away  # type: ignore[method-assign]
    report = runner.run()
    assert (report.kind, report.asked, report.exit_code) == ("unreachable", False, 4)
    source.bundle = bundle  # type: ignore[method-assign]
    made.dead["local"] = Unreachable("no route to host")
    report = runner.run()
    assert (report.kind, report.asked) == ("unreachable", True)
