"""What may happen: the model's rules for runs, hosts, and the world outside."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from rackwright.model.address import Address
from tests.model.commits import Commits, servers
from tests.model.devices import FOREIGN, Failure, factory
from tests.model.nouns import Outlet, Port
from tests.model.site import HOSTS, MANAGED, NODES, PDUS, SWITCHES, VLANS

nodes = st.sampled_from(NODES)
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
            "unsaved",
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


class Happenings(Commits):
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
            device.note({a: thing for a, thing in device.state.items() if a != address})

    @rule(
        switch=st.sampled_from(SWITCHES), port=st.sampled_from("123"), vlan=st.sampled_from(VLANS)
    )
    def somebody_else_moves_a_port(self, switch: str, port: str, vlan: int) -> None:
        device = self.world.devices[switch]
        device.note({**device.state, Address("port", port): Port(name=port, access_vlan=vlan)})

    @rule(pdu=st.sampled_from(PDUS), outlet=st.sampled_from("123"))
    def somebody_else_switches_off(self, pdu: str, outlet: str) -> None:
        device = self.world.devices[pdu]
        device.note({**device.state, Address("outlet", outlet): Outlet(name=outlet, state="off")})

    @rule(node=nodes)
    def is_replaced(self, node: str) -> None:
        device = self.world.devices[node]
        device.note(factory(node))
        device.made, device.startup = set(), factory(node)

    @rule(node=nodes)
    def is_off_for_a_moment(self, node: str) -> None:
        device = self.world.devices[node]
        device.note(device.startup)

    @rule(switch=st.sampled_from(SWITCHES), ports=st.sampled_from(["12", "23", "13"]))
    def cables_are_swapped(self, switch: str, ports: str) -> None:
        found = self.world.cables[switch]
        found[ports[0]], found[ports[1]] = found[ports[1]], found[ports[0]]

    @rule()
    def store_restarts(self) -> None:
        self.world.restart_store()
