"""Random sites, commits, failures, crashes and lease losses: what must hold all the time, and in the end.

The compiler, the store, the engine, its runs and ledgers are the real ones; only the devices and the way to the
store are in memory. ``HYPOTHESIS_PROFILE=deep`` looks for longer.
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

from tests.model.site import MANAGED, NODES, PDUS, SERVERS, VLANS, Server
from tests.model.world import FOREIGN, Failure, World, factory, undone

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
ROUNDS = 16
"""Runs of every node after which all must be done: the longest chain goes over seven nodes, there and back."""

nodes = st.sampled_from(NODES)
servers = st.sampled_from(SERVERS)
failures = st.builds(
    Failure,
    st.sampled_from(
        ["reject", "lie", "crash-before", "crash-after", "lose-before", "lose-after", "down"]
    ),
    st.integers(0, 3),
)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="rw-model-"))
        self.world = World(self.folder)
        self.foreign = self.world.foreign()

    def teardown(self) -> None:
        try:
            self.converges()
        finally:
            self.world.end()
            shutil.rmtree(self.folder)

    @initialize(
        shares=st.lists(st.sampled_from([None, 5, 5]), min_size=3, max_size=3),
        begun=st.sampled_from([True, True, False]),
    )
    def first_commit(self, shares: list[int | None], begun: bool) -> None:
        """Each server in a VLAN of its own; most times all is done when the rest begins."""
        for name, share, vlan in zip(SERVERS, shares, VLANS, strict=True):
            self.world.site.servers[name] = Server({"eth0": vlan, "eth1": vlan}, share)
        assert self.world.commit()
        for node in NODES if begun else ():
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
        other = self.world.site.outlets[PDUS[1 - PDUS.index(pdu)]]
        if state == "off":  # its other feed is on, or is to be
            other[number] = "on"
        self.world.site.outlets[pdu][number] = state
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
        self.world.runners[node].deliver()

    @rule(node=st.sampled_from(MANAGED), at=st.integers(0, 2))
    def lease_ends_in_a_run(self, node: str, at: int) -> None:
        self.world.run(node, Failure("lease", at), delayed=True)

    @rule(node=st.sampled_from(MANAGED))
    def lease_moves(self, node: str) -> None:
        self.world.move(node)

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
    def what_is_not_ours_is_as_it_was(self) -> None:
        assert self.world.foreign() == self.foreign

    def converges(self) -> None:
        """Without failures everything comes to its end, in a number of rounds."""
        world = self.world
        if not world.nodes:
            return
        for name in SERVERS:
            if name not in world.nodes and name not in world.service.retired:
                self.retire(name)
        for _ in range(ROUNDS):
            for node in world.nodes:
                report = world.run(node)
                assert report is not None
                assert not report.error
            self.nothing_forbidden_was_done()
            self.what_is_not_ours_is_as_it_was()
            if not undone(world) and not self.changing():
                break
        assert not undone(world), self.explain()
        assert not self.changing()
        for row in world.service.status()["nodes"]:
            assert not row["outstanding"], row

    def changing(self) -> list[str]:
        """What a last run of a node has not found in sync."""
        found = []
        for node in self.world.nodes:
            report = self.world.run(node)
            assert report is not None
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
            max_examples=400 if DEEP else 20,
            stateful_step_count=60 if DEEP else 25,
            derandomize=not DEEP,
            deadline=None,
            database=None,
            phases=list(Phase) if DEEP else [Phase.generate],  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
