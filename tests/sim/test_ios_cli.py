"""What the IOS-like switch answers, word for word: transcripts as data, and no I/O."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import IosOptions
from rackwright_sim.ios_terminal import Terminal
from tests.tables import table


class Line:
    """A terminal of which every byte is kept, and where no time passes."""

    def __init__(self, device: IosDevice, *, console: bool = False) -> None:
        self.out = bytearray()
        self.closed: list[bool] = []
        self._terminal = Terminal(
            device,
            self.out.extend,
            lambda _delay, call: call(),
            self.closed.append,
            origin="console" if console else "vty0 (192.0.2.9)",
            username="" if console else "rack",
        )
        self._terminal.start()

    def type(self, *lines: str) -> str:
        """Send lines; what came since, carriage returns left out."""
        return self.send("".join(f"{line}\n" for line in lines))

    def send(self, text: str) -> str:
        self.out.clear()
        self._terminal.receive(text.encode())
        return self.out.decode("utf-8", "replace").replace("\r", "")


def switch(**options: object) -> IosDevice:
    return IosDevice(IosOptions(hostname="sw-a1", ports=6, **options))  # type: ignore[arg-type]


TRANSCRIPTS = table(Path(__file__).parent / "ios_transcripts.yaml")


def _rows(text: str) -> list[str]:
    return [row.rstrip() for row in text.rstrip("\n").split("\n")]


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_transcript(name: str) -> None:
    line = Line(switch())
    line.type("terminal length 0", "terminal width 132")
    shown = "sw-a1#"
    for row in _rows(TRANSCRIPTS[name])[:-1]:
        prompt = _rows(shown)[-1]
        if row.startswith(prompt) and prompt:
            shown += line.type(row.removeprefix(prompt))
    assert _rows(shown) == _rows(TRANSCRIPTS[name])


def test_user_mode_has_no_configuration_and_enable_wants_the_secret() -> None:
    line = Line(switch(enable="s3cret"))
    assert "Invalid input" in line.type("configure terminal")
    assert line.type("enable", "wrong", "wrong").endswith("Password: ")
    assert line.type("wrong") == "\n% Bad secrets\n\nsw-a1>"
    out = line.type("enable", "s3cret", "disable", "show running-config")
    assert "s3cret" not in out
    assert "sw-a1#disable\nsw-a1>show running-config\n" in out
    assert "Invalid input" in out


def test_paging_until_it_is_switched_off() -> None:
    line = Line(switch())
    out = line.type("show running-config")
    assert out.endswith(" --More-- ")
    assert out.count("\n") == 1 + 23  # the echo's, and a page
    assert line.send("\n").count("\n") == 1
    rest = line.send("q")
    assert rest.startswith("\b" * 9 + " " * 8 + "\b" * 9)
    assert rest.endswith("sw-a1#")
    line.type("terminal length 0")
    assert "--More--" not in line.type("show running-config")


def test_line_editing_and_control_keys() -> None:
    line = Line(switch())
    assert line.send("shox\bw privilege\r\n").endswith("Current privilege level is 15\nsw-a1#")
    assert line.send("junk\x15show privilege\r").endswith("15\nsw-a1#")
    assert line.send("show junk\x17privilege\r").endswith("15\nsw-a1#")
    assert line.send("junk\x03") == "junk\nsw-a1#"
    line.type("configure terminal", "vlan 5")
    assert line.send("name kept\x1a").endswith("^Z\nsw-a1#")
    assert "kept" in line.type("show vlan brief | include ^5")
    line.type("configure terminal", "vlan 6")
    assert line.send("\x03").endswith("sw-a1#")
    assert "VLAN0006" in line.type("show vlan brief | include ^6")


def test_a_long_line_scrolls_until_the_width_is_set() -> None:
    line = Line(switch())
    words = "x" * 100
    line.type("configure terminal", "interface gi1/0/1")
    assert f"description {words}" not in line.type(f"description {words}")
    assert "$" in line.out.decode()
    line.type("end", "terminal width 511", "configure terminal", "interface gi1/0/1")
    assert f"description {words}" in line.type(f"description {words}")


def test_a_question_mark_is_help_and_stays_out_of_the_line() -> None:
    line = Line(switch())
    line.type("terminal length 0")
    out = line.send("show vlan ?")
    assert "  brief\n" in out
    assert out.endswith("\nsw-a1#show vlan ")
    line.send("\n")
    line.type("configure terminal", "interface gi1/0/1", "description what\x16? ü")
    assert "description what? ü" in line.type("do show running-config interface gi1/0/1")


def test_a_long_list_is_broken_into_add_lines_and_read_back() -> None:
    device = switch()
    line = Line(device)
    line.type("terminal length 0", "configure terminal", "interface gi1/0/1")
    ids = ",".join(str(vlan) for vlan in range(2, 202, 2))
    line.type(f"switchport trunk allowed vlan {ids}", "description a  b", "shutdown")
    line.type(
        "vlan 2,4,6",
        "vlan 8",
        "name eight",
        "interface vlan 8",
        "ip address 10.8.0.1 255.255.255.0",
        "end",
    )
    rows = line.type("show running-config interface gi1/0/1").split("\n")
    lists = [row for row in rows if "allowed" in row]
    assert len(lists) > 3
    assert all(len(row) <= 80 for row in lists)
    assert all(" vlan add " in row for row in lists[1:])
    before = device.running.text()
    line.type("write memory")
    device.reload()
    assert device.running.text() == before


def test_reload_forgets_what_was_not_saved_and_ends_all_sessions() -> None:
    device = switch()
    line, other = Line(device), Line(device)
    line.type("configure terminal", "vlan 5", "end", "write memory")
    line.type("configure terminal", "no vlan 5", "vlan 6", "end")
    assert (
        line.type("reload") == "reload\n\nSystem configuration has been modified. Save? [yes/no]: "
    )
    assert "Please answer" in line.type("maybe")
    assert line.type("no").endswith("Proceed with reload? [confirm]")
    line.type("")
    assert line.closed == [True]
    assert other.closed == [True]
    assert set(device.running.vlans) - {1, 1002, 1003, 1004, 1005} == {5}


def test_a_killed_process_comes_up_with_what_was_saved(tmp_path: Path) -> None:
    state = tmp_path / "sw-a1.json"
    options = IosOptions(hostname="sw-a1", ports=6)
    line = Line(IosDevice(options, state))
    line.type("configure terminal", "vlan 5", "end", "write memory")
    line.type("configure terminal", "vlan 6", "end")
    again = IosDevice(options, state)
    assert 5 in again.running.vlans
    assert 6 not in again.running.vlans
    assert "vlan 5" in json.loads(state.read_text())["startup"]
    Line(again).type("write erase", "")
    assert IosDevice(options, state).startup is None


def test_counters_tell_reads_from_writes() -> None:
    device = switch(enable="x")
    line = Line(device)
    line.type(
        "enable", "x", "terminal length 0", "show vlan brief", "show version | include uptime"
    )
    assert device.counters.writes == 0
    assert device.counters.commands == {"other": 2, "show": 2}
    line.type(
        "configure terminal", "do show privilege", "vlan 5", "nonsense here", "end", "write memory"
    )
    assert device.counters.commands == {"other": 3, "show": 3, "config": 3, "save": 1}
    assert (device.counters.writes, device.counters.config_lines) == (4, 1)
    assert device.counters.rejected == 1
    assert device.counters.bytes_in > 0
    assert device.counters.bytes_out > device.counters.bytes_in
    assert ("config", "vlan 5") in device.log


def test_a_console_logs_in_shows_messages_and_greets_again() -> None:
    device = switch(password="pw")
    line = Line(device, console=True)
    assert line.out.endswith(b"Press RETURN to get started.\r\n\r\n\r\n")
    assert line.send("\r").endswith("User Access Verification\n\nUsername: ")
    assert line.send("rack\rnope\r").endswith("Password: \n% Login invalid\n\nUsername: ")
    assert line.send("rack\rpw\r").endswith("\nsw-a1#")
    assert "pw" not in line.out.decode()
    out = line.type("configure terminal", "interface gi1/0/1", "shutdown", "no shutdown", "end")
    for message in (
        "%LINK-5-CHANGED: Interface GigabitEthernet1/0/1, changed state to administratively down",
        "%LINEPROTO-5-UPDOWN: Line protocol on Interface GigabitEthernet1/0/1, changed state to down",
        "%LINK-3-UPDOWN: Interface GigabitEthernet1/0/1, changed state to up",
        "%SYS-5-CONFIG_I: Configured from console by rack on console",
    ):
        assert message in out
    assert line.type("exit").endswith("Press RETURN to get started.\n\n\n")
    assert device.counters.open == 0


def test_messages_reach_a_vty_only_when_it_asks() -> None:
    device = switch()
    quiet, curious = Line(device), Line(device)
    curious.type("terminal monitor")
    quiet.out.clear()
    Line(device).type("configure terminal", "interface gi1/0/2", "shutdown")
    assert quiet.out == b""
    assert b"LINK-5-CHANGED" in curious.out


def test_a_liar_says_yes_and_changes_nothing() -> None:
    device = switch()
    device.faults = Faults(lie=True)
    before = device.running.text()
    out = Line(device).type(
        "configure terminal", "vlan 5", "name x", "interface gi1/0/1", "shutdown", "end"
    )
    assert "%" not in out.replace("%SYS", "")
    assert device.running.text() == before
    assert device.counters.writes == 5


def test_a_rejecting_device_refuses_every_configuring_line() -> None:
    device = switch()
    device.faults = Faults(reject=True)
    out = Line(device).type(
        "configure terminal", "vlan 5", "interface gi1/0/1", "end", "show privilege"
    )
    assert out.count("% Invalid input") == 2
    assert out.endswith("sw-a1#")


@pytest.mark.parametrize(("always", "sessions"), [(False, [True, False]), (True, [True, True])])
def test_a_session_is_dropped_after_n_lines(always: bool, sessions: list[bool]) -> None:
    device = switch()
    device.faults = Faults(drop_after=3, drop_always=always)
    for number, dropped in enumerate(sessions):
        line = Line(device)
        line.type(
            "configure terminal",
            "vlan 5",
            f"name n{number}",
            "interface gi1/0/1",
            "shutdown",
            "end",
        )
        assert line.closed == ([True] if dropped else [])
        assert device.running.ports["GigabitEthernet1/0/1"].shutdown is not dropped
        assert device.running.vlans[5] == f"n{number}"


def test_a_hanging_device_is_silent() -> None:
    device = switch()
    line = Line(device)
    device.faults = Faults(hang=True)
    assert line.type("show version") == ""
    assert device.counters.commands == {}


def test_garbage_is_no_text() -> None:
    device = switch()
    line = Line(device)
    line.type("terminal length 0")
    clean = line.type("show vlan brief")
    device.faults = Faults(garbage=True)
    assert line.type("show vlan brief") != clean
    assert any(byte >= 0x80 for byte in line.out)


def test_many_lines_at_once_and_one_byte_at_a_time() -> None:
    at_once, bytewise = switch(), switch()
    lines = ["configure terminal", *(f"vlan {vlan}" for vlan in range(2, 1000)), "end"]
    Line(at_once).type(*lines)
    line = Line(bytewise)
    for byte in "".join(f"{text}\n" for text in lines):
        line.send(byte)
    assert at_once.running == bytewise.running
    assert len(at_once.running.vlans) == 1003 - 5 + 5
