"""Whatever goes wrong, in whichever order: when it is over, everybody is woken and everything converges, though
nobody would run by himself for an hour. What a seed says is who does what; threads and sockets add their own."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from .world import HOSTS, MANAGED, NODES, SERVERS, World, describe, quick

SEEDS = [int(text) for text in os.environ.get("SEEDS", "5").split()]
"""Others, and more of them, are tried by ``SEEDS="$(seq -s ' ' 100)"``."""
POLLS = 400
"""That an agent, or the delegates of a host, may make until all is well again; they last half a second where
nothing happens."""
PATHS = ("/reports", "/ledger", "/facts", "/gates", "/bundle", "/leases")
EPISODES = int(os.environ.get("EPISODES", "5"))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def settle(world: World, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while found := world.unsettled():
        assert time.monotonic() < end, describe(found)
        threading.Event().wait(0.05)


def mend(world: World) -> None:
    """All is well again."""
    if world.store is None:
        world.start_store()
    assert world.store
    for name, wire in world.wires.items():
        wire.cut, wire.bad, wire.deaf = False, 0.0, ""
        if name in HOSTS:
            world.store.admin.drain(name, "test", drain=False)
    for node in world.nodes.values():
        node.away = False
        node.works.set()
    if world.out:
        world.out.clear()
        world.commit()


def step(world: World) -> str:
    chance = world.chance
    what = chance.choice(
        ["commit"] * 2
        + ["deaf"] * 6
        + ["bad", "cut", "restart", "stop", "drain", "away", "hang", "out", "fact", "host", "well"]
    )
    who = chance.choice([*HOSTS, *SERVERS])
    node = chance.choice(NODES)
    if what == "commit":
        world.commit()
    elif what == "bad":
        world.wires[who].bad = chance.choice([0.2, 0.6, 0.95])
    elif what == "deaf":
        world.wires[who].deaf = chance.choice(PATHS)
        what += world.wires[who].deaf
    elif what == "cut":
        world.wires[who].cut = True
    elif what == "restart":
        world.stop_store()
        world.start_store()
    elif what == "stop":
        world.stop_store()
    elif what == "drain" and world.store:
        who = chance.choice(HOSTS)
        world.store.admin.drain(who, "test", drain=chance.random() < 0.6)
    elif what == "away":
        world.nodes[node].away = True
        what += f" {node}"
    elif what == "hang":
        world.nodes[node].works.clear()
        what += f" {node}"
    elif what == "out":
        world.out ^= {chance.choice(SERVERS)}
        world.commit()
    elif what == "fact":
        world.nodes[chance.choice(SERVERS)].serial = str(chance.randint(1, 9))
    elif what == "host":
        who = chance.choice(HOSTS)
        world.hosts[who].end()
        world.nodes[who].works.set()
        for one in MANAGED:
            world.nodes[one].works.set()
        world.hosts[who].join()
        world.begin_host(who)
    elif what == "well":
        for wire in world.wires.values():
            wire.cut, wire.bad, wire.deaf = False, 0.0, ""
        for one in world.nodes.values():
            one.away = False
            one.works.set()
        if world.store is None:
            world.start_store()
    return f"{what} {who}"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_comes_right(seed: int, tmp_path: Path) -> None:
    world = World(tmp_path, seed)
    try:
        settle(world)
        for _ in range(EPISODES):
            said = []
            for _ in range(world.chance.randint(1, 3)):
                said.append(step(world))
                threading.Event().wait(world.chance.choice([0.0, 0.05, 0.3, 0.6]))
            if world.chance.random() < 0.7:
                world.commit()
                said.append("commit")
                threading.Event().wait(world.chance.choice([0.1, 0.3, 0.6]))
            before = {name: wire.polls for name, wire in world.wires.items()}
            mend(world)
            try:
                settle(world)
            except AssertionError as error:
                raise AssertionError(f"after {said}:\n{error}") from None
            assert world.stale() == set()
            for name, wire in world.wires.items():
                assert wire.polls - before[name] < POLLS, (name, said)
    finally:
        world.end()
