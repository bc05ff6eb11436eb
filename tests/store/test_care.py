"""Turns, last feeds and paths as a store tells them: whom a report wakes, and what people see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rackwright.cli.main import group
from rackwright.engine.ledger import Entry, Ledger, encode
from rackwright.model.facts import Facts
from rackwright.model.report import Outcome, Report
from rackwright_store import service
from rackwright_store.compiling import SiteCompiler

from .rack import Agent, Repository, Store, eventually, running
from .test_revisions import Poll

TYPES = {"sw-a": "switch", "sw-b": "switch", "sw-c": "switch", "pdu1": "pdu", "pdu2": "pdu"}
CABLES = ["sw-a:1 web1:eth0", "sw-b:1 web1:eth1", "sw-c:1 web2:eth0"]
PLUGS = ["pdu1:1 web1:psu1", "pdu2:1 web1:psu2"]


def links(*cables: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for cable in cables:
        (node, port), (peer, peer_port) = (end.split(":") for end in cable.split())
        found.setdefault(node, []).append({"port": port, "peer": peer, "peer_port": peer_port})
        found.setdefault(peer, []).append({"port": peer_port, "peer": node, "peer_port": port})
    return found


def site(vlan: int, **outlets: str) -> tuple[dict[str, Any], dict[str, Any]]:
    nodes: dict[str, Any] = {
        name: {"port/1": {"data": {"access_vlan": vlan}}} for name in ("sw-a", "sw-b", "sw-c")
    }
    for pdu in ("pdu1", "pdu2"):
        nodes[pdu] = {"outlet/1": {"data": {"state": outlets.get(pdu, "on")}}}
    return {**nodes, "web1": {}, "web2": {}}, {"types": TYPES, "links": links(*CABLES, *PLUGS)}


@pytest.fixture
def rack(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Store, dict[str, Agent]]]:
    monkeypatch.setattr(service, "LOOK_AROUND", 0.1)
    nodes, more = site(10)
    repo.site(nodes, **more)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*nodes)
        for agent in agents.values():
            agent.converged(f"first-{agent.node}", time.time())
        yield store, agents


def change(store: Store, repo: Repository, vlan: int, **outlets: str) -> None:
    nodes, more = site(vlan, **outlets)
    repo.site(nodes, **more)
    store.admin.poke()


def report(agent: Agent, state: str, key: str = "port/1", **more: Any) -> None:
    item = next(item for item in agent.must().resources if str(item.address) == key)
    now = time.time()
    about: dict[str, Any] = {
        "address": key,
        "state": state,
        "action": "update",
        "digest": item.digest,
    }
    outcomes = (Outcome(**about, **more),)
    agent.report(
        Report(
            id=f"{agent.node}-{now}", node=agent.node, started=now, finished=now, outcomes=outcomes
        )
    )


def turns(agent: Agent) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = agent.gates()[0].turns
    return found


def test_one_uplink_after_the_other_and_whose_turn_it_is_is_woken(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    assert turns(agents["sw-a"]) == turns(agents["sw-b"]) == {"1": ()}
    assert turns(agents["sw-c"]) == {}
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]) == {"1": ("sw-a:port/1",)})
    assert turns(agents["sw-a"]) == {}
    report(agents["sw-b"], "blocked", waits_for=("sw-a:port/1",))
    chain = store.admin.waiting("sw-b")["chains"][0]
    assert [step["what"] for step in chain["path"]] == ["sw-b:port/1", "sw-a:port/1", "sw-a"]
    assert chain["path"][1]["why"] == "the two are web1's uplinks"

    watched = [agent.watch() for agent in agents.values()]
    report(agents["sw-a"], "changed")
    assert store.client.wait(watched, 20) == {"sw-b"}
    assert (turns(agents["sw-a"]), turns(agents["sw-b"])) == ({"1": ()}, {})
    # Being done wakes nobody: there is nothing to do.
    watched = [agent.watch() for agent in agents.values()]
    report(agents["sw-b"], "changed")
    assert store.client.wait(watched, 0.2) == frozenset()
    assert turns(agents["sw-b"]) == {"1": ()}


def test_what_failed_holds_the_other_side_back_and_nothing_else(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    report(agents["sw-a"], "failed", why="no such VLAN")
    report(agents["sw-b"], "blocked", waits_for=("sw-a:port/1",))
    assert turns(agents["sw-b"]) == {"1": ("sw-a:port/1",)}
    assert turns(agents["sw-c"]) == {}
    where = ["--store", store.url, "--credential", str(store.ready.admin_credential)]
    said = CliRunner().invoke(group, ["why-waiting", "sw-b", *where], standalone_mode=False).output
    assert "(the two are web1's uplinks)" in said, said
    assert "no such VLAN" in said


def test_a_side_whose_switch_is_not_reached_is_named(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    assert turns(agents["sw-a"]) == {}
    now = time.time()
    lost: dict[str, Any] = {"error": "no route", "kind": "unreachable"}
    agents["sw-b"].report(Report(id="lost", node="sw-b", started=now, finished=now, **lost))
    assert turns(agents["sw-a"]) == {"1": ("sw-b:port/1",)}
    report(agents["sw-a"], "blocked", waits_for=("sw-b:port/1",))
    chain = store.admin.waiting("sw-a")["chains"][0]
    assert (chain["kind"], chain["root"], chain["error"]) == ("unreachable", "sw-b", "no route")
    watched = agents["sw-a"].watch()
    report(agents["sw-b"], "blocked", waits_for=("sw-a:port/1",))
    assert store.client.wait([watched], 20) == {"sw-a"}
    assert turns(agents["sw-a"]) == {}


def test_whoever_was_told_to_wait_with_its_turn_is_woken_when_it_may_go(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    now = time.time()
    lost: dict[str, Any] = {"error": "no route", "kind": "unreachable"}
    agents["sw-b"].report(Report(id="lost", node="sw-b", started=now, finished=now, **lost))
    watched = agents["sw-a"].watch()
    assert turns(agents["sw-a"]) == {
        "1": ("sw-b:port/1",)
    }  # its run has begun, and will say nothing
    report(agents["sw-b"], "blocked", waits_for=("sw-a:port/1",))
    assert store.client.wait([watched], 20) == {"sw-a"}
    assert turns(agents["sw-a"]) == {}


def test_whoever_has_the_turn_waits_with_it_while_the_other_side_has_failed(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    assert turns(agents["sw-a"]) == {}
    report(agents["sw-b"], "failed", why="no such VLAN")
    assert turns(agents["sw-a"]) == {"1": ("sw-b:port/1",)}


def test_whose_switch_is_gone_for_good_holds_nobody_back(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    store.admin.retire("sw-b", who="root", why="", force=True)
    assert turns(agents["sw-a"]) == {}


def test_nothing_counts_as_verified_on_what_is_gone_for_good(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site({"web1": {"file/a": {"needs": ["sw-a:vlan/1"]}}, "sw-a": {"vlan/1": {}}})
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("web1", "sw-a")
        agents["sw-a"].converged("first", time.time())
        assert list(agents["web1"].gates()[0].verified) == ["sw-a:vlan/1"]
        watched = agents["web1"].watch()
        store.admin.retire("sw-a", who="root", why="", force=True)
        assert store.client.wait([watched], 20) == {"web1"}
        assert agents["web1"].gates()[0].verified == {}


def test_what_has_drifted_gets_its_turn_when_it_is_reported(
    rack: tuple[Store, dict[str, Agent]],
) -> None:
    store, agents = rack
    watched = [agent.watch() for agent in agents.values()]
    report(agents["sw-b"], "blocked", waits_for=("sw-b:port/1",))
    assert store.client.wait(watched, 20) == {"sw-b"}
    assert turns(agents["sw-b"]) == {}
    report(agents["sw-a"], "blocked", waits_for=("sw-a:port/1",))
    assert turns(agents["sw-a"]) == {"1": ("sw-b:port/1",)}
    assert turns(agents["sw-b"]) == {}


def test_what_is_taken_back_keeps_the_turn_until_the_run_that_had_it_has_ended(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    change(store, repo, 20)
    eventually(lambda: turns(agents["sw-b"]).get("1"))
    assert turns(agents["sw-a"]) == {}  # its run begins
    nodes, more = site(10)
    nodes["sw-b"]["port/1"]["data"]["access_vlan"] = 30
    repo.site(nodes, **more)
    store.admin.poke()
    eventually(lambda: turns(agents["sw-a"]) == {"1": ()})
    assert turns(agents["sw-b"]) == {"1": ("sw-a:port/1",)}
    watched = agents["sw-b"].watch()
    report(agents["sw-a"], "in_sync")
    assert store.client.wait([watched], 20) == {"sw-b"}
    assert turns(agents["sw-b"]) == {}


def test_a_store_that_starts_again_gives_no_turn_before_the_others_have_reported(
    repo: Repository, tmp_path: Path
) -> None:
    nodes, more = site(10)
    repo.site(nodes, **more)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*nodes)
        for agent in agents.values():
            agent.converged(f"first-{agent.node}", time.time())
        change(store, repo, 20)
        eventually(lambda: turns(agents["sw-b"]).get("1"))
        before = agents["sw-b"].watch()
    with running(repo.path, tmp_path / "data") as store:
        agents = {node: Agent(store.client, node, a.credential) for node, a in agents.items()}
        assert turns(agents["sw-a"]) == {"1": ("sw-b:port/1",)}
        # It is woken to report, although there is nothing new for it.
        assert agents["sw-b"].gates()[1] != before.gates
        report(agents["sw-b"], "blocked", waits_for=("sw-a:port/1",))
        assert turns(agents["sw-a"]) == {}
        assert turns(agents["sw-b"]) == {"1": ("sw-a:port/1",)}


def test_a_side_whose_wave_has_not_come_does_not_hold_back_the_canary(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    nodes, more = site(20)
    for name in ("sw-a", "sw-b"):
        nodes[name]["port/1"]["proposal"] = "p"
    # The names' order is against that of the waves.
    waves = {"p": {"nodes": ["sw-b", "sw-a"], "canary": 1, "at_once": 1}}
    repo.site(nodes, **more, rollouts=waves)
    store.admin.poke()
    eventually(lambda: agents["sw-a"].gates()[0].later)
    assert agents["sw-b"].gates()[0].later == {}
    assert (turns(agents["sw-a"]), turns(agents["sw-b"])) == ({"1": ()}, {})
    watched = agents["sw-a"].watch()
    report(agents["sw-b"], "changed")
    assert store.client.wait([watched], 20) == {"sw-a"}
    assert agents["sw-a"].gates()[0].later == {}
    assert turns(agents["sw-a"]) == {}


def test_last_feeds_follow_the_reports_and_the_signs_of_life(
    rack: tuple[Store, dict[str, Agent]], repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, agents = rack
    assert agents["pdu1"].gates()[0].last_feeds == {}
    watched = agents["pdu1"].watch()
    report(agents["pdu2"], "failed", "outlet/1")
    assert store.client.wait([watched], 20) == {"pdu1"}
    why = "web1 answers, and it has no other live feed"
    assert agents["pdu1"].gates()[0].last_feeds == {"1": why}
    report(agents["pdu2"], "changed", "outlet/1")
    assert agents["pdu1"].gates()[0].last_feeds == {}

    change(store, repo, 10, pdu1="off", pdu2="off")
    eventually(lambda: agents["pdu2"].gates()[0].last_feeds == {"1": why})
    report(agents["pdu1"], "refused", "outlet/1", why=f"{why}; say `power: force_off` on it")
    (chain,) = store.admin.waiting("pdu1")["chains"]
    assert "force_off" in chain["act"]
    poll, real = Poll(store, [agents["pdu1"].watch()], 10), time.time
    poll.thread.join(0.3)
    assert poll.changed is None
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + 200)  # web1 falls silent; its PDUs do not
        poll.thread.join(20)
        assert poll.changed == {"pdu1"}  # by the time alone
        assert agents["pdu1"].gates()[0].last_feeds == {}
    assert agents["pdu1"].gates()[0].last_feeds == {"1": why}
    store.admin.retire("web1", who="root", why="", force=True)
    assert agents["pdu1"].gates()[0].last_feeds == {}


def test_an_outlet_that_is_off_or_not_reached_is_no_feed_to_fall_back_on(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    why = {"1": "web1 answers, and it has no other live feed"}
    change(store, repo, 10, pdu2="off")
    eventually(lambda: agents["pdu1"].gates()[0].last_feeds == why)
    report(agents["pdu2"], "changed", "outlet/1")
    assert agents["pdu1"].gates()[0].last_feeds == why
    change(store, repo, 10)
    eventually(lambda: agents["pdu2"].must().resources[0].data["state"] == "on")
    report(agents["pdu2"], "changed", "outlet/1")
    assert agents["pdu1"].gates()[0].last_feeds == {}
    now = time.time()
    lost: dict[str, Any] = {"error": "no route", "kind": "unreachable"}
    agents["pdu2"].report(Report(id="lost", node="pdu2", started=now, finished=now, **lost))
    assert agents["pdu1"].gates()[0].last_feeds == why


def test_power_beside_a_server_that_falls_silent_and_is_heard_again(
    rack: tuple[Store, dict[str, Agent]], repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, agents = rack
    change(store, repo, 10, pdu2="off")
    why = {"1": "web1 answers, and it has no other live feed"}
    eventually(lambda: agents["pdu1"].gates()[0].last_feeds == why)
    real, later = time.time, 0.0
    monkeypatch.setattr(time, "time", lambda: real() + later)
    for later in (100.0, 200.0):  # the PDU is heard all the time
        found = agents["pdu1"].gates()[0].last_feeds
        assert found == (why if later < 180 else {})
    watched = agents["pdu1"].watch()
    agents["web1"].gates()
    assert store.client.wait([watched], 20) == {"pdu1"}
    assert agents["pdu1"].gates()[0].last_feeds == why


def shared(storage: bool, lag: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of what is at the ports of the VLAN nothing is declared."""
    cables = [*CABLES, "sw-a:2 web2:eth1", "sw-b:2 web2:eth2"]
    nodes: dict[str, Any] = {}
    for name in ("sw-a", "sw-b", "sw-c"):
        nodes[name] = {"lag/10": {"data": {"members": ["1"], "mode": "access", "access_vlan": lag}}}
        nodes[name] |= {"vlan/30": {"data": {}}} if storage else {}
    return {**nodes, "web1": {}, "web2": {}}, {"types": TYPES, "links": links(*cables)}


@pytest.fixture
def carrying(repo: Repository, tmp_path: Path) -> Iterator[tuple[Store, dict[str, Agent]]]:
    nodes, more = shared(True, 10)
    repo.site(nodes, **more)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent(*nodes)
        for agent in agents.values():
            agent.converged(f"first-{agent.node}", time.time())
        yield store, agents


def removed(agent: Agent, key: str, state: str = "removed", **more: Any) -> None:
    """All else is as it is declared."""
    now = time.time()
    outcomes = [Outcome(address=key, state=state, action="remove", **more)]  # type: ignore[arg-type]
    outcomes += [
        Outcome(address=str(item.address), state="in_sync", digest=item.digest)
        for item in agent.must().resources
    ]
    about: dict[str, Any] = {"node": agent.node, "started": now, "finished": now}
    agent.report(Report(id=f"{agent.node}-{now}", outcomes=tuple(outcomes), **about))


def test_a_vlan_goes_from_one_switch_after_the_other(
    carrying: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = carrying
    nodes, more = shared(False, 10)
    repo.site(nodes, **more)
    store.admin.poke()
    eventually(lambda: turns(agents["sw-b"]).get("vlan/30") == ("sw-a:vlan/30",))
    assert turns(agents["sw-a"]) == {"lag/10": ()}
    assert turns(agents["sw-c"]) == {"lag/10": ()}, "no port of it is in the VLAN"
    removed(agents["sw-b"], "vlan/30", "blocked", waits_for=("sw-a:vlan/30",))
    (chain,) = store.admin.waiting("sw-b")["chains"]
    assert [step["what"] for step in chain["path"]] == ["sw-b:vlan/30", "sw-a:vlan/30", "sw-a"]
    assert chain["path"][1]["why"] == "what is redundant runs through both"

    removed(agents["sw-a"], "vlan/30", "failed", why="not now")
    assert turns(agents["sw-b"])["vlan/30"] == ("sw-a:vlan/30",)
    (chain,) = store.admin.waiting("sw-b")["chains"]
    assert (chain["kind"], chain["error"]) == ("failed", "not now")

    watched = [agent.watch() for agent in agents.values()]
    removed(agents["sw-a"], "vlan/30")
    assert store.client.wait(watched, 20) == {"sw-b"}
    assert turns(agents["sw-b"]) == {"lag/10": ()}


def test_a_lag_takes_the_turn_of_the_ports_that_it_has(
    carrying: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = carrying
    nodes, more = shared(True, 20)
    repo.site(nodes, **more)
    store.admin.poke()
    eventually(lambda: turns(agents["sw-b"]) == {"lag/10": ("sw-a:lag/10",)})
    assert turns(agents["sw-a"]) == {}
    watched = agents["sw-b"].watch()
    report(agents["sw-a"], "changed", "lag/10")
    assert store.client.wait([watched], 20) == {"sw-b"}
    assert turns(agents["sw-b"]) == {}


def test_what_a_ledger_says_of_a_lag_is_read(
    carrying: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = carrying
    for name in ("sw-a", "sw-b"):
        (item,) = (one for one in agents[name].must().resources if one.type == "lag")
        data = {**item.data, "members": ["9"]}
        entry = Entry(type="lag", data=data, digest=item.digest)
        agents[name].client.put_ledger(
            name, agents[name].credential, encode(Ledger(entries={"lag/10": entry}))
        )
    nodes, more = shared(True, 20)
    for name in ("sw-a", "sw-b"):
        nodes[name]["lag/10"]["data"]["members"] = ["9"]
    repo.site(nodes, **more)
    store.admin.poke()
    # It has and had a port without a mate, and waits for nobody.
    eventually(lambda: turns(agents["sw-a"]) == turns(agents["sw-b"]) == {})


SITE = """
site: lab
---
{node: admin1, type: server}
---
node: sw-a
type: switch
platform: cisco_ios
reach: [{ssh: {host: 10.0.0.2, username: rack, password: {secret: x}}, at: admin1}]
links: {Gi1/0/1: sw-b:Gi1/0/9, Gi1/0/2: sw-c:Gi1/0/9}
---
node: sw-b
type: switch
platform: cisco_ios
reach: [{ssh: {host: 10.0.0.3, username: rack, password: {secret: x}}}]
links: {Gi1/0/1: admin1:eth0, Gi1/0/2: sw-c:Gi1/0/2}
---
node: sw-c
type: switch
platform: cisco_ios
reach: [{ssh: {host: 10.0.0.4, username: rack, password: {secret: x}}}]
"""


def test_paths_of_a_site_and_of_what_the_switch_has_learned(
    repo: Repository, tmp_path: Path
) -> None:
    repo.commit({"site.yaml": SITE})
    one, two = "GigabitEthernet1/0/1", "GigabitEthernet1/0/2"
    with running(repo.path, tmp_path / "data", compiler=SiteCompiler()) as store:
        agents = store.agent("sw-a", "sw-b", "admin1")
        assert agents["sw-a"].gates()[0].paths == {"admin1": (one, two)}
        assert agents["sw-b"].gates()[0].paths == {"admin1": (one,)}
        watched = [agents["sw-a"].watch(), agents["sw-b"].watch()]
        agents["admin1"].facts(nics={"eth0": {"mac": "52:54:00:00:00:01"}})
        table = {"Gi1/0/2": [{"mac": "5254.0000.0001", "vlan": 99}]}
        agents["sw-a"].client.put_facts(
            "sw-a", agents["sw-a"].credential, Facts(values={"mac_table": table})
        )
        assert store.client.wait(watched, 20) == {"sw-a"}
        assert agents["sw-a"].gates()[0].paths == {"admin1": (two, "vlan/99")}
        # No link is told otherwise by what follows.
        table[one] = table.pop("Gi1/0/2")
        agents["sw-a"].client.put_facts(
            "sw-a", agents["sw-a"].credential, Facts(values={"mac_table": table})
        )
        assert agents["sw-a"].gates()[0].paths == {"admin1": (one, "vlan/99")}
