"""A server's change waits for the switch, over the store, and goes on when it is verified; what goes,
goes in the opposite order. A store that is away, or a revision that is wrong, stops nobody."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from .forker import Forked, Forker
from .simulators import Devices, reach, simulated, switch
from .sites import deployed, eventually, ledger, write_secrets
from .stores import Store

SERVERS = ("web1", "web2")
NETWORK = "/etc/eth0"


@dataclass
class Rack:
    """A switch with its delegate, two servers with their agents, a store; a process each. Nobody
    converges but when woken: the interval is hours."""

    forker: Forker
    made: Store
    devices: Devices
    node: dict[str, Any]
    tmp_path: Path
    agents: dict[str, Forked] = field(default_factory=dict)

    def site(
        self, vlans: dict[int, str], files: dict[str, list[dict[str, Any]]]
    ) -> list[dict[str, Any]]:
        """What the switch's VLANs and the servers' files are."""
        found = [
            reach(self.node, self.devices),
            *deployed("net", "switch", "sw1", [{"vlan": str(v), "title": t} for v, t in vlans.items()]),
        ]  # fmt: skip
        for name in SERVERS:
            found.append({"node": name, "type": "server"})
            found += deployed(f"files-{name}", "server", name, files.get(name, []))
        return found

    def begin(self, name: str) -> None:
        """Start the agent or delegate of ``name``, enrolled if it is not yet."""
        state = self.tmp_path / "state"
        if (state / name / "credential").exists():
            token: tuple[str, ...] = ()
        else:
            token = ("--token", self.made.token(name))
        rare = ("--interval", "7200", "--splay", "0", "--json")
        where = ("--store", self.made.url, "--state", str(state))
        if name == "sw1":
            command: tuple[str, ...] = ("delegate", "sw1")
        else:
            command = ("agent", "--node", name, "--root", str(self.root(name)))
        self.agents[name] = self.forker.start(*command, *where, *rare, *token)

    def root(self, name: str) -> Path:
        path = self.tmp_path / "root" / name
        (path / "etc").mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, path: str = NETWORK) -> str | None:
        """A server's file."""
        found = self.root(name) / path.lstrip("/")
        return found.read_text() if found.exists() else None

    def settled(self, commit: str) -> bool:
        """Whether every node has verified all of ``commit``, and nobody waits."""
        status = self.made.admin.status()
        return bool((status["store"]["in_force"] or {}).get("commit") == commit) and all(
            not node["pending"] and node["state"] in ("converged", "changed")
            for node in status["nodes"]
        )

    def change(self, *documents: Any) -> str:
        """Commit, and wait until all of it is verified."""
        commit = self.made.commit(*documents)
        eventually(lambda: self.settled(commit))
        return commit

    def events(self, since: int = 0) -> list[tuple[str, str, str]]:
        """(node, resource, what became of it) of all reports, in the order in which they ended."""
        found = [(report["finished"], report) for name in (*SERVERS, "sw1") for report in self.made.reports(name)]  # fmt: skip
        found.sort(key=lambda pair: pair[0])
        return [
            (report["node"], outcome["address"], outcome["state"])
            for _, report in found
            for outcome in report.get("outcomes", [])
            if outcome["state"] != "in_sync"
        ][since:]


@contextmanager
def running(tmp_path: Path, forker: Forker) -> Iterator[Rack]:
    node = switch("sw1", latency=0.02)
    write_secrets(tmp_path / "state")
    with simulated(tmp_path / "devices", node) as devices:
        made = Store(forker, tmp_path)
        rack = Rack(forker, made, devices, node, tmp_path)
        made.commit(*rack.site({10: "front"}, {}), poke=False)
        made.up()
        try:
            for name in (*SERVERS, "sw1"):
                rack.begin(name)
            commit = rack.change(*rack.site({10: "front"}, {"web1": [{"file": "/etc/a", "content": "1\n"}]}))  # fmt: skip
            assert commit
            yield rack
        finally:
            for agent in rack.agents.values():
                agent.kill()
            made.down()


@pytest.fixture
def rack(tmp_path: Path, forker: Forker) -> Iterator[Rack]:
    with running(tmp_path, forker) as made:
        yield made


def network(vlan: int, **more: Any) -> dict[str, Any]:
    """A server's file that needs a VLAN of the switch."""
    return {"file": NETWORK, "content": f"vlan {vlan}\n", "needs": [f"sw1:vlan/{vlan}"], **more}


def test_what_is_needed_comes_first_and_goes_last(rack: Rack) -> None:
    file = f"file/{NETWORK}"
    since = len(rack.events())
    rack.change(*rack.site({10: "front", 30: "backup"}, {"web1": [network(30)]}))
    came = [event for event in rack.events(since) if event[1] in (file, "vlan/30")]
    # It may have been blocked more than once, or not at all where the switch was the first to hear.
    assert [event for event in came if event[2] != "blocked"] == [
        ("sw1", "vlan/30", "changed"),
        ("web1", file, "changed"),
    ]
    blocked = [event for event in came if event[2] == "blocked"]
    assert set(blocked) <= {("web1", file, "blocked")}
    assert came[: len(blocked)] == blocked
    assert rack.text("web1") == "vlan 30\n"

    # Something else changes, on both: the need that was met stays met.
    since = len(rack.events())
    other = {"file": "/etc/other", "content": "x\n"}
    rack.change(
        *rack.site({10: "renamed", 30: "backup"}, {"web1": [network(30), other], "web2": [other]})
    )
    assert [event for event in rack.events(since) if event[2] == "blocked"] == []

    # Both go with one commit: the file first, though the switch may hear of it first.
    since = len(rack.events())
    rack.made.commit(*rack.site({10: "renamed"}, {"web1": [other], "web2": [other]}))
    eventually(lambda: "vlan 30" not in rack.devices.running("sw1"))
    eventually(lambda: ("sw1", "vlan/30", "removed") in rack.events(since))
    went = [event for event in rack.events(since) if event[1] in (file, "vlan/30")]
    assert [event for event in went if event[2] != "blocked"] == [
        ("web1", file, "removed"),
        ("sw1", "vlan/30", "removed"),
    ]
    assert rack.text("web1") is None
    assert "vlan/30" not in ledger(rack.tmp_path / "state", "sw1").entries
    assert rack.devices.running("sw1") == rack.devices.startup("sw1")


def test_a_switch_that_hears_first_waits_for_the_server_that_still_uses_it(rack: Rack) -> None:
    rack.change(*rack.site({10: "front", 30: "backup"}, {"web1": [network(30)]}))
    rack.agents["web1"].kill()
    rack.made.commit(*rack.site({10: "front"}, {}))
    eventually(lambda: rack.made.node("sw1")["state"] == "blocked")
    assert rack.made.node("sw1")["waits_for"] == [f"web1:file/{NETWORK}"]
    assert "vlan 30" in rack.devices.running("sw1")
    rack.begin("web1")
    eventually(lambda: "vlan 30" not in rack.devices.running("sw1"))
    assert rack.text("web1") is None


def test_a_server_that_hears_first_waits_for_the_switch(rack: Rack) -> None:
    rack.agents["sw1"].kill()
    rack.made.commit(*rack.site({10: "front", 30: "backup"}, {"web1": [network(30)]}))
    eventually(lambda: rack.made.node("web1")["state"] == "blocked")
    assert rack.made.node("web1")["waits_for"] == ["sw1:vlan/30"]
    assert rack.text("web1") is None
    rack.begin("sw1")
    eventually(lambda: rack.text("web1") == "vlan 30\n")


def test_a_store_that_is_away_stops_nobody_and_loses_nothing(rack: Rack) -> None:
    rack.change(*rack.site({10: "front"}, {"web1": [{"file": "/etc/a", "content": "1\n"}]}))
    before = [report["id"] for report in rack.made.reports("web1")]
    rack.made.down()
    spool = rack.tmp_path / "state" / "web1" / "reports"
    for number in range(1, 4):
        (rack.root("web1") / "etc/a").write_text("by hand\n")
        rack.agents["web1"].signal(signal.SIGUSR1)
        eventually(lambda: rack.text("web1", "/etc/a") == "1\n")
        eventually(lambda number=number: len(list(spool.glob("*.json"))) == number)  # type: ignore[misc]
    # One that starts meanwhile goes on from the last bundle too.
    rack.agents["web2"].kill()
    rack.begin("web2")
    waiting = sorted(path.stem for path in spool.glob("*.json"))
    rack.made.up()
    # The next run is hours away: the reports come by themselves, and in their order.
    eventually(lambda: not list(spool.glob("*.json")))
    kept = [report["id"] for report in rack.made.reports("web1")]
    assert kept[: len(before) + 3] == before + waiting
    rack.change(*rack.site({10: "front"}, {"web2": [{"file": "/etc/b", "content": "2\n"}]}))
    assert rack.text("web2", "/etc/b") == "2\n"


def test_a_revision_that_does_not_lint_is_shown_and_not_acted_on(rack: Rack) -> None:
    good = rack.made.admin.status()["store"]["in_force"]["commit"]
    runs = [run["id"] for run in rack.made.admin.runs("", 1000)]
    bad = rack.made.commit(*rack.site({10: "front", 5000: "too high"}, {}))

    def refused() -> dict[str, Any] | None:
        found: dict[str, Any] | None = rack.made.admin.status()["store"].get("refused")
        return found

    said = eventually(refused)
    assert said["commit"] == bad
    assert said["problems"][0]["where"].startswith("site.yaml:")
    assert "5000" in said["problems"][0]["message"]
    store_line = rack.made.admin.status()["store"]
    assert store_line["in_force"]["commit"] == good
    # Those who are asked to converge now do what the last good revision says.
    for agent in rack.agents.values():
        agent.signal(signal.SIGUSR1)
    eventually(lambda: len(rack.made.admin.runs("", 1000)) >= len(runs) + 3)
    fresh = [run for run in rack.made.admin.runs("", 1000) if run["id"] not in runs]
    assert all(set(run["counts"]) <= {"in_sync"} and not run["error"] for run in fresh)
    rack.change(*rack.site({10: "front", 50: "right"}, {}))
    assert rack.made.admin.status()["store"].get("refused") is None
