"""Without a store: whose turn a cut is and what the last live feeds are, by the state directories."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from rackwright.cli import neighbours, tree
from rackwright.cli.tree import Tree, TreeSource
from rackwright.engine.ledger import Entry, Ledger, LedgerFile
from rackwright.model.report import Outcome, Report
from rackwright.provider import Registry

SITE = """\
site: lab
---
{node: sw-a, type: switch, platform: cisco_ios, reach: [{ssh: {host: a, username: x}}], links: {Gi1/0/1: h1:eth0}}
---
{node: sw-b, type: switch, platform: cisco_ios, reach: [{ssh: {host: b, username: x}}], links: {Gi1/0/1: h1:eth1}}
---
{node: pdu1, type: pdu, platform: apc_rpdu, reach: [{snmp: {host: c, community: {secret: c}}}], links: {1: h1:psu1}}
---
{node: h1, type: server}
---
role: ports
for: [switch]
resources: [{port: Gi1/0/1, access_vlan: VLAN}]
---
proposal: all
deploy: {ports: [sw-a, sw-b]}
"""
PORT = "GigabitEthernet1/0/1"
KEY = f"port/{PORT}"


class Rack:
    def __init__(self, folder: Path) -> None:
        self.site, self.state = folder / "site", folder / "state"
        self.site.mkdir()
        self.vlan(10)

    def vlan(self, number: int) -> None:
        (self.site / "a.yaml").write_text(SITE.replace("VLAN", str(number)))

    def source(self, node: str) -> TreeSource:
        """As another process sees it."""
        return TreeSource(Tree(self.site, Registry.installed(), self.state), node)

    def turns(self, node: str) -> dict[str, tuple[str, ...]]:
        return self.source(node).gates().turns

    def ran(self, node: str, state: str = "changed", **more: Any) -> None:
        source, now = self.source(node), time.time()
        outcomes: list[Outcome] = []
        entries: dict[str, Entry] = {}
        for item in source.bundle().resources:
            about: dict[str, Any] = {"state": state, "action": "update", "digest": item.digest}
            outcomes.append(Outcome(address=str(item.address), **about))
            if state == "changed":
                entry = Entry(type=item.type, data=item.data, digest=item.digest)
                entries[str(item.address)] = entry
                file = LedgerFile(self.state / node / "ledger.json")
                file.store(Ledger(entries=entries))
        (self.state / node).mkdir(parents=True, exist_ok=True)
        source.deliver(
            Report(id="r", node=node, started=now, finished=now, outcomes=tuple(outcomes), **more)
        )


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    monkeypatch.setattr(tree, "LOOKED", 0.0)
    monkeypatch.setattr(neighbours, "LOOKED", 0.0)
    return Rack(tmp_path)


def test_one_side_after_the_other(rack: Rack) -> None:
    assert rack.turns("sw-a") == {PORT: (f"sw-b:{KEY}",)}, "it was never converged from here"
    for node in ("sw-a", "sw-b"):
        rack.ran(node)
    assert rack.turns("sw-a") == rack.turns("sw-b") == {PORT: ()}
    rack.vlan(20)
    assert rack.turns("sw-b") == {PORT: (f"sw-a:{KEY}",)}
    assert rack.turns("sw-a") == {}
    rack.ran("sw-a")
    assert (rack.turns("sw-b"), rack.turns("sw-a")) == ({}, {PORT: ()})
    # It keeps its turn, whatever is declared for the other meanwhile.
    rack.ran("sw-a", "blocked")
    assert rack.turns("sw-a") == {PORT: (f"sw-b:{KEY}",)}
    rack.ran("sw-b")
    assert rack.turns("sw-a") == {}


def test_a_side_that_was_not_reached_is_not_known_to_be_well(rack: Rack) -> None:
    for node in ("sw-a", "sw-b"):
        rack.ran(node)
    rack.vlan(20)
    rack.ran("sw-b", "blocked", error="gone", kind="unreachable")
    assert rack.turns("sw-a") == {PORT: (f"sw-b:{KEY}",)}


def test_who_ran_lately_answers(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rack.source("pdu1").gates().last_feeds == {}
    rack.ran("h1")
    why = "h1 answers, and it has no other live feed"
    assert rack.source("pdu1").gates().last_feeds == {"1": why}
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 200)
    assert rack.source("pdu1").gates().last_feeds == {}


def test_a_lag_and_a_vlan_on_one_switch_after_the_other(rack: Rack) -> None:
    """With members in a spelling of their own; of what is in VLAN 30 nothing is declared."""
    text = SITE.replace("{port: Gi1/0/1, access_vlan: VLAN}", "LAG")
    lag = "{{lag: 10, members: [Gi1/0/1], mode: trunk, allowed_vlans: '{}'}}"

    def declare(vlans: str, *more: str) -> None:
        resources = ", ".join((lag.format(vlans), *more))
        (rack.site / "a.yaml").write_text(text.replace("LAG", resources))

    declare("10,30", "{vlan: 30}", "{vlan: 10}")
    for node in ("sw-a", "sw-b"):
        rack.ran(node)
    assert rack.turns("sw-a") == rack.turns("sw-b") == {"lag/10": ()}
    declare("10,30", "{vlan: 10}")
    assert rack.turns("sw-b")["vlan/30"] == ("sw-a:vlan/30",)
    assert "vlan/30" not in rack.turns("sw-a")
    assert rack.turns("sw-b")["vlan/30"] == ("sw-a:vlan/30",)
    rack.ran("sw-a")
    assert "vlan/30" not in rack.turns("sw-b")
    rack.ran("sw-b")
    declare("10", "{vlan: 10}")
    assert rack.turns("sw-b") == {"lag/10": ("sw-a:lag/10",)}
    assert rack.turns("sw-a") == {}
