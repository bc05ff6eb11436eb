"""The IPMI provider: what it reads out of messages, what it sends, how it waits; and the transport."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change, Wanted
from rackwright.model.errors import Permanent, RackwrightError, Rejected, Temporary, Unreachable
from rackwright.model.report import FieldChange
from rackwright.model.site import Ipmi as Options
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import ipmi, ipmi_model
from rackwright_providers.chassis.ipmi import Ipmi
from rackwright_providers.chassis.ipmi_model import Locator
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport import ipmi as transport
from rackwright_providers.transport.ipmi import IpmiReader, Refusal, Request, parse
from rackwright_sim.faults import Faults
from rackwright_sim.ipmi import Ipmi as Simulated
from rackwright_sim.ipmi import IpmiOptions
from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site
from tests.real import parts
from tests.tables import table

PROVIDER = Ipmi()
ALL = Wanted(frozenset({Blade}), {})
SAMPLES = table(Path(__file__).parent / "samples/ipmitool.yaml")
ipmitool = pytest.mark.skipif(
    bool(parts.missing("ipmitool")), reason=parts.missing("ipmitool") or "installed"
)


def way(chassis: Simulated, **changes: Any) -> Way:
    given = chassis.device.options
    options = {"host": "127.0.0.1", "port": chassis.port, "username": given.username}
    return Way(transport="ipmi", options={**options, "password": given.password, **changes})


@contextmanager
def opened(chassis: Simulated, *, writable: bool = True) -> Iterator[Any]:
    around = Surroundings(state=Path("/nonexistent"), writable=writable)
    with closing(PROVIDER.open(way(chassis), around)) as session:
        yield session


def update(after: Blade, *names: str) -> Change:
    fields = tuple(FieldChange(field=name) for name in names)
    return Change(
        "update", after.address, before=Blade(name=after.name), after=after, fields=fields
    )


def apply(chassis: Simulated, after: Blade, *names: str) -> None:
    with opened(chassis) as session:
        PROVIDER.read(session, ALL)
        PROVIDER.commit(session, PROVIDER.render([update(after, *names)], {}))


# Messages


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["of"])
def test_what_ipmitool_writes(sample: dict[str, Any]) -> None:
    wanted = [
        Refusal(answer) if isinstance(answer, int) else bytes.fromhex(answer)
        for answer in sample["answers"]
    ]
    assert parse(sample["out"], sample["said"]) == wanted


@pytest.mark.parametrize(
    ("flags", "boot"),
    [
        ("0105 0000000000", "none"),
        ("0105 c004000000", "pxe"),
        ("0105 e008000000", "disk"),  # UEFI
        ("0105 c014000000", "cdrom"),
        ("0105 c018000000", "bios"),
        ("0105 c03c000000", "usb"),
        ("0105 8004000000", "none"),  # for the next start only
        ("0105 4004000000", "none"),  # not valid any more
        ("0105 c000000000", "none"),
        ("0105 c00c000000", None),  # safe mode: no word for it
        ("0185 c004000000", "pxe"),  # locked
        ("0104 c004000000", None),
        ("", None),
    ],
)
def test_boot_flags(flags: str, boot: str | None) -> None:
    assert ipmi_model.boot(bytes.fromhex(flags)) == boot


def test_boot_flags_are_sent_to_stay_and_keep_uefi() -> None:
    sent = ipmi_model.boot_requests(0x82, "pxe", bytes.fromhex("0105a000000000"))
    assert [request.data.hex() for request in sent] == ["031f", "040101", "05e004000000"]
    plain = ipmi_model.boot_requests(0x82, "none")[-1]
    assert plain.data.hex() == "05c000000000"
    assert str(plain) == "Set System Boot Options (00 08 05 c0 00 00 00 00) to 0x82"


def test_power_and_health() -> None:
    assert ipmi_model.power(b"\x21\x10\x40") == "on"
    assert ipmi_model.power(b"\x20\x10\x40") == "off"
    assert ipmi_model.power(b"") is None
    assert ipmi_model.health(b"\x21\x10\x40") == "OK"
    assert ipmi_model.health(b"\x0b\x00\x08") == "power overload, main power fault, cooling fault"


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ("0200 0100 51 12 12 82 00 00 80 000000 0f 01 00 c7 426c6164652031", Locator(0x82, 0, "Blade-1")),
        ("ffff 0100 51 12 0b 84 07 00 80 000000 0f 01 00 c0", Locator(0x84, 7, "0x84")),
        ("0200 0100 51 01 2b 20 00 04 07 01 ff 01 01 01 00 00 00 00 00", None),
        ("0200 0100 51 12", None),
        ("", None),
    ],
)  # fmt: skip
def test_locators(record: str, found: Locator | None) -> None:
    assert ipmi_model.locator(bytes.fromhex(record)) == found


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("c3 616263", "abc"),
        ("83 29dca6", "IPMI"),
        ("42 1a25", "1 25"),
        ("02 beef", "beef"),
        ("c0", ""),
        ("c4 20410020", "A"),
    ],
)
def test_fields_of_a_fru(data: str, text: str) -> None:
    assert ipmi_model.field(bytes.fromhex(data)) == (text, bytes.fromhex(data)[0] & 0x3F)


def test_a_damaged_fru_says_nothing() -> None:
    with_sum = bytes([1, 0, 0, 0, 1, 0, 0, 0xFE])
    assert ipmi_model.fru(with_sum + bytes([1, 1, 25, 0xC1, 0, 0, 0, 0])) == {}
    for data in (b"", b"\xff" * 64, with_sum, bytes([1, 0, 0, 200, 200, 0, 0, 0x6F])):
        assert ipmi_model.fru(data) == {}


def test_names_tell_one_controller() -> None:
    located = [
        Locator(0x82, 0, "a"),
        Locator(0x84, 0, "b"),
        Locator(0x86, 0, "b"),
        Locator(0x88, 7, "far"),
        Locator(0x20, 0, "own"),
    ]
    targets = ipmi.names(located)
    assert targets == {"bmc": 0x20, "0x82": 0x82, "0x84": 0x84, "0x86": 0x86, "a": 0x82}
    assert "a" not in ipmi.chosen(targets, set())
    assert ipmi.chosen(targets, {"a"})["a"] == 0x82
    assert "a" not in ipmi.chosen(targets, {"a", "0x82"})


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("0x82", "0x82"), ("0X8A", "0x8a"), ("0x20", "bmc"), ("bmc", "bmc"), ("blade-1", "blade-1")],
)
def test_spellings(name: str, canonical: str) -> None:
    assert PROVIDER.canonical(Blade(name=name)).name == canonical


def test_steps_are_told_in_ipmi_words() -> None:
    changes = [
        update(Blade(name="0x82", boot="pxe", power="on"), "boot", "power"),
        update(Blade(name="bmc", power="off", grace=30), "power"),
        Change("create", Address("blade", "0x90"), after=Blade(name="0x90")),
    ]
    assert [step.text.splitlines() for step in PROVIDER.render(changes, {})] == [
        [
            "0x82: Set System Boot Options 05 c0 04 00 00 00 (pxe)",
            "0x82: Chassis Control 01 (on)",
        ],
        ["bmc: Chassis Control 05 (soft), 00 (off) after 30 s"],
        ["controller 0x90 is not there"],
    ]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("> RAKP 2 HMAC is invalid", Permanent),
        ("RAKP 2 message indicates an error : unauthorized name", Permanent),
        ("Error in open session response message : insufficient resources for session", Temporary),
        ("Error in open session response message : invalid authentication algorithm", Permanent),
        ("Error in open session response message : no cipher suite match with proposed security algorithms", Permanent),
        ("RAKP 2 message indicates an error : unauthorized role or privilege level requested", Permanent),
        ("Address lookup for bmc failed", Unreachable),
        ("Get Auth Capabilities error", Unreachable),
    ],
)  # fmt: skip
def test_why_there_is_no_session(said: str, kind: type[RackwrightError]) -> None:
    session = IpmiReader(Options(host="bmc", username="rack"), threading.Event())
    assert type(session._failure(f"Loading IANA PEN Registry...\n{said}\n")) is kind


def test_the_password_is_no_argument(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "ipmitool"
    script.write_text(
        f'#!/bin/sh\necho "$@" >{tmp_path}/argv\nenv >{tmp_path}/env\ncat >/dev/null\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    options = Options(host="10.0.0.1", username="rack", password="s3cret-word")
    with pytest.raises(Unreachable):
        transport.open_ipmi(options, Surroundings(state=Path("/nonexistent")))
    assert "s3cret-word" not in (tmp_path / "argv").read_text()
    assert "IPMI_PASSWORD=s3cret-word" in (tmp_path / "env").read_text()
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(Permanent, match="not installed"):
        transport.open_ipmi(options, Surroundings(state=Path("/nonexistent")))


# Through ipmitool


@ipmitool
def test_systems_and_facts_are_read_by_both_cipher_suites() -> None:
    with Simulated(IpmiOptions(username="rack", password="x" * 20)) as chassis:
        chassis.device.controllers[0x84].power = "off"
        for cipher in (3, 17):
            around = Surroundings(state=Path("/nonexistent"))
            with closing(PROVIDER.open(way(chassis, cipher=cipher), around)) as session:
                asked = Wanted(frozenset({Blade}), {Address("blade", "blade-3"): Blade(name="x")})
                seen = {
                    address.name: blade for address, blade in PROVIDER.read(session, asked).items()
                }
                assert seen.keys() == {"bmc", "0x82", "0x84", "0x86", "blade-3"}
                assert seen["0x84"] == Blade(name="0x84", power="off", boot="none")
                facts = PROVIDER.discover(session)
        assert facts.values["systems"]["0x82"]["serial"].startswith("SIM")
        assert facts.values["systems"]["0x82"]["model"] == "3500RX blade"
        assert ("0x82", "slot") in [(link.port, link.how) for link in facts.links]
        assert chassis.counters.writes == 0


@ipmitool
def test_a_boot_device_is_set_and_read_back() -> None:
    with Simulated() as chassis:
        chassis.device.controllers[0x82].boot = "2000000000"
        apply(chassis, Blade(name="0x82", boot="pxe"), "boot")
        assert chassis.device.controllers[0x82].boot == "e004000000"
        with opened(chassis) as session:
            seen = PROVIDER.read(session, ALL)[Address("blade", "0x82")]
            assert isinstance(seen, Blade)
            assert seen.boot == "pxe"


@ipmitool
def test_power_is_waited_for_and_cut_only_after_its_grace() -> None:
    with Simulated(IpmiOptions(lag=0.3)) as chassis:
        apply(chassis, Blade(name="0x82", power="off", grace=60), "power")
        apply(chassis, Blade(name="0x82", power="on"), "power")
        assert chassis.device.history == [(0x82, 5), (0x82, 1)]
        apply(chassis, Blade(name="0x82", power="on"), "power")
        assert len(chassis.device.history) == 2
    with Simulated(IpmiOptions(deaf=True)) as chassis:
        apply(chassis, Blade(name="0x82", power="off", grace=1), "power")
        assert chassis.device.history == [(0x82, 5), (0x82, 0)]


@ipmitool
def test_a_command_that_is_not_carried_out_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipmi, "POWER_PATIENCE", 0.2)
    with Simulated(faults=Faults(lie=True)) as chassis:
        with pytest.raises(Rejected, match="its power is on"):
            apply(chassis, Blade(name="0x82", power="off"), "power")
        chassis.faults = Faults(reject=True)
        with pytest.raises(Rejected, match="present state"):
            apply(chassis, Blade(name="0x82", power="off"), "power")


@ipmitool
def test_nobody_answers() -> None:
    quick = mock.patch.multiple(transport, TRY_SECONDS=1, TRIES=1)
    with quick, Simulated() as chassis, opened(chassis) as session:
        chassis.faults = Faults(refuse=True)
        assert not session.alive()
        with pytest.raises(Unreachable):
            session.ask(Request(0x82, 0, 1))


@ipmitool
def test_a_blade_that_is_pulled_is_not_there() -> None:
    with Simulated() as chassis, opened(chassis) as session:
        assert Address("blade", "0x86") in PROVIDER.read(session, ALL)
        del chassis.device.controllers[0x86]
        wanted = Wanted(frozenset({Blade}), {Address("blade", "0x86"): Blade(name="0x86")})
        assert Address("blade", "0x86") not in PROVIDER.read(session, wanted)


@ipmitool
def test_the_simulator_remembers(tmp_path: Path) -> None:
    state = tmp_path / "bmc.json"
    with Simulated(state=state) as chassis:
        apply(chassis, Blade(name="0x82", power="off", boot="disk"), "power", "boot")
    with Simulated(state=state) as chassis:
        assert chassis.device.controllers[0x82].power == "off"
        assert chassis.device.controllers[0x82].boot == "c008000000"


@ipmitool
def test_a_site_has_one_simulated(tmp_path: Path) -> None:
    options = {"host": "127.0.0.1", "port": 0, "username": "rack", "password": "pw-of-it"}
    node = SimNode("bmc-a1", "ipmi", (SimWay("ipmi", options),), (SimLink("0x8A", "web7", "slot"),))
    with start_for_site([node], state=tmp_path) as farm:
        reach = Way(transport="ipmi", options={**options, "port": farm.port("bmc-a1", "ipmi")})
        with closing(PROVIDER.open(reach, Surroundings(state=tmp_path))) as session:
            assert Address("blade", "0x8a") in PROVIDER.read(session, ALL)
        assert farm.skipped == []
