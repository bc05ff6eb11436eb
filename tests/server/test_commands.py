"""Commands that run when they are needed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Rejected
from rackwright_providers.server.commands import ExecHandler
from rackwright_providers.server.software_resources import Exec
from rackwright_providers.transport.local import Host
from tests.server.converging import converge, look

ROOT = Path("/")

CASES: list[tuple[dict[str, Any], bool]] = [
    ({"creates": "{here}/missing"}, True),
    ({"creates": "{here}"}, False),
    ({"unless": "false"}, True),
    ({"unless": "test -d {here}"}, False),
    ({"unless": "true"}, False),
    ({"creates": "{here}/missing", "only_if": "true"}, True),
    ({"creates": "{here}/missing", "only_if": "false"}, False),
    ({"creates": "{here}/missing", "unless": "true"}, False),
    ({"unless": 'test "$X" = y', "environment": {"X": "y"}}, False),
    ({"unless": 'test "$PWD" = "{here}"', "cwd": "{here}"}, False),
    ({"unless": "sleep 9", "timeout": 0.05}, True),
]


@pytest.mark.parametrize(("fields", "runs"), CASES)
def test_when_it_runs(fields: dict[str, Any], runs: bool, tmp_path: Path) -> None:
    filled = {
        key: value.format(here=tmp_path) if isinstance(value, str) else value
        for key, value in fields.items()
    }
    work = Exec(name="x", command=f"touch {tmp_path}/ran", **filled)
    (seen,) = ExecHandler().read(Host(ROOT), [work]).values()
    assert isinstance(seen, Exec)
    assert seen.command == ("" if runs else work.command)


@pytest.mark.proves("linux", "exec", over="local", on="real", by="the shell")
def test_it_runs_once(tmp_path: Path) -> None:
    work = Exec(
        name="x", command="echo $GREETING >> log; pwd >> log", creates=f"{tmp_path}/log",
        cwd=str(tmp_path), environment={"GREETING": "hi"},
    )  # fmt: skip
    assert converge(ROOT, work, state=tmp_path) == ["run: echo $GREETING >> log; pwd >> log"]
    assert (tmp_path / "log").read_text() == f"hi\n{tmp_path}\n"
    assert converge(ROOT, work, state=tmp_path) == []


def test_a_plan_evaluates_nothing(tmp_path: Path) -> None:
    seen = f"touch {tmp_path}/evaluated; exit 0"
    work = Exec(name="x", command="never", unless=seen, only_if=seen)
    (change,) = look(ROOT, work)
    (step,) = ExecHandler().render([change])
    assert step.text == f"run: never; unless this succeeds: {seen}; only if this succeeds: {seen}"
    assert list(tmp_path.iterdir()) == []


def test_what_came_before_it_may_have_done_its_work(tmp_path: Path) -> None:
    work = Exec(name="x", command=f"touch {tmp_path}/ran", creates=f"{tmp_path}/made")
    (change,) = look(ROOT, work)
    (tmp_path / "made").touch()
    ExecHandler().render([change])[0].apply(Host(ROOT))
    assert not (tmp_path / "ran").exists()


def test_a_notification_runs_it_anyway(tmp_path: Path) -> None:
    work = Exec(name="x", command=f"touch {tmp_path}/ran", unless="true")
    (step,) = ExecHandler().render([Change("notify", work.address, work, work)])
    step.apply(Host(ROOT))
    assert (tmp_path / "ran").exists()


def test_a_failure_says_what_it_said(tmp_path: Path) -> None:
    work = Exec(name="x", command="echo no luck >&2; exit 7", creates=f"{tmp_path}/x")
    with pytest.raises(Rejected, match=r"exit status 7\): no luck"):
        converge(ROOT, work, state=tmp_path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_all_of_it_runs_as_the_user() -> None:
    with tempfile.TemporaryDirectory() as place:  # pytest's own are closed to other users
        Path(place).chmod(0o777)
        runs_as_daemon(Path(place))


def runs_as_daemon(tmp_path: Path) -> None:
    work = Exec(
        name="x", user="daemon", command=f"id -un > {tmp_path}/who",
        unless=f'test "$(id -un)" != daemon || test -e {tmp_path}/who',
    )  # fmt: skip
    converge(ROOT, work, state=tmp_path)
    assert (tmp_path / "who").read_text() == "daemon\n"
    assert converge(ROOT, work, state=tmp_path) == []
