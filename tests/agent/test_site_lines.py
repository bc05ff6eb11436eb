"""The plan of a whole site as data: order, marks, what is left over, and the counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from rackwright.cli.site_lines import SitePlan, plan_data, site_plan
from rackwright.cli.site_steps import NodeRead
from rackwright.engine.known import Known
from rackwright.engine.ledger import Entry, Ledger
from rackwright.model.bundle import Bundle, Declared, Deferred, Need, Origin
from rackwright.model.report import FieldChange, Outcome
from rackwright.model.site import Link, Node
from rackwright.provider import Registry

ORIGIN = Origin(file="site.yaml", line=1)
NOUNS = Registry.installed().nouns()
FAR = "sw1:port/GigabitEthernet1/0/1"
FILE = "web1:file//etc/net"


def declare(kind: str, name: str, *needs: str, **fields: Any) -> Declared:
    return Declared(
        type=kind,
        data={"name": name, **fields},
        digest="d",
        origin=ORIGIN,
        needs=tuple(Need(address=need, digest="d") for need in needs),
    )


def bundle(name: str, kind: str, *resources: Declared, links: tuple[Link, ...] = ()) -> Bundle:
    node = Node(name=name, type=kind, platform="x", links=links)
    return Bundle(node=node, revision="r1", resources=resources)


SITE = {
    bundle.node.name: bundle
    for bundle in (
        bundle(
            "web1",
            "server",
            declare("file", "/etc/net", "sw1:vlan/20", FAR),
            links=(Link(port="eth0", peer="sw1", peer_port="GigabitEthernet1/0/1"),),
        ),
        bundle(
            "sw1",
            "switch",
            declare("vlan", "20"),
            declare("port", "GigabitEthernet1/0/1", mode="access", access_vlan=20),
            links=(Link(port="GigabitEthernet1/0/1", peer="web1", peer_port="eth0"),),
        ),
    )
}
IMPLIED = {"sw1": {"port/GigabitEthernet1/0/1": ["vlan/20"]}}


def outcome(address: str, state: str = "changed", **more: Any) -> Outcome:
    action = {"removed": "remove", "released": "release", "in_sync": ""}.get(state, "update")
    return msgspec.convert({"address": address, "state": state, "action": action, **more}, Outcome)


def read(node: str, *outcomes: Outcome, by: str = "live", **more: Any) -> NodeRead:
    kind = SITE[node].node.type if node in SITE else "server"
    about = {"node": node, "type": kind, "platform": "x", "by": by, **more}
    return msgspec.structs.replace(msgspec.convert(about, NodeRead), outcomes=outcomes)


def planned(
    *reads: NodeRead, site: dict[str, Bundle] = SITE, known: dict[str, Known] | None = None
) -> SitePlan:
    return site_plan("lab", reads, site, IMPLIED, {}, known or {}, NOUNS)


def marks(plan: SitePlan) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    lines = (line for wave in plan.waves for line in wave.changes)
    return {line.address: (line.state, line.mark, line.after) for line in lines}


def order(plan: SitePlan) -> list[tuple[int, list[str]]]:
    return [(wave.wave, [line.address for line in wave.changes]) for wave in plan.waves]


def blocked(address: str, *waits: str, action: str = "create") -> Outcome:
    why = f"waits for {', '.join(waits)}"
    return outcome(address, "blocked", action=action, waits_for=waits, why=why)


def all_of_it(*far: Outcome) -> tuple[NodeRead, NodeRead]:
    return (
        read("web1", blocked("file//etc/net", FAR, "sw1:vlan/20"), by="report", at=1.0),
        read("sw1", *far),
    )


def test_changes_stand_in_the_order_of_the_sequence() -> None:
    plan = planned(*all_of_it(outcome("port/GigabitEthernet1/0/1"), outcome("vlan/20")))
    assert order(plan) == [(1, ["sw1:vlan/20"]), (2, [FAR]), (3, [FILE])]


def test_what_waits_for_a_step_of_the_plan_is_assumed_and_says_which() -> None:
    plan = planned(*all_of_it(outcome("vlan/20", "in_sync"), outcome("port/GigabitEthernet1/0/1")))
    assert marks(plan) == {
        FAR: ("changed", "read", ()),
        FILE: ("changed", "assumed", (FAR,)),
    }
    assert (plan.summary.read, plan.summary.assumed, plan.summary.blocked) == (1, 1, 0)
    assert plan.exit_code == 0


def test_what_waits_for_what_is_there_already_is_read() -> None:
    there = [outcome(address, "in_sync") for address in ("vlan/20", "port/GigabitEthernet1/0/1")]
    assert marks(planned(*all_of_it(*there))) == {FILE: ("changed", "read", ())}


def test_what_waits_for_what_fails_or_is_not_in_the_plan_stays_blocked() -> None:
    ways: Iterable[tuple[str, int]] = (("failed", 2), ("refused", 2))
    for state, code in ways:
        far = (outcome("vlan/20", state, why="no"), outcome("port/GigabitEthernet1/0/1"))
        plan = planned(*all_of_it(*far))
        assert marks(plan)[FILE][0] == "blocked"
        assert plan.exit_code == code
    plan = planned(*all_of_it(outcome("vlan/20")))
    assert marks(plan)[FILE] == ("blocked", "read", ())
    assert plan.exit_code == 3


def test_assumptions_go_on_along_a_chain_and_never_in_a_circle() -> None:
    chain = planned(
        read("web1", blocked("file//b", "file//a"), blocked("file//a", "sw1:vlan/20")),
        read("sw1", outcome("vlan/20")),
    )
    assert marks(chain)["web1:file//b"] == ("changed", "assumed", ("web1:file//a",))
    circle = planned(read("web1", blocked("file//a", "file//b"), blocked("file//b", "file//a")))
    assert [state for state, _, _ in marks(circle).values()] == ["blocked", "blocked"]


def test_of_a_node_that_nobody_has_seen_all_is_assumed() -> None:
    plan = planned(read("web1", outcome("file//etc/net", action="create"), by="nothing"))
    assert marks(plan)[FILE] == ("changed", "assumed", ())
    assert plan.summary.unknown == ()
    tried = planned(read("sw1", outcome("vlan/20"), by="nothing", error="no answer"))
    assert tried.summary.unknown == ("sw1",)
    assert tried.exit_code == 4


def test_what_is_to_go_goes_after_what_rests_on_it() -> None:
    ledger = Ledger(
        entries={
            "file//etc/old": Entry(
                type="file", data={"name": "/etc/old"}, digest="d", needs=("sw1:vlan/30",)
            )
        }
    )
    plan = planned(
        read("sw1", outcome("port/GigabitEthernet1/0/1"), blocked("vlan/30", "web1:file//etc/old", action="remove")),
        read("web1", outcome("file//etc/old", "removed")),
        known={"web1": Known(ledger=ledger, last_run=1.0)},
    )  # fmt: skip
    found = [address for _, wave in order(plan) for address in wave]
    assert found.index("web1:file//etc/old") < found.index("sw1:vlan/30")
    assert found.index(FAR) < found.index("sw1:vlan/30")
    assert marks(plan)["sw1:vlan/30"] == ("removed", "assumed", ("web1:file//etc/old",))
    # What is to go is there as long as it is: it hangs off what it rests on.
    vlan = next(line for wave in plan.waves for line in wave.changes if "vlan/30" in line.address)
    assert [hit.what for hit in vlan.radius.servers] == ["web1"]


def test_what_is_to_go_goes_after_what_its_own_node_changes_first() -> None:
    far = (outcome("port/GigabitEthernet1/0/1"), outcome("vlan/30", "removed"))
    plan = planned(read("sw1", *far))
    assert order(plan) == [(2, [FAR]), (3, ["sw1:vlan/30"])]


def test_who_is_not_in_the_site_any_more_holds_until_it_is_retired() -> None:
    entries = {
        "file//x": Entry(type="file", data={"name": "/x"}, needs=("sw1:vlan/20", "directory//y"))
    }
    gone = {"web9": Known(ledger=Ledger(entries=entries), last_run=1.0), "web8": Known()}
    plan = planned(*all_of_it(), known=gone)
    assert [(one.node, one.holds, one.resources) for one in plan.gone] == [
        ("web9", ("sw1:vlan/20",), ("file//x",))
    ]


def test_what_is_cut_by_two_changes_together_is_told() -> None:
    links = (
        Link(port="eth0", peer="sw1", peer_port="1"),
        Link(port="eth1", peer="sw2", peer_port="1"),
    )
    site = {
        "web1": bundle("web1", "server", links=links),
        "sw1": bundle("sw1", "switch", declare("port", "1")),
        "sw2": bundle("sw2", "switch", declare("port", "1")),
    }
    one = read("sw1", outcome("port/1", severs=True))
    two = msgspec.structs.replace(one, node="sw2")
    assert planned(one, site=site).summary.cuts_together == ()
    total = planned(one, two, site=site).summary
    assert (total.cuts, total.cuts_together) == ((), ("web1",))
    refused = msgspec.structs.replace(two, outcomes=(outcome("port/1", "refused", severs=True),))
    assert planned(one, refused, site=site).summary.cuts_together == ()


def test_a_change_that_severs_cuts_and_another_touches() -> None:
    for severs in (True, False):
        plan = planned(read("sw1", outcome("port/GigabitEthernet1/0/1", severs=severs)))
        assert plan.summary.cuts == (("web1",) if severs else ())
        (line,) = plan.waves[0].changes
        assert [(hit.what, hit.cut) for hit in line.radius.servers] == [("web1", severs)]


def test_what_waits_for_a_fact_is_there_and_no_change() -> None:
    site = dict(SITE)
    deferred = Deferred(address="file//etc/motd", fact="web1:os", origin=ORIGIN)
    site["web1"] = msgspec.structs.replace(SITE["web1"], deferred=(deferred,))
    plan = planned(read("web1"), site=site)
    assert marks(plan) == {"web1:file//etc/motd": ("deferred", "assumed", ())}
    assert (plan.summary.changes, plan.summary.deferred) == (0, 1)


def test_what_is_only_let_go_of_is_shown_and_is_no_change() -> None:
    plan = planned(read("sw1", outcome("port/GigabitEthernet1/0/1", "released", severs=True)))
    assert marks(plan)[FAR][0] == "released"
    assert (plan.summary.changes, plan.summary.cuts) == (0, ())


def test_json_keeps_its_keys() -> None:
    change = FieldChange(field="title", old="a", new="b")
    plan = planned(
        read("sw1", outcome("vlan/20", changes=(change,), origin="a.yaml:1"), via="ssh x", at=5.0),
        read("web1", outcome("file//etc/net", "in_sync"), by="report", at=4.0),
    )
    found = plan_data(plan)
    assert found["nodes"] == [
        {"node": "sw1", "type": "switch", "platform": "x", "by": "live", "at": 5.0, "via": "ssh x", "error": "", "in_sync": []},
        {"node": "web1", "type": "server", "platform": "x", "by": "report", "at": 4.0, "via": "", "error": "", "in_sync": ["file//etc/net"]},
    ]  # fmt: skip
    (line,) = found["waves"][0]["changes"]
    hit = line["radius"]["servers"][0]
    assert set(found) == {"site", "commit", "nodes", "waves", "rollouts", "gone", "summary"}
    assert set(line) == {
        "address", "node", "state", "action", "mark", "after", "changes", "commands", "why", "origin",
        "severs", "radius", "rollouts", "drift", "failed", "doubts",
    }  # fmt: skip
    assert set(hit) == {"what", "how", "path", "alone", "cut"}
    assert set(found["summary"]) == {
        "changes", "nodes", "create", "update", "remove", "drifted", "failed_before", "read", "assumed", "blocked", "failed", "refused", "deferred", "unlisted", "in_sync",
        "cuts", "cuts_together", "unknown",
    }  # fmt: skip
