"""Links as evidence: what the store makes of the facts it has, and whom a cable stops and wakes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.facts import Facts, FoundLink
from rackwright.model.report import Report
from rackwright_store.compiling import SiteCompiler

from .rack import Agent, Repository, Store, eventually, running

SITE = """
site: lab
---
node: sw-a1
type: switch
platform: cisco_ios
reach:
  - ssh: {host: 10.0.0.2, username: rack, password: {secret: sw-a1}}
links:
  Gi1/0/1: web1:eth0
  Gi1/0/2: TRUST
---
node: web1
type: server
---
node: web2
type: server
---
node: web3
type: server
---
role: greets
attributes: {}
resources:
  - file: /etc/motd
    content: "{{ facts.kernel }}"
---
proposal: all
deploy: {greets: [web3]}
"""
P1, P2, P9 = (f"GigabitEthernet1/0/{n}" for n in (1, 2, 9))
WHY = f"the link {P1} to web1:eth0 is contradicted: web2 eth0 is seen there"


def site(second: str = "web2:eth0") -> dict[str, str]:
    return {"site.yaml": SITE.replace("TRUST", second)}


def lldp(*seen: tuple[str, str, str]) -> Facts:
    return Facts(links=tuple(FoundLink(port=a, peer=b, peer_port=c) for a, b, c in seen))


def send(agent: Agent, facts: Facts) -> None:
    agent.client.put_facts(agent.node, agent.credential, facts)


def states(store: Store) -> dict[tuple[str, str], str]:
    return {
        (link["port"], f"{link['peer']}:{link['peer_port']}"): link["state"]
        for link in store.admin.links()
    }


@pytest.fixture
def rack(repo: Repository, tmp_path: Path) -> Iterator[tuple[Store, dict[str, Agent]]]:
    repo.commit(site())
    with running(repo.path, tmp_path / "data", compiler=SiteCompiler()) as store:
        yield store, store.agent("sw-a1", "web1", "web2", "web3")


def test_a_moved_cable_is_told_to_both_ends_and_wakes_them_alone(
    rack: tuple[Store, dict[str, Agent]],
) -> None:
    store, agents = rack
    assert set(states(store).values()) == {"unseen"}
    send(agents["sw-a1"], lldp((P1, "web1", "eth0"), (P2, "web2", "eth0")))
    assert set(states(store).values()) == {"proven"}
    (first, *_) = store.admin.links()
    assert first["evidence"][0]["says"] == f"sw-a1 sees web1 eth0 on {P1} by LLDP"
    assert time.time() - 60 < first["at"] <= time.time()

    watched = [agent.watch() for agent in agents.values()]
    send(agents["sw-a1"], lldp((P1, "web2", "eth0")))
    assert store.client.wait(watched, 20) == {"sw-a1", "web1", "web2"}
    assert agents["sw-a1"].gates()[0].contradicted == {
        P1: WHY,
        P2: f"the link {P2} to web2:eth0 is contradicted: web2 eth0 is seen at sw-a1 {P1}",
    }
    assert WHY.partition(": ")[2] in store.admin.links()[0]["wrong"]

    watched = [agent.watch() for agent in agents.values()]
    send(agents["sw-a1"], lldp((P1, "web1", "eth0"), (P2, "web2", "eth0")))
    assert store.client.wait(watched, 20) == {"sw-a1", "web1", "web2"}
    assert agents["sw-a1"].gates()[0].contradicted == {}


def test_what_is_seen_as_before_wakes_nobody(rack: tuple[Store, dict[str, Agent]]) -> None:
    store, agents = rack
    send(agents["sw-a1"], lldp((P1, "web2", "eth0")))
    watched = [agent.watch() for agent in agents.values()]
    seen = lldp((P1, "web2", "eth0"), (P9, "somebody", "e1"))
    send(agents["sw-a1"], seen)
    send(agents["sw-a1"], seen)
    assert store.client.wait(watched, 0.2) == frozenset()
    assert states(store)[P9, "somebody:e1"] == "found"


def test_the_site_is_mended_or_trusted(
    rack: tuple[Store, dict[str, Agent]], repo: Repository
) -> None:
    store, agents = rack
    send(agents["sw-a1"], lldp((P2, "web3", "eth0")))
    assert P2 in agents["sw-a1"].gates()[0].contradicted
    repo.commit(site("{to: web2:eth0, trust: declared}"))
    store.admin.poke()
    eventually(lambda: not agents["sw-a1"].gates()[0].contradicted)
    assert states(store)[P2, "web2:eth0"] == "contradicted"
    repo.commit(site("web3:eth0"))
    store.admin.poke()
    eventually(lambda: states(store).get((P2, "web3:eth0")) == "proven")


def test_facts_found_again_are_as_new(
    rack: tuple[Store, dict[str, Agent]], repo: Repository, tmp_path: Path
) -> None:
    """Of two that disagree the newer counts; a run says when it last looked, and that is kept."""
    store, agents = rack
    send(agents["web1"], lldp(("eth0", "sw-a1", P1)))
    send(agents["sw-a1"], lldp((P9, "web1", "eth0")))
    assert states(store)[P1, "web1:eth0"] == "contradicted"
    at = time.time()
    report: dict[str, Any] = {"node": "web1", "started": at, "finished": at}
    agents["web1"].report(Report(id="r1", facts_at=at - 1000, **report))
    assert states(store)[P1, "web1:eth0"] == "contradicted"
    agents["web1"].report(Report(id="r2", facts_at=at + 1e9, **report))  # a clock that runs ahead
    eventually(lambda: states(store)[P1, "web1:eth0"] == "proven")
    send(agents["sw-a1"], lldp((P9, "web1", "eth0")))
    eventually(lambda: states(store)[P1, "web1:eth0"] == "contradicted")
    before = store.admin.links()
    store.end()
    with running(repo.path, tmp_path / "data", compiler=SiteCompiler()) as again:
        assert again.admin.links() == before
        assert P1 in again.client.gates("sw-a1", agents["sw-a1"].credential)[0].contradicted


def test_a_link_is_as_old_as_the_last_look(rack: tuple[Store, dict[str, Agent]]) -> None:
    """Also where nothing has to be judged again for that."""
    store, agents = rack
    send(agents["sw-a1"], lldp((P1, "web1", "eth0")))
    (first, *_) = store.admin.links()
    at = time.time()
    eventually(lambda: time.time() > at)
    report = Report(id="r1", node="sw-a1", started=at, finished=time.time(), facts_at=at + 1e9)
    agents["sw-a1"].report(report)
    eventually(lambda: store.admin.links()[0]["at"] > first["at"])
    (again, *_) = store.admin.links()
    assert again["evidence"][0]["at"] == again["at"]


def test_who_is_at_neither_end_may_be_the_one_whose_look_counts(
    rack: tuple[Store, dict[str, Agent]],
) -> None:
    store, agents = rack
    agents["web3"].facts(nics={"eth0": {"mac": "52:54:00:00:00:03"}})
    send(agents["web3"], lldp(("eth0", "web1", "eth0")))
    send(agents["sw-a1"], lldp((P1, "web1", "eth0")))
    assert states(store)[P1, "web1:eth0"] == "proven"
    at = time.time()
    report = Report(id="r1", node="web3", started=at, finished=at, facts_at=at + 1e9)
    agents["web3"].report(report)
    eventually(lambda: states(store)[P1, "web1:eth0"] == "contradicted")


def test_sightings_count_though_the_facts_beside_them_do_not_compile(
    rack: tuple[Store, dict[str, Agent]],
) -> None:
    store, agents = rack
    broken = Facts(values={"kernel": {"not": "a text"}}, links=lldp(("eth0", "sw-a1", P1)).links)
    send(agents["web3"], broken)
    assert states(store)[P1, "web1:eth0"] == "contradicted"
