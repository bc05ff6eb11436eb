"""The keeper's thread, a node's claim, and runs under a lease, on a store in memory."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright import keeper
from rackwright.engine.ledger import Entry, Ledger, LedgerFile
from rackwright.keeper import Claim, Keeper
from rackwright.leasing import Lease, NoLease, boot_time
from rackwright.loop import Loop, Pace
from rackwright.model.address import Address
from rackwright.model.errors import Unreachable
from rackwright.model.lease import GRACE
from rackwright.model.report import Report
from rackwright.run import NodeRunner

from ..engine.memory import Thing, declare
from ..real.parts import until
from .fakes import Rig
from .lease_store import LeaseStore
from .test_run import rig

FOREVER = Pace(interval=3600, splay=0)


class Host:
    """A host's keeper, as one process."""

    def __init__(self, store: LeaseStore, name: str) -> None:
        self.keeper = Keeper(store, name, clock=store.clock)  # type: ignore[arg-type]
        self.keeper.start()

    def claim(self, state: Path) -> Claim:
        made = Claim("sw1", state)
        self.keeper.want(made)
        return made


@pytest.fixture
def store() -> LeaseStore:
    return LeaseStore(boot_time, ttl=2.0)


@pytest.fixture
def hosts(store: LeaseStore) -> Iterator[dict[str, Host]]:
    made = {name: Host(store, name) for name in ("admin1", "admin2")}
    yield made
    for host in made.values():
        host.keeper.close()


def held(claim: Claim) -> int:
    """The epoch; 0 without a lease."""
    lease = claim.lease
    return lease.epoch if lease is not None and lease.left() > 0 else 0


def test_a_lease_is_renewed_and_given_back(
    store: LeaseStore, hosts: dict[str, Host], tmp_path: Path
) -> None:
    one, two = hosts["admin1"].claim(tmp_path / "1"), Claim("sw1", tmp_path / "2")
    until(lambda: held(one) == 1)
    lease = one.current()
    first = lease.ends
    until(lambda: lease.ends > first)
    hosts["admin2"].keeper.want(two)
    until(lambda: two.settled)
    with pytest.raises(NoLease, match=r"sw1 is not converged from here: admin1 converges it"):
        two.current()
    hosts["admin1"].keeper.give_up(one)
    with pytest.raises(Unreachable, match="it was given back"):
        lease.check()
    until(lambda: held(two) == 2)
    assert hosts["admin1"].keeper.released("sw1")


def test_a_host_without_nodes_gives_a_sign_of_life(
    store: LeaseStore, hosts: dict[str, Host]
) -> None:
    until(lambda: store.asked.count(({}, {})) > 3)


def test_a_store_that_is_away_ends_the_lease_and_gives_it_again(
    store: LeaseStore, hosts: dict[str, Host], tmp_path: Path
) -> None:
    woken = threading.Event()
    claim = Claim("sw1", tmp_path)
    claim.changed = woken.set
    hosts["admin1"].keeper.want(claim)
    until(lambda: held(claim) == 1)
    lease = claim.current()
    store.away = Unreachable("the store is away")
    woken.clear()
    assert woken.wait(10)
    assert claim.lease is None
    assert "the store was not heard in time (the store is away)" in claim.why
    with pytest.raises(Unreachable, match="nothing more is sent"):
        lease.check()
    store.away = None
    until(lambda: held(claim) > 0)
    assert claim.current() is not lease


def test_a_lease_that_is_refused_ends_for_whoever_looks_at_it(
    store: LeaseStore, hosts: dict[str, Host], tmp_path: Path
) -> None:
    claim = hosts["admin1"].claim(tmp_path)
    until(lambda: held(claim) == 1)
    lease = claim.current()
    store.grants["sw1"].subject = "admin2"
    until(lambda: claim.lease is None)
    with pytest.raises(Unreachable, match=r"admin2 converges it \(epoch 1\): nothing more is sent"):
        lease.check()


def test_a_new_tenure_ends_the_one_before(
    store: LeaseStore, hosts: dict[str, Host], tmp_path: Path
) -> None:
    claim = hosts["admin1"].claim(tmp_path)
    until(lambda: held(claim) == 1)
    lease = claim.current()
    store.grants["sw1"].epoch = 7
    until(lambda: held(claim) == 7)
    with pytest.raises(Unreachable, match="a new one began"):
        lease.check()


def test_a_state_directory_knows_under_which_tenure_it_was_written(tmp_path: Path) -> None:
    claim = Claim("sw1", tmp_path)
    claim.lock()
    claim.adopt(Lease("sw1", 3, boot_time() + 60))
    claim.unlock()
    again = Claim("sw1", tmp_path)
    again.lock()
    try:
        assert again.wish.epoch == 3
        assert [again.follows(Lease("sw1", epoch, 0.0)) for epoch in (2, 3, 4, 5)] == [
            False,
            True,
            True,
            False,
        ]
    finally:
        again.unlock()


def test_a_lease_counts_from_before_it_was_asked_for(tmp_path: Path) -> None:
    now = 100.0

    class Slow(LeaseStore):
        def leases(self, *asked: Any) -> Any:
            nonlocal now
            given = super().leases(*asked)
            now += 4.0
            return given

    ours = Keeper(Slow(lambda: now, ttl=10.0), "admin1", clock=lambda: now)  # type: ignore[arg-type]
    claim = Claim("sw1", tmp_path)
    ours.want(claim)
    ours._turn()
    assert claim.current().ends == 100.0 + 10.0 - 1.0


def test_one_process_a_state_directory(hosts: dict[str, Host], tmp_path: Path) -> None:
    one, two = Claim("sw1", tmp_path), Claim("sw1", tmp_path)
    hosts["admin1"].keeper.want(one)
    until(lambda: held(one) == 1)
    hosts["admin2"].keeper.want(two)
    until(lambda: two.settled)
    assert "another run of this node is under way" in two.why
    hosts["admin1"].keeper.give_up(one)
    until(lambda: hosts["admin1"].keeper.released("sw1"))
    one.unlock()
    until(lambda: held(two) == 2)


def test_a_process_that_died_is_succeeded_at_once(store: LeaseStore, tmp_path: Path) -> None:
    dead = Host(store, "admin1")
    first = dead.claim(tmp_path)
    until(lambda: held(first) == 1)
    first.adopt(first.current())
    first.unlock()  # as the kernel does for one that died
    again = Host(store, "admin1")
    second = again.claim(tmp_path)
    until(lambda: held(second) == 1)
    assert second.follows(second.current())
    assert store.clock() < store.grants["sw1"].ends + GRACE
    for host in (dead, again):
        host.keeper.close()


def test_a_copy_of_the_disk_on_another_machine_is_another_holder(
    store: LeaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock does not reach there, and the copy grows older while the first goes on."""
    original, copy = Host(store, "admin1"), Host(store, "admin1")
    first = original.claim(tmp_path / "disk")
    until(lambda: held(first) == 1)
    first.adopt(first.current())
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "disk" / "lease.json", tmp_path / "copy")
    monkeypatch.setattr(keeper, "_boot", lambda: "another machine")
    second = copy.claim(tmp_path / "copy")
    until(lambda: second.settled)
    assert held(second) == 0
    assert "converges it" in second.why
    assert held(first) == 1
    original.keeper.close()
    until(lambda: held(second) == 2)
    assert not second.follows(second.current())
    second.adopt(second.current())
    assert second.follows(second.current())
    copy.keeper.close()


def test_a_bug_with_one_node_does_not_end_the_leases_of_others(
    hosts: dict[str, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, bad = hosts["admin1"].claim(tmp_path / "1"), Claim("sw2", tmp_path / "2")
    until(lambda: held(one) == 1)
    lease = one.current()
    turns = []

    def broken(self: Claim) -> None:
        turns.append(self.node)
        raise ValueError("a bug")

    monkeypatch.setattr(Claim, "lock", broken)
    hosts["admin1"].keeper.want(bad)
    until(lambda: bad.settled)
    assert bad.why == "a fault in Rackwright, see its log: a bug"
    for _ in range(2):
        first, before = lease.ends, len(turns)
        until(lambda: lease.ends > first)  # noqa: B023 - asked at once
        assert len(turns) - before < 10
    monkeypatch.undo()
    until(lambda: held(bad) == 1)


def test_a_bug_in_the_keeper_does_not_make_it_spin(
    store: LeaseStore, hosts: dict[str, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping, turns = hosts["admin1"].keeper, []

    def broken() -> None:
        turns.append(store.clock())
        raise ValueError("a bug")

    monkeypatch.setattr(keeping, "_expire", broken)
    one = hosts["admin1"].claim(tmp_path / "1")
    until(lambda: len(turns) > 3)
    assert turns[3] - turns[0] > 0.5
    monkeypatch.undo()
    until(lambda: held(one) == 1)


def test_a_loop_that_cannot_leave_its_device_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease would be renewed for ever, and nobody would converge the node."""
    runner, _, _, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    ended = threading.Event()

    def close(_: NodeRunner) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(NodeRunner, "close", close)
    loop = Loop(runner, FOREVER)
    loop.start(once=True, ended=ended.set)
    assert ended.wait(10)
    assert not loop.running


class Fixed(Claim):
    """Holds what the test says."""

    def __init__(self, state: Path) -> None:
        super().__init__("dev1", state)
        self.now = 100.0
        self.lock()

    def grant(self, epoch: int) -> Lease:
        self.lease = Lease("dev1", epoch, self.now + 13.5, lambda: self.now)
        return self.lease


def leased(tmp_path: Path, *declared: Any) -> tuple[Any, Any, Rig, Fixed]:
    runner, source, made = rig(tmp_path, *declared)
    claim = Fixed(runner.state)
    runner.claim = claim
    return runner, source, made, claim


def test_without_a_lease_nothing_is_asked_and_nothing_is_told(tmp_path: Path) -> None:
    runner, source, made, claim = leased(tmp_path, declare("thing/a"))
    claim.why = "admin2 converges it (epoch 4)"
    report = runner.run()
    assert report.exit_code == 4
    assert report.error == "dev1 is not converged from here: admin2 converges it (epoch 4)"
    assert (made.opened, source.reports) == ([], [])
    assert runner.run(why_run=True).exit_code == 0  # a dry run needs none


def test_reports_carry_their_epoch(tmp_path: Path) -> None:
    runner, source, _, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    runner.run()
    claim.grant(2)
    runner.run()
    assert [report.epoch for report in source.reports] == [1, 2]
    assert source.epoch == 2


def test_a_session_of_an_earlier_tenure_is_not_used_again(tmp_path: Path) -> None:
    runner, _, made, claim = leased(tmp_path, declare("thing/a"))
    lease = claim.grant(1)
    runner.run()
    runner.run()
    assert len(made.opened) == 1
    lease.end("somebody else")
    claim.grant(2)
    runner.run()
    assert len(made.opened) == 2


THEIRS = Ledger(entries={"thing/b": Entry(type="thing", data={"name": "b"}, made=True)})


def test_what_somebody_else_left_counts(tmp_path: Path) -> None:
    runner, source, made, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    assert runner.run().exit_code == 0
    made.device.state[Address("thing", "b")] = Thing(name="b")
    source.ledger = THEIRS
    claim.grant(3)  # 2 was somebody else's
    facts = len(source.facts)
    report = runner.run()
    assert "thing/b" not in LedgerFile(runner.state / "ledger.json").load().entries
    assert {o.address: o.state for o in report.outcomes}["thing/b"] == "removed"
    assert source.forgotten == 1
    assert len(source.facts) == facts + 1  # found anew, and sent


def test_nobody_else_had_it_so_our_own_ledger_counts(tmp_path: Path) -> None:
    runner, source, _, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    runner.run()
    ours = (runner.state / "ledger.json").read_bytes()
    for epoch in (1, 2):
        source.ledger = THEIRS
        claim.grant(epoch)
        runner.run()
        assert (runner.state / "ledger.json").read_bytes() == ours
    assert source.forgotten == 0


def test_a_store_without_a_copy_leaves_ours(tmp_path: Path) -> None:
    runner, source, _, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    runner.run()
    ours = (runner.state / "ledger.json").read_bytes()
    source.ledger = None
    claim.grant(9)
    runner.run()
    assert (runner.state / "ledger.json").read_bytes() == ours


def test_a_tenure_that_cannot_begin_is_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, made, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    runner.run()
    claim.grant(5)
    with monkeypatch.context() as patch:
        patch.setattr(source, "mirrored", _away)
        opened = len(made.opened)
        assert runner.run().exit_code == 4
        assert len(made.opened) == opened
    source.ledger = THEIRS
    runner.run()
    assert source.forgotten == 1


def _away(*_: object) -> Any:
    raise Unreachable("the store is away")


def test_an_intent_that_the_store_does_not_take_is_not_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, made, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)
    with monkeypatch.context() as patch:
        patch.setattr(source, "mirror", _away)
        report = runner.run()
    assert report.kind == "unreachable"
    assert report.error == (
        "the store does not take the ledger, so nothing is sent: the store is away"
    )
    assert made.device.writes == []
    assert LedgerFile(runner.state / "ledger.json").load() == Ledger()
    assert runner.run().exit_code == 0
    assert Address("thing", "a") in made.device.state


def test_what_the_lease_cut_off_says_nothing_of_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, source, made, claim = leased(tmp_path, declare("thing/a"))
    claim.grant(1)

    def lost(*_: object) -> Any:
        claim.lease = None
        raise Unreachable("the lease on dev1 ended")

    monkeypatch.setattr(made, "open", lost)
    assert runner.run().exit_code == 4
    assert source.reports == []


def test_a_loop_runs_when_the_lease_comes(tmp_path: Path) -> None:
    runner, _, _, claim = leased(tmp_path, declare("thing/a"))
    reports: list[Report] = []
    loop = Loop(runner, FOREVER, reports.append)
    loop.start()
    assert not loop.watched
    claim.grant(1)
    claim.changed()
    until(lambda: len(reports) == 1)
    assert loop.watched
    runner.stop.set()
    loop.wake()
    loop.thread.join(10)
    assert not loop.running


def test_a_session_that_ends_by_itself_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rackwright.loop.PROBE", 0.05)
    runner, _, made, claim = leased(tmp_path, declare("thing/a"))
    reports: list[Report] = []
    loop = Loop(runner, FOREVER, reports.append)
    claim.grant(1)
    loop.start()
    until(lambda: loop.resting)
    assert runner._reach is not None
    session = runner._reach._session
    session.gone = lambda: True
    session.alive = lambda: False
    until(lambda: len(reports) == 2)
    assert len(made.opened) == 2
    runner.stop.set()
    loop.wake()
    loop.thread.join(10)
