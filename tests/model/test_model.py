"""Random sites, commits, failures, crashes and lease losses: what must hold all the time, and in the end.

The compiler, the store with its hosts and leases, the keepers of these, the engine, its runs and ledgers are
the real ones; only the devices, the way to the store and the clocks of leases are in memory. ``HYPOTHESIS_PROFILE=deep`` looks for longer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rackwright_store.views import Views
from tests.model.devices import FOREIGN, Failure, factory
from tests.model.site import HOSTS, MANAGED, NODES, PDUS, SERVERS, SWITCHES, VLANS, Server
from tests.model.world import World, undone

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
ROUNDS = 16
"""Runs of every node after which all must be done: the longest chain goes over seven nodes, there and back."""

nodes = st.sampled_from(NODES)
servers = st.sampled_from(SERVERS)
hosts = st.sampled_from(HOSTS)
seconds = st.sampled_from([1.0, 5.0, 12.0, 14.0, 16.0, 40.0])
failures = st.builds(
    Failure,
    st.sampled_from(
        [
            "reject",
            "lie",
            "crash-before",
            "crash-after",
            "lose-before",
            "lose-after",
            "down",
            "away",
        ]
    ),
    st.integers(0, 3),
    st.just(0.0),
)
pauses = st.builds(
    Failure,
    st.sampled_from(["pause", "pause", "drain"]),
    st.sampled_from([0, 0, 1, 2]),
    st.sampled_from([5.0, 16.0, 40.0]),
)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rw-model-"))

    def teardown(self) -> None:
        try:
            self.converges()
            self.nothing_is_forgotten()
        finally:
            self.world.end()
            shutil.rmtree(self.folder)

    @initialize(
        shares=st.lists(st.sampled_from([None, 5, 5]), min_size=3, max_size=3),
        begun=st.sampled_from([True, True, False]),
        rates=st.tuples(*[st.sampled_from([1.0, 0.95, 1.05])] * len(HOSTS)),
    )
    def first_commit(
        self, shares: list[int | None], begun: bool, rates: tuple[float, float, float]
    ) -> None:
        """Each server in a VLAN of its own; most times all is done when the rest begins."""
        self.world = World(self.folder, rates)
        self.foreign = self.world.foreign()
        for name, share, vlan in zip(SERVERS, shares, VLANS, strict=True):
            self.world.site.servers[name] = Server({"eth0": vlan, "eth1": vlan}, share)
        assert self.world.commit()
        if begun:
            self.world.pass_time(8.0)
            for node in (*NODES, *SWITCHES, *SERVERS):
                self.world.run(node)

    # Commits.

    @rule(name=servers, nic=st.sampled_from(["eth0", "eth1"]), vlan=st.sampled_from([None, *VLANS]))
    def want_network(self, name: str, nic: str, vlan: int | None) -> None:
        server = self.world.site.servers[name]
        if server is not None:
            server.nics.pop(nic, None)
            if vlan is not None:
                server.nics[nic] = vlan
            self.world.commit()

    @rule(name=servers, vlan=st.sampled_from(VLANS))
    def move_network(self, name: str, vlan: int) -> None:
        """Both paths at once."""
        server = self.world.site.servers[name]
        if server is not None:
            server.nics = {"eth0": vlan, "eth1": vlan}
            self.world.commit()

    @rule(name=servers, size=st.sampled_from([None, 5, 6]))
    def want_share(self, name: str, size: int | None) -> None:
        server = self.world.site.servers[name]
        if server is not None:
            server.share = size
            self.world.commit()

    @rule(name=servers, after=st.sampled_from(["", *SERVERS]))
    def want_order(self, name: str, after: str) -> None:
        server = self.world.site.servers[name]
        if server is None:
            return
        before, server.after = server.after, after
        if not self.world.commit():  # a circle, or a server that is not there
            server.after = before

    @rule(pdu=st.sampled_from(PDUS), number=st.integers(1, 3), state=st.sampled_from(["on", "off"]))
    def want_outlet(self, pdu: str, number: int, state: str) -> None:
        """Sometimes neither feed: that is refused while the server answers."""
        self.world.site.outlets[pdu][number] = state
        self.world.commit()

    @rule()
    def want_release(self) -> None:
        self.world.site.release += 1
        self.world.commit()

    @rule(name=servers)
    def take_out(self, name: str) -> None:
        before = self.world.site.servers[name]
        self.world.site.servers[name] = None
        if not self.world.commit():  # another needs it
            self.world.site.servers[name] = before

    @rule(name=servers, share=st.sampled_from([None, 5]))
    def put_in(self, name: str, share: int | None) -> None:
        if self.world.site.servers[name] is None and name not in self.world.service.retired:
            self.world.site.servers[name] = Server({"eth0": 20}, share)
            assert self.world.commit()

    @rule(name=servers)
    def retire(self, name: str) -> None:
        if self.world.site.servers[name] is None and name not in self.world.nodes:
            self.world.do(self.world.service.retire(name, "the model", "gone"))
            self.world.devices[name].state.clear()

    # Runs.

    @rule(node=nodes, delayed=st.sampled_from([False, False, True]))
    def run_one(self, node: str, delayed: bool) -> None:
        if node in self.world.nodes:
            self.world.run(node, delayed=delayed)

    @rule(node=nodes, failure=failures, delayed=st.sampled_from([False, False, True]))
    def run_badly(self, node: str, failure: Failure, delayed: bool) -> None:
        if node in self.world.nodes:
            self.world.run(node, failure, delayed=delayed)

    @rule(failure=failures, order=st.permutations(NODES))
    def all_run_badly(self, failure: Failure, order: list[str]) -> None:
        for node in order:
            self.run_badly(node, failure, False)

    @rule(order=st.permutations(NODES))
    def run_all(self, order: list[str]) -> None:
        for node in order:
            if node in self.world.nodes:
                self.world.run(node)

    @rule(node=nodes)
    def deliver_late(self, node: str) -> None:
        agents = self.world.delegates(node) if node in MANAGED else [self.world.agents[node]]
        for agent in agents:
            agent.runner.deliver()

    @rule(node=nodes, pause=pauses, delayed=st.booleans())
    def run_is_interrupted(self, node: str, pause: Failure, delayed: bool) -> None:
        if node in self.world.nodes:
            self.world.run(node, pause, delayed=delayed)

    @rule(
        name=servers,
        vlan=st.sampled_from(VLANS),
        order=st.permutations(SWITCHES),
        failure=st.one_of(pauses, failures),
        delayed=st.booleans(),
    )
    def both_paths_move(
        self, name: str, vlan: int, order: list[str], failure: Failure, delayed: bool
    ) -> None:
        self.move_network(name, vlan)
        for node in (order[0], *order):
            self.world.run(node, failure, delayed=delayed)
            failure = Failure()

    @rule(
        number=st.integers(1, 3),
        states=st.sampled_from([("off", "off"), ("off", "on"), ("off", "off"), ("on", "off")]),
        order=st.permutations(PDUS),
        failure=st.one_of(pauses, failures),
    )
    def both_feeds_change(
        self, number: int, states: tuple[str, str], order: list[str], failure: Failure
    ) -> None:
        for pdu, state in zip(PDUS, states, strict=True):
            self.world.site.outlets[pdu][number] = state
        self.world.commit()
        for node in order:
            self.world.run(node, failure)
            self.world.run(node)

    # Hosts.

    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule(name=hosts)
    def host_steps(self, name: str) -> None:
        self.world.hosts[name].step()

    @rule(
        name=hosts,
        kind=st.sampled_from(["cut", "paused", "dead", "wiped", "draining", "agentless"]),
        seconds=seconds,
        during=nodes,
        lasting=st.sampled_from([False, False, True]),
    )
    def host_fails(self, name: str, kind: str, seconds: float, during: str, lasting: bool) -> None:
        world, host = self.world, self.world.hosts[name]
        if kind in ("dead", "wiped"):
            host.die()
            if kind == "wiped":
                host.wipe()
        elif kind == "draining":
            world.drain(name)
        host.line.cut = kind == "cut"
        host.paused = kind == "paused"
        host.agentless = kind == "agentless"
        world.pass_time(seconds)
        if during in world.nodes:
            world.run(during)
        if not lasting:
            host.mend()

    @rule(names=st.sets(hosts, min_size=2))
    def hosts_are_mended(self, names: set[str]) -> None:
        for name in names:
            self.world.hosts[name].mend()
        self.world.pass_time(17.0)

    @rule(name=hosts, fate=st.sampled_from(["lost", "unanswered", "late", "slow"]))
    def request_goes_wrong(self, name: str, fate: str) -> None:
        self.world.hosts[name].line.fate = fate
        self.world.hosts[name].step()

    @rule()
    def late_requests_arrive(self) -> None:
        self.world.arrive()

    # The world outside.

    @rule(node=nodes, data=st.data())
    def somebody_else_removes(self, node: str, data: Any) -> None:
        device = self.world.devices[node]
        ours = sorted(
            a for a, thing in device.state.items() if a not in FOREIGN and not thing.fixture
        )
        if ours:
            address = data.draw(st.sampled_from(ours))
            del device.state[address]
            device.moved.add(address)

    @rule(node=nodes)
    def is_replaced(self, node: str) -> None:
        device = self.world.devices[node]
        device.moved |= device.state.keys()
        device.state = factory(node)

    @rule()
    def store_restarts(self) -> None:
        self.world.restart_store()

    # What must hold.

    @invariant()
    def nothing_forbidden_was_done(self) -> None:
        assert not self.world.broken

    @invariant()
    def one_may_write(self) -> None:
        for node in MANAGED:
            assert len(self.world.writers(node)) <= 1, node

    @invariant()
    def what_is_not_ours_is_as_it_was(self) -> None:
        assert self.world.foreign() == self.foreign

    def converges(self) -> None:
        """Without failures everything comes to its end, in a number of rounds."""
        world = self.world
        self.mend()
        for name in SERVERS:
            if name not in world.nodes and name not in world.service.retired:
                self.retire(name)
        for turn in range(ROUNDS):
            world.pass_time(5.0)
            for node in world.nodes:
                report = world.run(node)
                # What is to move may be nobody's, and a first try may find a dead session.
                assert report is None or not report.error or turn == 0, report
            self.nothing_forbidden_was_done()
            self.what_is_not_ours_is_as_it_was()
            if not undone(world) and not self.changing():
                break
        assert not undone(world), self.explain()
        assert not self.changing()
        for row in Views(world.service).status()["nodes"]:
            assert not row["outstanding"], row

    def mend(self) -> None:
        """What people do, and no run can."""
        world = self.world
        one, other = (world.site.outlets[pdu] for pdu in PDUS)
        for number in {*one, *other}:  # of each server one feed is on, by declaration
            if one.get(number) == "off":
                other[number] = "on"
            elif other.get(number) == "off":
                one[number] = "on"
        assert world.commit()
        world.late.clear()
        for host in world.hosts.values():
            host.mend()
        world.pass_time(20.0)

    def nothing_is_forgotten(self) -> None:
        """All that was made goes, whoever made it and whoever has the node by now."""
        world = self.world
        for name in SERVERS:
            world.site.servers[name] = None
        world.site.outlets = {name: {} for name in PDUS}
        self.converges()
        assert world.foreign() == self.foreign

    def changing(self) -> list[str]:
        """What a last run of a node has not found in sync."""
        found = []
        for node in self.world.nodes:
            report = self.world.run(node)
            if report is None:
                found.append(f"{node}: nobody converges it")
                continue
            found += [
                f"{node}: {o.address} {o.state} {o.why}"
                for o in report.outcomes
                if o.state != "in_sync"
            ]
        return found

    def explain(self) -> str:
        return "\n".join([*undone(self.world), *self.changing()])


@pytest.mark.timeout(3600 if DEEP else 300)
def test_the_model() -> None:
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=400 if DEEP else 7,
            stateful_step_count=60 if DEEP else 25,
            derandomize=not DEEP,
            deadline=None,
            database=None,
            phases=list(Phase) if DEEP else [Phase.generate],  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
