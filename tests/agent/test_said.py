"""What commands say where there is nothing to show, or where they were left in the middle."""

from __future__ import annotations

import io
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rackwright.cli import ask, demo, host
from rackwright.cli.main import group


def said(*words: str, code: int | None = None) -> str:
    """What a command writes to both streams."""
    done = CliRunner().invoke(group, words, standalone_mode=False)
    if code is not None:
        assert done.return_value == code, done.output
    return done.output


@pytest.fixture
def where(tmp_path: Path) -> tuple[str, ...]:
    """A site without a link, as options."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.yaml").write_text("site: x\n---\nnode: a\ntype: server\n")
    return ("--site", str(tmp_path / "site"), "--state", str(tmp_path / "state"))


def test_links_of_a_site_without_any(where: tuple[str, ...]) -> None:
    assert said("links", *where, code=0) == "no link is declared, and none is seen\n"
    assert said("links", "--check", *where, code=0) == "no link is declared, and none is seen\n"
    assert said("links", "--json", *where, code=0) == "[]\n"


def test_nothing_to_adopt(where: tuple[str, ...]) -> None:
    nothing = "no link is found that the site does not declare\n"
    assert said("links", "--adopt", *where, code=0) == nothing


def test_a_demo_that_is_kept_runs_on_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looked: list[None] = []

    def check(_: Any) -> None:
        looked.append(None)
        if len(looked) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(demo, "LOOK", 0.01)
    monkeypatch.setattr(demo.Processes, "check", check)
    before = signal.getsignal(signal.SIGINT)
    try:
        demo.Rack(tmp_path).stay()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(looked) == 2
    assert f"export RACKWRIGHT_ADMIN={tmp_path}/store/admin.credential" in capsys.readouterr().out


def test_no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoRuns:
        def runs(self, _name: str, _limit: int) -> list[dict[str, Any]]:
            return []

    monkeypatch.setattr(ask, "connect", lambda *_: NoRuns())
    assert said("runs", "web9", code=0) == "no run of web9 is known\n"
    assert said("runs", code=0) == "no run is known\n"


class Hosts:
    """A store that drains admin1, whose nodes can be nowhere else."""

    def __init__(self, *, interrupted: bool = False, only: tuple[str, ...] = ()) -> None:
        self.interrupted, self.only = interrupted, only
        self.asked: list[bool] = []

    def hosts(self) -> dict[str, Any]:
        return {"hosts": [{"host": "admin1", "only": list(self.only)}]}

    def drain(self, name: str, _who: str, *, drain: bool) -> dict[str, Any]:
        self.asked.append(drain)
        if self.interrupted:
            raise KeyboardInterrupt
        stuck = [{"node": "sw-a1", "why": "its only host admin1 is draining"}] if drain else []
        draining = {"who": "x", "at": 0} if drain else None
        about = {"host": name, "state": "alive", "nodes": [], "stuck": stuck, "share": 1}
        return {**about, "draining": draining}


def drained(monkeypatch: pytest.MonkeyPatch, store: Hosts, *words: str) -> Any:
    monkeypatch.setattr(host, "connect", lambda *_: store)
    return CliRunner().invoke(group, ["host", *words], standalone_mode=False)


def test_who_leaves_while_the_store_is_asked_to_drain_is_told_what_may_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = drained(monkeypatch, Hosts(interrupted=True), "drain", "admin1")
    assert isinstance(done.exception, click.Abort)
    assert "`rackwright host resume admin1` ends that" in done.output


ALONE = "no other live host can reach pdu-a1, sw-a1: nobody converges what admin1 lets go of\n"


@pytest.mark.parametrize(
    ("words", "terminal", "answer", "asked", "drains"),
    [
        ((), True, "n\n", True, False),
        ((), True, "y\n", True, True),
        (("--yes",), True, "", False, True),
        ((), False, "", False, True),
    ],
)
def test_draining_the_last_host_of_some_nodes_is_asked_about_on_a_terminal(
    words: tuple[str, ...],
    terminal: bool,
    answer: str,
    asked: bool,
    drains: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    store = Hosts(only=("pdu-a1", "sw-a1"))
    monkeypatch.setattr(host, "connect", lambda *_: store)
    monkeypatch.setattr(host, "on_terminal", lambda: terminal)
    monkeypatch.setattr(host, "sys", SimpleNamespace(stdin=Terminal()))
    done = CliRunner().invoke(
        group, ["host", "drain", "admin1", *words], input=answer, standalone_mode=False
    )
    assert ALONE in done.output
    assert ("Drain admin1 all the same?" in done.output) is asked
    assert store.asked == ([True] if drains else [])
    assert isinstance(done.exception, click.Abort) is not drains


def test_draining_a_host_that_others_can_stand_in_for_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "no other live host" not in drained(monkeypatch, Hosts(), "drain", "admin1").output


def test_what_nobody_converges_any_more_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    done = drained(monkeypatch, Hosts(), "drain", "admin1")
    assert done.return_value == 3
    assert "nobody converges them until another host can reach them, or `rackwright host resume admin1`" in done.output  # fmt: skip
    done = drained(monkeypatch, Hosts(), "resume", "admin1")
    assert done.output == "admin1 is alive; 1 node is to be there\n"
