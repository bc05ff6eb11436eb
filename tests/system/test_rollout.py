"""A proposal goes out wave by wave over real agents and a real store: a bad change stays on the canary, what
was mended goes on in order, also when the store is killed in the middle. And the same without a store."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .forker import Forked, Forker
from .sites import eventually, write_site
from .stores import Store

SERVERS = ("web1", "web2", "web3", "web4", "web5")
WAVES = ({"web1"}, {"web2", "web3"}, {"web4", "web5"})
FILE = "/etc/app.conf"
BAD = {"file": "/etc/app.d/extra.conf", "content": "x\n"}
"""Cannot be made: /etc/app.d is a file everywhere."""


def documents(text: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """``text`` everywhere by a rollout, with a file beside it that goes at once."""
    return [
        *({"node": name, "type": "server"} for name in SERVERS),
        {"role": "app", "resources": [{"file": FILE, "content": text}, *more]},
        {"role": "plain", "resources": [{"file": "/etc/plain", "content": text}]},
        {
            "proposal": "app",
            "deploy": {"app": list(SERVERS)},
            "rollout": {"canary": 1, "at_once": 2},
        },
        {"proposal": "plain", "deploy": {"plain": list(SERVERS)}},
    ]


@dataclass
class Rack:
    """A store and five servers; a process each."""

    forker: Forker
    made: Store
    tmp_path: Path
    agents: dict[str, Forked] = field(default_factory=dict)

    def begin(self, name: str) -> None:
        state = self.tmp_path / "state"
        enrolled = (state / name / "credential").exists()
        token = () if enrolled else ("--token", self.made.token(name))
        self.agents[name] = self.forker.start(
            "agent", "--node", name, "--root", str(root(self.tmp_path, name)), "--json", "--store", self.made.url,
            "--state", str(state), "--interval", "7200", "--splay", "0", *token,
        )  # fmt: skip

    def rollout(self) -> dict[str, Any]:
        return self.made.admin.rollouts()[0]

    def reported(self, name: str, state: str, since: int) -> bool:
        """Whether the server's newest report says ``state`` of the file, and is no older one."""
        reports = self.made.reports(name)
        return len(reports) > since and any(
            outcome["address"] == f"file/{FILE}" and outcome["state"] == state
            for outcome in reports[-1].get("outcomes", [])
        )


def root(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "root" / name
    if not path.exists():
        (path / "etc").mkdir(parents=True)
        (path / "etc" / "app.d").write_text("a file\n")
    return path


def files(tmp_path: Path, name: str) -> dict[str, tuple[bytes, int]]:
    """All that a server has, byte for byte, with the times at which it was written."""
    base = root(tmp_path, name)
    return {
        str(path.relative_to(base)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in base.rglob("*")
        if path.is_file() and path.name != "plain"
    }


@pytest.fixture
def rack(tmp_path: Path, forker: Forker) -> Iterator[Rack]:
    made = Store(forker, tmp_path)
    made.commit(*documents("one\n"), poke=False)
    made.up()
    rack = Rack(forker, made, tmp_path)
    try:
        for name in SERVERS:
            rack.begin(name)
        eventually(lambda: rack.rollout()["state"] == "done")
        yield rack
    finally:
        for agent in rack.agents.values():
            agent.kill()
        made.down()


def test_a_bad_change_stays_on_the_canary_and_a_mended_one_goes_on(rack: Rack) -> None:
    def text(name: str) -> str:
        return (root(rack.tmp_path, name) / FILE.lstrip("/")).read_text()

    before = {name: files(rack.tmp_path, name) for name in SERVERS}
    since = {name: len(rack.made.reports(name)) for name in SERVERS}
    rack.made.commit(*documents("two\n", BAD))
    eventually(lambda: rack.rollout()["state"] == "stopped")
    assert rack.rollout()["why"].startswith("web1 failed: web1:file//etc/app.d/extra.conf: ")
    for name in SERVERS[1:]:
        eventually(lambda name=name: rack.reported(name, "blocked", since[name]))  # type: ignore[misc]
        # What is no part of it went everywhere.
        assert (root(rack.tmp_path, name) / "etc/plain").read_text() == "two\n"
        assert files(rack.tmp_path, name) == before[name]
    assert text("web1") == "two\n"
    seen = rack.forker.run(
        "rollout", "--store", rack.made.url, "--credential", str(credential(rack))
    )
    assert seen.status == 2

    # Mended in git. One of the second wave is away, so the third does not go, also not when the store
    # starts again.
    rack.agents["web3"].kill()
    rack.made.commit(*documents("three\n"))
    eventually(lambda: [text(name) for name in ("web1", "web2")] == ["three\n"] * 2)
    eventually(lambda: rack.rollout()["waves"][1]["done"] == ["web2"])
    rack.made.down()
    rack.made.up()
    since = {name: len(rack.made.reports(name)) for name in SERVERS}
    for name in ("web4", "web5"):
        rack.agents[name].kill()
        rack.begin(name)
        eventually(lambda name=name: rack.reported(name, "blocked", since[name]))  # type: ignore[misc]
        assert files(rack.tmp_path, name) == before[name]
    assert rack.rollout()["state"] == "going"
    rack.begin("web3")
    eventually(lambda: rack.rollout()["state"] == "done")
    assert [text(name) for name in SERVERS] == ["three\n"] * 5

    # No wave began before the last had ended, by what the servers themselves reported.
    times = {name: changed(rack, name) for name in SERVERS}
    for earlier, later in itertools.pairwise(WAVES):
        assert max(times[name][1] for name in earlier) <= min(times[name][0] for name in later)


def credential(rack: Rack) -> Path:
    return rack.tmp_path / "store" / "admin.credential"


def changed(rack: Rack, name: str) -> tuple[float, float]:
    """When the run began and ended that last changed the file."""
    runs = [
        (report["started"], report["finished"])
        for report in rack.made.reports(name)
        for outcome in report.get("outcomes", [])
        if outcome["address"] == f"file/{FILE}" and outcome["state"] == "changed"
    ]
    return runs[-1]


def test_without_a_store(tmp_path: Path, forker: Forker) -> None:
    site, state = tmp_path / "site", tmp_path / "state"

    def converge(name: str) -> int:
        at = ("--site", str(site), "--state", str(state), "--root", str(root(tmp_path, name)))
        return forker.run("agent", "--once", "--node", name, *at).wait()

    def shown() -> tuple[int, list[str]]:
        run = forker.run("rollout", "--site", str(site), "--state", str(state), "--json")
        return run.wait(), [wave["state"] for wave in json.loads(run.out.read_text())[0]["waves"]]

    write_site(site, *documents("one\n"))
    assert shown() == (3, ["open", "waiting", "waiting"])
    assert [converge(name) for name in reversed(SERVERS)] == [3, 3, 3, 3, 0]
    assert [converge(name) for name in SERVERS] == [0] * 5
    assert shown() == (0, ["done"] * 3)

    before = {name: files(tmp_path, name) for name in SERVERS}
    write_site(site, *documents("two\n", BAD))
    assert [converge(name) for name in SERVERS] == [2, 3, 3, 3, 3]
    assert shown() == (2, ["stopped"] * 3)
    assert all(files(tmp_path, name) == before[name] for name in SERVERS[1:])
    # What has drifted from what was there before is mended all the same, once it is declared again.
    write_site(site, *documents("one\n"))
    (root(tmp_path, "web5") / FILE.lstrip("/")).write_text("by hand\n")
    assert converge("web5") == 0
    assert (root(tmp_path, "web5") / FILE.lstrip("/")).read_text() == "one\n"
    assert [converge(name) for name in SERVERS] == [0] * 5
    assert shown() == (0, ["done"] * 3)
