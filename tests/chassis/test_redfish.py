"""The Redfish provider: what it reads out of a system, what it sends, and how it waits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import redfish, redfish_model
from rackwright_providers.chassis.redfish import Redfish, RedfishStep, named
from rackwright_providers.chassis.redfish_model import System
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.http_errors import Unauthorized
from rackwright_sim.faults import Faults
from rackwright_sim.redfish import Redfish as Simulated
from rackwright_sim.redfish import RedfishOptions
from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site
from tests.tables import table

PROVIDER = Redfish()
ALL = Wanted(frozenset({Blade}), {})
SYSTEMS = table(Path(__file__).parent / "samples/redfish_systems.yaml")


def way(service: Simulated, **changes: Any) -> Way:
    options = {
        "url": service.server.url,
        "fingerprint": service.server.fingerprint,
        "username": "rack",
        "password": service.device.options.password,
    }
    return Way(transport="http", options={**options, **changes})


@contextmanager
def opened(service: Simulated, *, writable: bool = True) -> Iterator[Any]:
    around = Surroundings(state=Path("/nonexistent"), writable=writable)
    with closing(PROVIDER.open(way(service), around)) as session:
        yield session


def update(after: Blade, *names: str) -> Change:
    fields = tuple(FieldChange(field=name) for name in names)
    return Change(
        "update", after.address, before=Blade(name=after.name), after=after, fields=fields
    )


def apply(service: Simulated, after: Blade, *names: str) -> None:
    with opened(service) as session:
        PROVIDER.read(session, ALL)
        PROVIDER.commit(session, PROVIDER.render([update(after, *names)], {}))


# Values


@pytest.mark.parametrize("sample", SYSTEMS, ids=lambda sample: sample["of"])
def test_systems_as_services_describe_them(sample: dict[str, Any]) -> None:
    system = redfish_model.system(sample["json"])
    assert system.blade(system.id) == Blade(**sample["blade"])
    for what, kind in sample.get("resets", {}).items():
        assert system.resets_for(what) == kind
    for boot, sent in sample.get("boot", {}).items():
        if isinstance(sent, str):
            with pytest.raises(Rejected, match=sent):
                redfish_model.boot_change(boot, system)
        else:
            assert redfish_model.boot_change(boot, system) == {"Boot": sent}


@pytest.mark.parametrize("data", [None, [], {}, {"Id": 3, "@odata.id": "/x"}, {"Id": "1"}, "x"])
def test_what_is_no_system(data: Any) -> None:
    with pytest.raises(Rejected):
        redfish_model.system(data)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "see below", "@Message.ExtendedInfo": [{"Message": "a"}, {"Message": "b"}]}}, "a b"),
        ({"error": {"message": "no", "@Message.ExtendedInfo": {"Message": "a"}}}, "a"),
        ({"error": {"message": "no", "@Message.ExtendedInfo": [{"MessageId": "x"}]}}, "no"),
        ({"error": "no"}, ""),
        ([], ""),
    ],
)  # fmt: skip
def test_words_of_an_error(body: Any, words: str) -> None:
    assert redfish_model.says(json.dumps(body)) == words
    assert redfish_model.says("<html>") == ""


def test_names_tell_one_system() -> None:
    systems = [
        System(path="/1", id="1", name="web"),
        System(path="/2", id="2", name="db"),
        System(path="/3", id="3", name="db"),
        System(path="/4", id="not a name"),
    ]
    paths = {name: system.path for name, system in named(systems, ["web", "db", "2"]).items()}
    assert paths == {"1": "/1", "2": "/2", "3": "/3", "web": "/1"}
    assert "web" not in named(systems, ["web", "1"])  # two resources would hold one system


def test_steps_are_told_in_redfish_words() -> None:
    changes = [
        update(Blade(name="1", label="a", boot="pxe", power="off"), "label", "boot", "power"),
        update(Blade(name="2", power="off", grace=30, label="b"), "power"),
        update(Blade(name="3", boot="none", power="on"), "boot", "power"),
        Change("create", Address("blade", "9"), after=Blade(name="9")),
    ]
    steps = PROVIDER.render(changes, {})
    assert [step.text.splitlines() for step in steps] == [
        [
            "system 1: AssetTag = 'a'",
            "system 1: BootSourceOverrideTarget = Pxe, Continuous",
            "system 1: ComputerSystem.Reset ForceOff",
        ],
        ["system 2: ComputerSystem.Reset GracefulShutdown, ForceOff after 30 s"],
        [
            "system 3: BootSourceOverrideEnabled = Disabled",
            "system 3: ComputerSystem.Reset On",
        ],
        ["system 9 is not there"],
    ]
    assert steps[1].label is None


def test_a_system_without_an_asset_tag_is_refused_a_label() -> None:
    change = update(Blade(name="1", label="a"), "label")
    assert "AssetTag" in PROVIDER.refuse([change], {})[change.address]
    assert PROVIDER.refuse([update(Blade(name="1", power="on"), "power")], {}) == {}


# What is sent


def test_a_session_is_made_and_deleted_also_to_read() -> None:
    with Simulated() as service:
        with opened(service, writable=False) as session:
            assert len(service.device.sessions) == 1
            assert session.alive()
            assert len(PROVIDER.read(session, ALL)) == 4
            service.device.sessions.clear()
            assert not session.alive()
        with opened(service):
            pass
        assert service.device.sessions == {}
        assert service.counters.writes == 0


def test_a_service_without_sessions_gets_basic_credentials() -> None:
    with Simulated(RedfishOptions(sessions=False)) as service, opened(service) as session:
        assert len(PROVIDER.read(session, ALL)) == 4


def test_wrong_credentials_are_said_without_them() -> None:
    with Simulated(RedfishOptions(password="right-one")) as service:
        around = Surroundings(state=Path("/nonexistent"))
        with pytest.raises(Unauthorized) as caught:
            PROVIDER.open(way(service, password="wrong-one"), around)
        assert "-one" not in str(caught.value)


def test_all_systems_are_read_in_one_exchange() -> None:
    many = RedfishOptions(systems=tuple(map(str, range(40))))
    with Simulated(many) as service, opened(service, writable=False) as session:
        before = service.counters.requests
        assert len(PROVIDER.read(session, ALL)) == 40
        assert service.counters.requests == before + 1


def test_a_system_that_was_pulled_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish_model, "expands", lambda root: False)
    with Simulated() as service, opened(service, writable=False) as session:
        listed = session._collection

        def stale(path: str) -> list[Any]:
            return [*listed(path), {"@odata.id": f"{path}/9"}]

        monkeypatch.setattr(session, "_collection", stale)
        assert len(PROVIDER.read(session, ALL)) == 4


def test_label_and_boot_device_go_in_one_request_with_the_etag() -> None:
    with Simulated() as service:
        apply(service, Blade(name="1", label="Web ⚡", boot="pxe"), "label", "boot")
        system = service.device.systems["1"]
        assert (system.label, system.target, system.enabled) == ("Web ⚡", "Pxe", "Continuous")
        assert service.counters.writes == 1
        apply(service, Blade(name="1", label="", boot="none"), "label", "boot")
        with opened(service) as session:
            seen = PROVIDER.read(session, ALL)[Address("blade", "1")]
            assert seen == Blade(name="1", power="on", label="", boot="none")
            # Somebody changes it between our reading and our writing.
            stale = session.system(session.paths["1"])
            service.device.systems["1"].changes += 1
            with pytest.raises(Temporary, match="ETag"):
                session.change(stale, {"AssetTag": "x"})


def test_an_override_for_one_start_is_left_alone() -> None:
    with Simulated() as service:
        service.device.systems["1"].enabled, service.device.systems["1"].target = "Once", "Pxe"
        with opened(service) as session:
            blade = PROVIDER.read(session, ALL)[Address("blade", "1")]
        assert isinstance(blade, Blade)
        assert blade.boot == "none"


# Power


def test_the_power_state_is_waited_for() -> None:
    with Simulated(RedfishOptions(lag=0.4)) as service:
        apply(service, Blade(name="1", power="off"), "power")
        assert service.device.systems["1"].power == "Off"
        apply(service, Blade(name="1", power="on"), "power")
        assert service.device.systems["1"].power == "On"
        assert service.device.history == [("1", "ForceOff"), ("1", "On")]


def test_a_system_that_shuts_down_by_itself_keeps_its_power_until_then() -> None:
    with Simulated(RedfishOptions(lag=0.3)) as service:
        apply(service, Blade(name="1", power="off", grace=60), "power")
        assert service.device.history == [("1", "GracefulShutdown")]


def test_one_that_does_not_is_cut_off_after_its_grace() -> None:
    with Simulated(RedfishOptions(deaf=True)) as service:
        apply(service, Blade(name="1", power="off", grace=1), "power")
        assert service.device.history == [("1", "GracefulShutdown"), ("1", "ForceOff")]
        assert service.device.systems["1"].power == "Off"


def test_what_is_so_already_is_not_commanded() -> None:
    with Simulated() as service:
        apply(service, Blade(name="1", power="on"), "power")
        service.device.systems["2"].power = "PoweringOn"
        with opened(service) as session:
            PROVIDER.read(session, ALL)
            step = PROVIDER.render([update(Blade(name="2", power="on"), "power")], {})

            def arrives(seconds: float | None = None) -> bool:
                service.device.systems["2"].power = "On"
                return False

            session.stop = type("Stop", (), {"wait": staticmethod(arrives)})()
            PROVIDER.commit(session, step)
        assert service.device.history == []


@pytest.mark.parametrize("grace", [None, 0])
def test_without_grace_its_power_is_cut_at_once(grace: int | None) -> None:
    with Simulated() as service:
        apply(service, Blade(name="1", power="off", grace=grace), "power")
        assert service.device.history == [("1", "ForceOff")]


def test_a_reset_that_is_not_carried_out_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redfish, "POWER_PATIENCE", 0.3)
    lying = Simulated(faults=Faults(lie=True))
    with lying as service, pytest.raises(Rejected, match="its power is On"):
        apply(service, Blade(name="1", power="off"), "power")


def test_a_system_that_cannot_be_asked_to_shut_down_is_not_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rackwright_sim.redfish.RESETS", ("On", "ForceOff"))
    with Simulated() as service:
        with pytest.raises(Rejected, match="GracefulShutdown"):
            apply(service, Blade(name="1", power="off", grace=5), "power")
        assert service.device.history == []


def test_told_to_stop_while_it_waits() -> None:
    with Simulated(RedfishOptions(lag=60)) as service, opened(service) as session:
        PROVIDER.read(session, ALL)
        path = session.paths["1"]
        stop: Callable[[float], bool] = lambda seconds: True  # noqa: E731
        session.stop = type("Stop", (), {"wait": staticmethod(stop)})()
        step = RedfishStep(addresses=(), text="", name="1", power="off")
        with pytest.raises(Temporary, match="stop"):
            PROVIDER.commit(session, [step])
        assert session.system(path).power == "On"


# The platform


@pytest.mark.parametrize(
    ("blade", "why"),
    [
        (Blade(name="1", ensure="absent"), "power: off"),
        (Blade(name="1", priority=1), "priority"),
        (Blade(name="1", label=" a"), "printable"),
        (Blade(name="1", label="a\tb"), "printable"),
    ],
)
def test_what_can_never_be(blade: Blade, why: str) -> None:
    with pytest.raises(Permanent, match=why):
        PROVIDER.canonical(blade)


def test_facts_and_slots() -> None:
    with Simulated() as service, opened(service, writable=False) as session:
        facts = PROVIDER.discover(session)
        assert facts == PROVIDER.discover(session)
    assert facts.values["chassis"]["Enclosure"]["serial"] == "SIM0000CH"
    system = facts.values["systems"]["1"]
    assert system["health"] == "OK"
    assert system["macs"][0].startswith("52:54:")
    assert [link.port for link in facts.links] == ["1", "2", "3", "4"]
    assert {link.how for link in facts.links} == {"slot"}


def test_the_simulator_remembers(tmp_path: Path) -> None:
    state = tmp_path / "bmc.json"
    with Simulated(state=state) as service:
        apply(service, Blade(name="1", power="off", label="kept"), "power", "label")
        pin = service.server.fingerprint
    with Simulated(state=state) as service:
        assert service.device.systems["1"].power == "Off"
        assert service.device.systems["1"].label == "kept"
        assert service.server.fingerprint == pin


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_site_has_one_simulated(scheme: str, tmp_path: Path) -> None:
    options = {"url": f"{scheme}://127.0.0.1:0", "username": "rack", "password": "pw-of-it"}
    node = SimNode(
        "bmc-a1", "redfish", (SimWay("http", options),), (SimLink("blade-7", "web7", "slot"),)
    )
    with start_for_site([node], state=tmp_path) as farm:
        (endpoint,) = farm.endpoints
        url = f"{scheme}://{endpoint.address}"
        reach = Way(
            transport="http",
            options={**options, "url": url, "fingerprint": endpoint.host_key},
        )
        around = Surroundings(state=tmp_path)
        with closing(PROVIDER.open(reach, around)) as session:
            assert Address("blade", "blade-7") in PROVIDER.read(session, ALL)
        assert farm.skipped == []
