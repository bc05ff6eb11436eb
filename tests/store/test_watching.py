"""What `rackwright watch` follows: what was pushed before it, and nothing that is older."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from rackwright.cli.node_words import matter_of, state_of
from rackwright.cli.watching import Watch
from rackwright.model.errors import Unreachable

from .rack import Repository, running

RACK: dict[str, Any] = {"web1": {"file/a": {}}}


def node(**more: Any) -> dict[str, Any]:
    """A node of a status, well unless ``more`` says otherwise."""
    well = {
        "node": "web1",
        "state": "changed",
        "pending": "",
        "error": "",
        "waits_for": [],
        "deferred": [],
        "standing": {"verified": 1},
        "moving": False,
    }
    return {**well, **more}


class Looks:
    """A store that is asked for its status: each answer says when the look was begun, and what it saw."""

    def __init__(self, *looks: tuple[float, str], asked: float, error: str = "") -> None:
        self._looks, self._asked, self._error = list(looks), asked, error

    def poke(self) -> float:
        return self._asked

    def status(self) -> dict[str, Any]:
        checked, commit = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        store = {
            "site": "lab",
            "checked": checked,
            "error": self._error,
            "in_force": {"commit": commit},
            "refused": None,
        }
        return {"store": store, "nodes": [node()], "rollouts": []}


def test_a_look_that_was_under_way_does_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    # The one of 9 s had read the branch's head before the push, and ended after it.
    client: Any = Looks((8.0, "old"), (9.0, "old"), (11.0, "new"), asked=10.0)
    assert Watch(client, 5).run() == 0
    said = capsys.readouterr().out
    assert "lab at new" in said
    assert "old" not in said


def test_a_branch_that_cannot_be_looked_at_is_no_success() -> None:
    client: Any = Looks((11.0, "old"), asked=10.0, error="git fetch: no route to host")
    with pytest.raises(Unreachable, match="cannot look at its branch: git fetch: no route"):
        Watch(client, 5).run()


def test_a_repository_that_has_gone(repo: Repository, tmp_path: Path) -> None:
    repo.site(RACK)
    with running(repo.path, tmp_path / "data") as store:
        store.agent("web1")["web1"].converged("w1", time.time())
        assert Watch(store.admin, 20).run() == 0
        repo.path.rename(tmp_path / "elsewhere")
        with pytest.raises(Unreachable, match="the repository is not there any more"):
            Watch(store.admin, 20).run()


def test_json_ends_with_the_exit_code(
    repo: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo.site(RACK)
    with running(repo.path, tmp_path / "data") as store:
        agent = store.agent("web1")["web1"]
        assert Watch(store.admin, 0.3, as_json=True).run() == 3
        first, last = map(json.loads, capsys.readouterr().out.splitlines())
        assert first["left"][0]["node"] == "web1"
        assert first["standing"] == {"unreported": 1}
        assert "code" not in first
        assert last == {**first, "code": 3}
        agent.converged("w1", time.time())
        assert Watch(store.admin, 20, as_json=True).run() == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["left"] == []
        repo.commit({"rack.json": "{"})
        assert Watch(store.admin, 20, as_json=True).run() == 1
        (refused,) = map(json.loads, capsys.readouterr().out.splitlines())
        assert refused["refused"]["problems"]
        assert refused["code"] == 1


def test_one_node_in_words() -> None:
    assert state_of(node()) == "converged"
    assert state_of(node(pending="c0ffee")) == "changed"
    wave = {"nodes": ["web1"], "state": "stopped"}
    rollouts = [{"proposal": "resolvers", "waves": [{"nodes": ["web2"], "state": "waiting"}, wave]}]
    assert matter_of(node(), rollouts) == ""
    turn = "waits for its turn in the rollout of resolvers"
    assert matter_of(node(state="blocked"), rollouts) == turn
    waits = node(state="blocked", waits_for=["sw1:vlan/1"])
    assert matter_of(waits, rollouts) == "waits for sw1:vlan/1"
    done = [{"proposal": "resolvers", "waves": [{**wave, "state": "done"}]}]
    assert matter_of(node(state="blocked"), done) == ""
    assert matter_of(node(error="no answer", deferred=[{"fact": "x"}]), []) == "no answer"
    assert matter_of(node(deferred=[{"fact": "web1:os"}]), []) == "waits for the fact web1:os"
