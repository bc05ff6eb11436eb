"""The daemon's loops: wake-ups, back-off, and one node that hangs beside others."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.daemon import Signals, serve, tell_systemd
from rackwright.loop import BACK_OFF, Loop, Pace
from rackwright.model.errors import Temporary, Unreachable
from rackwright.model.report import Report
from rackwright.run import NodeRunner

from ..engine.memory import declare
from ..waiting import until
from .fakes import Rig
from .test_run import rig

FOREVER = Pace(interval=3600, splay=0)


class Rack:
    """Loops under a stop of their own, and the reports as they come."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.stop = tmp_path, threading.Event()
        self.reports: queue.Queue[Report] = queue.Queue()
        self.loops: list[Loop] = []

    def add(self, name: str) -> tuple[Loop, Rig]:
        runner, _, made = rig(self.tmp_path / name, declare("thing/a"), stop=self.stop)
        runner.node = name
        loop = Loop(runner, FOREVER, self.reports.put)
        self.loops.append(loop)
        return loop, made

    def end(self) -> None:
        self.stop.set()
        for loop in self.loops:
            loop.wake()


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    made = Rack(tmp_path)
    yield made
    made.end()


def test_a_wake_up_runs_at_once(rack: Rack) -> None:
    loop, _ = rack.add("one")
    loop.start()
    assert rack.reports.get(timeout=10).exit_code == 0
    loop.wake()
    assert rack.reports.get(timeout=10).exit_code == 0
    rack.end()
    loop.thread.join(10)
    assert not loop.running


def test_a_hanging_node_delays_no_other(rack: Rack) -> None:
    stuck, made = rack.add("stuck")
    made.hang.clear()
    others = [rack.add(f"n{i}")[0] for i in range(5)]
    for loop in (stuck, *others):
        loop.start()
    assert all(rack.reports.get(timeout=10).exit_code == 0 for _ in others)
    assert rack.reports.empty()
    made.hang.set()
    assert rack.reports.get(timeout=10).exit_code == 0


def test_what_is_asked_for_once_is_done_between_two_runs(rack: Rack) -> None:
    loop, made = rack.add("one")
    made.hang.clear()
    loop.start()
    during = loop.between_runs(lambda: (threading.current_thread(), len(made.opened)))
    never = loop.between_runs(lambda: pytest.fail("it was taken back"))
    assert never.cancel()
    assert not during.done()
    made.hang.set()
    assert during.result(timeout=10) == (loop.thread, 1)
    assert [rack.reports.get(timeout=10).exit_code for _ in range(2)] == [0, 0]  # a run follows
    assert loop.between_runs(lambda: rack.reports.qsize()).result(timeout=10) == 0  # while it rests
    assert rack.reports.get(timeout=10).exit_code == 0
    bug = loop.between_runs(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        bug.result(timeout=10)
    assert rack.reports.get(timeout=10).exit_code == 0


def test_what_is_asked_of_a_loop_that_leaves_is_not_done(rack: Rack) -> None:
    loop, made = rack.add("one")
    made.hang.clear()
    loop.start()
    asked = loop.between_runs(lambda: pytest.fail("it was to leave"))
    rack.end()
    made.hang.set()
    with pytest.raises(Temporary, match="nothing was done"):
        asked.result(timeout=10)
    loop.thread.join(10)
    with pytest.raises(Temporary, match="nothing was done"):
        loop.between_runs(lambda: None).result(timeout=10)


def test_a_bug_in_a_provider_does_not_end_the_loop(rack: Rack) -> None:
    loop, made = rack.add("buggy")
    made.dead["local"] = ZeroDivisionError("a bug")
    loop.start()
    report = rack.reports.get(timeout=10)
    assert "a fault in Rackwright" in report.error
    assert report.exit_code == 2
    made.dead.clear()
    loop.wake()
    assert rack.reports.get(timeout=10).exit_code == 0


def test_a_bug_outside_of_a_run_does_not_end_the_loop(
    rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody would start another one for a node beside others."""
    monkeypatch.setattr("rackwright.loop.BACK_OFF", 0.01)
    loop, _ = rack.add("one")
    with monkeypatch.context() as patch:
        patch.setattr(NodeRunner, "run", lambda *_, **__: 1 // 0)
        loop.start()
        until(lambda: loop._failures > 2, what="it tries")
    assert rack.reports.get(timeout=10).exit_code == 0
    until(lambda: loop.resting and not loop._failures, what="it rests")


def test_unreachable_backs_off_up_to_the_interval(rack: Rack) -> None:
    loop, made = rack.add("dead")
    loop._jitter = lambda: 0.5
    made.dead["local"] = Unreachable("refused")
    loop.start()
    pauses = []
    for _ in range(12):
        assert rack.reports.get(timeout=10).exit_code == 4
        while not loop._failures > len(pauses):
            pass
        pauses.append(loop.pause())
        loop.wake()
    assert pauses[:3] == [BACK_OFF, 2 * BACK_OFF, 4 * BACK_OFF]
    assert pauses[-1] == FOREVER.interval


def test_splay_spreads_runs() -> None:
    low = Loop.__new__(Loop)
    low._pace, low._failures, low._jitter = Pace(100, 50), 0, lambda: 0.0
    assert low.pause() == 100
    low._jitter = lambda: 1.0
    assert low.pause() == 150


def test_signals_wake_and_end(rack: Rack) -> None:
    loop, _ = rack.add("one")

    def drive() -> None:
        rack.reports.get(timeout=10)
        os.kill(os.getpid(), signal.SIGUSR1)
        rack.reports.get(timeout=10)
        os.kill(os.getpid(), signal.SIGTERM)

    driver = threading.Thread(target=drive)
    driver.start()
    serve([loop], rack.stop)
    driver.join(10)
    assert rack.stop.is_set()
    assert not loop.running


def test_once_runs_each_node_once_and_ends(rack: Rack) -> None:
    loops = [rack.add(f"n{i}")[0] for i in range(3)]
    serve(loops, rack.stop, once=True)
    assert rack.reports.qsize() == 3


def test_a_signal_is_heard_however_often() -> None:
    with Signals(signal.SIGUSR1) as signals:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGUSR1)
        heard: list[int] = []
        while len(heard) < 3:
            heard += signals.wait(5)
        assert heard == [signal.SIGUSR1] * 3


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        tell_systemd("READY=1")
        assert manager.recv(100) == b"READY=1"
