"""An outlet rebooted between two runs of its node."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from rackwright.engine.files import run_lock
from rackwright.keeper import Claim
from rackwright.leasing import Lease
from rackwright.model.errors import Permanent, Temporary, Unreachable
from rackwright.provider import Registry
from rackwright.rebooting import reboot
from rackwright.run import NodeRunner

from ..engine.memory import Device, declare
from .fakes import FakeSource, Rig, RigRegistry
from .test_run import ladder, rig, way

SECRET = "hunter2hunter2"


class Unit(Rig):
    """A unit that reboots its outlets, or says what is wrong."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.done: list[str] = []
        self.wrong: Exception | None = None

    def reboot(self, session: Any, name: str) -> None:
        log = logging.getLogger("rackwright_providers.pdu")
        other = threading.Thread(target=log.info, args=("of another node",))
        other.start()
        other.join()
        log.info("outlet %s is off", name)
        if self.wrong:
            raise self.wrong
        self.done.append(name)


class Units(RigRegistry):
    def nouns(self) -> Any:
        return Registry.installed().nouns()


def unit(tmp_path: Path) -> tuple[NodeRunner, FakeSource, Unit]:
    runner, source, _ = rig(tmp_path, declare("thing/a"))
    ladder(source, way("ssh"))
    made = Unit(Device())
    runner.registry = Units(made)
    runner.secrets = tmp_path / "secrets"
    runner.secrets.write_text(f"one: {SECRET}\n")
    runner.secrets.chmod(0o600)
    return runner, source, made


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.set_level(logging.INFO, "rackwright_providers")
    return []


def test_on_the_session_of_the_runs(tmp_path: Path, told: list[str]) -> None:
    runner, _, made = unit(tmp_path)
    assert runner.run().exit_code == 0
    ended = reboot(runner, "3", told.append)
    assert (ended.state, ended.error, ended.via) == ("rebooted", "", "ssh")
    assert runner.run().exit_code == 0
    assert (made.done, made.opened) == (["3"], [("ssh", True)])
    assert told == ["outlet 3 is off"]


@pytest.mark.parametrize(
    ("wrong", "state", "said", "opened"),
    [
        (Unreachable(f"no answer to {SECRET}"), "unreachable", "no answer to ‹secret›", 2),
        (Permanent("it is off"), "failed", "it is off", 1),
        (ZeroDivisionError(SECRET), "failed", "a fault in Rackwright, see its log: Zero", 2),
    ],
)
def test_what_goes_wrong(
    wrong: Exception,
    state: str,
    said: str,
    opened: int,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner, _, made = unit(tmp_path)
    made.wrong = wrong
    ended = reboot(runner, "3", print)
    assert ended.state == state
    assert said in ended.error
    assert SECRET not in ended.error + caplog.text
    made.wrong = None
    assert reboot(runner, "3", print).state == "rebooted"
    assert len(made.opened) == opened


def test_not_while_a_run_is_under_way_nor_without_the_lease(tmp_path: Path) -> None:
    runner, source, made = unit(tmp_path)
    with run_lock(runner.state / "run.lock"):
        assert "one writer a node" in reboot(runner, "3", print).error
    runner.claim = claim = Claim("dev1", runner.state)
    claim.why = "the store places dev1 on admin2"
    ended = reboot(runner, "3", print)
    assert (ended.state, ended.error) == (
        "unreachable",
        "dev1 is not converged from here: the store places dev1 on admin2",
    )
    claim.lease = Lease("dev1", 7, 0.0, lambda: 1.0)  # it has ended
    assert reboot(runner, "3", print).state == "unreachable"
    assert (made.opened, source.epoch) == ([], 0)
    claim.lease = Lease("dev1", 8, 2.0, lambda: 1.0)
    assert reboot(runner, "3", print).state == "rebooted"
    assert source.epoch == 8
    assert runner.run().epoch == 8
    assert made.opened == [("ssh", True)]


def test_told_to_stop(tmp_path: Path) -> None:
    runner, _, made = unit(tmp_path)
    made.wrong = Temporary("told to stop")
    runner.stop.set()
    assert reboot(runner, "3", print).state == "stopped"


def test_what_is_no_outlet_or_no_unit(tmp_path: Path) -> None:
    runner, source, made = unit(tmp_path)
    assert "an outlet's name is" in reboot(runner, "-;", print).error
    ladder(source)
    assert "no managed node" in reboot(runner, "3", print).error
    assert made.opened == []
    ladder(source, way("ssh"))
    runner.registry = Units(Rig(Device()))
    assert "it reboots no outlets" in reboot(runner, "3", print).error
