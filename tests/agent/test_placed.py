"""A host that is converged, or planned, from a tree keeps what the store has placed on it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rackwright.cli.placed import with_placed
from rackwright.cli.tree import Tree, TreeSource
from rackwright.engine.forecast import forecast
from rackwright.engine.known import of_ledger
from rackwright.engine.ledger import Entry, Ledger, encode
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.resource import digest
from rackwright.provider import Registry

SITE = """\
site: lab
---
node: admin1
type: server
---
node: web1
type: server
---
proposal: hosts
attributes: {delegate_host: {store: 'http://127.0.0.1:1', manager: none}}
deploy: {delegate-host: [admin1]}
"""
LEDGER = Ledger(
    entries={
        "delegate/sw1": Entry(
            type="delegate",
            data={"name": "sw1"},
            digest=digest("delegate", {"name": "sw1"}),
            made=True,
            needs=("service/rackwright-delegates",),
        ),
        "file//a": Entry(type="file", data={"name": "/a"}, made=True),
    }
)


def source(tmp_path: Path, node: str) -> TreeSource:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.yaml").write_text(SITE)
    (tmp_path / "state" / node).mkdir(parents=True)
    (tmp_path / "state" / node / "ledger.json").write_bytes(encode(LEDGER))
    return TreeSource(Tree(tmp_path / "site", Registry.installed(), tmp_path / "state"), node)


def addresses(bundle: Bundle) -> list[str]:
    return [str(item.address) for item in bundle.resources]


def test_a_host_keeps_its_delegates_and_nothing_else(tmp_path: Path) -> None:
    bundle = source(tmp_path, "admin1").bundle()
    assert addresses(bundle) == ["delegate/sw1"]
    assert [need.address for need in bundle.resources[0].needs] == ["service/rackwright-delegates"]
    assert addresses(with_placed(bundle, LEDGER)) == ["delegate/sw1"]
    known, provider = of_ledger(LEDGER, 1.0), Registry.installed().provider("linux")
    told = {
        outcome.address: (outcome.state, outcome.action)
        for outcome in forecast(bundle, Gates(), provider, known)
    }
    assert told == {"delegate/sw1": ("in_sync", ""), "file//a": ("removed", "remove")}


def test_who_is_no_host_keeps_none(tmp_path: Path) -> None:
    bundle = source(tmp_path, "web1").bundle()
    assert bundle.resources == ()
    was = msgspec.structs.replace(bundle, roles=("motd",))
    assert with_placed(was, LEDGER) == was
