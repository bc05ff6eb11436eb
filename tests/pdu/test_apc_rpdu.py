"""The apc_rpdu provider against the simulated unit."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu import units
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.pdu.snmp_pdu import SnmpPdu, steady
from rackwright_sim.apc_rpdu import DELAYED_OFF, RpduOptions
from rackwright_sim.apc_rpdu import ApcRpdu as Unit
from rackwright_sim.faults import Faults
from tests.pdu.conftest import ALL, Opener, converge, outlet, plan
from tests.real.parts import until

V3 = {"version": "3", "username": "rack", "auth": "rack-auth-1", "priv": "rack-priv-1"}


APC = units.provider("apc_rpdu")
HASTY = SnmpPdu("apc_rpdu", dataclasses.replace(APC.table, patience=0.6))
"""With little patience, for units that never get there."""


@pytest.mark.parametrize("options", [{}, V3], ids=["v2c", "v3"])
@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_converges_and_then_writes_nothing(
    options: dict[str, Any], lag: float, opener: Opener
) -> None:
    wanted = [
        Outlet(name="3", state="off", label="web1 psu a"),
        Outlet(name="04", on_delay=30, off_delay=-1),
        Outlet(name="5", state="on"),
    ]
    with Unit(RpduOptions(outlets=8, lag=lag)) as unit:
        session = opener(APC, unit.port, **options)
        converge(APC, session, *wanted)
        assert (unit.outlets[3].state, unit.outlets[3].label) == ("off", "web1 psu a")
        assert (unit.outlets[4].on_delay, unit.outlets[4].off_delay) == (30, -1)
        assert unit.device.history == [(3, "off")]
        assert [unit.outlets[n].label for n in (1, 2, 4)] == ["Outlet 1", "Outlet 2", "Outlet 4"]
        writes = unit.counters.writes
        assert writes == 3  # a label, two delays in one request, one command
        assert plan(APC, session, *wanted) == []
        converge(APC, session, *wanted)
        assert unit.counters.writes == writes


@pytest.mark.parametrize("outlets", [1, 8, 24])
def test_all_outlets_are_read_in_one_exchange(outlets: int, opener: Opener) -> None:
    with Unit(RpduOptions(outlets=outlets)) as unit:
        session = opener(APC, unit.port)
        for reads in (1, 2, 3):
            found = APC.read(session, ALL)
            assert unit.counters.get_bulk == reads
            assert len(found) == outlets
        assert found[outlet(outlets)] == Outlet(
            name=str(outlets),
            state="on",
            label=f"Outlet {outlets}",
            on_delay=0,
            off_delay=0,
            reboot_delay=5,
        )
        assert unit.counters.get == 1  # when the session was opened
        assert APC.read(session, Wanted(frozenset(), {})) == {}


def test_a_dry_run_cannot_write(opener: Opener) -> None:
    with Unit() as unit:
        session = opener(APC, unit.port, writable=False)
        changes = plan(APC, session, Outlet(name="1", state="off"))
        steps = APC.render(changes, {})
        assert [step.text for step in steps] == ["rPDUOutletControlOutletCommand.1 = 2 (off)"]
        assert not hasattr(session, "set")
        assert unit.counters.writes == 0


def test_only_what_differs_is_sent(opener: Opener) -> None:
    with Unit() as unit:
        session = opener(APC, unit.port)
        (change,) = plan(APC, session, Outlet(name="1", state="on", label="x", on_delay=0))
        (step,) = APC.render([change], {})
        assert step.text == "rPDUOutletConfigOutletName.1 = 'x'"
        assert step.power is None


def test_a_pending_command_is_cancelled_first(opener: Opener) -> None:
    """Else it would undo ours when it is due."""
    with Unit() as unit:
        unit.outlets[2].state = "off"
        unit.outlets[2].off_delay = 5000
        unit.device.command(2, DELAYED_OFF)
        assert unit.device.pending(2)
        converge(APC, opener(APC, unit.port), Outlet(name="2", state="on"))
        assert unit.outlets[2].state == "on"
        assert not unit.device.pending(2)
        assert unit.counters.writes == 2


def test_a_pending_command_of_another_outlet_is_left_alone(opener: Opener) -> None:
    with Unit() as unit:
        unit.outlets[2].off_delay = 5000
        unit.device.command(2, DELAYED_OFF)
        converge(APC, opener(APC, unit.port), Outlet(name="1", state="off"))
        assert unit.device.pending(2)


def test_no_outlet_is_power_cycled(opener: Opener) -> None:
    with Unit(RpduOptions(outlets=6)) as unit:
        unit.outlets[1].state = "off"
        session = opener(APC, unit.port)
        for state in ("on", "off", "on", "on"):
            converge(
                APC,
                session,
                *(Outlet(name=str(n), state=state) for n in range(1, 7)),  # type: ignore[arg-type]
            )
        seen = {
            number: [state for at, state in unit.device.history if at == number]
            for number in range(1, 7)
        }
        assert seen.pop(1) == ["on", "off", "on"]
        assert list(seen.values()) == [["off", "on"]] * 5


def test_a_delayed_status_is_waited_for(opener: Opener) -> None:
    """Longer than the patience, while the unit says that the command is pending."""
    with Unit(RpduOptions(lag=1.5)) as unit:
        unit.outlets[1].off_delay = 10
        converge(HASTY, opener(HASTY, unit.port), Outlet(name="1", state="off"))
        assert unit.outlets[1].state == "off"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (Outlet(name="1", state="off"), "took the command off, and 1 s later the outlet is on"),
        (Outlet(name="1", label="x"), "rPDUOutletConfigOutletName.1: the unit took 'x' and holds"),
        (
            Outlet(name="1", on_delay=9),
            "rPDUOutletConfigPowerOnTime.1: the unit took 9 and holds 0",
        ),
    ],
)
def test_a_lying_unit_is_found_out(declared: Outlet, message: str, opener: Opener) -> None:
    with Unit(faults=Faults(lie=True)) as unit, pytest.raises(Rejected, match=message):
        converge(HASTY, opener(HASTY, unit.port), declared)


def test_a_refusing_unit_fails_the_outlet_with_object_and_error(opener: Opener) -> None:
    with Unit(faults=Faults(reject=True)) as unit:
        session = opener(APC, unit.port)
        with pytest.raises(Rejected, match=r"SET .*\.3\.3\.1\.1\.4\.1: notWritable"):
            converge(APC, session, Outlet(name="1", state="off"))
        with pytest.raises(Rejected, match="noAccess"):
            converge(
                APC,
                opener(APC, unit.port, community="public"),
                Outlet(name="1", state="off"),
            )
        assert unit.outlets[1].state == "on"


def test_a_rejected_outlet_leaves_the_others_to_be_done(opener: Opener) -> None:
    with Unit() as unit:
        session = opener(APC, unit.port)
        with pytest.raises(Rejected, match="wrongLength"):
            converge(APC, session, Outlet(name="1", label="x" * 40))
        converge(APC, session, Outlet(name="2", label="fine"))
        assert (unit.outlets[1].label, unit.outlets[2].label) == ("Outlet 1", "fine")


def test_an_outlet_that_the_unit_has_not(opener: Opener) -> None:
    with Unit(RpduOptions(outlets=8)) as unit:
        with pytest.raises(Rejected, match="no outlet 9"):
            converge(APC, opener(APC, unit.port), Outlet(name="9", state="on"))
        assert unit.counters.writes == 0


def test_a_stopping_process_waits_no_longer(tmp_path: Path) -> None:
    with Unit(RpduOptions(lag=3600)) as unit:
        stop = threading.Event()
        way = Way(
            transport="snmp",
            options={"host": "127.0.0.1", "port": unit.port, "community": "private"},
        )
        session = APC.open(way, Surroundings(state=tmp_path, writable=True, stop=stop))
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(converge, APC, session, Outlet(name="1", state="off"))
            while not unit.counters.writes:
                assert not work.done()
            stop.set()
            with pytest.raises(Temporary, match="told to stop"):
                work.result(10)


def test_a_unit_that_goes_silent_is_unreachable_and_later_well(opener: Opener) -> None:
    with Unit() as unit:
        session = opener(APC, unit.port, timeout=0.2, retries=0)
        unit.faults = Faults(hang=True)
        with pytest.raises(Unreachable):
            converge(APC, session, Outlet(name="1", state="off"))
        assert not session.alive()
        unit.faults = Faults()
        until(session.alive, 20)
        converge(APC, opener(APC, unit.port), Outlet(name="1", state="off"))
        assert unit.outlets[1].state == "off"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Outlet(name="1", ensure="absent"), "cannot be absent"),
        (Outlet(name="1", label="Netzteil-ä"), "not plain ASCII"),
        (Outlet(name="1", label="two\nlines"), "not plain ASCII"),
        (Outlet(name="1", label="x" * 64), "longer than 63"),
        (Outlet(name="1", on_delay=7201), "on_delay 7201 is not within -1 to 7200"),
        (Outlet(name="1", off_delay=-2), "off_delay -2 is not within -1 to 7200"),
    ],
    ids=str,
)
def test_what_no_unit_takes_is_refused_before_it_is_sent(given: Outlet, message: str) -> None:
    with pytest.raises(Permanent, match=message):
        APC.canonical(given)


@pytest.mark.parametrize(
    "given",
    [
        Outlet(name="1", on_delay=-1, off_delay=7200),
        Outlet(name="1", on_delay=0, off_delay=0, label=""),
        Outlet(name="007", label="~ !x"),
        Outlet(name="24", state="on"),
    ],
)
def test_canonical_is_idempotent(given: Outlet) -> None:
    once = APC.canonical(given)
    assert once.name == str(int(given.name))
    assert APC.canonical(once) == once


@pytest.mark.parametrize("declared", [-1, 0, 1, 7199, 7200])
def test_the_ends_of_the_delays_are_held(declared: int, opener: Opener) -> None:
    with Unit() as unit:
        session = opener(APC, unit.port)
        unit.outlets[1].on_delay = unit.outlets[1].off_delay = 77
        converge(APC, session, Outlet(name="1", on_delay=declared, off_delay=declared))
        assert (unit.outlets[1].on_delay, unit.outlets[1].off_delay) == (declared, declared)


def test_discovery(opener: Opener) -> None:
    with Unit(RpduOptions(name="pdu-a1", outlets=3, model="AP7900B", serial="Z1", load=57)) as unit:
        session = opener(APC, unit.port, writable=False)
        facts = APC.discover(session)
        assert facts.values == {
            "name": "pdu-a1",
            "object_id": "1.3.6.1.4.1.318.1.3.4.6",
            "hardware": "02",
            "firmware": "v6.7.2",
            "model": "AP7900B",
            "serial": "Z1",
            "rating_amperes": 24,
            "outlets": 3,
            "outlet_names": {"1": "Outlet 1", "2": "Outlet 2", "3": "Outlet 3"},
            "load_amperes": 6,
        }
        assert unit.counters.writes == 0


@pytest.mark.parametrize(
    ("before", "amperes", "now"),
    [(None, 5.4, 5), (5, 5.6, 5), (5, 5.9, 5), (5, 4.1, 5), (5, 6.0, 6), (5, 3.9, 4), (0, 0.9, 0)],
)
def test_the_load_does_not_flicker(before: int | None, amperes: float, now: int) -> None:
    assert steady(before, amperes) == now


def test_discovery_of_a_unit_that_misses_parts(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Unit(RpduOptions(outlets=2)) as unit:
        whole = unit.device.values
        keep = {(1, 3, 6, 1, 2, 1, 1, 3, 0), (1, 3, 6, 1, 4, 1, 318, 1, 1, 12, 3, 5, 1, 1, 4, 1)}
        session = opener(APC, unit.port)
        monkeypatch.setattr(
            unit.device, "values", lambda: {k: v for k, v in whole().items() if k in keep}
        )
        assert APC.discover(session).values == {"outlets": 1, "outlet_names": {}}
        assert APC.read(session, ALL) == {outlet(1): Outlet(name="1", state="on")}


def test_a_hung_unit_beside_ten_good_ones(opener: Opener) -> None:
    with Unit(RpduOptions(outlets=4)) as good, Unit() as hung:
        sessions = [opener(APC, good.port) for _ in range(10)]
        stuck = opener(APC, hung.port, timeout=2, retries=0)
        hung.faults = Faults(hang=True)
        with ThreadPoolExecutor(11) as pool:
            waiting = pool.submit(APC.read, stuck, ALL)
            reads = [pool.submit(APC.read, session, ALL) for session in sessions]
            assert [len(work.result(30)) for work in reads] == [4] * 10
            assert not waiting.done()
            assert isinstance(waiting.exception(30), Unreachable)


def test_bad_options_are_an_error_without_their_values(tmp_path: Path) -> None:
    way = Way(transport="snmp", options={"host": "h", "community": "s3cret-x", "port": 0})
    with pytest.raises(Permanent, match="port") as caught:
        APC.open(way, Surroundings(state=tmp_path))
    assert "s3cret-x" not in str(caught.value)
