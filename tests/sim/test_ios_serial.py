"""The IOS-like switch on a serial console: a pty, with a login, that outlives its clients."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import IosOptions
from rackwright_sim.ios_serial import IosSerial
from tests.waiting import until

PATIENCE = 10.0


@pytest.fixture
def console(tmp_path: Path) -> Iterator[IosSerial]:
    device = IosDevice(IosOptions(hostname="sw-a1", username="rack", password="pw", enable="en"))
    with IosSerial(device, tmp_path / "ttyS0") as running:
        yield running


class Client:
    """pyserial, and the patience to wait for what must come."""

    def __init__(self, link: Path) -> None:
        self._port = serial.Serial(str(link), 9600, timeout=0.05)

    def expect(self, wanted: str) -> str:
        seen = b""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            seen += self._port.read(4096)
            if seen.endswith(wanted.encode()):
                return seen.decode().replace("\r", "")
        raise AssertionError(f"{wanted!r} did not come, but {seen!r}")

    def say(self, text: str, wanted: str) -> str:
        self._port.write(f"{text}\r".encode())
        return self.expect(wanted)

    def log_in(self) -> None:
        self.say("", "Username: ")
        self.say("rack", "Password: ")
        self.say("pw", "sw-a1>")
        self.say("enable", "Password: ")
        self.say("en", "sw-a1#")

    def start_showing(self, device: IosDevice) -> None:
        """Have more printed than a pty holds, and read nothing of it."""
        self._port.write(b"show interfaces\r")
        until(lambda: device.counters.commands.get("show") == 1)

    def close(self) -> None:
        self._port.close()


def test_login_enable_and_configuration_with_messages_in_between(console: IosSerial) -> None:
    line = Client(console.link)
    line.log_in()
    assert "\nsw-a1(config)#" in line.say("configure terminal", "sw-a1(config)#")
    line.say("interface Gi1/0/1", "sw-a1(config-if)#")
    out = line.say("shutdown", "changed state to down\r\n")
    assert "%LINK-5-CHANGED: Interface GigabitEthernet1/0/1" in out
    assert "%SYS-5-CONFIG_I: Configured from console by rack on console\n" in line.say(
        "end", "by rack on console\r\n"
    )
    assert console.device.running.ports["GigabitEthernet1/0/1"].shutdown
    line.close()


def test_who_opens_the_line_again_finds_the_session_as_it_was(console: IosSerial) -> None:
    line = Client(console.link)
    line.log_in()
    line.say("configure terminal", "sw-a1(config)#")
    line.close()
    again = Client(console.link)
    again.say("", "sw-a1(config)#")
    assert again.say("exit", "on console\r\n")
    again.say("exit", "Press RETURN to get started.\r\n\r\n\r\n")
    again.close()
    third = Client(console.link)
    third.log_in()
    third.close()
    assert console.device.counters.sessions == 2
    assert console.device.counters.open == 1


def test_output_that_nobody_read_is_not_kept_for_the_next_client(console: IosSerial) -> None:
    line = Client(console.link)
    line.log_in()
    line.say("terminal length 0", "sw-a1#")
    line.start_showing(console.device)
    line.close()
    until(lambda: not console.attached)
    # pyserial would throw away what is there when it opens the line
    descriptor = os.open(console.link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "r+b", buffering=0) as plain:
        assert not plain.read(10)
    again = Client(console.link)
    assert "bytes" not in again.say("", "sw-a1#")
    again.close()


def test_long_output_is_held_back_until_it_is_read(console: IosSerial) -> None:
    line = Client(console.link)
    line.log_in()
    line.say("terminal length 0", "sw-a1#")
    line.start_showing(console.device)
    out = line.expect("sw-a1#")
    assert out.count("line protocol is") == 25
    line.close()


def test_three_wrong_passwords_and_a_hanging_console(console: IosSerial) -> None:
    line = Client(console.link)
    line.say("", "Username: ")
    for wanted in ("Username: ", "Username: ", "Press RETURN to get started.\r\n\r\n\r\n"):
        line.say("rack", "Password: ")
        assert "% Login invalid" in line.say("nope", wanted)
    console.device.faults = Faults(hang=True)
    line._port.write(b"\r")
    assert line._port.read(10) == b""
    console.device.faults = Faults()
    line.say("", "Username: ")
    line.close()


def test_a_link_is_made_and_taken_away_and_nothing_else_is_replaced(tmp_path: Path) -> None:
    link = tmp_path / "lines" / "ttyS1"
    device = IosDevice(IosOptions())
    with IosSerial(device, link) as running:
        assert str(link.readlink()) == running.pty
    assert not os.path.lexists(link)
    link.symlink_to("/dev/pts/of-a-killed-simulator")
    with IosSerial(device, link):
        assert link.exists()
    link.write_text("mine")
    with pytest.raises(FileExistsError, match="ttyS1"), IosSerial(device, link):
        pass
    assert link.read_text() == "mine"
