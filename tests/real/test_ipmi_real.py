"""The IPMI provider, through ipmitool, against OpenIPMI's ipmi_sim: a BMC with three blades behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis.ipmi import Ipmi
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.ipmi import IpmiSession, Refusal, Request
from tests.chassis import ipmi_sim

PASSWORD = "s3cret-of-bmc"
PROVIDER = Ipmi()
# Management controller device locators (SDR type 12h): `Blade 1` at 0x82, `Blade 2` at 0x84.
RECORDS = (
    "0000 51 12 12 82 00 00 80 000000 0f 01 00 c7 426c6164652031",
    "0000 51 12 12 84 00 00 80 000000 0f 02 00 c7 426c6164652032",
)
pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(bool(ipmi_sim.missing()), reason=ipmi_sim.missing() or "installed"),
]


@pytest.fixture
def chassis(tmp_path: Path) -> Iterator[ipmi_sim.Chassis]:
    with ipmi_sim.chassis(tmp_path, PASSWORD, records=RECORDS) as found:
        yield found


def way(chassis: ipmi_sim.Chassis, **changes: object) -> Way:
    return Way(transport="ipmi", options=chassis.options(**changes))


def around(*, writable: bool = True) -> Surroundings:
    return Surroundings(state=Path("/nonexistent"), writable=writable)


def update(after: Blade, *names: str) -> Change:
    fields = tuple(FieldChange(field=name) for name in names)
    return Change(
        "update", after.address, before=Blade(name=after.name), after=after, fields=fields
    )


@pytest.mark.proves("ipmi", "blade", over="ipmi", on="real", by="ipmi_sim (OpenIPMI)")
def test_the_power_of_blades_behind_the_bmc(chassis: ipmi_sim.Chassis) -> None:
    by_name = Address("blade", "Blade-2")
    with closing(PROVIDER.open(way(chassis), around())) as session:
        seen = PROVIDER.read(session, Wanted(frozenset({Blade}), {by_name: Blade(name="x")}))
        names = ["0x82", "0x84", "Blade-2", "bmc"]
        assert sorted(address.name for address in seen) == names
        assert {blade.power for blade in seen.values() if isinstance(blade, Blade)} == {"on"}
        changes = [
            update(Blade(name="0x82", power="off"), "power"),
            update(Blade(name="Blade-2", power="off", grace=60), "power"),
        ]
        PROVIDER.commit(session, PROVIDER.render(changes, seen))
    assert {target: chassis.power(target) for target in (0x20, 0x82, 0x84, 0x86)} == {
        0x20: "1", 0x82: "0", 0x84: "0", 0x86: "1",
    }  # fmt: skip
    assert chassis.history() == ["0x82 power 0", "0x84 shutdown 1"]


def test_a_system_that_does_not_shut_down_is_switched_off(chassis: ipmi_sim.Chassis) -> None:
    (chassis.where / "deaf").touch()
    with closing(PROVIDER.open(way(chassis), around())) as session:
        PROVIDER.read(session, Wanted(frozenset({Blade}), {}))
        step = PROVIDER.render([update(Blade(name="0x82", power="off", grace=1), "power")], {})
        PROVIDER.commit(session, step)
    assert chassis.history() == ["0x82 shutdown 1", "0x82 power 0"]


def test_a_boot_device_reaches_the_blade(chassis: ipmi_sim.Chassis) -> None:
    """ipmi_sim passes it on and answers that its flags are not valid: it is not read back here."""
    with closing(PROVIDER.open(way(chassis), around())) as session:
        PROVIDER.read(session, Wanted(frozenset({Blade}), {}))
        step = PROVIDER.render([update(Blade(name="0x84", boot="cdrom"), "boot")], {})
        PROVIDER.commit(session, step)
    assert chassis.history() == ["0x84 boot cdrom"]


def test_reading_leaves_everything_as_it_is(chassis: ipmi_sim.Chassis) -> None:
    with closing(PROVIDER.open(way(chassis), around(writable=False))) as session:
        assert not isinstance(session, IpmiSession)
        before = session.ask(Request(0x20, 0x0A, 0x23, bytes([0, 0, 0, 0, 0, 0xFF])))
        facts = PROVIDER.discover(session)
        assert PROVIDER.discover(session) == facts
        # The repository is still there: ipmitool's own commands for it may clear it.
        assert session.ask(Request(0x20, 0x0A, 0x23, bytes([0, 0, 0, 0, 0, 0xFF]))) == before
        assert not isinstance(before[0], Refusal)
        with pytest.raises(Permanent, match="not reading"):
            session.ask(Request(0x82, 0, 2, b"\0"))
    assert facts.values["systems"]["bmc"]["product_id"] == "0x0f02"
    assert chassis.history() == []


def test_who_is_not_let_in(chassis: ipmi_sim.Chassis) -> None:
    for changes, why in (
        ({"password": "wrong"}, "password"),
        ({"username": "nobody"}, "no user"),
        ({"cipher": 17}, "cipher suite 17"),
        ({"password": "x" * 21}, "20 bytes"),
    ):
        with pytest.raises(Permanent, match=why) as caught:
            PROVIDER.open(way(chassis, **changes), around())
        assert PASSWORD not in str(caught.value)


def test_no_such_blade_and_told_to_stop(chassis: ipmi_sim.Chassis) -> None:
    with closing(PROVIDER.open(way(chassis), around())) as session:
        assert session.ask(Request(0x90, 0, 1)) == [Refusal(0x83)]
        with pytest.raises(Rejected, match="no such controller"):
            session.send(Request(0x90, 0, 2, b"\0"))
        session.stop.set()
        with pytest.raises(Temporary, match="stop"):
            session.ask(*[Request(0x82, 0, 1)] * 200)
