"""What the IOS-like switch can be told to get wrong, and how it keeps what it holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rackwright_sim import ios_accounts
from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice

from .test_ios_cli import Line, switch


@pytest.mark.parametrize(
    ("pattern", "line", "refused"),
    [
        ("^vlan 20$", "vlan 20", True),
        ("^vlan 20$", "vlan 10-30,40", True),
        ("^vlan 20$", "vlan 10,30", False),
        ("^no vlan 20$", "vlan 10-30", False),
        ("^no vlan 20$", "no vlan 10-30", True),
        ("^hostname", "hostname other", True),
        ("", "hostname other", False),
    ],
)
def test_only_what_a_pattern_finds_is_refused(pattern: str, line: str, refused: bool) -> None:
    device = switch()
    device.faults = Faults(reject_only=pattern)
    terminal = Line(device)
    terminal.type("configure terminal")
    assert ("% Invalid input" in terminal.type(line)) is refused
    assert device.counters.rejected == refused


def test_a_save_can_be_refused() -> None:
    device = switch()
    device.faults = Faults(reject_only="^write")
    assert "% Invalid input" in Line(device).type("write memory")
    assert device.startup is None


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_session_is_cut_once_before_a_line_is_carried_out(before: int) -> None:
    device = switch()
    device.faults = Faults(drop_before=before)
    line = Line(device)
    line.type("configure terminal", "vlan 10", "vlan 11", "vlan 12", "exit")
    assert line.closed == [True]
    assert {vlan for vlan in device.running.vlans if 10 <= vlan < 20} == set(
        list(range(10, 13))[: max(before - 1, 0)]
    )
    again = Line(device)
    again.type("configure terminal", "vlan 10", "vlan 11", "vlan 12", "exit")
    assert again.closed == []


def test_a_large_configuration_is_kept_and_comes_up_again(tmp_path: Path) -> None:
    device = IosDevice(switch().options, tmp_path / "state.json")
    line = Line(device)
    line.type(
        "configure terminal", "vlan 2-1001,1006-4094", "hostname other", "ntp server 192.0.2.1 prefer",
        "logging host 2001:db8::1", "logging 192.0.2.2", "snmp-server community s3cret rw 10",
        "username ops privilege 15 algorithm-type sha256 secret two words", "username low privilege 0",
        "interface range gi1/0/1-2", "channel-group 7 mode active", "interface po7",
        "switchport mode trunk", "end", "write memory",
    )  # fmt: skip
    text = device.running.text()
    assert "vlan 2-1001,1006-4094 \n" in text
    assert "\nlogging host 2001:DB8::1\nlogging host 192.0.2.2\n" in text
    assert "\nsnmp-server community s3cret RW 10\n" in text
    assert "\nusername low privilege 0\n" in text
    assert "two words" not in text
    assert "two words" not in json.dumps(json.loads((tmp_path / "state.json").read_text()))
    again = IosDevice(device.options, tmp_path / "state.json")
    assert again.running.text() == text
    assert again.admits("ops", "two words")
    assert again.admits("rack", "rack")
    assert not again.admits("ops", "two")
    assert not again.admits("low", "")
    assert again.running.members("Port-channel7") == [
        "GigabitEthernet1/0/1",
        "GigabitEthernet1/0/2",
    ]


def test_published_hashes_fit() -> None:
    for secret, password in (
        ("$8$TnGX/fE4KGHOVU$pEhnEvxrvaynpi8j4f.EMHr6M.FzU8xnZnBr/tJdFWk", "hashcat"),
        ("$9$2MJBozw/9R3UsU$2lFhcKvpghcyw8deP25GOfyZaagyUOGBymkryvOdfo6", "hashcat"),
    ):
        assert ios_accounts.fits(secret, password)
        assert not ios_accounts.fits(secret, "other")
