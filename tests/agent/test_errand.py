"""Both ends of what somebody asks the daemon of delegates to do once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest

from rackwright import errand, hosted, hosting
from rackwright.errand import Rebooted
from rackwright.hosted import Told
from rackwright.model.errors import Temporary, Unreachable
from tests.real.parts import until

DONE = Rebooted(state="rebooted", via="snmp")


class Daemon:
    """Has one node, pdu-a1."""

    def __init__(self) -> None:
        self.future: Future[Rebooted] = Future()
        self.asked: list[tuple[str, str]] = []
        self.tell: Callable[[str], None] = lambda _said: None

    def reboot(
        self, node: str, outlet: str, tell: Callable[[str], None]
    ) -> Future[Rebooted] | None:
        self.tell = tell
        self.asked.append((node, outlet))
        return self.future if node == "pdu-a1" else None

    def told(self) -> dict[str, Told]:
        return {"pdu-a1": Told(state="running", epoch=3)}


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(hosting, "LOOK", 0.02)
    made = Daemon()
    with closing(hosted.listen(tmp_path)) as line:
        thread = threading.Thread(target=hosting._answer, args=(line, cast(Any, made)), daemon=True)
        thread.start()
        yield made


def test_what_is_said_meanwhile_and_what_came_of_it(tmp_path: Path, daemon: Daemon) -> None:
    said: list[str] = []

    def work() -> None:
        until(lambda: daemon.asked)
        daemon.tell("outlet 3 is off")
        until(lambda: said)
        # Others are answered in between.
        assert hosted.ask(tmp_path, "list") == daemon.told()
        daemon.future.set_result(DONE)

    worker = threading.Thread(target=work)
    worker.start()
    assert errand.reboot(tmp_path, "pdu-a1", "3", said.append, threading.Event()) == DONE
    worker.join(10)
    assert said == ["outlet 3 is off"]
    assert daemon.asked == [("pdu-a1", "3")]


def test_a_node_that_is_not_there_and_a_loop_that_leaves(tmp_path: Path, daemon: Daemon) -> None:
    ended = errand.reboot(tmp_path, "pdu-b1", "3", print, threading.Event())
    assert (ended.state, ended.error) == ("unreachable", "pdu-b1 is not converged from here")
    daemon.future.set_exception(Temporary("pdu-a1 is left: nothing was done"))
    ended = errand.reboot(tmp_path, "pdu-a1", "3", print, threading.Event())
    assert (ended.state, ended.error) == ("unreachable", "pdu-a1 is left: nothing was done")


def test_who_leaves_before_it_began_has_it_not_done(tmp_path: Path, daemon: Daemon) -> None:
    stop = threading.Event()
    threading.Thread(target=lambda: (until(lambda: daemon.asked), stop.set())).start()
    with pytest.raises(Temporary, match="told to stop"):
        errand.reboot(tmp_path, "pdu-a1", "3", print, stop)
    until(daemon.future.cancelled)


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        errand.reboot(tmp_path / "none", "pdu-a1", "3", print, threading.Event())
