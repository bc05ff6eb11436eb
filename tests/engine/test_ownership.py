"""What we made stays ours, and nothing is removed because it cannot be used right now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rackwright.engine.ledger import Entry, Ledger, LedgerFile
from rackwright.model.address import Address
from rackwright.model.errors import Permanent, Temporary
from rackwright.model.resource import Resource

from .memory import Device, Line, Memory, bundle, declare, thing
from .test_converge import owned, run, states


def device_with(*names: str) -> Device:
    return Device(state={Address("thing", name): thing(f"thing/{name}") for name in names})


def made(tmp_path: Path, *names: str, **more: Any) -> LedgerFile:
    file = LedgerFile(tmp_path / "ledger.json")
    entries = {f"thing/{n}": Entry(type="thing", data={"name": n}, made=True) for n in names}
    file.store(Ledger(entries=entries, **more))
    return file


@pytest.mark.parametrize("spelling", ["a", "A"])
def test_a_missing_secret_removes_nothing(tmp_path: Path, spelling: str) -> None:
    file, device = made(tmp_path, "a"), device_with("a")
    report = run(file, device, bundle(declare(f"thing/{spelling}", key="⟦secret:gone⟧")))
    assert states(report) == {f"thing/{spelling}": "refused"}
    assert device.writes == []
    assert owned(file) == {"thing/a": "made"}


def test_purge_leaves_what_cannot_be_used(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), device_with("a")
    run(file, device, bundle(declare("thing/A", key="⟦secret:gone⟧"), purge=("thing",)))
    assert device.writes == []


class Crippled(Memory):
    """Cannot handle things right now (no package manager, no systemd)."""

    def canonical(self, resource: Resource) -> Resource:
        raise Permanent("no tool for it here")

    def read(self, session: Line, wanted: Any) -> Mapping[Address, Resource]:
        return {}


def test_what_cannot_be_looked_at_stays_ours(tmp_path: Path) -> None:
    file = made(tmp_path, "a")
    report = run(file, device_with("a"), bundle(), provider=Crippled())
    assert states(report) == {"thing/a": "refused"}
    assert owned(file) == {"thing/a": "made"}


class Blind(Memory):
    """Reads once, and then no more."""

    def __init__(self, error: Exception) -> None:
        self.error, self.reads = error, 0

    def read(self, session: Line, wanted: Any) -> Mapping[Address, Resource]:
        self.reads += 1
        if self.reads > 1:
            raise self.error
        return super().read(session, wanted)


@pytest.mark.parametrize("error", [Permanent("not allowed"), Temporary("busy")])
def test_what_was_not_read_back_is_not_done(tmp_path: Path, error: Exception) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    report = run(file, device, bundle(declare("thing/a")), provider=Blind(error))
    assert states(report) == {"thing/a": "failed"}
    assert device.saves == 0
    run(file, device, bundle())
    assert device.state == {}, "it was ours: the intent was kept"


class Mute(Memory):
    """Sends nothing for a change."""

    def render(self, changes: Any, observed: Any) -> Any:
        return []


def test_a_change_that_nothing_is_sent_for_is_not_done(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    report = run(file, device, bundle(declare("thing/a")), provider=Mute())
    assert states(report) == {"thing/a": "failed"}
    assert owned(file) == {}


class Atomic(Memory):
    """All in one, and cannot render one of them."""

    atomic = True

    def render(self, changes: Any, observed: Any) -> Any:
        if any(change.address.name == "base" for change in changes):
            raise Permanent("not this one")
        return super().render(changes, observed)


def test_one_transaction_leaves_out_what_rests_on_a_failure(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    wanted = bundle(declare("thing/base"), declare("thing/top", on="base"), declare("thing/c"))
    report = run(file, device, wanted, provider=Atomic())
    assert states(report) == {"thing/base": "failed", "thing/top": "blocked", "thing/c": "changed"}
    assert device.writes == ["create thing/c"]


class Full(Memory):
    """Cannot save."""

    def save(self, session: Line) -> bool:
        raise Permanent("startup is full")


def test_a_save_that_fails_notifies_once(tmp_path: Path) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    wanted = bundle(declare("thing/a", notifies=["thing/b"]), declare("thing/b"))
    for _ in range(3):
        assert "startup is full" in run(file, device, wanted, provider=Full()).error
    assert device.notified == ["thing/b"]
    assert run(file, device, wanted).saved


def test_nothing_sent_is_nothing_to_save(tmp_path: Path) -> None:
    import threading

    stop = threading.Event()
    stop.set()
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()
    run(file, device, bundle(declare("thing/a")), stop=stop)
    assert (device.writes, device.saves, file.load().unsaved) == ([], 0, False)


def test_an_unrelated_failure_does_not_keep_an_earlier_change_from_being_saved(
    tmp_path: Path,
) -> None:
    file, device = made(tmp_path, "a", unsaved=True), device_with("a")
    run(file, device, bundle(declare("thing/a"), declare("plug/9", state="on")))
    assert device.saves == 1


def test_a_ledger_that_cannot_be_written_stops_the_run_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, device = LedgerFile(tmp_path / "ledger.json"), Device()

    def full(_ledger: Ledger) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "store", full)
    with pytest.raises(OSError, match="No space left"):
        run(file, device, bundle(declare("thing/a")))
    assert device.writes == []
