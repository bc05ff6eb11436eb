"""What the model found: the shortest cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.devices import Failure
from tests.model.site import NODES, PDUS, SERVERS, SWITCHES, VLANS, Server
from tests.model.world import World, undone


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """All is done: each server has both its paths in a VLAN of its own, and a share."""
    made = World(tmp_path)
    try:
        for name, vlan in zip(SERVERS, VLANS, strict=True):
            made.site.servers[name] = Server({"eth0": vlan, "eth1": vlan}, 5)
        assert made.commit()
        made.pass_time(8.0)
        rounds(made)
        assert not undone(made)
        yield made
    finally:
        made.end()


def rounds(world: World) -> None:
    for _ in range(4):
        for node in (*NODES, *SWITCHES, *SERVERS):
            world.run(node)
    assert not world.broken


def test_one_path_goes_and_the_other_changes_with_what_rests_on_both(world: World) -> None:
    world.site.servers["h1"] = Server({"eth1": 20}, 6)
    assert world.commit()
    rounds(world)
    assert not undone(world)


def test_the_last_feed_of_a_server_that_answers_stays_on(world: World) -> None:
    for state in ("on", "off"):
        for pdu in PDUS:
            world.site.outlets[pdu][1] = state
        assert world.commit()
        for pdu in (*PDUS, *PDUS):
            world.run(pdu)
    assert not world.broken
    assert undone(world) == ["pdu1:outlet/1 is not as declared", "pdu2:outlet/1 is not as declared"]


def test_who_stood_still_for_longer_than_its_lease_sends_nothing_more(world: World) -> None:
    (first,) = world.writers("sw1")
    world.site.servers["h1"] = Server({"eth0": 20, "eth1": 20}, 5)
    assert world.commit()
    world.run("sw1", Failure("pause", 0, 40.0))
    (second,) = world.writers("sw1")
    assert second.host is not first.host
    assert not world.broken
    rounds(world)
    assert not undone(world)


def test_who_is_drained_and_has_no_agent_is_waited_for(world: World) -> None:
    (first,) = world.writers("sw1")
    assert first.host is not None
    first.host.agentless = True
    world.drain(first.host.name)
    for _ in range(40):
        world.pass_time(4.0)
        assert len(world.writers("sw1")) <= 1
    (second,) = world.writers("sw1")
    assert second.host is not first.host
    world.site.servers["h1"] = Server({"eth0": 20, "eth1": 20}, 5)
    assert world.commit()
    rounds(world)
    assert not undone(world)
