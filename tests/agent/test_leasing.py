"""Leases as a process knows them: whatever the network and the scheduler do, no two believe in one."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rackwright.leasing import Asked, Denied, Lease, Table, Tenure, Wish, boot_time, margin
from rackwright.model.errors import Unreachable
from rackwright.model.lease import Leases, Refused

from .lease_store import LeaseStore

NODE = "sw1"


def test_a_lease_ends_by_itself_and_for_good() -> None:
    now = [100.0]
    lease = Lease(NODE, 7, 110.0, lambda: now[0])
    lease.check()
    now[0] = 109.0
    with pytest.raises(Unreachable, match=r"ends in 1\.0 s \(epoch 7\), and this takes 2\.0 s"):
        lease.check(2.0)
    lease.prolong(105.0)
    assert lease.left() == 1.0  # an answer that was long on its way shortens nothing
    now[0] = 110.0
    with pytest.raises(Unreachable, match=r"the lease on sw1 ended .*: nothing more is sent"):
        lease.check()
    lease.prolong(125.0)
    lease.check()
    lease.end("admin2 converges it")
    lease.prolong(200.0)
    with pytest.raises(Unreachable, match="admin2 converges it"):
        lease.check()


def test_the_clock_is_one_that_runs() -> None:
    assert boot_time() <= boot_time()


@pytest.mark.parametrize(("ttl", "less"), [(2.0, 0.5), (5.0, 0.5), (15.0, 1.5), (300.0, 30.0)])
def test_the_end_is_counted_from_before_the_request(ttl: float, less: float) -> None:
    assert margin(ttl) == less
    table = Table().wishing(NODE, Wish("i"))
    made = table.answered(table.asking(), 100.0, Leases(ttl=ttl, held={NODE: 3}))
    assert made.held == {NODE: Tenure(3, 100.0 + ttl - less)}
    assert made.due(100.0) == pytest.approx(ttl / 3)
    assert made.asking() == Asked({NODE: ("i", 3)}, {})


def test_a_refusal_ends_what_was_held_and_says_when_to_ask_again() -> None:
    table = Table().wishing(NODE, Wish("i"))
    table = table.answered(table.asking(), 100.0, Leases(ttl=15.0, held={NODE: 3}))
    refused = Leases(ttl=15.0, refused={NODE: Refused(why="w", by="b", retry=2.0)})
    table = table.answered(table.asking(), 105.0, refused)
    assert (table.held, table.denied) == ({}, {NODE: Denied("w", "b", 107.0)})
    assert table.due(105.0) == 2.0


def test_what_is_given_up_is_not_asked_for_until_that_is_confirmed() -> None:
    table = Table().wishing(NODE, Wish("i"))
    table = table.answered(table.asking(), 100.0, Leases(ttl=15.0, held={NODE: 3}))
    underway = table.asking()
    table = table.giving_up(NODE).wishing(NODE, Wish("i", 3))
    # Neither does the renewal count that was asked for before.
    table = table.answered(underway, 101.0, Leases(ttl=15.0, held={NODE: 3}))
    assert table.held == {}
    asked = table.asking()
    assert asked == Asked({}, {NODE: 3})
    table = table.answered(asked, 102.0, Leases(ttl=15.0))
    assert table.asking() == Asked({NODE: ("i", 3)}, {})


def test_what_is_granted_and_not_wanted_any_more_is_given_back() -> None:
    table = Table().wishing(NODE, Wish("i"))
    underway = table.asking()
    table = table.giving_up(NODE).answered(underway, 100.0, Leases(ttl=15.0, held={NODE: 1}))
    assert table.asking() == Asked({}, {NODE: 1})


@dataclass
class Request:
    """On its way, to the store or back."""

    process: Process
    asked: Asked
    sent: float
    answer: Leases | None = None


@dataclass
class Process:
    subject: str
    number: int
    table: Table = field(default_factory=Table)
    waits: Request | None = None

    @property
    def name(self) -> str:
        return f"{self.subject}-{self.number}"


SUBJECTS = ("admin1", "admin2")


class Interleaved(RuleBasedStateMachine):
    """Two hosts, a store, and a network that delays, loses, reorders and repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.store = LeaseStore(lambda: self.now)
        self.processes = {subject: self.started(subject, 1) for subject in SUBJECTS}
        self.underway: list[Request] = []
        self.epochs: list[int] = [0]

    @staticmethod
    def started(subject: str, number: int) -> Process:
        return Process(subject, number, Table().wishing(NODE, Wish(f"of {subject}")))

    @rule(seconds=st.sampled_from([0.4, 3.0, 13.6, 16.1]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(subject=st.sampled_from(SUBJECTS), again=st.booleans())
    def gives_up(self, subject: str, again: bool) -> None:
        one = self.processes[subject]
        one.table = one.table.giving_up(NODE)
        if again:
            one.table = one.table.wishing(NODE, Wish(f"of {subject}"))

    @rule(subject=st.sampled_from(SUBJECTS))
    def asks(self, subject: str) -> None:
        """A request that was waited for is given up: it may still arrive, its answer counts no more."""
        one = self.processes[subject]
        one.waits = Request(one, one.table.asking(), self.now)
        self.underway.append(one.waits)

    @precondition(lambda self: self.underway)
    @rule(data=st.data(), again=st.booleans())
    def arrives(self, data: st.DataObject, again: bool) -> None:
        request = data.draw(st.sampled_from(self.underway))
        who = request.process
        answer = self.store.leases(who.subject, who.name, *request.asked)
        request.answer = request.answer or answer
        if not again and who.waits is not request:
            self.underway.remove(request)

    @rule(subject=st.sampled_from(SUBJECTS))
    def hears(self, subject: str) -> None:
        one = self.processes[subject]
        request = one.waits
        if request is not None and request.answer is not None:
            one.table = one.table.answered(request.asked, request.sent, request.answer)
            one.waits = None

    @rule(subject=st.sampled_from(SUBJECTS))
    def asks_and_hears(self, subject: str) -> None:
        self.processes[subject].table = self.processes[subject].table.without(
            self.processes[subject].table.expired(self.now)
        )
        self.asks(subject)
        one = self.processes[subject]
        assert one.waits is not None
        one.waits.answer = self.store.leases(subject, one.name, *one.waits.asked)
        self.hears(subject)

    @rule(subject=st.sampled_from(SUBJECTS))
    def dies_and_comes_again(self, subject: str) -> None:
        self.processes[subject] = self.started(subject, self.processes[subject].number + 1)

    @invariant()
    def at_most_one_believes(self) -> None:
        believing = [
            one.name
            for one in self.processes.values()
            for tenure in [one.table.held.get(NODE)]
            if tenure is not None and tenure.ends > self.now
        ]
        assert len(believing) <= 1, believing

    @invariant()
    def epochs_only_grow(self) -> None:
        if NODE in self.store.grants:
            self.epochs.append(self.store.grants[NODE].epoch)
            assert self.epochs[-1] >= self.epochs[-2]


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(
    max_examples=150,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
