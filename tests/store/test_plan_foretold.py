"""The plan of a site, held against what happens when it is committed: the real engine on devices in memory,
gated by the store, with a rollout."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.cli.site_gates import SiteGates
from rackwright.cli.site_lines import Line as PlanLine
from rackwright.cli.site_lines import SitePlan, site_plan
from rackwright.cli.site_shown import show_plan
from rackwright.cli.site_steps import COMING, NodeRead
from rackwright.engine.converge import Job, converge
from rackwright.engine.forecast import forecast
from rackwright.engine.known import Known
from rackwright.engine.ledger import Ledger, LedgerCopy
from rackwright.model.address import Address
from rackwright.model.report import Report
from rackwright_proposals.rollouts import Rollout
from rackwright_store.known import known_nodes

from ..engine.memory import NOUNS, Line, Memory, thing
from .test_rollouts import NAMES, ROLLOUT, SWITCH, Fleet, converged, everywhere

OWN = Address("thing", "own")


def foretold(
    fleet: Fleet,
    wanted: Mapping[str, int],
    rollout: Rollout = ROLLOUT,
    live: Collection[str] = (),
) -> SitePlan:
    """The plan of a site in which that is ``wanted``; the nodes in ``live`` are read, the others told."""
    body = msgspec.json.encode(known_nodes(fleet.live, {}, {}))
    known = msgspec.json.decode(body, type=dict[str, Known])
    bundles = fleet.bundles(wanted)
    gates = SiteGates(known)
    gates.install(bundles, {"p": rollout}, (), {})
    reads = []
    for node, made in bundles.items():
        about = known.get(node, Known())
        given_gates = msgspec.structs.replace(gates.gates(node), later={})
        read = NodeRead(
            node=node, type="server", platform="memory", by="nothing", at=about.last_run
        )
        if node in live:
            job = Job(bundle=made, gates=given_gates, secrets={}, why_run=True)
            copy = LedgerCopy(about.ledger or Ledger())
            report = converge(job, Memory(), Line(fleet.devices[node]), copy)
            read = msgspec.structs.replace(read, by="live", outcomes=report.outcomes)
        else:
            outcomes = forecast(made, given_gates, Memory(), about)
            by: Any = "report" if about.seen else "nothing"
            read = msgspec.structs.replace(read, by=by, error=about.trouble, outcomes=outcomes)
        reads.append(read)
    return site_plan("lab", reads, bundles, {}, {}, known, NOUNS, {"p": rollout})


def lines(plan: SitePlan) -> dict[str, PlanLine]:
    return {line.address: line for wave in plan.waves for line in wave.changes}


def states(plan: SitePlan, address: str = "thing/own") -> dict[str, str]:
    """Node → the state of its ``address``."""
    return {line.node: line.state for name, line in lines(plan).items() if name.endswith(address)}


def numbers(plan: SitePlan) -> dict[str, int]:
    return {line.address: wave.wave for wave in plan.waves for line in wave.changes}


def happens(fleet: Fleet, wanted: Mapping[str, int], rollout: Rollout) -> list[tuple[str, str]]:
    """(address, action) of all writes, in their order, when that is committed and everybody runs on."""
    fleet.commit(wanted, rollout)
    found = []
    for _ in range(16):
        for node in (SWITCH, *reversed(NAMES)):
            for write in fleet.run(node)[0]:
                action, _, address = write.partition(" ")
                found.append((f"{node}:{address}", action))
    return found


sizes = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3))
actions = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from([*NAMES, SWITCH, SWITCH])),
        st.tuples(st.just("commit"), sizes),
        st.tuples(st.just("hand"), st.sampled_from(NAMES)),
    ),
    max_size=30,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2), st.integers(1, 3), actions, sizes, st.booleans())
def test_what_is_foretold_happens_in_that_order_and_nothing_else(
    canary: int, at_once: int, what: list[tuple[str, Any]], wanted: dict[str, int], look: bool
) -> None:
    rollout = Rollout("p", NAMES, canary, at_once, 1)
    fleet = Fleet(rollout)
    fleet.commit({})
    for action, on in what:
        if action == "commit":
            fleet.commit(on)
        elif action == "run":
            fleet.run(on)
        elif look and OWN in fleet.devices[on].state:
            # Somebody changes it by hand: who only goes by reports cannot know.
            fleet.devices[on].state[OWN] = thing("thing/own", size=9)
    plan = foretold(fleet, wanted, rollout, live=fleet.devices if look else ())
    found = happens(fleet, wanted, rollout)
    told = {
        (line.address, line.action)
        for line in lines(plan).values()
        if line.state in COMING and line.action != "release"
    }
    assert told == set(found)
    assert plan.summary.blocked == 0
    assert [one.then for one in plan.rollouts] == ["done"]
    order = {address: i for i, (address, _) in enumerate(found)}
    number = numbers(plan)
    for line in lines(plan).values():
        for need in line.after:
            if need in order and line.address in order:
                assert order[need] < order[line.address]
                assert number[need] < number[line.address]
    turns = [
        (turn.wave, line.address)
        for line in lines(plan).values()
        for turn in line.rollouts
        if line.action in ("create", "update")
    ]
    for wave, address in turns:
        for earlier, first in turns:
            if earlier < wave:
                assert order[first] < order[address]
                assert number[first] < number[address]


def test_waves_come_one_after_the_other_and_say_so() -> None:
    plan = foretold(converged(), everywhere(2))
    number = numbers(plan)
    assert [number[f"{node}:thing/own"] for node in NAMES] == [2, 4, 4, 6, 6]
    assert [number[f"{SWITCH}:thing/port-{node}"] for node in NAMES] == [1, 3, 3, 5, 5]
    found = lines(plan)
    assert [found[f"{node}:thing/own"].rollouts[0].wave for node in NAMES] == [1, 2, 2, 3, 3]
    # The canary's port may go at once; all else is built on what has not happened yet.
    assert {name for name, line in found.items() if line.mark == "read"} == {
        f"{SWITCH}:thing/port-n1"
    }
    (rollout,) = plan.rollouts
    assert (rollout.state, rollout.then, rollout.why) == ("going", "done", "")
    assert [(wave.state, wave.then, wave.changes) for wave in rollout.waves] == [
        ("open", "done", 2),
        ("waiting", "done", 4),
        ("waiting", "done", 4),
    ]


def test_what_went_already_is_told() -> None:
    fleet = converged()
    fleet.commit(everywhere(2))
    fleet.run(SWITCH)
    fleet.run("n1")
    (rollout,) = foretold(fleet, everywhere(2)).rollouts
    assert [(wave.state, wave.done, wave.changes) for wave in rollout.waves] == [
        ("done", ("n1",), 0),
        ("open", (), 4),
        ("waiting", (), 4),
    ]


def shown(plan: SitePlan, capsys: pytest.CaptureFixture[str]) -> list[str]:
    show_plan(plan)
    return capsys.readouterr().out.splitlines()


def test_people_see_where_it_stands_and_what_comes_when(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown(foretold(converged(), everywhere(2)), capsys)
    at = page.index("rollout of p going, 0 of 3 waves done, the rest goes by this plan")
    assert [line.split("  ")[0] for line in page[at + 1 : at + 5]] == ["WAVE", "1", "2", "3"]
    assert "goes, when wave 2 is verified" in page[at + 4]
    first, second = page.index("wave 1"), page.index("wave 2")
    assert page[first + 1] == "  sw  wave 1 of 3 of the rollout of p"
    assert page[second + 1] == "  n1  wave 1 of 3 of the rollout of p"
    assert "  n5  wave 3 of 3 of the rollout of p, when wave 2 is verified" in page
    page = shown(foretold(broken_canary(), everywhere(2)), capsys)
    at = page.index("rollout of p stopped, 0 of 3 waves done")
    assert page[at + 1] == "  n1 failed: n1:thing/own: rejected thing/own"
    assert "  n5  wave 3 of 3 of the rollout of p, which does not go" in page
    again = page.index("  n1  wave 1 of 3 of the rollout of p")
    assert "would be updated" in page[again + 1]
    assert page[again + 2].strip().startswith("failed when it was last tried, ")
    assert page[again + 2].endswith(": rejected thing/own")


def broken_canary() -> Fleet:
    fleet = converged()
    fleet.commit(everywhere(2))
    fleet.devices["n1"].reject = {"thing/own"}
    for node in (SWITCH, *NAMES, SWITCH, *NAMES):
        fleet.run(node)
    return fleet


def test_nothing_is_built_on_what_failed_before() -> None:
    fleet = broken_canary()
    for live in ((), (*NAMES, SWITCH)):
        plan = foretold(fleet, everywhere(2), live=live)
        (rollout,) = plan.rollouts
        assert (rollout.state, rollout.then) == ("stopped", "stopped")
        assert rollout.why == "n1 failed: n1:thing/own: rejected thing/own"
        assert [wave.then for wave in rollout.waves] == ["stopped"] * 3
        assert states(plan) == {"n1": "changed", **dict.fromkeys(NAMES[1:], "blocked")}
        again = lines(plan)["n1:thing/own"]
        assert again.failed is not None
        assert again.failed.why == "rejected thing/own"
        assert lines(plan)["n5:thing/own"].why.startswith("rollout of p stopped: n1 failed")
        assert plan.exit_code == 3
        assert plan.summary.failed_before == 1


def test_another_declaration_is_another_chance() -> None:
    plan = foretold(broken_canary(), everywhere(3))
    assert states(plan) == dict.fromkeys(NAMES, "changed")
    assert lines(plan)["n1:thing/own"].failed is None
    assert plan.rollouts[0].then == "done"


def test_what_is_mended_on_the_device_goes_on_by_itself() -> None:
    fleet = broken_canary()
    fleet.devices["n1"].state[OWN] = thing("thing/own", size=2)
    assert foretold(fleet, everywhere(2), live=["n1"]).rollouts[0].then == "done"


def test_a_node_that_is_away_stops_it_in_its_wave() -> None:
    fleet = converged()
    gone = Report(id="x", node="n2", started=1, finished=1, error="no route", kind="unreachable")
    fleet.clock += 1
    fleet.report(gone)
    plan = foretold(fleet, everywhere(2))
    assert plan.rollouts[0].then == "stopped"
    assert plan.rollouts[0].why == "n2 failed: n2: no route"
    # Its own change is told, and when it comes; those of the last wave do not.
    assert states(plan) == {
        **dict.fromkeys(NAMES[:3], "changed"),
        **dict.fromkeys(NAMES[3:], "blocked"),
    }
    assert lines(plan)["n2:thing/own"].doubts == (
        "n2 could not be reached; this is done when it can be",
    )


def test_what_would_be_refused_stops_it() -> None:
    fleet = converged()
    fleet.commit({**everywhere(1), "n1": 200})
    for node in (SWITCH, "n1"):
        fleet.run(node)
    plan = foretold(fleet, everywhere(2))
    assert states(plan)["n1"] == "refused"
    assert plan.rollouts[0].then == "stopped"
    assert set(states(plan).values()) == {"refused", "blocked"}
    assert plan.exit_code == 2


def test_drift_waits_for_no_wave() -> None:
    fleet = converged()
    fleet.devices["n5"].state[OWN] = thing("thing/own", size=9)
    plan = foretold(fleet, {**everywhere(1), "n1": 2}, live=NAMES)
    line = lines(plan)["n5:thing/own"]
    assert (line.state, line.mark, line.drift, line.rollouts) == ("changed", "read", True, ())
    assert numbers(plan)["n5:thing/own"] == 2
    assert not lines(plan)["n1:thing/own"].drift
    assert plan.summary.drifted == 1


def test_what_goes_waits_for_its_wave_too_and_goes_in_reverse() -> None:
    plan = foretold(converged(), {})
    number = numbers(plan)
    assert set(states(plan).values()) == {"removed"}
    for node in NAMES:
        assert number[f"{node}:thing/own"] < number[f"{SWITCH}:thing/port-{node}"]
    assert number[f"{SWITCH}:thing/port-n1"] < number["n2:thing/own"]
    assert number[f"{SWITCH}:thing/port-n3"] < number["n4:thing/own"]
    assert lines(plan)["n4:thing/own"].rollouts[0].wave == 3


def test_what_rests_on_what_waits_for_its_wave_waits_too() -> None:
    """On the same node, by no rollout: the engine would hold it back."""
    fleet = converged()
    made = fleet.bundles(everywhere(2))

    def with_user(node: str) -> None:
        from ..engine.memory import declare

        user = declare("thing/user", needs=["thing/own"])
        made[node] = msgspec.structs.replace(made[node], resources=(*made[node].resources, user))

    for node in ("n1", "n5"):
        with_user(node)
    fleet.bundles = lambda _: made  # type: ignore[method-assign]
    plan = foretold(fleet, everywhere(2))
    assert lines(plan)["n5:thing/user"].after == ("n5:thing/own",)
    assert numbers(plan)["n5:thing/user"] > numbers(plan)["n5:thing/own"]
    fleet.devices["n1"].reject = {"thing/own"}
    fleet.commit(everywhere(2))
    for node in (SWITCH, "n1"):
        fleet.run(node)
    assert lines(foretold(fleet, everywhere(2)))["n5:thing/user"].state == "blocked"


def test_nodes_that_leave_a_rollout_come_last() -> None:
    few = Rollout("p", ("n4", "n5"), 1, 1, 1)
    plan = foretold(converged(), {"n4": 2, "n5": 2}, few)
    number = numbers(plan)
    order = [number[f"{node}:thing/own"] for node in ("n4", "n5", "n1", "n2", "n3")]
    assert order == sorted(set(order))
    assert plan.rollouts[0].then == "done"
