"""A plan goes on: what waits for which wave of a rollout, and what nothing is built on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rackwright.cli.site_doubts import doubts_of, unlisted
from rackwright.cli.site_going import Going, go_on
from rackwright.cli.site_order import numbers
from rackwright.cli.site_steps import NodeRead
from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry, Ledger
from rackwright.model.bundle import Asked, Bundle, Declared, Need, Origin
from rackwright.model.report import Outcome
from rackwright.model.site import Node
from rackwright.model.standing import Standing
from rackwright.provider import Registry
from rackwright_proposals.rollouts import Rollout
from rackwright_proposals.sequence import Leaving, graph_of

NOUNS = Registry.installed().nouns()
ROLLOUT = Rollout("p", ("n1", "n2", "n3"), 1, 1, 1)


def item(address: str, *needs: str, proposal: str = "p", digest: str = "new") -> Declared:
    kind, _, name = address.partition("/")
    return Declared(
        type=kind,
        data={"name": name},
        digest=digest,
        origin=Origin(file="site.yaml", line=1, proposal=proposal),
        needs=tuple(Need(address=need) for need in needs),
    )


def does(address: str, state: str = "changed", action: str = "update", **more: Any) -> Outcome:
    about = {"address": address, "state": state, "action": action, "digest": "new", **more}
    return msgspec.convert(about, Outcome)


class Site:
    """Three nodes, a rollout over them, and what was read of each."""

    def __init__(self) -> None:
        self.bundles: dict[str, Bundle] = {}
        self.reads: dict[str, NodeRead] = {}
        self.known: dict[str, Known] = {}
        self.leaving: Leaving = {}
        for name in ROLLOUT.nodes:
            self.node(name, [item("file//a")], [does("file//a")])

    def node(
        self, name: str, items: Iterable[Declared], outcomes: Iterable[Outcome], **about: Any
    ) -> None:
        node = Node(name=name, type="server", platform="x")
        more = {key: about.pop(key) for key in ("purge", "purge_asked") if key in about}
        self.bundles[name] = Bundle(node=node, revision="r", resources=tuple(items), **more)
        read = {"node": name, "type": "server", "platform": "x", "by": "live", **about}
        self.reads[name] = msgspec.structs.replace(
            msgspec.convert(read, NodeRead), outcomes=tuple(outcomes)
        )

    def go(self, rollout: Rollout = ROLLOUT) -> Going:
        self.graph = graph_of(self.bundles, {}, self.leaving)
        reads = list(self.reads.values())
        return go_on(reads, self.bundles, self.known, {"p": rollout}, self.graph, NOUNS)


def owned(*entries: Entry, **more: Any) -> Known:
    found = {f"{entry.type}/{entry.data['name']}": entry for entry in entries}
    return Known(ledger=Ledger(entries=found), last_run=1.0, **more)


def entry(address: str, *needs: str, data: dict[str, Any] | None = None, asked: str = "") -> Entry:
    kind, _, name = address.partition("/")
    return Entry(
        type=kind,
        data={"name": name, **(data or {})},
        made=True,
        digest="old",
        needs=needs,
        asked=(Asked("", (asked,)),) if asked else (),
    )


def test_what_needs_what_waits_for_its_wave_waits_for_it() -> None:
    site = Site()
    items = [item("file//a"), item("file//b", "file//a", proposal="q"), item("file//c", "file//b", proposal="q")]  # fmt: skip
    site.node("n3", items, [does("file//a"), does("file//b"), does("file//c")])
    going = site.go()
    assert going.after["n3:file//b"] == ("n3:file//a",)
    assert going.after["n3:file//c"] == ("n3:file//b",)
    assert going.round["n3:file//c"] == 2
    number = numbers(site.graph, going)
    assert [number[f"{name}:file//a"] for name in ROLLOUT.nodes] == [1, 2, 3]
    assert (number["n3:file//b"], number["n3:file//c"]) == (4, 5)
    # And stays where the wave does not come.
    site.node("n1", [item("file//a")], [does("file//a", "refused", why="no")])
    going = site.go()
    assert set(going.held) == {"n2:file//a", "n3:file//a"}
    assert not {"n3:file//b", "n3:file//c"} & going.after.keys()
    assert going.round["n2:file//a"] < going.round["n3:file//a"]


def test_what_is_to_go_waits_for_what_rests_on_it_to_have_its_turn() -> None:
    site = Site()
    port = {"mode": "access", "access_vlan": 20}
    site.node("n3", [item("port/1")], [does("port/1"), does("vlan/20", "removed", "remove", digest="")])  # fmt: skip
    site.known["n3"] = owned(entry("port/1", data=port), entry("vlan/20"))
    site.leaving = {"n3:vlan/20": ["n3:port/1"]}
    going = site.go()
    assert going.after["n3:vlan/20"] == ("n3:port/1",)
    assert going.round["n3:vlan/20"] == 2


def test_a_purge_waits_for_its_wave_and_holds_up_none() -> None:
    """Whether it has anything to take away or not."""
    site = Site()
    asked = {"purge": ("vlan",), "purge_asked": {"vlan": (Asked("", ("p",)),)}}
    site.node("n1", [], [], **asked)
    site.node("n2", [], [does("vlan/7", "removed", "remove", digest="")], **asked)
    going = site.go()
    assert going.end["p"].state == "done"
    assert (going.round["n2:vlan/7"], going.round["n3:file//a"]) == (1, 2)
    assert going.turns["n2:vlan/7"][0].wave == 2
    # What was purged before is drift, which waits for nothing.
    site.known["n2"] = Known(ledger=Ledger(purged=("vlan",)), last_run=1.0)
    assert site.go().round["n2:vlan/7"] == 0
    # Nobody can count on one that does not go,
    stuck = does("vlan/7", "blocked", "remove", digest="", waits_for=["n9:file//a"])
    site.node("n1", [], [stuck], **asked)
    assert site.go().end["p"].opened == 1
    # nor on what is on a node that is away, though it is for the sake of another.
    site.node("n1", [], [])
    for_n1 = {"purge": ("vlan",), "purge_asked": {"vlan": (Asked("n1", ("p",)),)}}
    site.node("sw", [], [], by="report", error="no route", **for_n1)
    assert site.go().end["p"].stopped == "n1 failed: sw: no route"


def test_what_others_rest_on_goes_after_them_and_counts_for_no_wave() -> None:
    """n1 lets go of what n3 rests on, whose wave is the last: the rollout does not wait for it."""
    site = Site()
    site.node("n1", [], [does("file//x", "blocked", "remove", digest="", waits_for=["n3:file//y"])])
    site.node("n3", [], [does("file//y", "removed", "remove", digest="")])
    site.known = {
        "n1": owned(entry("file//x", asked="p")),
        "n3": owned(entry("file//y", "n1:file//x", asked="p")),
    }
    going = site.go()
    assert going.end["p"].state == "done"
    assert going.after["n1:file//x"] == ("n3:file//y",)
    assert (going.before["p"].opened, going.round["n3:file//y"]) == (2, 1)


def test_a_retired_node_is_not_waited_for() -> None:
    site = Site()
    site.node("n1", [item("file//a")], [], by="nothing")
    assert not site.go().end["p"].turn("n2")
    site.known["n1"] = Known(retired=True)
    assert site.go().end["p"].state == "done"


def stood(state: str, **more: Any) -> Known:
    last = Standing(state=state, digest="new", why="no", since=1.0, at=1.0, **more)  # type: ignore[arg-type]
    return Known(standing={"file//a": last}, last_run=1.0)


def test_what_was_refused_is_decided_anew_and_what_failed_is_not() -> None:
    site = Site()
    site.known["n1"] = stood("refused")
    assert (site.go().before["p"].stopped, site.go().end["p"].state) == ("", "done")
    site.known["n1"] = stood("failed")
    assert site.go().end["p"].stopped == "n1 failed: n1:file//a: no"
    older = {key: msgspec.structs.replace(last, digest="older") for key, last in stood("failed").standing.items()}  # fmt: skip
    site.known["n1"] = Known(standing=older, last_run=1.0)
    assert site.go().end["p"].state == "done"
    # It is as declared by now.
    site.node("n1", [item("file//a")], [does("file//a", "in_sync", "")])
    assert site.go().end["p"].state == "done"
    # It failed to be made, and is to go now.
    site.node("n1", [], [does("file//a", "removed", "remove", digest="")])
    site.known["n1"] = msgspec.structs.replace(
        stood("failed"), ledger=owned(entry("file//a")).ledger
    )
    assert "n1:file//a" in site.go().after
    assert site.go().steps["n1:file//a"].last is None


def test_what_is_verified_and_was_changed_by_hand_is_still_to_be_done() -> None:
    site = Site()
    site.known["n1"] = Known(verified={"file//a": "new"}, last_run=1.0)
    going = site.go()
    assert going.before["p"].opened == 1
    assert going.end["p"].state == "done"


def test_on_a_node_that_is_away_things_go_together_and_elsewhere_nothing_counts_on_them() -> None:
    site = Site()
    one = does("vlan/1")
    two = does("port/1", "blocked", waits_for=["vlan/1"])
    site.node("sw", [], [one, two], by="report", error="no answer")
    site.node("web", [], [does("file//b", "blocked", waits_for=["sw:vlan/1"])])
    going = site.go()
    assert going.after["sw:port/1"] == ("sw:vlan/1",)
    assert "web:file//b" not in going.after
    # Both are away: which of them comes back, nobody knows.
    site.node(
        "web", [], [does("file//b", "blocked", waits_for=["sw:vlan/1"])], by="report", error="no"
    )
    assert "web:file//b" not in site.go().after
    # Where it only failed before, the rest of the same node waits as well.
    site.node("sw", [], [one, two])
    failed = Standing(state="failed", digest="new", why="no", since=1.0, at=1.0)
    site.known["sw"] = Known(standing={"vlan/1": failed}, last_run=1.0)
    going = site.go()
    assert "sw:vlan/1" in going.after
    assert not {"sw:port/1", "web:file//b"} & going.after.keys()


def test_what_waits_for_more_than_what_it_needs_comes_later() -> None:
    site = Site()
    site.node("sw1", [item("port/1", proposal="")], [does("port/1")])
    site.node("sw2", [item("port/1", proposal="")], [does("port/1", "blocked", waits_for=["sw1:port/1"])])  # fmt: skip
    number = numbers(site.graph, going) if (going := site.go()) else {}
    assert (number["sw1:port/1"], number["sw2:port/1"]) == (1, 2)


def doubts(by: str, outcome: Outcome, known: Known | None = None, **more: Any) -> tuple[str, ...]:
    site = Site()
    site.node("sw", [], [outcome], by=by, type="switch", **more)
    about = known or Known()
    (step,) = (step for step in site.go().steps.values() if step.node == "sw")
    return doubts_of(site.reads["sw"], step, about, NOUNS)


def test_what_only_the_node_can_tell_is_said() -> None:
    cut = does("port/1", severs=True)
    (path,) = doubts("report", cut)
    assert "carries the path" in path
    assert doubts("live", cut) == ()
    gone = does("directory//srv", "removed", "remove")
    (data,) = doubts("ledger", gone)
    assert "holds data" in data
    meant = msgspec.structs.replace(entry("directory//srv"), destroy=True)
    assert doubts("ledger", gone, owned(meant)) == ()
    assert doubts("report", does("vlan/1")) == ()
    assert doubts("report", does("vlan/1"), error="x") == (
        "sw could not be reached; this is done when it can be",
    )


def test_a_first_purge_of_who_was_not_read_is_unknown() -> None:
    site = Site()
    for by, purged, told in (("report", (), ["sw:vlan/*"]), ("report", ("vlan",), []), ("live", (), [])):  # fmt: skip
        site.node("sw", [], [], by=by, purge=("vlan",))
        about = Known(ledger=Ledger(purged=purged))
        assert list(unlisted(site.reads["sw"], site.bundles["sw"], about)) == told
