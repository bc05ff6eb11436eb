"""Delegates as resources of their admin host, against the daemon's socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright import hosted
from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import LedgerFile
from rackwright.hosted import Told
from rackwright.model.bundle import Bundle, Declared, Gates, Origin
from rackwright.model.report import Report
from rackwright.model.resource import digest
from rackwright.model.site import Node, Way
from rackwright.provider import Surroundings
from rackwright_providers.server import delegates
from rackwright_providers.server.linux import Linux

LOCAL = Way(transport="local", options={})


@dataclass
class Daemon:
    """Follows the files, as `rackwright.hosting` does; what is busy stays a while."""

    state: Path
    busy: dict[str, int] = field(default_factory=dict)
    """How often each is still told of after it was to go."""
    deaf: bool = False
    runs: set[str] = field(default_factory=set)

    def serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                who, _ = line.accept()
                with who:
                    if who.recv(16) == b"poke\n" and not self.deaf:
                        self.look()
                    who.sendall(msgspec.json.encode(self.told()))

    def look(self) -> None:
        self.runs |= hosted.declared(self.state)

    def told(self) -> dict[str, Told]:
        there = hosted.declared(self.state)
        for name in self.runs - there:
            self.busy[name] = self.busy.get(name, 1) - 1
            if self.busy[name] < 0:
                self.runs.discard(name)
        return {
            name: Told(state="running" if name in there else "stopped", epoch=1)
            for name in self.runs
        }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    # Longer than the address of a Unix socket may be.
    made = tmp_path / ("a-state-directory-with-a-long-name-" * 4) / "admin1"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def daemon(state: Path) -> Iterator[Daemon]:
    made = Daemon(state)
    with hosted.listen(state) as line:
        thread = threading.Thread(target=made.serve, args=(line,), daemon=True)
        thread.start()
        yield made
        line.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def run(state: Path, *names: str, purge: bool = False, why_run: bool = False) -> Report:
    resources = tuple(
        Declared(
            type="delegate",
            data={"name": name},
            digest=digest("delegate", {"name": name}),
            origin=Origin(file="site.yaml", line=1),
        )
        for name in names
    )
    bundle = Bundle(
        node=Node(name="admin1", type="server", platform="linux"),
        revision="r1",
        resources=resources,
        purge=("delegate",) if purge else (),
    )
    linux = Linux()
    around = Surroundings(state=state, root=state, writable=not why_run)
    job = Job(bundle=bundle, gates=Gates(), secrets={}, why_run=why_run)
    with closing(linux.open(LOCAL, around)) as session:
        return converge(job, linux, session, LedgerFile(state / "ledger.json"))


def states(report: Report) -> dict[str, str]:
    assert not report.error
    return {outcome.address: outcome.state for outcome in report.outcomes}


def test_it_comes_and_goes_with_the_declaration(state: Path, daemon: Daemon) -> None:
    assert states(run(state, "sw1", "sw2")) == {
        "delegate/sw1": "changed",
        "delegate/sw2": "changed",
    }
    assert states(run(state, "sw1", "sw2")) == {
        "delegate/sw1": "in_sync",
        "delegate/sw2": "in_sync",
    }
    daemon.busy["sw1"] = 3
    report = run(state, "sw2")
    assert states(report) == {"delegate/sw1": "removed", "delegate/sw2": "in_sync"}
    assert daemon.runs == {"sw2"}
    assert hosted.declared(state) == {"sw2"}
    assert states(run(state, "sw2")) == {"delegate/sw2": "in_sync"}


def test_without_the_daemon_nothing_is_begun(state: Path) -> None:
    report = run(state, "sw1")
    (outcome,) = report.outcomes
    assert outcome.state == "failed"
    assert outcome.why == "the service rackwright-delegates is not running here"
    assert hosted.declared(state) == frozenset()


def test_without_the_daemon_it_goes_all_the_same(state: Path) -> None:
    (state / hosted.FOLDER).mkdir()
    (state / hosted.FOLDER / "sw1").touch()
    assert states(run(state, purge=True)) == {"delegate/sw1": "removed"}
    assert hosted.declared(state) == frozenset()


def test_a_daemon_that_does_not_take_it_up_is_not_believed(
    state: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delegates, "TAKING", 0.3)
    daemon.deaf = True
    (outcome,) = run(state, "sw1").outcomes
    assert outcome.state == "failed"
    assert "when read back state reads None, not 'running'" in outcome.why
    daemon.deaf = False
    daemon.look()
    assert states(run(state, "sw1")) == {"delegate/sw1": "in_sync"}


def test_a_daemon_that_takes_it_up_later_is_waited_for(state: Path, daemon: Daemon) -> None:
    """It is just being started again."""
    daemon.deaf, asked, times = True, daemon.told, 0

    def told() -> dict[str, Told]:
        nonlocal times
        times += 1
        if (
            times > 4
        ):  # the look before, two of the step itself, and the one that would find it missing
            daemon.look()
        return asked()

    daemon.told = told  # type: ignore[method-assign]
    assert states(run(state, "sw1")) == {"delegate/sw1": "changed"}


def test_one_that_does_not_let_go_is_not_gone(
    state: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(state, "sw1")
    monkeypatch.setattr(delegates, "LEAVING", 0.3)
    daemon.busy["sw1"] = 1000
    (outcome,) = run(state).outcomes
    assert (outcome.address, outcome.state) == ("delegate/sw1", "failed")
    assert "still busy" in outcome.why
    # And it is not forgotten, though its file is gone.
    daemon.busy["sw1"] = 1
    assert states(run(state)) == {"delegate/sw1": "removed"}


def test_what_an_older_placement_left_goes_without_a_ledger(state: Path, daemon: Daemon) -> None:
    run(state, "sw1", "sw2")
    (state / "ledger.json").unlink()
    assert states(run(state, "sw2")) == {"delegate/sw2": "in_sync"}
    assert daemon.runs == {"sw1", "sw2"}  # not ours to touch, as far as is known
    assert states(run(state, "sw2", purge=True)) == {
        "delegate/sw1": "removed",
        "delegate/sw2": "in_sync",
    }
    assert daemon.runs == {"sw2"}


def test_a_dry_run_writes_nothing(state: Path, daemon: Daemon) -> None:
    report = run(state, "sw1", why_run=True)
    (outcome,) = report.outcomes
    assert (outcome.state, outcome.commands) == ("changed", ("start delegate sw1",))
    assert hosted.declared(state) == frozenset()
    assert daemon.runs == set()


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", ""])
def test_names_stay_in_their_folder(state: Path, daemon: Daemon, name: str) -> None:
    report: Any = run(state, name)
    assert "cannot be a node's name" in str(report)
    assert daemon.runs == set()


def test_a_socket_that_is_left_over_is_nobody(state: Path) -> None:
    hosted.listen(state).close()
    assert (state / hosted.SOCKET).exists()
    assert hosted.ask(state, "list") is None
    hosted.listen(state).close()  # and does not keep the next daemon away


def test_nothing_else_is_taken_for_a_declaration(state: Path) -> None:
    (state / hosted.FOLDER).mkdir()
    for name in ("sw1", ".sw2.123.new", "a b", "-x"):
        (state / hosted.FOLDER / name).touch()
    assert hosted.declared(state) == {"sw1"}
