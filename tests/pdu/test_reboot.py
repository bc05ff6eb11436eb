"""Rebooting an outlet over SNMP, by the unit's own command and without one."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright_providers.pdu import units
from rackwright_providers.pdu.snmp_pdu import SnmpPdu
from rackwright_sim.faults import Faults
from tests.pdu.conftest import Opener
from tests.pdu.test_snmp_units import PLATFORMS, simulated
from tests.real.parts import until


def without_one(platform: str = "eaton_epdu", **changes: Any) -> SnmpPdu:
    """The platform, if its units had no reboot of their own."""
    table = dataclasses.replace(units.provider(platform).table, reboot=None, **changes)
    return SnmpPdu(platform, table)


def hasty(platform: str) -> SnmpPdu:
    """With little patience."""
    return SnmpPdu(platform, dataclasses.replace(units.provider(platform).table, patience=0.5))


class Rebooting:
    """A reboot on a thread."""

    def __init__(self, provider: SnmpPdu, session: Any, name: str) -> None:
        self.error: BaseException | None = None
        self._work: Callable[[], None] = lambda: provider.reboot(session, name)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001
            self.error = error

    def end(self) -> BaseException | None:
        self.thread.join(20)
        assert not self.thread.is_alive()
        return self.error


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_off_and_on_again(platform: str, lag: float, opener: Opener) -> None:
    provider = units.provider(platform)
    with simulated(platform, lag=lag, shared_reboot=1) as unit:
        unit.outlets[2].reboot = 1
        began = time.monotonic()
        provider.reboot(opener(provider, unit.port), "2")
        assert time.monotonic() - began >= 1
        assert unit.device.history == [(2, "off"), (2, "on")]
        assert unit.counters.writes == 1


def test_an_outlet_of_another_bank(opener: Opener) -> None:
    provider = units.provider("servertech_sentry3")
    with simulated("servertech_sentry3", banks=2, shared_reboot=1) as unit:
        provider.reboot(opener(provider, unit.port), "1.2.2")
        assert unit.device.history == [(1002, "off"), (1002, "on")]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_one_that_is_off_is_left_off(platform: str, opener: Opener) -> None:
    provider = units.provider(platform)
    with simulated(platform) as unit:
        unit.outlets[2].state = "off"
        with pytest.raises(Permanent, match="outlet 2 is off, and a reboot would switch it on"):
            provider.reboot(opener(provider, unit.port), "2")
        assert (unit.counters.writes, unit.device.history) == (0, [])


def test_one_that_waits_for_its_power_is_off(opener: Opener) -> None:
    provider = units.provider("eaton_epdu")
    with simulated("eaton_epdu") as unit:
        unit.outlets[2].state = "off"
        unit.device.do(2, "on", 5000)
        with pytest.raises(Permanent, match="outlet 2 is off"):
            provider.reboot(opener(provider, unit.port), "2")
        assert unit.device.pending(2)  # and is not cancelled for nothing
        assert unit.counters.writes == 0


def test_one_in_no_known_state_is_left_alone(opener: Opener) -> None:
    provider = units.provider("servertech_sentry3")
    with simulated("servertech_sentry3") as unit:
        unit.device.do(2, "off", 5000)
        with pytest.raises(Permanent, match=r"neither on nor off \(outletStatus says 2\)"):
            provider.reboot(opener(provider, unit.port), "2")
        assert unit.counters.writes == 0


def test_one_that_is_not_there(opener: Opener) -> None:
    provider = units.provider("raritan_pdu2")
    with simulated("raritan_pdu2") as unit:
        with pytest.raises(Rejected, match="no outlet 9"):
            provider.reboot(opener(provider, unit.port), "9")
        with pytest.raises(Permanent, match="by its number"):
            provider.reboot(opener(provider, unit.port), "1.1.9")


@pytest.mark.parametrize("platform", ["apc_rpdu", "apc_rpdu2", "eaton_epdu"])
def test_what_is_pending_is_cancelled_first(platform: str, opener: Opener) -> None:
    provider = units.provider(platform)
    with simulated(platform) as unit:
        unit.outlets[2].reboot = 1
        unit.device.do(2, "off", 5000)
        provider.reboot(opener(provider, unit.port), "2")
        assert unit.device.history == [(2, "off"), (2, "on")]
        assert not unit.device.pending(2)
        assert unit.counters.writes == 2


def test_a_unit_that_lies_is_found_out(opener: Opener) -> None:
    provider = hasty("apc_rpdu2")
    with simulated("apc_rpdu2", outlets=2) as unit:
        unit.faults = Faults(lie=True)
        with pytest.raises(Rejected, match="1 s later it has not been off"):
            provider.reboot(opener(provider, unit.port), "2")


def test_an_outlet_that_does_not_come_back_is_told(opener: Opener) -> None:
    provider = hasty("apc_rpdu2")
    with simulated("apc_rpdu2") as unit:
        unit.outlets[2].reboot = 1
        work = Rebooting(provider, opener(provider, unit.port), "2")
        until(lambda: unit.device.history)
        unit.outlets[2].reboot = 1
        unit.device._events[2].clear()  # as if its relay were broken
        assert "it is not on again" in str(work.end())


def test_a_unit_that_hangs_in_the_middle_is_unreachable(opener: Opener) -> None:
    provider = units.provider("eaton_epdu")
    with simulated("eaton_epdu") as unit:
        session = opener(provider, unit.port, timeout=0.3, retries=0)
        work = Rebooting(provider, session, "2")
        until(lambda: unit.device.history)
        unit.faults = Faults(hang=True)
        assert isinstance(work.end(), Unreachable)


def test_a_unit_that_shows_waiting_instead_of_off(opener: Opener) -> None:
    """Sentry3-MIB leaves open whether a reboot passes through off or through offWait alone."""
    provider = units.provider("servertech_sentry3")
    with simulated("servertech_sentry3", shared_reboot=1) as unit:
        status = (1, 3, 6, 1, 4, 1, 1718, 3, 2, 3, 1, 5)
        shown = {**unit.device.unit.shows, status: {"on": 1, "off": 2}}
        unit.device.unit = dataclasses.replace(unit.device.unit, shows=shown)  # type: ignore[arg-type]
        provider.reboot(opener(provider, unit.port), "2")
        assert unit.device.history == [(2, "off"), (2, "on")]


def test_told_to_stop_the_unit_goes_on_by_itself(opener: Opener) -> None:
    provider = units.provider("eaton_epdu")
    with simulated("eaton_epdu") as unit:
        unit.outlets[2].reboot = 1
        session = opener(provider, unit.port)
        work = Rebooting(provider, session, "2")
        until(lambda: unit.device.history)
        session.stop.set()
        assert isinstance(work.end(), Temporary)
        until(lambda: unit.outlets[2].state == "on")


def test_without_a_command_of_the_units_own(opener: Opener) -> None:
    provider = without_one()
    with simulated("eaton_epdu") as unit:
        unit.outlets[2].reboot = 1
        provider.reboot(opener(provider, unit.port), "2")
        assert unit.device.history == [(2, "off"), (2, "on")]
        assert unit.counters.writes == 2


def test_without_one_and_told_to_stop_the_power_comes_back(opener: Opener) -> None:
    provider = without_one(reboot_delay=None)
    with simulated("eaton_epdu") as unit:
        session = opener(provider, unit.port)
        work = Rebooting(provider, session, "2")
        until(lambda: unit.device.history)
        session.stop.set()
        assert "it has its power back" in str(work.end())
        assert unit.device.history == [(2, "off"), (2, "on")]


def test_without_one_an_off_that_comes_late_is_taken_back(opener: Opener) -> None:
    provider = without_one(patience=0.3)
    with simulated("eaton_epdu", lag=1.0) as unit:
        with pytest.raises(Rejected, match="took the command off"):
            provider.reboot(opener(provider, unit.port), "2")
        until(lambda: not unit.device.pending(2))
        assert unit.outlets[2].state == "on"


def test_without_one_a_unit_that_is_gone_is_said_to_be_left_off(opener: Opener) -> None:
    provider = without_one(reboot_delay=None)
    with simulated("eaton_epdu") as unit:
        session = opener(provider, unit.port, timeout=0.2, retries=0)
        work = Rebooting(provider, session, "2")
        until(lambda: unit.device.history)
        unit.faults = Faults(hang=True)
        session.stop.set()
        assert "outlet 2 is left off" in str(work.end())
