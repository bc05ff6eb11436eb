"""The qbridge provider and the habits of agents, on our simulated switch, through the whole engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rackwright.engine.plan import declared_fields
from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.report import FieldChange
from rackwright_providers.switch import qbridge_facts, qbridge_render
from rackwright_providers.switch.qbridge import QBridge
from rackwright_providers.switch.resources import Port, Vlan
from rackwright_providers.transport.snmp_value import octets
from rackwright_sim import qbridge_mib as mib
from rackwright_sim.faults import Faults
from rackwright_sim.qbridge import QBridgeOptions
from tests.conformance.converging import Delegate, states, told
from tests.conformance.rig import Case, Written
from tests.conformance.rigs.qbridge import Switch, switch
from tests.tables import table

RENDERED = table(Path(__file__).with_name("cases").joinpath("qbridge_render.yaml"))


class Bench:
    def __init__(self, rig: Switch, state: Path) -> None:
        self.rig = rig
        self.device = rig.switch.device
        self.delegate = Delegate(Case(platform="qbridge", declare=()), rig, "snmp", state)
        self.sets: list[list[tuple[mib.Path, Any]]] = []
        taken = self.device.set

        def noting(bindings: Sequence[tuple[mib.Path, Any]], *, apply: bool) -> None:
            self.sets.append(list(bindings))
            taken(bindings, apply=apply)

        self.device.set = noting  # type: ignore[method-assign]

    def converge(self, *written: Written) -> dict[str, str]:
        """State by address; two runs, the second of which has nothing to do where all is well."""
        report = self.delegate.run(written)
        assert not report.error, told(report)
        if report.exit_code == 0:
            again = self.delegate.run(written)
            assert set(states(again).values()) == {"in_sync"}, told(again)
        return states(report)

    def why(self, *written: Written) -> dict[str, str]:
        """What is said of each, by address."""
        return {outcome.address: outcome.why for outcome in self.delegate.run(written).outcomes}

    def written(self) -> list[mib.Path]:
        """The objects that were set, in order."""
        return [path for bindings in self.sets for path, _ in bindings]


@contextlib.contextmanager
def bench(tmp_path: Path, options: QBridgeOptions | None = None) -> Iterator[Bench]:
    with switch(options or QBridgeOptions(), tmp_path) as rig:
        yield Bench(rig, tmp_path / "state")


PORTS = Wanted(frozenset({Port}), {})

HABITS = {
    "trimmed": QBridgeOptions(lists="trimmed"),
    "offset": QBridgeOptions(offset=40),
    "small": QBridgeOptions(max_set=2),
    "one_untagged": QBridgeOptions(one_untagged=True),
    "lenient": QBridgeOptions(untagged_within_egress=False, pvid_holds_vlan=False),
}


@pytest.mark.parametrize("habit", HABITS)
def test_the_same_comes_of_it_whatever_the_agents_habits(habit: str, tmp_path: Path) -> None:
    with bench(tmp_path, HABITS[habit]) as made:
        offset = HABITS[habit].offset
        one, two, nine = 1 + offset, 2 + offset, 9 + offset
        vlans = [{"vlan": str(n), "title": f"v{n}"} for n in range(30, 40)]
        made.converge(
            *vlans,
            {"port": "ge-0/0/1", "access_vlan": 30},
            {"port": "ge-0/0/2", "native_vlan": 31, "allowed_vlans": "30-35"},
        )
        held = made.device.vlans
        assert (held[30].egress, held[30].untagged) == ({one, two}, {one})
        assert (held[31].egress, held[31].untagged) == ({two}, {two})
        assert [made.device.ports[n].pvid for n in (one, two, nine)] == [30, 31, 1]
        assert {one, two} & held[1].egress == set()
        assert held[1000].egress == {9, 10, 20}  # whatever these are: they are as they were
        made.converge(
            {"port": "ge-0/0/1", "access_vlan": 1}, {"port": "ge-0/0/2", "access_vlan": 1}
        )
        assert sorted(made.device.vlans) == [1, 1000, 1001]
        assert made.device.vlans[1].untagged == set(made.device.ports)


@pytest.mark.parametrize("lists", ["pairs", "numbers"])
def test_nothing_is_written_into_lists_that_are_no_bitmaps(lists: Any, tmp_path: Path) -> None:
    with bench(tmp_path, QBridgeOptions(lists=lists)) as made:
        before = made.rig.state()
        wanted = [{"port": "ge-0/0/1", "access_vlan": 1000}, {"vlan": "1001", "ensure": "absent"}]
        said = made.why(*wanted)
        assert all("not the bitmaps of RFC 4363" in why for why in said.values())
        assert len(said) == 2
        assert made.rig.state() == before
        assert made.written() == []
        # What needs no list is done.
        rest = [{"vlan": "30", "title": "new"}, {"port": "ge-0/0/1", "description": "web1"}]
        assert set(made.converge(*rest).values()) == {"changed"}


def test_what_is_understood_stays_understood_as_long_as_the_session(tmp_path: Path) -> None:
    """Lists that are all but empty say little; those of before said enough."""
    with bench(tmp_path) as made:
        provider = made.delegate.provider
        kept = made.delegate.session(writable=False)
        fresh = made.delegate.session(writable=False)
        with contextlib.closing(kept), contextlib.closing(fresh):
            provider.read(kept, PORTS)
            made.device.vlans[1] = mib.Vlan("default", set(), set())
            made.device.touch()
            for session, mode in ((kept, "trunk"), (fresh, None)):
                seen = provider.read(session, PORTS)[Address("port", "ge-0/0/10")]
                assert isinstance(seen, Port)
                assert seen.mode == mode


def test_in_before_out(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.converge({"vlan": "30"}, {"port": "ge-0/0/3", "access_vlan": 30})
        assert made.written() == [
            (*mib.VLAN_STATUS, 30),
            (*mib.VLAN_NAME, 30),
            (*mib.VLAN_EGRESS, 30),
            (*mib.VLAN_UNTAGGED, 30),
            (*mib.PVID, 3),
            (*mib.VLAN_UNTAGGED, 1),
            (*mib.VLAN_EGRESS, 1),
        ]


def test_somebody_else_who_writes_is_noticed_and_not_undone(tmp_path: Path) -> None:
    """Another manager takes port 20 out of the list that has just been written."""
    with bench(tmp_path) as made:
        taken, meddled = made.device.set, []

        def meddling(bindings: Sequence[tuple[mib.Path, Any]], *, apply: bool) -> None:
            taken(bindings, apply=apply)
            if bindings[0][0] == (*mib.VLAN_EGRESS, 1000) and not meddled:
                meddled.append(True)
                row = made.device.vlans[1000]
                made.device.vlans[1000] = mib.Vlan(row.title, row.egress - {20}, row.untagged)

        made.device.set = meddling  # type: ignore[method-assign]
        wanted = {"port": "ge-0/0/3", "access_vlan": 1000}
        assert "changed by somebody else" in made.why(wanted)["port/ge-0/0/3"]
        assert made.converge(wanted) == {"port/ge-0/0/3": "changed"}
        assert made.device.vlans[1000].egress == {3, 9, 10}


def test_a_vlan_that_somebody_made_meanwhile_is_taken_over(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.device.before_set = lambda: made.device.vlans.setdefault(
            30, mib.Vlan("theirs", set(), set())
        )
        assert (
            made.converge({"vlan": "30", "title": "ours"}, {"vlan": "31"})["vlan/30"] == "changed"
        )
        assert made.device.vlans[30].title == "ours"


def test_a_vlan_that_cannot_go_keeps_its_ports(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.converge({"vlan": "30"}, {"port": "ge-0/0/2", "allowed_vlans": "1,30"})
        made.rig.switch.faults = Faults(reject_only=r"4\.3\.1\.5\.30=6")
        wanted = {"vlan": "30", "ensure": "absent"}
        assert "notWritable" in made.why(wanted)["vlan/30"]
        assert made.device.vlans[30].egress == {2}
        made.rig.switch.faults = Faults()
        assert made.converge(wanted)["vlan/30"] == "removed"
        assert made.device.ports[2].pvid == 1


def test_of_many_vlans_only_the_refused_one_fails(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.rig.switch.faults = Faults(reject_only=r"4\.3\.1\.\d\.77=")
        wanted = [{"vlan": str(number)} for number in range(50, 150)]
        report = made.delegate.run(wanted)
        assert [key for key, state in states(report).items() if state != "changed"] == ["vlan/77"]
        assert made.device.vlans.keys() == {1, 1000, 1001, *range(50, 150)} - {77}
        assert all(title.title == f"VLAN{n:04d}" for n, title in made.device.vlans.items() if n in range(50, 77))  # fmt: skip


def test_of_many_ports_only_the_refused_one_fails(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.rig.switch.faults = Faults(reject_only=r"4\.5\.1\.1\.5=")
        ports = [{"port": f"ge-0/0/{number}", "access_vlan": 1000} for number in range(1, 9)]
        report = made.delegate.run(ports)
        failed = [key for key, state in states(report).items() if state != "changed"]
        assert failed == ["port/ge-0/0/5"]
        assert 5 in made.device.vlans[1].untagged  # and stays where it was
        assert {1, 2, 3, 4, 6, 7, 8} <= made.device.vlans[1000].untagged
        made.rig.switch.faults = Faults()
        assert made.converge(*ports)["port/ge-0/0/5"] == "changed"


def test_ports_wait_for_their_own_vlan_alone(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.rig.switch.faults = Faults(reject_only=r"4\.3\.1\.\d\.31=")
        found = made.converge(
            *({"vlan": str(number)} for number in (30, 31)),
            {"port": "ge-0/0/1", "access_vlan": 30},
            {"port": "ge-0/0/2", "access_vlan": 31},
            {"port": "ge-0/0/3", "access_vlan": 30},
        )
        assert found["vlan/31"] == "failed"
        assert found["port/ge-0/0/2"] == "blocked"
        assert {found[f"port/ge-0/0/{number}"] for number in (1, 3)} == {"changed"}


def test_a_port_untagged_in_several_vlans_is_put_right(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        row = made.device.vlans[1000]
        made.device.vlans[1000] = mib.Vlan(row.title, row.egress | {4}, row.untagged | {4})
        made.device.touch()
        assert made.converge({"port": "ge-0/0/4", "access_vlan": 1}) == {"port/ge-0/0/4": "changed"}
        assert made.device.vlans[1000].egress == row.egress
        assert 4 in made.device.vlans[1].untagged


def test_many_vlans_go_into_few_requests(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.converge(*({"vlan": str(number)} for number in range(100, 500)))
        assert len(made.sets) <= 400 / 16
        assert max(len(bindings) for bindings in made.sets) >= 2 * 16


def test_a_list_is_written_once_for_all_ports(tmp_path: Path) -> None:
    with bench(tmp_path) as made:
        made.converge(
            *({"vlan": str(number)} for number in range(100, 160)),
            *({"port": f"ge-0/0/{n}", "allowed_vlans": "1,100-159"} for n in (1, 2, 24)),
        )
        assert made.written().count((*mib.VLAN_EGRESS, 159)) == 1
        assert made.device.vlans[159].egress == {1, 2, 24}
        assert made.device.vlans[159].untagged == set()


@pytest.mark.parametrize("case", RENDERED, ids=lambda case: str(case["name"]))
def test_what_is_sent_for_a_port(case: dict[str, Any]) -> None:
    before = Port(name="p1", **case["before"])
    after = QBridge().canonical(Port(name="p1", **case["after"]))
    fields = tuple(
        FieldChange(field=name, old=getattr(before, name), new=value)
        for name, value in declared_fields(after).items()
        if value != getattr(before, name)
    )
    change = Change("update", after.address, before, after, fields)
    (step,) = qbridge_render.steps([change], {})
    assert step.text.splitlines() == case["sends"]


def test_vlans_that_a_port_leaves_are_removed_one_by_one() -> None:
    """Their removal waits for that port; that of the others does not."""
    gone = [Vlan(name=str(number)) for number in range(10, 15)]
    before = Port(name="p1", mode="access", access_vlan=12)
    after = Port(name="p1", mode="access", access_vlan=1)
    moved = FieldChange(field="access_vlan", old=12, new=1)
    changes = [
        Change("update", after.address, before, after, (moved,)),
        *(Change("remove", vlan.address, vlan) for vlan in gone),
    ]
    steps = qbridge_render.steps(changes, {})
    named = [[address.name for address in step.addresses] for step in steps]
    assert named == [["p1"], ["10", "11"], ["12"], ["13", "14"]]


def test_the_path_to_ourselves() -> None:
    found = {"1.3.6.1.2.1.4.22.1.2.7.192.0.2.9": octets(bytes.fromhex("525400000009"))}
    assert qbridge_facts.arp(found, "192.0.2.9") == "52:54:00:00:00:09"
    assert qbridge_facts.arp(found, "2.9.9") == ""
    table = [
        qbridge_facts.Learned("p1", 10, "52:54:00:00:00:09"),
        qbridge_facts.Learned("p2", 10, "52:54:00:00:00:08"),
    ]
    path = qbridge_facts.path(table, "52:54:00:00:00:09")
    assert path == {Address("port", "p1"), Address("vlan", "10")}
