"""Chassis on a command line against the simulated ones: power with and without grace, facts, faults."""

from __future__ import annotations

import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Rejected, Temporary, Unreachable
from rackwright.model.facts import FoundLink
from rackwright.model.report import FieldChange
from rackwright.model.resource import declared_fields
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import cli_chassis
from rackwright_providers.chassis.cli_chassis import BladeStep, CliChassis
from rackwright_providers.chassis.dell_cmc import DellCmc
from rackwright_providers.chassis.hpe_oa import SURE, HpeOa
from rackwright_providers.chassis.resources import Blade
from rackwright_sim.cli_blades import BladeBox, ChassisOptions
from rackwright_sim.cli_ssh import BoxSsh
from rackwright_sim.dell_cmc import DellCmc as SimCmc
from rackwright_sim.faults import Faults
from rackwright_sim.hpe_oa import HpeOa as SimOa
from rackwright_sim.run import SimNode, SimWay, start_for_site

ALL = Wanted(frozenset({Blade}), {})


class Chassis:
    """A provider, a simulated chassis, and a session."""

    def __init__(
        self,
        provider: CliChassis,
        box: BladeBox,
        session: Any,
        ways: ExitStack,
        stop: threading.Event,
    ) -> None:
        self.provider, self.box, self.session = provider, box, session
        self.ways, self.stop = ways, stop
        self.sent: list[str] = []
        respond = box.respond

        def noted(line: str) -> Any:
            if box.writing.search(line):
                self.sent.append(line.strip())
            return respond(line)

        box.respond = noted  # type: ignore[method-assign]

    def converge(self, *declared: Blade) -> None:
        """Plan and commit, step by step as the engine does."""
        wanted = [self.provider.canonical(blade) for blade in declared]
        observed = self.provider.read(
            self.session, Wanted(frozenset({Blade}), {blade.address: blade for blade in wanted})
        )
        for after in wanted:
            before = observed.get(after.address)
            fields = tuple(
                FieldChange(field=field, old=getattr(before, field, None), new=value)
                for field, value in declared_fields(after).items()
                if getattr(before, field, None) != value
            )
            if fields:
                action = "update" if before else "create"
                change = Change(action, after.address, before, after, fields)  # type: ignore[arg-type]
                self.provider.commit(self.session, self.provider.render([change], observed))


def start(kind: str, tmp_path: Path, **options: Any) -> Chassis:
    provider: CliChassis = DellCmc() if kind == "dell_cmc" else HpeOa()
    box = (SimCmc if kind == "dell_cmc" else SimOa)(ChassisOptions(**options))
    stack, stop = ExitStack(), threading.Event()
    way = served(stack, box)
    around = Surroundings(state=tmp_path, writable=True, stop=stop)
    session = stack.enter_context(closing(provider.open(way, around)))
    return Chassis(provider, box, session, stack, stop)


def served(stack: ExitStack, box: BladeBox) -> Way:
    ssh = stack.enter_context(BoxSsh(box))
    options = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
    login = {"username": box.access.username, "password": box.access.password}
    return Way(transport="ssh", options={**options, **login})


@pytest.fixture(params=["dell_cmc", "hpe_oa"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def commands(kind: str, slot: str) -> dict[str, str]:
    """By what they do."""
    provider: CliChassis = DellCmc() if kind == "dell_cmc" else HpeOa()
    return {what: command.format(slot) for what, command in provider.actions.items()}


def test_a_system_that_shuts_down_is_not_cut(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path, shutdown=0.4)
    with chassis.ways:
        chassis.converge(Blade(name="3", power="graceful_off", grace=30))
        assert chassis.box.slots["3"]["power"] == "off"
        assert chassis.sent == [commands(kind, "3")["shutdown"]]


def test_a_system_that_does_not_is_cut_when_its_grace_has_passed(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path, deaf=(3,))
    with chassis.ways:
        chassis.converge(Blade(name="3", power="graceful_off", grace=1))
        assert chassis.box.slots["3"]["power"] == "off"
        known = commands(kind, "3")
        assert chassis.sent == [known["shutdown"], known["off"]]


def test_power_off_without_grace_cuts_at_once_and_waits_until_it_is_so(
    kind: str, tmp_path: Path
) -> None:
    chassis = start(kind, tmp_path, lag=0.6)
    with chassis.ways:
        chassis.converge(Blade(name="3", power="off"))
        assert chassis.box.slots["3"]["power"] == "off"
        chassis.converge(Blade(name="3", power="on"))
        assert chassis.box.slots["3"]["power"] == "on"
        known = commands(kind, "3")
        assert chassis.sent == [known["off"], known["on"]]


def test_a_blade_on_its_way_is_only_waited_for(tmp_path: Path) -> None:
    chassis = start("dell_cmc", tmp_path, lag=0.6)
    with chassis.ways:
        chassis.box.command("3", "off")
        seen = chassis.provider.read(chassis.session, ALL)
        assert seen[Blade(name="3").address].power is None  # type: ignore[attr-defined]
        chassis.converge(Blade(name="3", power="off"))
        assert chassis.box.slots["3"]["power"] == "off"
        assert chassis.sent == []


def test_what_has_come_about_by_itself_is_not_commanded(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path)
    with chassis.ways:
        step = BladeStep(addresses=(), text="", slot="3", power="on")
        chassis.provider.commit(chassis.session, [step])
        assert chassis.sent == []


def test_a_cmc_must_say_that_a_command_was_successful() -> None:
    class Session:
        def __init__(self, answer: str) -> None:
            self.answer = answer

        def execute(self, command: str, timeout: float) -> str:
            return self.answer

    def tell(command: str, answer: str) -> None:
        DellCmc().tell(Session(answer), command)  # type: ignore[arg-type]

    tell("racadm serveraction powerup -m server-3", "Server power operation successful")
    tell("racadm serveraction powerup -m server-3", "The server is already powered ON.")
    tell('racadm setslotname -i 3 "x"', "")
    for answer in ("", "The operation was aborted."):
        with pytest.raises(Rejected, match="the CMC answers"):
            tell("racadm serveraction powerup -m server-3", answer)


def test_an_empty_slot_has_no_power(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path)
    with chassis.ways:
        for power in ("on", "off"):
            with pytest.raises(Rejected, match="slot 6 is empty"):
                chassis.converge(Blade(name="6", power=power))  # type: ignore[arg-type]
        assert chassis.sent == []


def test_a_power_that_does_not_change_is_no_success(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_chassis, "PATIENCE", 0.3)
    chassis = start(kind, tmp_path)
    with chassis.ways:
        chassis.box.faults = Faults(lie=True)
        with pytest.raises(Rejected, match=r"slot 3: the chassis took the command off.*is on"):
            chassis.converge(Blade(name="3", power="off"))


def test_what_the_chassis_refuses_is_said_in_its_words(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path)
    with chassis.ways:
        chassis.box.faults = Faults(reject=True)
        with pytest.raises(Rejected, match=r"(?i)cannot be carried out|could not be carried out"):
            chassis.converge(Blade(name="3", power="off"))
        assert chassis.session.alive()


def test_told_to_stop_while_a_blade_is_going_off(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path, deaf=(3,))
    with chassis.ways:
        threading.Timer(0.3, chassis.stop.set).start()
        with pytest.raises(Temporary, match="told to stop"):
            chassis.converge(Blade(name="3", power="graceful_off", grace=600))
        assert chassis.box.slots["3"]["power"] == "on"


def test_a_dry_run_has_nothing_to_write_with(kind: str, tmp_path: Path) -> None:
    chassis = start(kind, tmp_path)
    with chassis.ways:
        way = served(chassis.ways, chassis.box)
        with closing(chassis.provider.open(way, Surroundings(state=tmp_path))) as session:
            assert len(chassis.provider.read(session, ALL)) == 16
            assert not hasattr(session, "execute")
        assert chassis.sent == []


def test_facts_and_links_of_a_cmc(tmp_path: Path) -> None:
    chassis = start("dell_cmc", tmp_path, name="c1", slots=4, occupied=(2, 4))
    with chassis.ways:
        facts = chassis.provider.discover(chassis.session)
        assert facts.values["slots"] == {
            "1": {"present": False, "name": "SLOT-01"},
            "2": {
                "present": True,
                "name": "SLOT-02",
                "serial": "2C2A3B2",
                "model": "PowerEdge M630",
                "health": "OK",
            },
            "3": {"present": False, "name": "SLOT-03"},
            "4": {
                "present": True,
                "name": "SLOT-04",
                "serial": "4C2A3B4",
                "model": "PowerEdge M630",
                "health": "OK",
            },
        }
        assert {key: value for key, value in facts.values.items() if key != "slots"} == {
            "name": "c1",
            "model": "PowerEdge M1000e",
            "serial": "5QRWQ3J",
            "firmware": "6.10",
            "mac": "18:66:DA:00:00:01",
        }
        assert facts.links == (
            FoundLink(port="2", peer="2C2A3B2", how="slot"),
            FoundLink(port="4", peer="4C2A3B4", how="slot"),
        )


def test_facts_and_links_of_an_onboard_administrator(tmp_path: Path) -> None:
    chassis = start("hpe_oa", tmp_path, name="e1", slots=2, occupied=(2,), model="ProLiant BL460c")
    with chassis.ways:
        facts = chassis.provider.discover(chassis.session)
        assert facts.values == {
            "name": "e1",
            "model": "BladeSystem c7000 Enclosure G2",
            "serial": "5QRWQ3J",
            "firmware": "4.80 Dec 13 2017",
            "slots": {
                "1": {"present": False},
                "2": {
                    "present": True,
                    "server_name": "host2",
                    "serial": "2C2A3B2",
                    "model": "ProLiant BL460c",
                    "health": "OK",
                },
            },
        }
        assert facts.links == (FoundLink(port="2", peer="2C2A3B2", how="slot"),)


def test_the_standby_onboard_administrator_is_not_used(tmp_path: Path) -> None:
    box = SimOa()
    box.role = "Standby"
    with ExitStack() as stack:
        way = served(stack, box)
        with pytest.raises(Unreachable, match="standby"):
            HpeOa().open(way, Surroundings(state=tmp_path))


@pytest.mark.parametrize(
    ("asked", "sure"),
    [
        ("Entering anything other than 'YES' will result in the command not executing.\n\n"
         "Do you want to continue? ", True),
        ("Are you sure you want to power off the blade? ", True),
        ("Password: ", False),
        ("New name? ", False),
    ],
)  # fmt: skip
def test_only_the_question_whether_we_are_sure_is_answered(asked: str, sure: bool) -> None:
    assert bool(SURE[0][0].search(asked)) is sure


def test_a_site_simulates_chassis_and_their_state_outlives_them(tmp_path: Path) -> None:
    login = {"host": "127.0.0.1", "port": 0, "username": "u", "password": "p"}
    nodes = [
        SimNode("c1", "dell_cmc", (SimWay("ssh", login), SimWay("serial", {"port": str(tmp_path / "c1"), **{k: login[k] for k in ("username", "password")}}))),
        SimNode("e1", "hpe_oa", (SimWay("ssh", login),)),
        SimNode("p1", "powerman", (SimWay("ssh", login),)),
        SimNode("p2", "vpcd", (SimWay("serial", {"port": str(tmp_path / "p2")}),)),
    ]  # fmt: skip
    state = tmp_path / "state"
    with start_for_site(nodes, state=state) as farm:
        assert farm.skipped == []
        assert [(row["node"], row["transport"]) for row in farm.table()] == [
            ("c1", "ssh"),
            ("c1", "serial"),
            ("e1", "ssh"),
            ("p1", "ssh"),
            ("p2", "serial"),
        ]
        keys = [row["host_key"] for row in farm.table()]
        cmc: Any = farm.devices["c1"]
        cmc.respond("racadm setslotname -i 3 kept")
    with start_for_site(nodes, state=state) as farm:
        cmc = farm.devices["c1"]
        assert cmc.slots["3"]["label"] == "kept"
        assert [row["host_key"] for row in farm.table()] == keys
