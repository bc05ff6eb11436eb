"""Each SNMP platform against its simulated unit: what the conformance suite does not ask."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rackwright.model.errors import Permanent, Rejected
from rackwright_providers.pdu import units
from rackwright_providers.pdu.outlet_table import Object, OutletTable, Setting
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.pdu.snmp_pdu import SnmpPdu
from rackwright_sim.faults import Faults
from rackwright_sim.run import SimNode, SimWay, start_for_site
from rackwright_sim.snmp_objects import Access
from rackwright_sim.snmp_pdu import PduDevice
from rackwright_sim.snmp_pdu import SnmpPdu as Unit
from rackwright_sim.snmp_pdu_unit import PduOptions
from rackwright_sim.snmp_pdu_units import UNITS
from tests.pdu.conftest import ALL, Opener, converge, outlet, plan

PLATFORMS = sorted(UNITS)


def simulated(platform: str, **options: object) -> Unit[PduDevice]:
    """A unit of 4 outlets in each bank, for version 2c."""
    given = {"name": "pdu-a1", "outlets": 4, "banks": 1, "access": Access(users=()), **options}
    return Unit(PduDevice(UNITS[platform], PduOptions(**given)))  # type: ignore[arg-type]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_facts(platform: str, opener: Opener) -> None:
    with simulated(platform, serial="Z1", model="M2", firmware="9.9", load=57) as unit:
        provider = units.provider(platform)
        values = provider.discover(opener(provider, unit.port, writable=False)).values
        assert values["name"] == "pdu-a1"
        assert values["outlets"] == 4
        assert (values["model"], values["serial"]) == ("M2", "Z1")
        assert str(values["firmware"]).endswith("9.9")
        assert values.get("load_amperes", 6) == 6
        assert ("load_amperes" in values) == (provider.table.load is not None)
        assert str(values["object_id"]).startswith(units.provider(platform).object_ids) or (
            platform == "apc_rpdu"  # our unit is one that serves rPDU2 as well
        )


@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_banks_are_read_in_one_exchange(platform: str, opener: Opener) -> None:
    with simulated(platform, banks=3) as unit:
        provider = units.provider(platform)
        found = provider.read(opener(provider, unit.port), ALL)
        banks = UNITS[platform].banks
        assert len(found) == 4 * len(banks)
        assert unit.counters.get_bulk == 1
        names = [address.name for address in found]
        assert names[:4] == ["1", "2", "3", "4"]
        for bank in banks[1:]:
            assert ".".join(map(str, (*bank, 3))) in names


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lag", [0.0, 0.4])
def test_the_state_lags_and_is_waited_for(platform: str, lag: float, opener: Opener) -> None:
    with simulated(platform, lag=lag) as unit:
        provider = units.provider(platform)
        session = opener(provider, unit.port)
        converge(provider, session, Outlet(name="2", state="off"), Outlet(name="3", state="on"))
        assert unit.device.history == [(2, "off")]
        converge(provider, session, Outlet(name="2", state="on"))
        assert unit.device.history == [(2, "off"), (2, "on")]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_lying_unit_is_found_out(platform: str, opener: Opener) -> None:
    provider = SnmpPdu(platform, dataclasses.replace(units.provider(platform).table, patience=0.3))
    with simulated(platform) as unit:
        session = opener(provider, unit.port)
        unit.faults = Faults(lie=True)
        with pytest.raises(Rejected, match="took the command off"):
            converge(provider, session, Outlet(name="1", state="off"))


def test_one_of_several_pending_commands_is_cancelled_by_its_own_column(opener: Opener) -> None:
    provider = units.provider("eaton_epdu")
    with simulated("eaton_epdu") as unit:
        session = opener(provider, unit.port)
        unit.device.do(2, "off", 5000)
        (change,) = plan(provider, session, Outlet(name="2", state="on"))
        assert change.field_names == {"state"} or list(change.field_names) == ["state"]
        writes = unit.counters.writes
        converge(provider, session, Outlet(name="2", state="on"))
        assert unit.counters.writes == writes + 2  # -1 into outletControlOffCmd, 0 into …OnCmd
        assert not unit.device.pending(2)
        assert unit.device.history == []


def test_a_reboot_time_of_its_own_is_switched_on_along_with_it(opener: Opener) -> None:
    provider = units.provider("raritan_pdu2")
    with simulated("raritan_pdu2") as unit:
        session = opener(provider, unit.port)
        unit.outlets[2].reboot = 30
        assert provider.read(session, ALL)[Outlet(name="2").address].reboot_delay is None  # type: ignore[attr-defined]
        (change,) = plan(provider, session, Outlet(name="2", reboot_delay=30))
        (step,) = provider.render([change], {})
        assert step.text.splitlines() == [
            "outletPowerCyclingPowerOffPeriod.1.2 = 30",
            "outletUseGlobalPowerCyclingPowerOffPeriod.1.2 = 2",
        ]
        converge(provider, session, Outlet(name="2", reboot_delay=30))
        assert (unit.outlets[2].reboot, unit.outlets[2].shared) == (30, 2)
        assert plan(provider, session, Outlet(name="2", reboot_delay=30)) == []


@pytest.mark.parametrize(
    ("platform", "written", "canonical"),
    [
        ("servertech_sentry3", "1.1.7", "7"),
        ("servertech_sentry3", "01.2.07", "1.2.7"),
        ("servertech_sentry4", "007", "7"),
        ("eaton_epdu", "0.7", "7"),
        ("eaton_epdu", "1.7", "1.7"),
        ("raritan_pdu2", "1.7", "7"),
        ("apc_rpdu2", "27", "27"),
    ],
)
def test_names(platform: str, written: str, canonical: str) -> None:
    provider = units.provider(platform)
    found = provider.canonical(Outlet(name=written))
    assert found.name == canonical
    assert provider.canonical(found) == found


@pytest.mark.parametrize("name", ["0", "1.0", "1.2.3.4.5", "a", "web1", "1.", "1-1", "1" * 60])
def test_what_is_no_outlets_name(name: str) -> None:
    for platform in PLATFORMS:
        with pytest.raises(Permanent, match="an outlet by its number"):
            units.provider(platform).canonical(Outlet(name=name))


def test_a_table_that_names_a_value_which_the_mib_has_not() -> None:
    state = Object("1.3.6.1.4.1.1.1", "state", "on(1), off(2)")
    command = Object("1.3.6.1.4.1.1.2", "command", "on(1), off(2)")
    good = {"on": Setting(command, "on"), "off": Setting(command, "off")}
    with pytest.raises(ValueError, match="state has no value 'of'"):
        OutletTable(status=state, states={"on": "on", "of": "off"}, command=good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="command has no value 'reset'"):
        OutletTable(
            status=state,
            states={"on": "on", "off": "off"},
            command=good,  # type: ignore[arg-type]
            reboot=Setting(command, "reset"),
        )
    with pytest.raises(ValueError, match="without the outlet's number"):
        OutletTable(status=state, states={}, command={}, first=(1,))


def test_rackwright_sim_has_them_and_they_remember(tmp_path: Path, opener: Opener) -> None:
    ways = (SimWay("snmp", {"host": "127.0.0.1", "port": 0, "community": "private"}),)
    nodes = [SimNode(name=platform, platform=platform, ways=ways) for platform in PLATFORMS]
    for start in (1, 2):
        with start_for_site(nodes, state=tmp_path / "devices") as farm:
            assert farm.skipped == []
            for platform in PLATFORMS:
                provider = units.provider(platform)
                session = opener(provider, farm.port(platform, "snmp"))
                if start == 1:
                    converge(provider, session, Outlet(name="3", state="off"))
                found = provider.read(session, ALL)
                assert len(found) == 24
                assert found[outlet(3)].state == "off"  # type: ignore[attr-defined]


def test_every_platform_says_what_tells_it() -> None:
    known = [prefix for name in units.platforms() for prefix in units.provider(name).object_ids]
    assert len(known) == len(set(known)) >= len(units.platforms())


def test_what_the_unit_has_not_is_refused() -> None:
    with pytest.raises(Permanent, match="servertech_sentry3 has no reboot_delay"):
        units.provider("servertech_sentry3").canonical(Outlet(name="1", reboot_delay=5))
