"""What a device refuses is found among many that were sent together, and only that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from rackwright.engine.ledger import LedgerFile
from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Rejected
from rackwright.model.resource import Resource

from .memory import Device, Line, Memory, Write, apply, bundle, declare
from .test_converge import owned, run, states


class Transactions(Memory):
    """One commit of all, all or nothing."""

    atomic = True

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        device = session.device
        changes = [step.change for step in steps if isinstance(step, Write)]
        device.writes.append(" ".join(str(change.address) for change in changes))
        if any(str(change.address) in device.reject for change in changes):
            raise Rejected("the transaction was refused")
        for change in changes:
            apply(device, change)


class Batches(Memory):
    """One step for many; the device stops in the middle of one that it refuses."""

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        if not changes:
            return []
        addresses = tuple(change.address for change in changes)
        return [Many(addresses=addresses, text="many", change=changes[0], changes=tuple(changes))]

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        for step in steps:
            assert isinstance(step, Many)
            for change in step.changes:
                super().commit(
                    session, [Write(addresses=(change.address,), text="", change=change)]
                )


class Many(Write):
    """A step of several changes."""

    __slots__ = ("changes",)
    changes: tuple[Change, ...]

    def __init__(
        self,
        *,
        addresses: tuple[Address, ...],
        text: str,
        change: Change,
        changes: tuple[Change, ...],
    ) -> None:
        super().__init__(addresses=addresses, text=text, change=change)
        object.__setattr__(self, "changes", changes)


@pytest.mark.parametrize("provider", [Transactions(), Batches()], ids=["atomic", "batches"])
@pytest.mark.parametrize("bad", [{"thing/3"}, {"thing/0", "thing/7"}, {"thing/1", "thing/2"}])
def test_only_the_refused_fail(bad: set[str], provider: Memory, tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device(reject=set(bad))
    wanted = bundle(*(declare(f"thing/{number}") for number in range(8)))
    report = run(file, device, wanted, provider=provider)
    assert {name for name, state in states(report).items() if state == "failed"} == bad
    assert set(states(report).values()) == {"failed", "changed"}
    assert {str(address) for address in device.state} == set(states(report)) - bad
    assert {name for name in owned(file) if name not in bad} == set(states(report)) - bad
    device.reject = set()
    assert run(file, device, wanted, provider=provider).exit_code == 0


@pytest.mark.parametrize("provider", [Transactions(), Batches()], ids=["atomic", "batches"])
def test_what_rests_on_the_refused_is_not_sent(provider: Memory, tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device(reject={"thing/base"})
    wanted = bundle(
        declare("thing/base"), declare("thing/top", on="base"), declare("thing/far", on="top"),
        declare("thing/other"),
    )  # fmt: skip
    report = run(file, device, wanted, provider=provider)
    assert states(report) == {
        "thing/base": "failed",
        "thing/top": "blocked",
        "thing/far": "blocked",
        "thing/other": "changed",
    }
    assert {str(address) for address in device.state} == {"thing/other"}


class FirstAlone(Batches):
    """One step for the first, one for all others."""

    def render(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Sequence[Step]:
        alone = [change for change in changes if change.address.name == "base"]
        rest = [change for change in changes if change not in alone]
        return [*super().render(alone, observed), *super().render(rest, observed)]


def test_of_many_that_go_together_only_those_that_wait_are_left_out(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device(reject={"thing/base"})
    wanted = bundle(
        declare("thing/base"), declare("thing/top", on="base"), declare("thing/other"),
        declare("thing/more"),
    )  # fmt: skip
    report = run(file, device, wanted, provider=FirstAlone())
    assert states(report) == {
        "thing/base": "failed",
        "thing/top": "blocked",
        "thing/other": "changed",
        "thing/more": "changed",
    }


def test_one_among_a_thousand_is_found_in_few_tries(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device(reject={"thing/600"})
    wanted = bundle(*(declare(f"thing/{number}") for number in range(1000)))
    run(file, device, wanted, provider=Transactions())
    assert len(device.writes) <= 21
