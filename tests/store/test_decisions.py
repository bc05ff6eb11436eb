"""The pure parts: what a report verifies, what gates say, how a node is doing."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Declared, Deferred, Gates, Need, Origin
from rackwright.model.report import Outcome, Report
from rackwright.model.site import Node
from rackwright_store.gates import gates_of, rests_of, wants_of
from rackwright_store.runs import (
    RunSummary,
    address_problem,
    after,
    newest_of,
    summarise,
    verification,
)
from rackwright_store.status import STALE_AFTER, node_state, node_status, outstanding


def report(*outcomes: Outcome, **more: Any) -> Report:
    fields = {"id": "r", "node": "sw1", "started": 9.0, "finished": 10.0, **more}
    return Report(outcomes=outcomes, **fields)


def outcome(state: Any, digest: str = "", action: Any = "", address: str = "vlan/1") -> Outcome:
    return Outcome(address=address, state=state, digest=digest, action=action)


# What the device has verified before, the outcome, and what is verified after it.
CASES = [
    ("first seen", None, outcome("in_sync", "d1"), "d1"),
    ("made", None, outcome("changed", "d1", "create"), "d1"),
    ("changed to a new digest", "d1", outcome("changed", "d2", "update"), "d2"),
    ("still there", "d1", outcome("in_sync", "d1"), "d1"),
    ("in sync without a digest says nothing", "d1", outcome("in_sync"), None),
    ("failed", "d1", outcome("failed", "d1", "update"), None),
    ("failed on the way to a new digest", "d1", outcome("failed", "d2", "update"), None),
    ("blocked on the way to a new digest", "d1", outcome("blocked", "d2", "update"), "d1"),
    ("blocked and drifted", "d1", outcome("blocked", "d1", "update"), None),
    ("blocked and gone", "d1", outcome("blocked", "d1", "create"), None),
    ("its removal is blocked", "d1", outcome("blocked", "d1", "remove"), "d1"),
    ("refused on the way to a new digest", "d1", outcome("refused", "d2", "update"), "d1"),
    ("refused and drifted", "d1", outcome("refused", "d1", "update"), None),
    ("removed", "d1", outcome("removed", "d1", "remove"), None),
    ("released", "d1", outcome("released", "d1", "release"), None),
    ("blocked and never seen", None, outcome("blocked", "d1", "create"), None),
]


@pytest.mark.parametrize(("before", "seen", "after"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])  # fmt: skip
def test_what_an_outcome_verifies(before: str | None, seen: Outcome, after: str | None) -> None:
    assert apply(before, report(seen)) == after


def apply(before: str | None, said: Report, newest: float | None = 5.0) -> str | None:
    known = {"vlan/1": before} if before else {}
    came = verification(said, known, newest, received=100.0)
    assert not set(came.set) & came.clear
    for address in came.clear:
        del known[address]
    known.update(came.set)
    return known.get("vlan/1")


def test_a_dry_run_verifies_nothing() -> None:
    assert apply("d1", report(outcome("changed", "d2"), why_run=True)) == "d1"
    assert apply("d1", report(outcome("failed", "d1"), why_run=True)) == "d1"


def test_an_older_report_that_comes_late_changes_nothing() -> None:
    assert apply("d1", report(outcome("failed", "d1"), finished=4.9)) == "d1"
    assert apply("d1", report(outcome("failed", "d1"), finished=5.0)) is None


def test_a_clock_that_runs_ahead_does_not_make_all_later_reports_old() -> None:
    ahead = report(outcome("in_sync", "d1"), finished=1e12)
    assert summarise(ahead, received=100.0).finished == 100.0
    assert apply("d1", ahead) == "d1"


@pytest.mark.parametrize(("error", "after"), [("", None), ("the device went away", "d1")])
def test_what_a_whole_run_does_not_mention_is_gone(error: str, after: str | None) -> None:
    said = report(outcome("in_sync", "x", address="vlan/2"), error=error)
    assert apply("d1", said) == after


def test_nothing_is_written_when_nothing_changed() -> None:
    came = verification(report(outcome("in_sync", "d1")), {"vlan/1": "d1"}, None, 100.0)
    assert came == ({}, frozenset())


@pytest.mark.parametrize(
    ("address", "wrong"),
    [("vlan/1", False), ("sw1:vlan/1", False), ("sw2:vlan/1", True), ("nonsense", True)],
)
def test_nobody_reports_on_another_node(address: str, wrong: bool) -> None:
    assert bool(address_problem(report(outcome("in_sync", "d", address=address)))) is wrong


def test_the_summary_says_what_went_wrong_first() -> None:
    said = report(
        Outcome(address="vlan/1", state="refused", why="it holds data"),
        Outcome(address="port/2", state="failed", why="% Invalid input"),
        Outcome(address="port/3", state="blocked", waits_for=("core:vlan/1",)),
    )
    found = summarise(said, 100.0)
    assert found.error == "port/2 failed: % Invalid input (and 1 more)"
    assert found.waits_for == ("core:vlan/1",)
    assert found.counts == {"blocked": 1, "failed": 1, "refused": 1}
    assert msgspec.json.decode(msgspec.json.encode(found), type=RunSummary) == found


def bundle(node: str, resources: dict[str, dict[str, Any]]) -> Bundle:
    origin = Origin(file="a.yaml", line=1)
    return Bundle(
        node=Node(name=node, type="switch", platform="x"),
        revision="c",
        resources=tuple(
            Declared(
                type=Address.parse(text).type,
                data={"name": Address.parse(text).name, **more.get("data", {})},
                digest=more.get("digest", "d"),
                origin=origin,
                needs=tuple(Need(address=a, digest=d) for a, d in more.get("needs", {}).items()),
            )
            for text, more in resources.items()
        ),
    )


def rests(node: str, entries: dict[str, list[str]]) -> Any:
    body = {"entries": {ours: {"needs": needs, "digest": "x"} for ours, needs in entries.items()}}
    return node, rests_of(node, json.dumps(body).encode())


WEB = bundle("web1", {"file/a": {"needs": {"sw1:vlan/1": "d1", "file/b": "", "web1:file/c": ""}}})


@pytest.mark.parametrize(
    ("verified", "met"),
    [
        ({}, {}),
        ({"sw1": {"vlan/1": "d1"}}, {"sw1:vlan/1": "d1"}),
        ({"sw1": {"vlan/1": "older"}}, {}),
        ({"sw1": {"vlan/2": "d1"}, "sw2": {"vlan/1": "d1"}}, {}),
        ({"web1": {"file/b": "d1"}}, {}),
    ],
)
def test_a_need_is_met_at_the_digest_that_is_needed(verified: Any, met: Any) -> None:
    assert gates_of("web1", wants_of(WEB), verified, []) == Gates(verified=met)


def test_what_is_not_wanted_any_more_is_held_by_who_rests_on_it() -> None:
    wants = wants_of(bundle("sw1", {"vlan/1": {}, "vlan/2": {"data": {"ensure": "absent"}}}))
    ledgers = [
        rests("web2", {"file/z": ["sw1:vlan/3"], "file/a": ["sw1:vlan/3", "sw2:vlan/9"]}),
        rests("web1", {"port/x": ["sw1:vlan/2", "file/own", "sw1:vlan/1"]}),
    ]
    assert gates_of("sw1", wants, {}, ledgers).held == {
        "vlan/2": ("web1:port/x",),
        "vlan/3": ("web2:file/a", "web2:file/z"),
    }


def test_who_rests_on_what_stays_wanted_moves_no_gate() -> None:
    wants = wants_of(bundle("sw1", {"vlan/1": {}}))
    before = gates_of("sw1", wants, {}, [])
    after = gates_of("sw1", wants, {}, [rests("web1", {"port/x": ["sw1:vlan/1"]})])
    assert before.etag == after.etag


@pytest.mark.parametrize(
    "body",
    [b'{"entries": []}', b'{"entries": {"vlan/1": {"needs": [1]}}}', b'{"entries": {"x": {}}}',
     b'{"entries": {"vlan/1": {"needs": ["nonsense"]}}}', b"[]"],
)  # fmt: skip
def test_what_is_no_ledger_is_refused(body: bytes) -> None:
    with pytest.raises((msgspec.ValidationError, ValueError)):
        rests_of("n", body)


def run(**more: Any) -> RunSummary:
    return RunSummary(id="r", node="n", started=1, finished=2, **more)


@pytest.mark.parametrize(
    ("last", "silent", "state"),
    [
        (None, 0, "never seen"),
        (run(counts={"in_sync": 3}), 0, "converged"),
        (run(counts={"in_sync": 3}), STALE_AFTER + 1, "stale"),
        (run(counts={"changed": 1, "in_sync": 3}), 0, "changed"),
        (run(counts={"removed": 1}), 0, "changed"),
        (run(counts={"blocked": 1, "changed": 1}), 0, "blocked"),
        (run(counts={"blocked": 1, "refused": 1}), 0, "refused"),
        (run(counts={"failed": 1, "refused": 1}), 0, "failed"),
        (run(kind="unreachable", error="no route"), 0, "unreachable"),
        (run(kind="device", error="it lies"), 0, "failed"),
        (run(), 0, "converged"),
    ],
)
def test_one_word_for_a_node(last: RunSummary | None, silent: float, state: str) -> None:
    assert node_state(last, silent=silent) == state


def test_a_node_stands_at_the_last_revision_that_a_run_had() -> None:
    first = summarise(report(revision="c1"), 100.0)
    away = after(first, summarise(report(kind="unreachable", error="no route"), 200.0))
    still = after(away, summarise(report(kind="unreachable", error="no route"), 300.0))
    about = node_status(
        bundle("sw1", {}),
        still,
        {},
        heard=0.0,
        silent=0.0,
        enrolled=True,
        commit="c2",
        facts_problems=(),
    )
    assert (about["state"], about["revision"]) == ("unreachable", "c1")
    assert still.revision == ""
    assert after(still, summarise(report(revision="c2"), 400.0)).stands == "c2"


def test_a_rack_is_a_place() -> None:
    def state(**about: Any) -> Any:
        return node_status(
            Bundle(node=Node(name="rack-a1", type="rack", **about), revision="c1"),
            None,
            {},
            heard=0.0,
            silent=0.0,
            enrolled=False,
            commit="c1",
            facts_problems=(),
        )["state"]

    assert state(platform="") == "place"
    assert state(platform="linux") == "never seen"


def test_what_is_outstanding() -> None:
    said = bundle(
        "n",
        {
            "vlan/1": {"digest": "d1"},
            "vlan/2": {"digest": "d2"},
            "vlan/3": {"digest": "d3", "data": {"ensure": "absent"}},
            "vlan/4": {"digest": "d4", "data": {"ensure": "absent"}},
        },
    )
    known = {"vlan/1": "d1", "vlan/2": "older", "vlan/5": "no longer declared"}
    assert outstanding(said, known, run(removed=("vlan/3",))) == ("vlan/2", "vlan/4", "vlan/5")
    for waiting in ("vlan/5", "vlan/?"):
        origin = Origin(file="site.yaml", line=1)
        late = (Deferred(address=waiting, fact="n:kernel", origin=origin),)
        said = msgspec.structs.replace(said, deferred=late)
        assert "vlan/5" not in outstanding(said, known, None)


def test_of_two_epochs_the_higher_is_later_whatever_the_clocks_say() -> None:
    last = summarise(report(), 100.0, epoch=2)
    assert newest_of(None, 1) is None
    assert newest_of(last, 3) is None
    assert newest_of(last, 2) == 10.0
    assert newest_of(last, 1) == float("inf")
