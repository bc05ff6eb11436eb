"""What the model found: the shortest cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.model.address import Address
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


def test_nothing_new_rests_on_what_may_have_gone_while_the_store_is_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        world.site.servers["h1"] = Server({"eth0": 10})
        assert world.commit()
        world.pass_time(8.0)
        for node in SWITCHES:
            world.run(node)
        world.run("h1", Failure("lose-before"))  # it has been told that its VLAN is there
        world.site.servers["h1"] = Server()
        assert world.commit()
        world.run("h1", Failure("away"))
        rounds(world)
        assert not undone(world)
    finally:
        world.end()


def test_what_went_and_was_not_saved_is_still_ours(world: World) -> None:
    world.site.servers["h1"] = Server({"eth0": 10, "eth1": 10})
    assert world.commit()
    for node in ("san1", "h1"):
        world.run(node)
    world.run("san1", Failure("unsaved"))
    array = world.devices["san1"]
    share = Address("share", "h1")
    assert share not in array.state
    array.note(array.startup)  # it is off for a moment
    assert share in array.state
    rounds(world)
    assert not undone(world)


def test_a_vlan_goes_from_one_switch_after_the_other(world: World) -> None:
    """h1's ports are let go of as they are, so its VLAN is cut with both."""
    world.site.servers["h1"] = Server({}, 5)
    assert world.commit()
    shown = []
    for node in ("sw1", "sw2", "h1", "sw2", "sw1", "sw2"):
        world.run(node)
        devices = [world.devices[switch] for switch in SWITCHES]
        shown.append([Address("vlan", "10") in device.state for device in devices])
    assert shown == [[True, True]] * 4 + [[False, True], [False, False]]
    assert not world.checks.broken
    rounds(world)
    assert not undone(world)


def test_what_was_begun_and_never_reported_counts_for_nothing(world: World) -> None:
    world.site.servers["h1"] = Server({"eth0": 10}, 5)
    assert world.commit()
    for node in ("h1", "san1", "sw2"):
        world.run(node, Failure("crash-after") if node == "sw2" else None)
    assert Address("vlan", "10") not in world.devices["sw2"].state  # and nobody says so
    world.site.servers["h1"] = Server({"eth0": 10, "eth1": 10}, 5)
    assert world.commit()
    world.run("h1")
    assert not world.checks.broken
    world.pass_time(40.0)
    rounds(world)
    assert not undone(world)
