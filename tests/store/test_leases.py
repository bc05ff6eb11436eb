"""Leases: the decision as cases and under anything that may happen; the table; the grants on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rackwright.model.lease import GRACE, Refused
from rackwright_store.database import Database
from rackwright_store.kept.leases import GRANTS_KEPT
from rackwright_store.leases import FORMER_KEPT, HIGHEST_BELIEVED, Ask, Lease, Leases, decide
from rackwright_store.records import Drain
from tests.tables import table

CASES = table(Path(__file__).parent / "cases" / "leases.yaml")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_case(case: dict[str, Any]) -> None:
    about = {"node": "m", "subject": "h1", "instance": "i1", "process": "p1"}
    before = {**about, "epoch": 7, "since": 50.0, "ttl": 15.0, "ends": 115.0}
    known = None
    if case["known"] is not None:
        known = msgspec.convert({**before, **case["known"]}, Lease, strict=False)
    ask = Ask(**{**about, "epoch": 7, **case.get("ask", {})})
    found = decide(known, ask, case["now"], case.get("ttl", 15.0), 1000.0)
    assert type(found) is (Refused if "refused" in case else Lease)
    wanted = case.get("refused") or case["given"]
    said = json.loads(msgspec.json.encode(found))
    assert {name: said.get(name, []) for name in wanted} == wanted


def test_the_succeeded_processes_that_are_remembered_are_few() -> None:
    lease = decide(None, Ask("m", "h", "i", "p0", 0), 0.0, 15.0, 0.0)
    for number in range(1, 3 * FORMER_KEPT):
        lease = decide(lease, Ask("m", "h", "i", f"p{number}", 1), 0.0, 15.0, 0.0)  # type: ignore[arg-type]
        assert isinstance(lease, Lease)
    assert len(lease.former) == FORMER_KEPT  # type: ignore[union-attr]
    assert isinstance(
        decide(lease, Ask("m", "h", "i", "p94", 1), 0.0, 15.0, 0.0),  # type: ignore[arg-type]
        Refused,
    )


def test_nobody_can_use_up_the_epochs() -> None:
    lease: Lease | Refused | None = None
    for _ in range(3):
        lease = decide(None, Ask("m", "h", "i", "p", HIGHEST_BELIEVED), 0.0, 15.0, 0.0)
        assert isinstance(lease, Lease)
        again = decide(lease, Ask("m", "h", "i", "p", lease.epoch), 0.0, 15.0, 0.0)
        assert isinstance(again, Lease)
        lease = decide(again, Ask("m", "h2", "j", "q", again.epoch + 1000), 100.0, 15.0, 0.0)
        assert isinstance(lease, Lease)
        assert lease.epoch == again.epoch + 1 < 2**63


def test_what_must_be_written_before_it_is_told() -> None:
    table = Leases([], 0.0)

    def ask(process: str, now: float, ttl: float = 15.0) -> list[Lease]:
        table.ask(Ask("m", "h", "i", process, 0), now, ttl, now)
        return table.unsaved(["m", "n"])

    first = ask("p", 0.0)
    assert [lease.epoch for lease in first] == [1]
    assert ask("p", 1.0) == first  # the writing may have failed, so a renewal writes it too
    table.saved(first)
    assert ask("p", 2.0) == []
    second = ask("q", 3.0)
    assert [lease.process for lease in second] == ["q"]
    table.saved(first)  # late, and of what is not the newest
    assert table.unsaved(["m"]) == second
    table.saved(second)
    longer = ask("q", 4.0, 60.0)
    assert [lease.ttl for lease in longer] == [60.0]
    table.saved(longer)
    assert ask("q", 5.0, 15.0) == []
    assert not table.release("m", "h", "p", 1)
    assert not table.release("m", "other", "q", 1)
    assert not table.release("m", "h", "q", 2)
    assert table.release("m", "h", "q", 1)
    assert not table.release("m", "h", "q", 1)
    assert [lease.released for lease in table.unsaved(["m"])] == [True]


def test_a_shorter_lease_does_not_end_the_longer_one_that_was_given() -> None:
    table = Leases([], 0.0)
    table.ask(Ask("m", "h", "i", "p", 0), 0.0, 300.0, 0.0)
    table.ask(Ask("m", "h", "i", "p", 0), 1.0, 2.0, 0.0)
    assert isinstance(table.ask(Ask("m", "g", "j", "q", 0), 300.5, 2.0, 0.0), Refused)
    again = Leases(table.all(), 1000.0)
    assert isinstance(again.ask(Ask("m", "g", "j", "q", 0), 1300.5, 2.0, 0.0), Refused)
    assert isinstance(again.ask(Ask("m", "g", "j", "q", 0), 1302.0, 2.0, 0.0), Lease)


def test_the_database_keeps_leases_grants_and_drains(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    lease = Lease(node="m", epoch=0, subject="h0", instance="i", process="p", since=5.0, ttl=15.0)
    for epoch in range(1, GRANTS_KEPT + 20):
        lease = msgspec.structs.replace(lease, epoch=epoch, subject=f"h{epoch}", released=True)
        database.leases.put([lease])
    database.leases.put([msgspec.structs.replace(lease, process="q")])
    database.leases.put([msgspec.structs.replace(lease, node="n", epoch=3)])
    database.leases.put_drain("h1", Drain(at=1.0, who="me"))
    database.leases.put_drain("h2", Drain(at=1.0, who="me"))
    database.leases.put_drain("h2", None)
    database.close()
    database = Database(tmp_path / "store.db")
    kept = {lease.node: lease for lease in database.leases.all()}
    assert kept["m"] == msgspec.structs.replace(lease, process="q")
    granted = [database.leases.granted("m", epoch) for epoch in (19, 20, 119, 120)]
    assert granted == ["", "h20", "h119", ""]
    assert database.leases.granted("n", 3) == "h119"
    assert database.leases.all_drains() == {"h1": Drain(at=1.0, who="me")}
    database.close()


class Holder:
    """A process as the contract has it: it counts from before it asked, by a clock of its own, and stops
    before the end. Its directory keeps the epoch and outlives it."""

    def __init__(self, host: str, directory: dict[str, Any], process: str) -> None:
        self.host, self.directory, self.process = host, directory, process
        self.until = -1.0
        self.epoch = 0

    def writes(self, clock: float) -> bool:
        return clock < self.until


class TwoNeverWrite(RuleBasedStateMachine):
    """Requests that take their time and whose answers are lost, a store that starts again with what was
    on its disk, processes that are killed, paused and followed by others on the same directory, and a
    store whose clock stands still while its machine sleeps."""

    TTLS = (2.0, 15.0, 300.0)

    def __init__(self) -> None:
        super().__init__()
        self.real = 1000.0
        self.slept = 0.0
        """What the store's clock is behind."""
        self.ttl = 15.0
        self.disk: dict[str, Lease] = {}
        self.table = Leases([], self.real)
        self.directories: dict[str, dict[str, Any]] = {
            host: {"instance": f"i-{host}", "epoch": 0} for host in ("h1", "h2", "h3")
        }
        self.holders: list[Holder] = []
        self.live: dict[str, Holder] = {}
        """Host → the process that has the lock of its directory."""
        self.flying: list[tuple[Holder, float, Lease]] = []
        """Answers on their way: to whom, when it asked, and what."""
        self.highest = 0
        self.numbers = 0

    def store_now(self) -> float:
        return self.real - self.slept

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.5, 4.0, 14.9, 16.1, 320.0]))
    def time_passes(self, seconds: float) -> None:
        self.real += seconds

    @rule(seconds=st.sampled_from([1.0, 20.0]))
    def the_store_sleeps(self, seconds: float) -> None:
        self.real += seconds
        self.slept += seconds

    @rule(ttl=st.sampled_from(TTLS))
    def the_site_sets_another_lease(self, ttl: float) -> None:
        self.ttl = ttl

    @rule(host=st.sampled_from(["h1", "h2", "h3"]), delay=st.sampled_from([0.0, 0.4, 3.0]), written=st.booleans())  # fmt: skip
    def somebody_asks(self, host: str, delay: float, written: bool) -> None:
        holder = self.live.get(host)
        if holder is None:
            self.numbers += 1
            holder = self.live[host] = Holder(host, self.directories[host], f"p{self.numbers}")
            self.holders.append(holder)
        sent = self.real
        self.real += delay
        ask = Ask(
            "m", host, holder.directory["instance"], holder.process, holder.directory["epoch"]
        )
        given = self.table.ask(ask, self.store_now(), self.ttl, self.real)
        if isinstance(given, Refused):
            return
        unsaved = self.table.unsaved(["m"])
        if unsaved and not written:
            return  # the disk is full, and nobody is answered
        for lease in unsaved:
            self.disk["m"] = lease
        self.table.saved(unsaved)
        self.flying.append((holder, sent, msgspec.structs.replace(given, ttl=self.ttl)))

    @rule(which=st.integers(0, 5), lost=st.booleans())
    def an_answer_comes(self, which: int, lost: bool) -> None:
        if not self.flying:
            return
        holder, sent, lease = self.flying.pop(which % len(self.flying))
        if lost or self.live.get(holder.host) is not holder:
            return
        if lease.epoch < holder.directory["epoch"]:
            return
        assert lease.epoch >= holder.epoch
        holder.epoch = holder.directory["epoch"] = lease.epoch
        holder.until = max(holder.until, sent + lease.ttl - max(0.5, lease.ttl / 10))

    @rule(host=st.sampled_from(["h1", "h2", "h3"]))
    def somebody_gives_it_back(self, host: str) -> None:
        holder = self.live.get(host)
        if holder is not None and holder.epoch:
            holder.until = -1.0
            self.flying = [item for item in self.flying if item[0] is not holder]
            self.table.release("m", host, holder.process, holder.epoch)

    @rule(host=st.sampled_from(["h1", "h2", "h3"]))
    def somebody_is_killed(self, host: str) -> None:
        if host in self.live:
            self.live.pop(host).until = -1.0

    @rule()
    def the_store_starts_again(self) -> None:
        self.slept = self.real % 7  # the clock of another start begins anywhere
        self.table = Leases(self.disk.values(), self.store_now())

    @invariant()
    def at_most_one_writes(self) -> None:
        writing = [holder for holder in self.holders if holder.writes(self.real)]
        assert len(writing) <= 1, [
            (holder.host, holder.process, holder.epoch) for holder in writing
        ]
        for holder in writing:
            assert holder.epoch >= self.highest
            self.highest = holder.epoch


TestTwoNeverWrite = TwoNeverWrite.TestCase
TestTwoNeverWrite.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 40), st.integers(0, 9)), max_size=30))
def test_epochs_only_grow(asked: list[tuple[str, float, int]]) -> None:
    known: Lease | None = None
    now, highest = 0.0, 0
    for who, later, epoch in asked:
        now += later
        found = decide(known, Ask("m", who, who, who, epoch), now, 15.0, now)
        if isinstance(found, Lease):
            assert found.epoch >= highest
            same = known is not None and known.subject == who and now <= known.ends
            assert (found.epoch == highest) == (same and epoch <= highest)
            known, highest = found, found.epoch
        else:
            assert known is not None
            assert found.retry == pytest.approx(known.ends + GRACE - now, abs=0.01)
