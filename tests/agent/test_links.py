"""Links from a site's tree and the facts beside it: what a run is told, and what people see."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.cli import links, neighbours, tree
from rackwright.cli.main import main
from rackwright.cli.tree import Tree, TreeSource
from rackwright.model.facts import Facts, FoundLink
from rackwright.provider import Registry

SITE = """\
site: lab
---
node: sw1
type: switch
platform: cisco_ios
reach: [{ssh: {host: 127.0.0.1, port: 1, username: x}}]
links:
  # the first rack
  Gi1/0/1: h1:eth0
---
node: h1
type: server
---
node: h2
type: server
"""
P1, P2 = "GigabitEthernet1/0/1", "GigabitEthernet1/0/2"
WHY = f"the link {P1} to h1:eth0 is contradicted: h2 eth0 is seen there"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tree, "LOOKED", 0.0)
    monkeypatch.setattr(neighbours, "LOOKED", 0.0)
    monkeypatch.delenv("RACKWRIGHT_STORE", raising=False)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a.yaml").write_text(SITE)
    return tmp_path / "site"


def saw(site: Path, *links: tuple[str, str, str], ago: float = 0.0) -> None:
    file = site.parent / "state" / "sw1" / "facts.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    found = tuple(FoundLink(port=a, peer=b, peer_port=c) for a, b, c in links)
    body = {"at": time.time() - ago, "facts": Facts(links=found), "sent": False}
    file.write_bytes(msgspec.json.encode(body))


def ask(site: Path, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["links", "--site", str(site), "--state", str(site.parent / "state"), *words])
    return int(ended.value.code or 0)


def test_a_run_is_told_of_a_moved_cable(site: Path) -> None:
    made = Tree(site, Registry.installed(), site.parent / "state")
    source, other = TreeSource(made, "sw1"), TreeSource(made, "h2")
    assert source.gates().contradicted == {}
    saw(site, (P1, "h2", "eth0"))
    assert source.gates().contradicted == {P1: WHY}
    assert other.gates().contradicted == {}
    saw(site, (P1, "h1", "eth0"))
    assert source.gates().contradicted == {}


def test_what_is_kept_for_the_next_run_says_it_too(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saw(site, (P1, "h2", "eth0"))
    state = site.parent / "state"
    settled = tree.look(site, state)._replace(site="as it was", facts="as they were")
    monkeypatch.setattr(tree, "look", lambda *_: settled)
    assert TreeSource(Tree(site, Registry.installed(), state), "sw1").gates().contradicted
    another = Tree(site, Registry.installed(), state)
    monkeypatch.setattr(another, "_compile", lambda: pytest.fail("it was compiled"))
    assert TreeSource(another, "sw1").gates().contradicted == {P1: WHY}


def test_the_table_the_json_and_the_check(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(site, "--check") == 0
    assert "unseen" in capsys.readouterr().out
    saw(site, ("Gi1/0/1", "h2", "eth0"), ago=40)
    assert ask(site) == 0
    said = capsys.readouterr().out
    assert f"sw1 sees h2 eth0 on {P1} by LLDP" in said
    assert "s ago" in said
    assert ask(site, "--check", "--json") == 1
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [(row["state"], row["wrong"]) for row in rows] == [
        ("contradicted", "h2 eth0 is seen there"),
        ("found", ""),
    ]
    text = SITE.replace("Gi1/0/1: h1:eth0", "Gi1/0/1: {to: h1:eth0, trust: declared}")
    (site / "a.yaml").write_text(text)
    assert ask(site, "--check") == 0
    assert "contradicted (trusted)" in capsys.readouterr().out


def test_an_outlet_says_that_it_cannot_be_seen(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pdu = "node: pdu1\ntype: pdu\nplatform: apc_rpdu\nlinks: {3: h1}\n"
    (site / "p.yaml").write_text(pdu)
    assert ask(site, "--check") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "pdu1" in line]
    assert row.split() == [
        *("pdu1", "3", "h1", "pdu1/3", "unseen"),
        *["an", "outlet", "cannot", "be", "seen"],
    ]
    assert ask(site, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [one["reason"] for one in rows] == ["an outlet cannot be seen", ""]


def test_what_is_found_is_adopted(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saw(site, (P1, "h1", "eth0"), (P2, "h2", "eth0"), ("Gi1/0/9", "phone", "x"))
    assert ask(site, "--adopt") == 0
    printed = capsys.readouterr()
    assert f"  {P2}: h2:eth0  # sw1 sees h2 eth0 on {P2} by LLDP" in printed.out
    assert "wrote a.yaml: look at it with git diff" in printed.out
    assert "the site has no node 'phone'" in printed.err
    first = "  Gi1/0/1: h1:eth0\n"
    assert (site / "a.yaml").read_text() == SITE.replace(first, f"  {P2}: h2:eth0\n{first}")
    capsys.readouterr()
    assert ask(site, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["port"]: row["state"] for row in rows} == {P1: "proven", P2: "proven", "GigabitEthernet1/0/9": "found"}  # fmt: skip


def test_what_is_adopted_and_not_committed_is_not_added_again(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store goes on calling it found."""
    saw(site, (P2, "h2", "eth0"))
    assert ask(site, "--json") == 0
    rows = json.loads(capsys.readouterr().out)

    class Store:
        def links(self) -> Any:
            return rows

    monkeypatch.setattr(links, "connect", lambda *_: Store())
    monkeypatch.setenv("RACKWRIGHT_STORE", "http://127.0.0.1:9")
    assert ask(site, "--adopt") == 0
    once = (site / "a.yaml").read_text()
    assert once.count(f"  {P2}: h2:eth0\n") == 1
    capsys.readouterr()
    assert ask(site, "--adopt") == 0
    assert f"sw1:{P2} to h2:eth0: {site} has a link there already" in capsys.readouterr().err
    assert (site / "a.yaml").read_text() == once


def test_nothing_is_written_into_a_site_that_would_not_lint(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saw(site, (P2, "h2", "eth0"))
    (site / "b.yaml").write_text("node: h1\ntype: server\n")
    assert ask(site, "--adopt") == 1
    assert (site / "a.yaml").read_text() == SITE


def test_without_a_site_they_are_printed(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saw(site, (P2, "h2", "eth0"))
    assert ask(site, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(links, "connect", lambda *_: type("Store", (), {"links": lambda _: rows})())
    monkeypatch.setenv("RACKWRIGHT_STORE", "http://127.0.0.1:9")
    with pytest.raises(SystemExit) as ended:
        main(["links", "--adopt"])
    assert ended.value.code == 0
    assert f"  {P2}: h2:eth0  # sw1 sees" in capsys.readouterr().out
    assert (site / "a.yaml").read_text() == SITE
