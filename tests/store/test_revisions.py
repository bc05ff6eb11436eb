"""Commits and facts: what is in force, who is woken, what is shown."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rackwright.client import Watch
from rackwright.model.bundle import Gates
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.report import Outcome, Report
from rackwright_store import revisions

from .rack import FakeCompiler, Repository, Store, eventually, running

THREE = {
    "sw1": {"vlan/1": {}},
    "web1": {"file/a": {"needs": ["sw1:vlan/1"]}},
    "web2": {"file/a": {}},
}


class Poll:
    """One long poll in a thread."""

    def __init__(self, store: Store, watch: list[Watch], timeout: float = 60) -> None:
        self.changed: frozenset[str] | None = None
        self._client = store.client
        self._watch, self._timeout = watch, timeout
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()

    def _go(self) -> None:
        self.changed = self._client.wait(self._watch, self._timeout)


def held_polls(store: Store, watches: dict[str, list[Watch]]) -> dict[str, Poll]:
    return {name: Poll(store, watch) for name, watch in watches.items()}


def test_a_bad_commit_keeps_the_last_good_and_shows_its_errors(
    repo: Repository, tmp_path: Path
) -> None:
    good = repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*THREE)
        before = {name: agent.bundle() for name, agent in agents.items()}
        bad = repo.commit({"rack.json": "nodes: oops"})
        store.admin.poke()
        said = eventually(lambda: store.admin.status()["store"]["refused"])
        assert said["commit"] == bad
        assert said["problems"][0]["where"] == "rack.json:3:7"
        assert said["problems"][0]["hint"] == "write JSON"
        assert store.admin.status()["store"]["in_force"]["commit"] == good
        assert {name: agent.bundle() for name, agent in agents.items()} == before
        fixed = repo.site({**THREE, "web2": {"file/b": {}}})
        eventually(lambda: store.admin.status()["store"]["in_force"]["commit"] == fixed)
        assert store.admin.status()["store"]["refused"] is None
        assert [(r["commit"], r["accepted"]) for r in store.admin.revisions()] == [
            (fixed, True),
            (bad, False),
            (good, True),
        ]


def test_a_bug_in_the_compiler_keeps_the_last_good(repo: Repository, tmp_path: Path) -> None:
    good = repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        repo.site(THREE, crash=True)
        said = eventually(lambda: store.admin.status()["store"]["refused"])
        assert "RuntimeError: the compiler has a bug" in said["problems"][0]["message"]
        assert store.admin.status()["store"]["in_force"]["commit"] == good


def test_going_back_to_the_good_commit_clears_the_errors(repo: Repository, tmp_path: Path) -> None:
    good = repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        repo.commit({"rack.json": "oops"})
        eventually(lambda: store.admin.status()["store"]["refused"])
        repo.git("reset", "--quiet", "--hard", good)
        eventually(lambda: store.admin.status()["store"]["refused"] is None)
        assert store.admin.status()["store"]["in_force"]["commit"] == good


def test_nothing_in_force_yet(repo: Repository, tmp_path: Path) -> None:
    repo.commit({"rack.json": "oops"})
    with running(repo.path, tmp_path / "data") as store:
        said = store.admin.status()
        assert said["store"]["in_force"] is None
        assert said["store"]["refused"]["problems"]
        with pytest.raises(Unreachable, match="no revision is in force yet"):
            store.admin.create_token(["sw1"])
        repo.site(THREE)
        eventually(lambda: store.admin.status()["store"]["in_force"])
        assert store.agent("sw1")["sw1"].must().node.name == "sw1"


def test_a_store_started_again_on_a_broken_head_serves_the_last_good(
    repo: Repository, tmp_path: Path
) -> None:
    good = repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agent = store.agent("web1")["web1"]
        before = agent.bundle()
        agent.converged("r1", time.time())
        agent.ledger({"file/a": {"needs": ["sw1:vlan/9"]}})
        at = store.admin.status()["store"]["in_force"]["at"]
    bad = repo.commit({"rack.json": "oops"})
    with running(repo.path, tmp_path / "data") as store:
        agent.client = store.client
        assert agent.bundle() == before
        eventually(lambda: store.admin.status()["store"]["refused"])
        status = store.admin.status()
        assert (status["store"]["in_force"]["commit"], status["store"]["in_force"]["at"]) == (good, at)  # fmt: skip
        assert status["store"]["refused"]["commit"] == bad
        assert next(n for n in status["nodes"] if n["node"] == "web1")["state"] == "converged"
        assert store.admin.node("sw1")["gates"]["held"] == {"vlan/9": ["web1:file/a"]}
    # Also when the repository is away, and its history gone.
    repo.path.rename(tmp_path / "gone")
    with pytest.raises(Permanent, match="no such directory"), running(repo.path, tmp_path / "data"):
        pass
    with running(f"file://{repo.path}", tmp_path / "data") as store:
        agent.client = store.client
        assert agent.bundle() == before
        assert "does not appear to be a git repository" in eventually(
            lambda: store.admin.status()["store"]["error"]
        )


def test_a_commit_wakes_only_those_whose_bundle_it_changes(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*THREE)
        watches = {name: [agent.watch()] for name, agent in agents.items()}
        watches["delegate"] = [agents["sw1"].watch(), agents["web1"].watch()]
        polls = held_polls(store, watches)
        nothing = repo.site(THREE, comment="wants the same")
        eventually(lambda: store.head() == nothing)
        repo.site({**THREE, "web2": {"file/a": {"data": {"mode": "600"}}}})
        polls["web2"].thread.join(20)
        assert polls["web2"].changed == {"web2"}
        assert {name for name, poll in polls.items() if poll.changed is not None} == {"web2"}
        # A VLAN that changes concerns the switch, and web1 that needs it at its new digest.
        changed = {"sw1": {"vlan/1": {"data": {"title": "x"}}}}
        repo.site({**THREE, **changed, "web2": {"file/a": {"data": {"mode": "600"}}}})
        for name in ("sw1", "web1", "delegate"):
            polls[name].thread.join(20)
        assert polls["delegate"].changed == {"sw1", "web1"}
        assert polls["sw1"].changed == {"sw1"}


def test_a_need_that_is_met_wakes_only_who_waited_for_it(repo: Repository, tmp_path: Path) -> None:
    nodes = {**THREE, "sw1": {"vlan/1": {}, "vlan/2": {}}}
    repo.site({**nodes, "web3": {"file/a": {"needs": ["sw1:vlan/1"]}}})
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("sw1", "web1", "web2", "web3")
        polls = held_polls(store, {name: [agent.watch()] for name, agent in agents.items()})
        eventually(lambda: store.admin.status()["store"]["waiting"] == 4)
        other = Outcome(address="vlan/2", state="in_sync", digest="d")
        agents["sw1"].report(Report(id="r0", node="sw1", started=1, finished=2, outcomes=(other,)))
        assert store.admin.status()["store"]["waiting"] == 4
        agents["sw1"].converged("r1", time.time())
        for name in ("web1", "web3"):
            polls[name].thread.join(20)
            assert polls[name].changed == {name}
        again = held_polls(store, {name: [agent.watch()] for name, agent in agents.items()})
        eventually(lambda: store.admin.status()["store"]["waiting"] == 6)
        agents["sw1"].converged("r2", time.time())  # says the same: nobody is concerned
        agents["web2"].converged("r3", time.time())
        assert store.admin.status()["store"]["waiting"] == 6
        assert all(poll.changed is None for poll in again.values())


def test_removal_waits_until_the_last_user_has_let_go(repo: Repository, tmp_path: Path) -> None:
    repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*THREE)
        agents["web1"].ledger({"file/a": {"needs": ["sw1:vlan/1"]}})
        assert agents["sw1"].gates()[0].held == {}
        repo.site({"sw1": {}, "web1": {}, "web2": {}})
        eventually(lambda: agents["sw1"].must().resources == ())
        assert agents["sw1"].gates()[0].held == {"vlan/1": ("web1:file/a",)}
        poll = Poll(store, [agents["sw1"].watch()])
        other = Poll(store, [agents["web2"].watch()])
        agents["web1"].ledger({})
        poll.thread.join(20)
        assert poll.changed == {"sw1"}
        assert agents["sw1"].gates()[0].held == {}
        assert other.changed is None


def test_a_node_taken_out_of_the_site_is_told_and_holds_until_it_is_retired(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*THREE)
        agents["web1"].ledger({"file/a": {"needs": ["sw1:vlan/1"]}})
        poll = Poll(store, [agents["web1"].watch()])
        repo.site({"sw1": {}, "web2": THREE["web2"]})
        poll.thread.join(20)
        assert poll.changed == {"web1"}
        with pytest.raises(Permanent, match="no node 'web1' in the site"):
            agents["web1"].bundle()
        # It may well run on: what it used stays until somebody says that it is gone.
        assert agents["sw1"].gates()[0].held == {"vlan/1": ("web1:file/a",)}
        poll = Poll(store, [agents["sw1"].watch()])
        store.admin.retire("web1", who="me")
        poll.thread.join(20)
        assert poll.changed == {"sw1"}
        assert agents["sw1"].gates()[0].held == {}


FACTS = {"sw1": {"vlan/1": {}}, "web1": {"file/motd": {"fact": "web1.os"}}, "web2": {"file/peer": {"fact": "web1.os"}}}  # fmt: skip


def test_facts_render_what_was_deferred_and_wake_whom_they_concern(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site(FACTS)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*FACTS)
        assert agents["web1"].must().deferred[0].fact == "web1:os"
        status = {node["node"]: node for node in store.admin.status()["nodes"]}
        assert status["web2"]["deferred"] == [{"address": "file/peer", "fact": "web1:os"}]
        polls = held_polls(store, {name: [agent.watch()] for name, agent in agents.items()})
        etag = agents["web1"].facts(os="debian")
        found = agents["web1"].bundle()
        assert found is not None
        assert found[1] == etag
        assert found[0].resources[0].data["value"] == "debian"
        polls["web2"].thread.join(20)
        assert polls["web2"].changed == {"web2"}
        assert polls["sw1"].changed is None
        assert agents["web1"].bundle(etag) is None
    with running(repo.path, tmp_path / "data") as store:
        agents["web1"].client = store.client
        assert agents["web1"].bundle(etag) is None


def test_facts_that_do_not_compile_are_left_out_and_harm_nobody_else(
    repo: Repository, tmp_path: Path
) -> None:
    nodes = {f"n{i}": {"file/a": {"fact": f"n{i}.os"}} for i in range(6)}
    repo.site(nodes)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*nodes)
        for agent in agents.values():
            agent.facts(os="one")
        before = agents["n3"].must()
        assert agents["n3"].facts(os="poison") == before.etag
        agents["n4"].facts(os="two")
        assert agents["n3"].must() == before
        assert agents["n4"].must().resources[0].data["value"] == "two"
        status = {node["node"]: node for node in store.admin.status()["nodes"]}
        assert "its facts do not compile: rack.json:9: n3: poison" in status["n3"]["error"]
        assert [name for name, node in status.items() if node["error"]] == ["n3"]
        # A commit is not refused for facts that were never in use.
        head = repo.site({**nodes, "n9": {}})
        eventually(lambda: store.admin.status()["store"]["in_force"]["commit"] == head)
        assert agents["n3"].must().resources[0].data["value"] == "one"
        agents["n3"].facts(os="three")
        assert agents["n3"].must().resources[0].data["value"] == "three"
        assert all(not node["error"] for node in store.admin.status()["nodes"])
        agents["n2"].facts(os="poison")
    with running(repo.path, tmp_path / "data") as store:
        for agent in agents.values():
            agent.client = store.client
        assert agents["n2"].must().deferred
        assert agents["n4"].must().resources[0].data["value"] == "two"


def test_a_commit_that_was_refused_for_facts_alone_is_in_force_when_they_come_right(
    repo: Repository, tmp_path: Path
) -> None:
    """Nobody would commit again: the commit is right."""
    repo.site({"n1": {}, "n2": {"file/a": {"fact": "n2.os"}}})
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("n1", "n2")
        agents["n1"].facts(os="poison")
        agents["n2"].facts(os="one")
        head = repo.site({"n1": {"file/a": {"fact": "n1.os"}}, "n2": {}})
        store.admin.poke()
        eventually(lambda: (store.admin.status()["store"]["refused"] or {}).get("commit") == head)
        polls = held_polls(store, {"n2": [agents["n2"].watch()]})
        agents["n2"].facts(os="two")
        assert store.admin.status()["store"]["refused"]["commit"] == head
        agents["n1"].facts(os="mended")
        assert agents["n1"].must().resources[0].data["value"] == "mended"
        found = store.admin.status()["store"]
        assert (found["in_force"]["commit"], found["refused"]) == (head, None)
        polls["n2"].thread.join(20)
        assert polls["n2"].changed == {"n2"}


def test_a_commit_that_is_wrong_by_itself_is_not_compiled_again_for_facts(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site({"n1": {}})
    compiler = FakeCompiler()
    with running(repo.path, tmp_path / "data", compiler=compiler) as store:
        agent = store.agent("n1")["n1"]
        agent.facts(os="one")
        bad = repo.commit({"rack.json": "nodes: oops"})
        store.admin.poke()
        eventually(lambda: compiler.compiled.count(bad) == 2)  # without facts, too
        agent.facts(os="two")
        assert compiler.compiled.count(bad) == 2


def test_facts_whose_rendering_failed_are_rendered_when_they_are_sent_again(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.site({"n1": {"file/a": {"fact": "n1.os"}}})
    with running(repo.path, tmp_path / "data") as store:
        agent = store.agent("n1")["n1"]
        with monkeypatch.context() as patch:
            patch.setattr(revisions.Revisions, "_prepare", lambda *_: 1 // 0)
            with pytest.raises(AssertionError, match="may not answer 500"):
                agent.facts(os="one")
        agent.facts(os="one")
        assert agent.must().resources[0].data["value"] == "one"


def test_facts_that_come_together_are_rendered_together(repo: Repository, tmp_path: Path) -> None:
    nodes = {f"n{i}": {"file/a": {"fact": f"n{i}.os"}} for i in range(20)}
    repo.site(nodes)
    compiler = SlowCompiler()
    with running(repo.path, tmp_path / "data", compiler=compiler) as store:
        agents = store.agent(*nodes)
        compiler.compiled.clear()
        compiler.go.clear()
        threads = [
            threading.Thread(target=agent.facts, kwargs={"os": "x"}) for agent in agents.values()
        ]
        for thread in threads:
            thread.start()
        eventually(lambda: len(compiler.compiled) == 1)
        eventually(lambda: facts_known(tmp_path / "data") == 20)
        compiler.go.set()
        for thread in threads:
            thread.join(20)
        assert len(compiler.compiled) <= 3
        assert all(agent.must().resources for agent in agents.values())


def facts_known(data: Path) -> int:
    import sqlite3

    with sqlite3.connect(data / "store.db") as plain:
        return int(plain.execute("SELECT count(*) FROM facts").fetchone()[0])


class SlowCompiler(FakeCompiler):
    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def recompile(self, compiled: Any, facts: Any) -> Any:
        self.compiled.append("begun")
        assert self.go.wait(30)
        found = super().recompile(compiled, facts)
        self.compiled.pop()
        return found


def test_the_branch_of_a_url_is_followed_when_poked(repo: Repository, tmp_path: Path) -> None:
    repo.site(THREE)
    with running(f"file://{repo.path}", tmp_path / "data") as store:
        head = repo.site({"only": {}})
        store.admin.poke()
        eventually(lambda: store.head() == head, seconds=8)
        assert [node["node"] for node in store.admin.nodes()] == ["only"]


def test_five_hundred_long_polls(repo: Repository, tmp_path: Path) -> None:
    nodes = {f"n{i:03}": {"file/a": {}} for i in range(500)}
    repo.site(nodes)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*nodes)
        host, port = store.url.removeprefix("http://").split(":")

        async def poll(watch: Watch, woken: dict[str, Any]) -> None:
            reader, writer = await asyncio.open_connection(host, int(port))
            body = json.dumps({"timeout": 60, "watch": [watch._asdict()]}).encode()
            writer.write(
                b"POST /v1/wait HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
                + body
            )
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length")
            )
            woken[watch.node] = json.loads(await reader.readexactly(length))["changed"]
            writer.close()

        async def all_of_them() -> dict[str, Any]:
            woken: dict[str, Any] = {}
            gates = Gates().etag  # nobody here needs anything
            watches = [
                Watch(name, agent.credential, agent.must().etag, gates)
                for name, agent in agents.items()
            ]
            polls = [asyncio.create_task(poll(watch, woken)) for watch in watches]
            while await asyncio.to_thread(watching, store) < 500:
                await asyncio.sleep(0.02)
            changed = {f"n{i:03}": {"file/a": {"data": {"x": i}}} for i in range(0, 500, 50)}
            await asyncio.to_thread(repo.site, {**nodes, **changed})
            while len(woken) < len(changed):
                await asyncio.sleep(0.02)
            assert woken == {name: [name] for name in changed}
            assert watching(store) == 490
            store.ready.stop()  # all others are let go when the store leaves
            await asyncio.wait_for(asyncio.gather(*polls), 20)
            return woken

        woken = asyncio.run(all_of_them())
        assert len(woken) == 500
        assert sum(bool(changed) for changed in woken.values()) == 10


def watching(store: Store) -> int:
    return int(store.admin.status()["store"]["waiting"])


def test_a_poll_whose_client_went_away_is_forgotten(repo: Repository, tmp_path: Path) -> None:
    import socket

    repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        watch = store.agent("web1")["web1"].watch()
        host, port = store.url.removeprefix("http://").split(":")
        body = json.dumps({"timeout": 60, "watch": [watch._asdict()]}).encode()
        with socket.create_connection((host, int(port))) as line:
            line.sendall(b"POST /v1/wait HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
            eventually(lambda: watching(store) == 1)
        eventually(lambda: watching(store) == 0)


def test_a_poll_returns_at_once_when_what_it_knows_is_old(repo: Repository, tmp_path: Path) -> None:
    repo.site(THREE)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("web1", "web2")
        watch = agents["web1"].watch()
        for old in (watch._replace(bundle=""), watch._replace(gates="x")):
            assert store.client.wait([old, agents["web2"].watch()], 60) == {"web1"}
        assert store.client.wait([watch], 0.05) == frozenset()
        assert store.client.wait([], 300) == frozenset()


def test_open_files_are_not_the_limit(repo: Repository, tmp_path: Path) -> None:
    import resource

    repo.site(THREE)
    with running(repo.path, tmp_path / "data"):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard or soft >= 65536
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
