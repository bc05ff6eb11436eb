"""Hosts, placement and leases together, on a clock that only the test turns: whatever hosts do or fail to
do, nobody is told of what another holds, and it all comes right once they behave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from rackwright.model.bundle import Bundle
from rackwright.model.report import Report
from rackwright.model.site import Node, Way
from rackwright_store.hosts import Hosts, Want
from rackwright_store.live import Live
from rackwright_store.records import Drain
from rackwright_store.unasked import TAKEOVER

HOSTS = ("h1", "h2", "h3")
NODES = {
    "any1": ("h1", "h2", "h3"),
    "any2": ("h1", "h2", "h3"),
    "any3": ("h1", "h2", "h3"),
    "two": ("h1", "h2"),
    "pinned": ("h3",),
}
TTL = 15.0
host_names = st.sampled_from(HOSTS)


class Turned:
    """A timer that the test fires."""

    def __init__(self, at: float, what: Callable[[], None]) -> None:
        self.at, self.what, self.live = at, what, True

    def cancel(self) -> None:
        self.live = False


def bundles(nodes: frozenset[str]) -> dict[str, Bundle]:
    made = {
        name: Bundle(
            node=Node(name=name, type="server", platform="linux"),
            revision="r",
            roles=("delegate-host",),
        )
        for name in HOSTS
    }
    for name in nodes:
        way = Way(transport="ssh", options={}, network="oob", hosts=NODES[name])
        node = Node(name=name, type="switch", platform="x", reach=(way,))
        made[name] = Bundle(node=node, revision="r")
    return made


class Whatever(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 100.0
        self.timers: list[Turned] = []
        self.nodes = frozenset(NODES)
        self.disk: dict[str, Any] = {}
        self.drained: dict[str, Drain] = {}
        self.processes = dict.fromkeys(HOSTS, 0)
        self.start()

    def start(self) -> None:
        self.timers = []
        self.live = Live({}, {}, {})
        self.hosts = Hosts(
            self.live,
            self.disk.values(),
            self.drained,
            {},
            ttl=lambda: TTL,
            origin=lambda node: None,
            later=self.later,
            clock=lambda: self.now,
        )
        self.live.install(self.live.prepare(bundles(self.nodes)))

    def later(self, seconds: float, what: Callable[[], None]) -> Turned:
        self.timers.append(Turned(self.now + seconds, what))
        return self.timers[-1]

    def told(self, host: str) -> list[str]:
        bundle = self.live.bundle(host)
        assert bundle is not None
        return [item.data["name"] for item in bundle.resources]

    def asks(self, host: str, release: dict[str, int]) -> dict[str, int]:
        want = {node: Want(f"{host}-{node}", 0) for node in self.told(host)}
        given = self.hosts.ask(host, f"p{self.processes[host]}", want, release)
        unsaved = self.hosts.leases.unsaved([*want, *release])
        self.disk.update({lease.node: lease for lease in unsaved})
        self.hosts.leases.saved(unsaved)
        return given.held

    @rule(seconds=st.sampled_from([0.5, 3.0, 14.0, 17.0, 130.0]))
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.live and timer.at <= end]:
            timer = min(due, key=lambda timer: timer.at)
            timer.live = False
            self.now = max(self.now, timer.at)
            timer.what()
        self.timers = [timer for timer in self.timers if timer.live]
        self.now = end

    @rule(host=host_names, lets_go=st.booleans())
    def a_host_asks(self, host: str, lets_go: bool) -> None:
        mine = {
            lease.node: lease.epoch
            for lease in self.hosts.leases.all()
            if lease.subject == host and lease.held(self.now)
        }
        told = self.told(host)
        release = {node: epoch for node, epoch in mine.items() if lets_go and node not in told}
        self.asks(host, release)

    @rule(host=host_names)
    def a_host_starts_again(self, host: str) -> None:
        self.processes[host] += 1

    @rule(host=host_names, drain=st.booleans())
    def somebody_drains(self, host: str, drain: bool) -> None:
        if drain:
            self.drained[host] = Drain(at=1.0, who="me")
        else:
            self.drained.pop(host, None)
        self.hosts.places.drain(host, self.drained.get(host))

    @rule(node=st.sampled_from(sorted(NODES)), reached=st.booleans())
    def a_run_is_reported(self, node: str, reached: bool) -> None:
        host = self.hosts.leases.holder(node, self.now)
        if host:
            kind: Any = "" if reached else "unreachable"
            report = Report(id="r", node=node, started=1.0, finished=2.0, kind=kind, error=kind)
            self.hosts.places.note_report(host, report)

    @rule(nodes=st.frozensets(st.sampled_from(sorted(NODES))))
    def a_commit(self, nodes: frozenset[str]) -> None:
        self.nodes = nodes
        self.live.install(self.live.prepare(bundles(nodes)))

    @rule()
    def the_store_starts_again(self) -> None:
        self.now += 1000.0  # another boot's clock
        self.start()

    @rule()
    def all_behave(self) -> None:
        for host in list(self.drained):
            self.somebody_drains(host, False)
        for _ in range(8):
            for host in HOSTS:
                self.a_host_asks(host, lets_go=True)
            for node in NODES:
                self.a_run_is_reported(node, reached=True)
            self.time_passes(3.0)
        held = {node: self.hosts.leases.holder(node, self.now) for node in self.nodes}
        assert all(held[node] in NODES[node] for node in self.nodes), held
        assert all(node in self.told(host) for node, host in held.items())
        # Trouble elsewhere that nobody has cleared may keep it from being even.
        if not any(self.hosts.places.troubles.values()) and self.nodes >= {"any1", "any2", "any3"}:
            load = Counter(held.values())
            assert max(load[host] for host in HOSTS) - min(load[host] for host in HOSTS) <= 1

    @invariant()
    def nobody_is_told_of_what_another_holds(self) -> None:
        told = [(node, host) for host in HOSTS for node in self.told(host)]
        assert len({node for node, _ in told}) == len(told)
        for node, host in told:
            lease = self.hosts.leases.get(node)
            assert lease is None or lease.subject == host or lease.free(self.now - 0.01), node
            assert host in NODES[node]
            assert host not in self.drained

    @rule(seconds=st.sampled_from([0.0, 1.1, 14.0, 17.0, 130.0]))
    def what_the_time_changes_has_been_changed(self, seconds: float) -> None:
        # A rule, not an invariant: to place anew sets the timers that might be missing.
        self.time_passes(seconds)
        before, data = {host: self.told(host) for host in HOSTS}, self.hosts.views.data()
        self.hosts.places.refresh()
        assert {host: self.told(host) for host in HOSTS} == before
        assert _timeless(self.hosts.views.data()) == _timeless(data)

    @invariant()
    def what_is_shown_is_what_is(self) -> None:
        data = self.hosts.views.data()
        for item in data["hosts"]:
            held = {node["node"] for node in item["nodes"] if node["epoch"] is not None}
            assert held == {
                lease.node
                for lease in self.hosts.leases.all()
                if lease.subject == item["host"] and lease.held(self.now)
            }
        unplaced = {item["node"] for item in data["unplaced"]}
        targets = {node["node"] for item in data["hosts"] for node in item["nodes"] if node["state"] != "leaving"}  # fmt: skip
        assert unplaced | targets == self.nodes
        assert not unplaced & targets


def _timeless(data: dict[str, Any]) -> Any:
    text = msgspec.json.decode(msgspec.json.encode(data))
    return [[(node["node"], node["state"], node["epoch"]) for node in item["nodes"]] for item in text["hosts"]]  # fmt: skip


TestWhatever = Whatever.TestCase
TestWhatever.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_the_next_host_tries_when_its_time_has_come() -> None:
    rack = Whatever()
    rack.begin()
    rack.a_commit(frozenset({"two"}))
    tried = []
    for _ in range(3):
        for host in ("h1", "h2"):
            rack.a_host_asks(host, lets_go=True)
        for host in ("h1", "h2"):
            rack.a_host_asks(host, lets_go=True)
        tried.append(rack.hosts.leases.holder("two", rack.now))
        rack.a_run_is_reported("two", reached=False)
        rack.time_passes(14.0)
    assert len(set(tried[:2])) == 2
    assert rack.hosts.places.target("two") == tried[2]
    rack.a_host_asks("h1", lets_go=False)
    rack.a_host_asks("h2", lets_go=False)
    rack.time_passes(1.1)
    assert rack.hosts.places.target("two") not in ("", tried[2])


def test_what_its_host_leaves_out_goes_elsewhere_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.TTL", 10 * TAKEOVER)  # nothing else wakes the store meanwhile
    rack = Whatever()
    rack.begin()
    rack.a_commit(frozenset({"two"}))
    for host in ("h1", "h2", "h1", "h2"):
        rack.a_host_asks(host, lets_go=False)
    here = rack.hosts.places.target("two")
    rack.time_passes(TAKEOVER + 1)
    assert rack.hosts.places.target("two") == here
    rack.hosts.ask(here, "p0", {}, {})
    rack.time_passes(TAKEOVER + 1)
    assert rack.hosts.places.target("two") == {"h1": "h2", "h2": "h1"}[here]


def test_what_a_drained_host_alone_could_have_is_stuck_there() -> None:
    rack = Whatever()
    rack.begin()
    rack.a_commit(frozenset({"pinned"}))

    def stuck() -> dict[str, list[str]]:
        hosts = rack.hosts.views.data()["hosts"]
        return {host["host"]: [node["node"] for node in host["stuck"]] for host in hosts}

    nothing: dict[str, list[str]] = {host: [] for host in HOSTS}
    assert [item["node"] for item in rack.hosts.views.data()["unplaced"]] == ["pinned"]
    assert stuck() == nothing
    for host in HOSTS:
        rack.a_host_asks(host, lets_go=True)
    rack.somebody_drains("h3", drain=True)
    assert stuck() == {**nothing, "h3": ["pinned"]}
    rack.somebody_drains("h3", drain=False)
    assert stuck() == nothing
