"""Random sites, commits, failures, crashes and lease losses: what must hold all the time, and in the end.

The compiler, the store with its hosts and leases, the keepers of these, the engine, its runs and ledgers are
the real ones; only the devices, the way to the store and the clocks of leases are in memory. ``HYPOTHESIS_PROFILE=deep`` looks for longer.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, run_state_machine_as_test

from rackwright_store.views import Views
from tests.model.happenings import Happenings
from tests.model.nouns import Port, Volume
from tests.model.site import (
    ARRAY,
    HOSTS,
    MANAGED,
    NODES,
    OWN_PORTS,
    PDUS,
    SERVERS,
    SWITCHES,
    VLANS,
    Server,
)
from tests.model.world import World, cables, undone

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
ROUNDS = 16
"""Runs of every node after which all must be done: the longest chain goes over seven nodes, there and back."""


class Model(Happenings):
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
            # Twice by the clock, since a first run may find a dead session; then whoever is woken.
            woken = [node for node in world.nodes if turn < 2 or world.woken(node)]
            for node in woken:
                report = world.run(node)
                # What is to move may be nobody's, and a first try may find a dead session.
                assert report is None or not report.error or turn == 0, report
            self.nothing_forbidden_was_done()
            self.what_is_not_ours_is_as_it_was()
            if not woken:
                break
        left = undone(world)
        assert not left, [*left, *self.changing()]
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
        world.site.slots = dict.fromkeys(world.site.slots, "on")
        world.site.oob = 50
        switch = world.devices[SWITCHES[0]]
        ports = [Port(name=port, access_vlan=50) for port in OWN_PORTS.values()]
        switch.note({**switch.state, **{port.address: port for port in ports}})
        left = {
            a.name: thing
            for a, thing in world.devices[ARRAY].state.items()
            if isinstance(thing, Volume)
        }
        for name, volume in left.items():  # what nobody has said yet
            size, _ = world.site.volumes.get(name, (volume.size or 0, True))
            world.site.volumes[name] = (size, True)
        world.cables = cables()
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
        world.site.slots, world.site.volumes = {}, {}
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
