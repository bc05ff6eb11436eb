"""kill -9 of the store, and of agents that report to it, at random instants: no report is lost, and none
is there twice."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from .forker import Forker
from .killing import Killing
from .sites import deployed, eventually
from .stores import Store, store

BATCHES, KILLS = 3, 10
NODES = ("web1", "web2")
SPAN = 1.0
"""Seconds of a store's life within which it is killed: it starts, and its agents come back to it."""


def documents(number: int) -> list[dict[str, Any]]:
    """Two servers with a file each, which tells them apart from those of another ``number``."""
    found: list[dict[str, Any]] = []
    for node in NODES:
        found.append({"node": node, "type": "server"})
        file = {"file": "/version", "content": f"{node} {number}\n"}
        found += deployed(f"files-{node}", "server", node, [file])
    return found


def agent(tmp_path: Path, made: Store, node: str, *more: str) -> tuple[str, ...]:
    root = tmp_path / "root" / node
    root.mkdir(parents=True)
    where = ("--root", str(root), "--state", str(tmp_path / "state"))
    token = ("--token", made.token(node))
    return ("agent", "--node", node, "--store", made.url, *where, *token, *more)


def spooled(state: Path, node: str) -> set[str]:
    """Ids of the reports that wait on disk."""
    return {path.stem for path in (state / node / "reports").glob("*.json")}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_store(tmp_path: Path, forker: Forker, chance: random.Random, batch: int) -> None:
    with store(forker, tmp_path, *documents(0)) as made:
        often = ("--interval", "1", "--splay", "0", "--json")
        agents = {node: forker.start(*agent(tmp_path, made, node, *often)) for node in NODES}
        eventually(lambda: all(running.out.exists() for running in agents.values()))
        for number in range(1, KILLS + 1):
            made.commit(*documents(number))
            time.sleep(chance.uniform(0, SPAN))
            made.down()
            made.begin()
        made.down()
        made.up()
        commit = made.commit(*documents(99))

        def arrived() -> bool:
            nodes = made.admin.status()["nodes"]
            return all(line["revision"] == commit and not line["pending"] for line in nodes)

        eventually(arrived)
        for node, running in agents.items():
            assert (tmp_path / "root" / node / "version").read_text() == f"{node} 99\n"
            running.signal(15)
            assert running.wait() == 0, running.said()
            assert "Traceback" not in running.said()
            # Each line was printed once its report lay on disk.
            printed = [json.loads(line)["id"] for line in running.out.read_text().splitlines()]
            kept = [run["id"] for run in reversed(made.admin.runs(node, 1000))]
            assert kept == printed
            assert spooled(tmp_path / "state", node) == set()


def test_killed_agent_of_a_store(tmp_path: Path, forker: Forker, chance: random.Random) -> None:
    state = tmp_path / "state"
    with store(forker, tmp_path, *documents(0)) as made:
        argv = agent(tmp_path, made, "web1", "--once")
        killing = Killing(forker, chance, state, "web1", argv)
        told = [killing.complete()["id"]]
        waiting: set[str] = set()
        while killing.killed < KILLS:
            made.commit(*documents(killing.killed + 1))
            killing.interrupt()
            waiting |= spooled(state, "web1")
        told.append(killing.complete()["id"])
        kept = [run["id"] for run in made.admin.runs("web1", 1000)]
        assert {*told, *waiting} <= set(kept)
        assert len(kept) == len(set(kept))
        assert spooled(state, "web1") == set()


def test_a_report_that_cannot_be_kept_on_disk_is_told_all_the_same(
    tmp_path: Path, forker: Forker
) -> None:
    with store(forker, tmp_path, *documents(0)) as made:
        (tmp_path / "state" / "web1").mkdir(parents=True)
        (tmp_path / "state" / "web1" / "reports").write_text("as bad as a full disk\n")
        run = forker.run(*agent(tmp_path, made, "web1", "--once", "--json"))
        assert run.status == 0, run.said()
        assert "Traceback" not in run.said()
        told = [report["id"] for report in json.loads(run.out.read_text())]
        assert [kept["id"] for kept in made.admin.runs("web1", 10)] == told
