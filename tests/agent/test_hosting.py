"""The daemon of delegates: its socket, whatever goes wrong behind it, and what the store has it let go of."""

from __future__ import annotations

import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from rackwright import hosted, hosting
from rackwright.hosted import Told
from rackwright.hosting import Delegates as Shared
from rackwright.hosting import Hosting
from rackwright.keeper import Keeper
from rackwright.leasing import boot_time
from rackwright.loop import Pace
from rackwright.model.errors import Unreachable

from ..engine.memory import Device
from ..real.parts import until
from .fakes import Rig, RigRegistry
from .lease_store import LeaseStore


class Line:
    """The daemon's end, which fails as often as the test says first."""

    def __init__(self, line: socket.socket, *errors: OSError) -> None:
        self.line, self.errors = line, list(errors)
        self.fileno = line.fileno

    def accept(self) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return self.line.accept()


class Delegates:
    """What is told; the first look is a failure that nobody thought of."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        if self.looks == 1:
            raise RuntimeError("can't start new thread")

    def told(self) -> dict[str, Told]:
        return {"sw1": Told(state="running", epoch=3)}


def test_who_asks_is_answered_after_any_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "SHORT_OF", 0.01)
    delegates = Delegates()
    with hosted.listen(tmp_path) as line:
        failing = Line(line, OSError(errno.EMFILE, "full"), OSError(errno.ECONNABORTED, "gone"))
        arguments = (failing, delegates)
        thread = threading.Thread(target=hosting._answer, args=arguments, daemon=True)
        thread.start()
        assert hosted.ask(tmp_path, "poke") is None
        told = hosted.ask(tmp_path, "poke")
        assert told is not None
        assert told["sw1"].epoch == 3
        assert delegates.looks == 2
        line.shutdown(socket.SHUT_RDWR)
        line.close()
    until(lambda: not thread.is_alive())


class Store(LeaseStore):
    """Knows leases, and nothing else."""

    def __getattr__(self, name: str) -> Any:
        def away(*_: object, **__: object) -> None:
            raise Unreachable("the store is away")

        return away


def test_what_is_to_go_elsewhere_is_let_go_of_though_the_hosts_agent_is_dead(
    tmp_path: Path,
) -> None:
    """And taken up again when it is to come back, before that agent has looked."""
    client: Any = Store(boot_time, ttl=2.0)
    shared = Shared(
        "admin1", client, RigRegistry(Rig(Device())), tmp_path, tmp_path / "none",
        Pace(3600, 0), lambda _report: None,
    )  # fmt: skip
    keeper = Keeper(client, "admin1")
    made = Hosting(shared, keeper, lambda: None)
    files = shared.own / hosted.FOLDER
    files.mkdir(parents=True)
    (files / "sw1").touch()
    keeper.start()

    def told() -> Told:
        made.look()
        return made.told().get("sw1", Told(state="stopped"))

    until(lambda: told().epoch == 1)
    client.leaving = {"sw1": "the store places sw1 on admin2"}
    until(lambda: told().why == "the store places sw1 on admin2", what="it is told")
    assert told().state == "waiting"  # it is declared here until the host's agent has looked
    until(lambda: told() and client.grants["sw1"].subject == "", what="the lease is given back")
    client.leaving = {}
    until(lambda: told().epoch > 1, what="it comes back")
    made.leave()
    until(lambda: made.empty)
    keeper.close()
