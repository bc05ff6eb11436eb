"""Rollouts: the real engine on devices in memory, gated by the store; the same over HTTP; commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rackwright.cli.watching import verdict
from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import Ledger, LedgerFile, decode, encode
from rackwright.model.address import Address
from rackwright.model.bundle import Asked, Bundle, Declared, Gates, Origin
from rackwright.model.report import Outcome, Report
from rackwright_proposals.rollouts import Course, Rollout, waves_of
from rackwright_store.gates import rests_of
from rackwright_store.live import Live
from rackwright_store.rollouts import fronts_of
from rackwright_store.runs import summarise, verification
from rackwright_store.standing import Seen, standings
from rackwright_store.waiting import Rack as Waits

from ..engine.memory import Device, Line, Memory, bundle, declare, thing
from .rack import Agent, Repository, eventually, running
from .test_waiting import command, line

NAMES = ("n1", "n2", "n3", "n4", "n5")
SWITCH = "sw"


class Kept(LedgerFile):
    """A ledger whose disk is memory: hundreds are written here."""

    def __init__(self) -> None:
        super().__init__(Path("nowhere"))
        self.body: bytes | None = None

    def exists(self) -> bool:
        return self.body is not None

    def load(self) -> Ledger:
        return Ledger() if self.body is None else decode(self.body)

    def store(self, ledger: Ledger) -> None:
        self.body = encode(ledger)


class Fleet:
    """Servers, and a switch on which each server's role puts a port; a store between them."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.live = Live({}, {}, {})
        self.devices = {node: Device() for node in (*NAMES, SWITCH)}
        self.files = {node: Kept() for node in self.devices}
        self.clock = 1.0
        self.wanted: dict[str, int] = {}

    def commit(self, wanted: Mapping[str, int], rollout: Rollout | None = None) -> frozenset[str]:
        """``wanted``: node → the size of its thing and of its port. Returns who is woken."""
        self.rollout = rollout or self.rollout
        self.wanted = dict(wanted)
        bundles = self.bundles(wanted)
        self.clock += 1
        return self.live.install(self.live.prepare(bundles, {"p": self.rollout}), self.clock)

    def bundles(self, wanted: Mapping[str, int]) -> dict[str, Bundle]:
        """A site in which that is wanted."""
        has: dict[str, list[Declared]] = {node: [] for node in self.devices}
        for node, size in wanted.items():
            port = by("p", declare(f"thing/port-{node}", size=size), node)
            has[SWITCH].append(port)
            own = declare("thing/own", size=size, needs=[(f"{SWITCH}:{port.address}", port.digest)])
            has[node].append(by("p", own))
        for node in NAMES:
            has[node].append(declare("thing/free", size=1))
        bundles = {}
        for node, resources in has.items():
            made = bundle(*resources)
            about = msgspec.structs.replace(made.node, name=node)
            bundles[node] = msgspec.structs.replace(made, node=about)
        return bundles

    def run(self, node: str) -> tuple[list[str], frozenset[str]]:
        """What it wrote, and who was woken by its report."""
        served, gates = self.live.bundles[node].value, self.gates(node)
        assert isinstance(served, Bundle)
        woken: set[str] = set()

        def mirror(ledger: Ledger) -> None:
            body = encode(ledger)
            woken.update(self.live.note_ledger(node, body, rests_of(node, body)))

        device = self.devices[node]
        before = len(device.writes)
        job = Job(bundle=served, gates=gates, secrets={}, mirror=mirror)
        report = converge(job, Memory(), Line(device), self.files[node])
        self.clock += 1
        return device.writes[before:], self.report(report) | woken

    def report(self, report: Report) -> frozenset[str]:
        node = report.node
        report = msgspec.structs.replace(report, started=self.clock, finished=self.clock)
        known, stood = self.live.verified.get(node, {}), self.live.standings.get(node, {})
        came = verification(report, known, None, self.clock)
        standing = standings(report, stood, None, self.clock)
        return self.live.note_run(summarise(report, self.clock), came, standing)

    def gates(self, node: str) -> Gates:
        found = self.live.gates[node].value
        assert isinstance(found, Gates)
        return found

    def restart(self) -> None:
        """The store is killed and comes up with what it had written."""
        old = self.live
        self.live = Live(old.verified, old.ledgers, old.last_runs, old.standings)
        self.commit(self.wanted)

    @property
    def course(self) -> Course:
        return self.live.stages.rolling.courses["p"]

    def waits(self) -> Waits:
        seen = {}
        for node, served in self.live.bundles.items():
            assert isinstance(served.value, Bundle)
            seen[node] = Seen(
                bundle=served.value,
                verified=self.live.verified.get(node, {}),
                standing=self.live.standings.get(node, {}),
                last=self.live.last_runs.get(node),
                gates=self.gates(node),
                told=self.live.told[node],
            )
        return Waits(seen, self.clock, 900.0, fronts_of(self.live.stages.rolling))

    def right(self, node: str) -> bool:
        """Whether the devices have of ``node`` what is declared, and nothing else of it."""
        own = self.devices[node].state.get(Address("thing", "own"))
        port = self.devices[SWITCH].state.get(Address("thing", f"port-{node}"))
        if node not in self.wanted:
            return own is None and port is None
        want = self.wanted[node]
        return own == thing("thing/own", size=want) and port == thing(f"thing/port-{node}", size=want)  # fmt: skip


def by(proposal: str, item: Declared, node: str = "") -> Declared:
    origin = Origin(file="site.yaml", line=1, proposal=proposal, node=node)
    return msgspec.structs.replace(item, origin=origin)


def everywhere(size: int) -> dict[str, int]:
    return dict.fromkeys(NAMES, size)


ROLLOUT = Rollout("p", NAMES, 1, 2, 1)


def touched(writes: list[str]) -> set[str]:
    """The nodes for whose sake something of the rollout was written, given what the run of one wrote."""
    return {write.rpartition("port-")[2] for write in writes if "port-" in write}


def test_wave_by_wave() -> None:
    fleet = Fleet(ROLLOUT)
    fleet.commit(everywhere(1))
    # All of them run, again and again, in the worst order.
    order: list[str] = []
    for _ in range(12):
        for node in (*reversed(NAMES), SWITCH):
            writes, _ = fleet.run(node)
            order += [*sorted(touched(writes))] if node == SWITCH else []
            order += [node.upper()] if any("own" in write for write in writes) else []
    assert order == ["n1", "N1", "n2", "n3", "N3", "N2", "n4", "n5", "N5", "N4"]
    assert fleet.course.state == "done"
    # What is no part of it never waited.
    assert all(Address("thing", "free") in fleet.devices[node].state for node in NAMES)

    # A commit for one node of the last wave finds the others done.
    fleet.commit({**everywhere(1), "n5": 2})
    assert fleet.gates(SWITCH).later == {}
    assert fleet.run(SWITCH)[0] == ["update thing/port-n5"]
    assert fleet.run("n5")[0] == ["update thing/own"]


def converged(rollout: Rollout = ROLLOUT) -> Fleet:
    fleet = Fleet(rollout)
    fleet.commit(everywhere(1))
    settle(fleet)
    return fleet


def settle(fleet: Fleet) -> None:
    for _ in range(14):
        for node in (*NAMES, SWITCH):
            fleet.run(node)


def test_a_canary_that_fails_stops_it_until_it_is_mended() -> None:
    fleet = converged()
    fleet.commit(everywhere(2))
    fleet.devices["n1"].reject = {"thing/own"}
    settle(fleet)
    assert fleet.course.stopped == "n1 failed: n1:thing/own: rejected thing/own"
    assert all(
        fleet.devices[node].state[Address("thing", "own")] == thing("thing/own", size=1)
        for node in NAMES
    )
    assert fleet.gates("n3").later == {
        "thing/own": "rollout of p stopped: n1 failed: n1:thing/own: rejected thing/own"
    }
    rack = fleet.waits()
    (chain,) = rack.why("n4")
    assert [step.what for step in chain.path] == ["n4:thing/own", "rollout of p", "n1:thing/own"]
    assert chain.kind == "failed"
    assert not any(rack.moving(node) for node in NAMES[1:])
    assert rack.waiting_since("n4") is None
    # A new revision is tried where the last one failed.
    fleet.devices["n1"].reject = set()
    fleet.commit(everywhere(3))
    settle(fleet)
    assert all(fleet.right(node) for node in NAMES)


def test_what_is_done_is_mended_though_the_rollout_has_stopped() -> None:
    fleet = converged()
    fleet.commit({**everywhere(1), "n1": 2})
    fleet.devices["n1"].reject = {"thing/own"}
    settle(fleet)
    assert fleet.course.stopped
    own = Address("thing", "own")
    fleet.devices["n5"].state[own] = thing("thing/own", size=9)
    assert fleet.run("n5")[0] == ["update thing/own"]
    assert fleet.right("n5")


def test_removal_goes_wave_by_wave_too() -> None:
    fleet = converged()
    fleet.commit({})  # still deployed, and declares nothing any more
    order: list[str] = []
    for _ in range(14):
        for node in (SWITCH, *reversed(NAMES)):
            writes, _ = fleet.run(node)
            order += [*sorted(touched(writes))] if node == SWITCH else []
            order += [node.upper()] if any("own" in write for write in writes) else []
    # The server's comes first, as ever: its port is still rested on before.
    assert order[:2] == ["N1", "n1"]
    assert order.index("n1") < order.index("N2") < order.index("N4")
    assert order.index("n3") < order.index("N4")
    assert all(fleet.right(node) for node in NAMES)


def test_what_somebody_else_wants_at_once_now_waits_no_more() -> None:
    """That changes nothing of what the node is told."""
    fleet = Fleet(ROLLOUT)
    nodes = {node: msgspec.structs.replace(bundle().node, name=node) for node in NAMES}
    for proposal in ("p", "now"):
        made = {n: bundle(by("p" if n == "n1" else proposal, declare("thing/own"))) for n in NAMES}
        made = {n: msgspec.structs.replace(one, node=nodes[n]) for n, one in made.items()}
        woken = fleet.live.install(fleet.live.prepare(made, {"p": ROLLOUT}), fleet.clock)
        assert ("thing/own" in fleet.gates("n2").later) == (proposal == "p")
    assert woken >= {"n2", "n3"}


def test_what_is_declared_absent_is_done_when_it_has_gone() -> None:
    fleet = converged()
    gone = by("p", declare("thing/own", ensure="absent"))
    nodes = {node: msgspec.structs.replace(bundle().node, name=node) for node in NAMES}
    made = {n: msgspec.structs.replace(bundle(gone), node=nodes[n]) for n in NAMES}
    fleet.live.install(fleet.live.prepare(made, {"p": ROLLOUT}), fleet.clock)
    assert "remove thing/own" not in fleet.run("n2")[0]
    assert "remove thing/own" in fleet.run("n1")[0]
    assert fleet.course.opened == 2
    assert "remove thing/own" in fleet.run("n2")[0]


def test_what_goes_first_by_its_wave_and_last_by_its_users_comes_to_its_end() -> None:
    fleet = converged()
    vlan = by("p", declare("thing/vlan"))
    user = by("p", declare("thing/user", needs=[("n1:thing/vlan", vlan.digest)]))
    has = {"n1": [vlan], "n3": [user]}
    nodes = {node: msgspec.structs.replace(bundle().node, name=node) for node in NAMES}
    for wanted in (has, {}):
        made = {n: msgspec.structs.replace(bundle(*wanted.get(n, ())), node=nodes[n]) for n in NAMES}  # fmt: skip
        fleet.live.install(fleet.live.prepare(made, {"p": ROLLOUT}), fleet.clock)
        for _ in range(8):
            for node in NAMES:
                fleet.run(node)
        there = {node for node in NAMES for what in fleet.devices[node].state if what.name in ("vlan", "user")}  # fmt: skip
        assert there == set(wanted)
        assert fleet.course.state == "done"


def test_what_several_ask_for_comes_with_the_first_and_goes_with_the_last() -> None:
    fleet = Fleet(ROLLOUT)
    nodes = {node: msgspec.structs.replace(bundle().node, name=node) for node in fleet.devices}
    everybody = tuple(Asked(node, ("p",)) for node in ("n4", "n2"))
    shared = msgspec.structs.replace(by("p", declare("thing/shared"), "n4"), asked=everybody)
    own = {node: by("p", declare("thing/own")) for node in NAMES}

    def install(*on_switch: Declared) -> None:
        made = {n: bundle(own[n]) if n in own else bundle(*on_switch) for n in nodes}
        made = {n: msgspec.structs.replace(one, node=nodes[n]) for n, one in made.items()}
        fleet.live.install(fleet.live.prepare(made, {"p": ROLLOUT}), fleet.clock)

    install(shared)
    assert fleet.gates(SWITCH).later["thing/shared"].startswith("rollout of p: wave 2 of 3")
    fleet.run("n1")
    assert fleet.gates(SWITCH).later == {}
    assert fleet.run(SWITCH)[0] == ["create thing/shared"]
    assert fleet.course.opened == 2  # n2 and n3 have still to come
    install()
    # Now it counts for n4, so n2 and n3 do not wait for it to go, and it waits for them.
    assert fleet.run(SWITCH)[0] == []
    for node in ("n2", "n3"):
        fleet.run(node)
    assert fleet.run(SWITCH)[0] == ["remove thing/shared"]


def test_purge_goes_wave_by_wave() -> None:
    fleet = converged()
    for purge in ((), ("thing",)):
        made = {}
        for node in NAMES:
            theirs = thing("thing/theirs")
            fleet.devices[node].state[theirs.address] = theirs
            one = bundle(purge=purge, purge_asked={kind: (Asked("", ("p",)),) for kind in purge})
            made[node] = msgspec.structs.replace(one, node=msgspec.structs.replace(one.node, name=node))  # fmt: skip
        fleet.live.install(fleet.live.prepare(made, {"p": ROLLOUT}), fleet.clock)
        order = []
        for _ in range(6):
            order += [n for n in reversed(NAMES) if "remove thing/theirs" in fleet.run(n)[0]]
        assert order == (["n1", "n3", "n2", "n5", "n4"] if purge else [])
    assert fleet.course.state == "done"


def test_nodes_that_it_is_deployed_on_no_more_come_last() -> None:
    fleet = converged()
    few = Rollout("p", ("n4", "n5"), 1, 1, 1)
    fleet.commit({"n4": 2, "n5": 2}, few)
    assert [wave.nodes for wave in fleet.course.waves] == [("n4",), ("n5",), ("n1",), ("n2",), ("n3",)]  # fmt: skip
    writes = [write for node in ("n1", "n2", "n3") for write in fleet.run(node)[0]]
    assert writes == []
    settle(fleet)
    assert all(fleet.right(node) for node in NAMES)
    assert [wave.nodes for wave in fleet.course.waves] == [("n4",), ("n5",)]


def test_without_a_rollout_nothing_waits() -> None:
    fleet = converged()
    fleet.commit(everywhere(2))
    assert fleet.gates("n5").later
    made = {node: served.value for node, served in fleet.live.bundles.items()}
    woken = fleet.live.install(fleet.live.prepare(made))  # type: ignore[arg-type]
    assert woken == {"n2", "n3", "n4", "n5", SWITCH}
    assert fleet.gates("n5").later == {}


def test_a_wave_wakes_its_own_nodes_alone() -> None:
    fleet = converged()
    assert fleet.commit(everywhere(2)) == {*NAMES, SWITCH}
    woken = fleet.run(SWITCH)[1]
    assert woken == {"n1"}
    for node in NAMES[1:]:
        fleet.run(node)
    # The canary is done: its ports may go, and nobody else is told anything new.
    assert fleet.run("n1")[1] == {"n2", "n3", SWITCH}
    assert fleet.gates("n4").later["thing/own"].endswith("waits for n2, n3 (wave 2)")


def test_a_node_that_cannot_be_reached_stops_it() -> None:
    fleet = converged()
    fleet.commit(everywhere(2))
    gone = Report(id="x", node="n1", started=1, finished=1, error="no route", kind="unreachable")
    fleet.clock += 1
    fleet.report(gone)
    assert fleet.course.stopped == "n1 failed: n1: no route"
    (chain,) = fleet.waits().why("n5")
    assert [step.what for step in chain.path] == ["n5:thing/own", "rollout of p", "n1"]
    assert (chain.kind, chain.root) == ("unreachable", "n1")
    # It is back. One that was told to leave in the middle is no failure.
    fleet.run(SWITCH)
    fleet.run("n1")
    assert not fleet.course.stopped
    fleet.report(msgspec.structs.replace(gone, node="n2", kind="interrupted"))
    assert not fleet.course.stopped
    # Nor is one that is gone for good: nobody waits for it.
    fleet.report(msgspec.structs.replace(gone, node="n2"))
    assert fleet.course.stopped
    fleet.live.retired = {"n2"}
    fleet.live.retire("n2")
    assert not fleet.course.stopped
    fleet.run(SWITCH)  # what it had put on a neighbour is still done there
    assert fleet.course.waves[1].done == ("n2",)


def test_one_that_is_lost_after_it_was_verified_stops_it_too() -> None:
    fleet = converged()
    fleet.clock += 1
    gone = Report(id="x", node="n1", started=1, finished=1, error="no route", kind="unreachable")
    fleet.report(gone)
    assert fleet.course.stopped == "n1 failed: n1: no route"


def test_what_has_gone_by_the_ledger_has_gone() -> None:
    fleet = converged()
    fleet.commit({})
    assert fleet.course.waves[0].done == ()
    fleet.live.note_ledger("n1", b"{}", {})
    fleet.live.note_ledger(SWITCH, b"{}", {})
    assert fleet.course.waves[0].done == ("n1",)


def test_one_that_fails_is_put_up_with_where_that_is_said() -> None:
    fleet = converged(Rollout("p", NAMES, 1, 2, 2))
    fleet.commit(everywhere(2))
    fleet.devices["n2"].reject = {"thing/own"}
    settle(fleet)
    assert [fleet.right(node) for node in NAMES] == [True, False, True, True, True]
    assert fleet.course.state == "going"


actions = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from([*NAMES, SWITCH, SWITCH])),
        st.tuples(st.just("break"), st.sampled_from([*NAMES, SWITCH])),
        st.tuples(st.just("mend"), st.sampled_from([*NAMES, SWITCH])),
        st.tuples(st.just("lose"), st.sampled_from([*NAMES, SWITCH])),
        st.tuples(st.just("restart"), st.just("")),
        st.tuples(st.just("commit"), st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3))),
    ),
    min_size=10,
    max_size=40,
)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2), st.integers(1, 3), actions)
def test_whatever_comes_no_wave_goes_before_the_last_is_right(
    canary: int, at_once: int, what: list[tuple[str, Any]]
) -> None:
    fleet = Fleet(Rollout("p", NAMES, canary, at_once, 1))
    fleet.commit({})
    waves = waves_of(fleet.rollout)
    number = {node: i for i, wave in enumerate(waves) for node in wave}
    for action, on in what:
        if action == "commit":
            fleet.commit(on)
        elif action == "restart":
            fleet.restart()
        elif action == "break":
            names = ("own", *(f"port-{node}" for node in NAMES))
            fleet.devices[on].reject = {f"thing/{name}" for name in names}
        elif action == "mend":
            fleet.devices[on].reject = set()
            fleet.devices[on].lose_before = None
        elif action == "lose":
            fleet.devices[on].lose_before = len(fleet.devices[on].writes)
        else:
            rights = {node: fleet.right(node) for node in NAMES}
            writes, _ = fleet.run(on)
            goes = touched(writes) if on == SWITCH else {on} & touched_own(on, writes)
            for node in goes:
                before = [name for name in NAMES if number[name] < number[node]]
                assert all(rights[name] for name in before), (on, writes, rights)
    # Once nothing fails any more, all of it comes to its end.
    for device in fleet.devices.values():
        device.reject, device.lose_before = set(), None
    settle(fleet)
    assert all(fleet.right(node) for node in NAMES)
    assert fleet.course.state == "done"
    assert all(not fleet.gates(node).later for node in fleet.devices)


def touched_own(node: str, writes: list[str]) -> set[str]:
    return {node} if any("own" in write for write in writes) else set()


# Over HTTP.

ABOUT = {"p": {"nodes": ["web1", "web2", "web3"], "canary": 1, "at_once": 1}}


def site(value: int) -> dict[str, Any]:
    spec = {"proposal": "p", "data": {"value": value}}
    return {f"web{i}": {"file/a": spec, "file/b": {}} for i in (1, 2, 3)}


def fails(agent: Agent, why: str) -> None:
    agent.report(reported(agent, {"state": "failed", "action": "update", "why": why}))


def later(agents: Mapping[str, Agent]) -> dict[str, list[str]]:
    return {name: sorted(agent.gates()[0].later) for name, agent in agents.items()}


def test_a_rollout_is_followed(repo: Repository, tmp_path: Path) -> None:
    repo.site(site(1), rollouts=ABOUT)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("web1", "web2", "web3")
        assert later(agents) == {"web1": [], "web2": ["file/a"], "web3": ["file/a"]}
        assert command(store, "rollout")[0] == 3
        watch = agents["web2"].watch()
        last = agents["web3"].watch()
        agents["web1"].converged("1", time.time())
        assert later(agents) == {"web1": [], "web2": [], "web3": ["file/a"]}
        changed = agents["web2"].client.wait([watch, last], 20)
        assert changed == {"web2"}
        code, said = command(store, "rollout", "p")
        assert code == 3
        assert "1 of 3 waves done, 1 of 3 nodes" in said
        assert [row.split()[:4] for row in said.splitlines()[2:]] == [
            ["1", "web1", "done", "1/1"],
            ["2", "web2", "open", "0/1"],
            ["3", "web3", "waiting", "0/1"],
        ]

        # Its turn has come and it has not answered: that is what everybody waits for.
        code, said = command(store, "why-waiting", "web3")
        assert "└─ rollout of p\n" in said
        assert "web2's agent has been told" in said
        assert verdict(store.admin.status()) is None

        fails(agents["web2"], "disk full")
        agents["web1"].converged("11", time.time())
        agents["web3"].report(blocked(agents["web3"]))
        code, said = command(store, "rollout")
        assert code == 2
        assert "stopped" in said
        assert "web2 failed: web2:file/a: disk full" in said
        assert agents["web3"].gates()[0].later["file/a"].startswith("rollout of p stopped: web2")
        status = store.admin.status()
        assert not line(store, "web3")["moving"]
        assert line(store, "web3")["standing"] == {"verified": 1, "waiting": 1}
        assert status["rollouts"][0]["state"] == "stopped"
        assert "rollout of p stopped" in command(store, "status")[1]
        steps = [step for wave in store.admin.sequence()["waves"] for step in wave]
        held = next(step for step in steps if step["address"] == "web3:file/a")
        assert held["state"] == "waiting"
        assert held["why"].startswith("rollout of p stopped")

    # The store starts again: it is where it was.
    with running(repo.path, tmp_path / "data") as store:
        assert command(store, "rollout")[0] == 2
        credentials = {name: agent.credential for name, agent in agents.items()}
        agents = {name: Agent(store.client, name, key) for name, key in credentials.items()}
        assert later(agents) == {"web1": [], "web2": [], "web3": ["file/a"]}
        code, said = command(store, "watch", "--timeout", "20")
        assert code == 2
        assert "rollout of p stopped" in said

        # A new commit is tried from the first wave on.
        repo.site(site(2), rollouts=ABOUT)
        store.admin.poke()
        eventually(lambda: later(agents)["web2"] == ["file/a"])
        for name in agents:
            assert command(store, "rollout")[0] == 3
            assert later(agents)[name] == []
            agents[name].converged(f"2{name}", time.time())
        assert command(store, "rollout")[0] == 0
        assert verdict(store.admin.status()) == 0
        with pytest.raises(Exception, match="no proposal 'q' with a"):
            command(store, "rollout", "q")


def blocked(agent: Agent) -> Report:
    why = agent.gates()[0].later["file/a"]
    return reported(agent, {"state": "blocked", "action": "create", "why": why})


def reported(agent: Agent, of_a: Mapping[str, Any]) -> Report:
    """Everything is in sync, but for file/a."""
    now = time.time()
    outcomes = tuple(
        Outcome(
            address=str(item.address),
            digest=item.digest,
            **(of_a if str(item.address) == "file/a" else {"state": "in_sync"}),
        )
        for item in agent.must().resources
    )
    return Report(id=f"r{now}", node=agent.node, started=now, finished=now, outcomes=outcomes)


def test_a_node_that_was_never_enrolled_is_waited_for(repo: Repository, tmp_path: Path) -> None:
    repo.site(site(1), rollouts=ABOUT)
    with running(repo.path, tmp_path / "data") as store:
        agents = store.agent("web2", "web3")
        for name, agent in agents.items():
            agent.report(blocked(agent))
            assert name in line(store, name)["node"]
        chain = store.admin.waiting("web3")["chains"][0]
        assert (chain["kind"], chain["root"]) == ("unenrolled", "web1")
        assert verdict(store.admin.status()) == 3
        store.admin.retire("web1", who="me")
        assert later(agents) == {"web2": [], "web3": ["file/a"]}
        # It has been enrolled again: it is waited for again.
        store.agent("web1")
        assert later(agents) == {"web2": ["file/a"], "web3": ["file/a"]}


def test_a_ledger_that_says_nonsense_of_who_asked_is_refused(
    repo: Repository, tmp_path: Path
) -> None:
    repo.site(site(1), rollouts=ABOUT)
    with running(repo.path, tmp_path / "data") as store:
        agent = store.agent("web1")["web1"]
        with pytest.raises(Exception, match="not what it must be"):
            agent.ledger({"file/a": {"asked": 3}})
        agent.ledger({"file/z": {"asked": [["", ["p"]]]}})
        assert sorted(agent.gates()[0].later) == []
        assert store.admin.rollouts()[0]["waves"][0]["resources"] == 2
