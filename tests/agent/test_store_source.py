"""A bundle and its gates belong together, whatever the store does between the two."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.engine.spool import Spool
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.report import Report
from rackwright.source import StoreSource, Superseded, credential
from rackwright.store_http import NotAllowed, Unfit

from ..engine.memory import bundle, declare

OLD = bundle(declare("thing/a"))
NEW = bundle()
HELD = Gates(held={"thing/a": ("web1:port/eth0",)})


@dataclass
class Client:
    """A store that may go away, or on to another revision, before its N-th answer."""

    what: Bundle
    gate: Gates = field(default_factory=Gates)
    away: bool = False
    answers: list[str] = field(default_factory=list)
    before: dict[int, Any] = field(default_factory=dict)
    error: Exception | None = None

    def answer(self, name: str) -> None:
        self.answers.append(name)
        self.before.pop(len(self.answers), lambda: None)()
        if self.away:
            raise Unreachable("the store is away")

    def bundle(
        self, node: str, credential: str, etag: str = "", *, epoch: int = 0
    ) -> tuple[Bundle, str] | None:
        self.answer("bundle")
        return None if self.what.etag == etag else (self.what, self.what.etag)

    def gates(self, node: str, credential: str, *, epoch: int = 0) -> tuple[Gates, str]:
        self.answer("gates")
        return self.gate, self.gate.etag

    def post_report(self, node: str, credential: str, report: Report, *, epoch: int = 0) -> None:
        if self.error:
            raise self.error

    def get_ledger(self, node: str, credential: str, *, epoch: int = 0) -> bytes | None:
        return b"{"

    def leave(self) -> None:
        self.away = True


def source(client: Client, state: Path) -> StoreSource:
    return StoreSource(client, "dev1", "key", state)  # type: ignore[arg-type]


def test_a_new_bundle_is_not_used_with_the_gates_of_the_old_one(tmp_path: Path) -> None:
    """The old gates do not hold what the old bundle still wanted."""
    client = Client(OLD)
    ours = source(client, tmp_path)
    assert (ours.bundle(), ours.gates()) == (OLD, Gates())
    client.what, client.gate = NEW, HELD
    client.before[len(client.answers) + 2] = client.leave
    assert ours.bundle() == NEW
    with pytest.raises(Unreachable):
        ours.gates()
    for again in (ours, source(client, tmp_path)):  # also after a restart
        assert (again.bundle(), again.gates()) == (OLD, Gates(stale=True))
    client.away = False
    assert (ours.bundle(), ours.gates()) == (NEW, HELD)
    assert ours.gates_etag == HELD.etag
    client.away = True
    assert ours.gates() == msgspec.structs.replace(HELD, stale=True)
    assert ours.gates_etag == ""  # so that it is woken when the store is back
    assert source(client, tmp_path).bundle() == NEW


def test_a_turn_counts_for_nothing_while_nobody_can_be_asked(tmp_path: Path) -> None:
    client = Client(NEW, Gates(given={"1": 1, "2": 1}, turns={"2": ("sw2:port/2",)}))
    ours = source(client, tmp_path)
    ours.bundle(), ours.gates()
    client.away = True
    ours.bundle()
    assert ours.gates().turns == {"1": (), "2": ("sw2:port/2",)}


def test_gates_of_a_newer_revision_are_not_used_with_an_older_bundle(tmp_path: Path) -> None:
    client = Client(NEW, HELD)
    ours = source(client, tmp_path)
    assert ours.bundle() == NEW
    client.what, client.gate = OLD, Gates()  # the commit is taken back
    with pytest.raises(Superseded):
        ours.gates()
    assert (ours.bundle(), ours.gates()) == (OLD, Gates())


def test_new_gates_are_kept(tmp_path: Path) -> None:
    client = Client(NEW)
    ours = source(client, tmp_path)
    ours.bundle(), ours.gates()
    client.gate = HELD
    ours.bundle(), ours.gates()
    client.away = True
    again = source(client, tmp_path)
    assert (again.bundle(), again.gates()) == (NEW, msgspec.structs.replace(HELD, stale=True))


def test_reports_wait_for_a_credential_that_is_good_again(tmp_path: Path) -> None:
    client = Client(NEW, error=NotAllowed("not your credential"))
    ours, spool = source(client, tmp_path), Spool(tmp_path / "reports")
    spool.add(Report(id="1", node="dev1", started=0, finished=1))
    assert "not your credential" in spool.deliver(ours.deliver)
    assert len(spool.waiting()) == 1
    client.error = Unfit("no report at all")
    spool.deliver(ours.deliver)
    assert spool.waiting() == []


def test_what_is_set_aside_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.engine.spool.KEPT", 3)
    client = Client(NEW, error=Unfit("no report at all"))
    ours, spool = source(client, tmp_path), Spool(tmp_path / "reports")
    for number in range(9):
        spool.add(Report(id=str(number), node="dev1", started=0, finished=1))
        spool.deliver(ours.deliver)
    assert len(list((tmp_path / "reports").glob("*.*"))) <= 4


def test_a_damaged_copy_of_the_ledger_is_said(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="damaged"):
        source(Client(NEW), tmp_path).mirrored()


@pytest.mark.parametrize("node", ["../x", "a/b", "", ".."])
def test_a_name_that_is_a_path_is_no_node(tmp_path: Path, node: str) -> None:
    with pytest.raises(Permanent, match="cannot be a node's name"):
        credential(tmp_path, Client(NEW), node, "token")  # type: ignore[arg-type]
