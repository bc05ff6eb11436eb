"""Serial lines: a pty with a device behind it, in whatever state the last user left it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rackwright.model.errors import Permanent, RackwrightError, Temporary, Unreachable
from rackwright.model.site import Serial, Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.cisco_ios import DIALECT
from rackwright_providers.transport import cli, cli_driver, cli_screen
from rackwright_providers.transport.cli import CliSession
from rackwright_providers.transport.serial import open_serial


class Console:
    """A console with login and enable. Byte by byte, as a line is; echoes what it must."""

    def __init__(self, state: str = "idle", *, enable: str = "sesame", name: str = "sw1") -> None:
        self.state = state
        self.enable = enable
        self.name = name
        self.typed = ""
        self.user = ""
        self.done: list[str] = []
        """Lines that it carried out."""

    QUESTIONS: ClassVar = {
        "username": "Username: ",
        "password": "Password: ",
        "secret": "Password: ",
        "setup": "Would you like to enter the initial configuration dialog? [yes/no]: ",
        "more": " --More-- ",
        "idle": "Press RETURN to get started.\r\n\r\n",
    }

    def prompt(self) -> str:
        modes = {"user": ">", "privileged": "#", "config": "(config)#"}
        return self.QUESTIONS.get(self.state) or f"{self.name}{modes[self.state]}"

    def take(self, char: str) -> str:
        if char == "\x03":
            self.typed = ""
            if self.state in ("config", "more"):
                self.state = "privileged"
            return f"^C\r\n{self.prompt()}" if self.state not in ("idle", "password") else ""
        if char not in "\r\n":
            if self.state == "more":
                self.state = "privileged"
                return f"\r\n{self.prompt()}"
            self.typed += char
            return "" if self.state in ("password", "secret", "idle") else char
        if char == "\n":
            return ""
        line, self.typed = self.typed, ""
        return "\r\n" + self.enter(line) + self.prompt()

    def enter(self, line: str) -> str:
        said, state = "", self.state
        if state == "idle":
            self.state, said = "username", "\r\nUser Access Verification\r\n\r\n"
        elif state == "username":
            self.user = line
            self.state = "password" if line else "username"
        elif state == "password":
            good = (self.user, line) == ("rack", "hunter2")
            self.state, said = ("user", "") if good else ("username", "% Login invalid\r\n\r\n")
        elif state == "secret":
            good = line == self.enable
            self.state, said = ("privileged", "") if good else ("user", "% Bad secrets\r\n\r\n")
        elif state == "setup":
            self.state = "user" if line == "no" else "setup"
        elif line:
            self.done.append(line)
            said = self.carry_out(line)
        return said

    def carry_out(self, line: str) -> str:
        moves = {
            ("user", "enable"): "secret",
            ("privileged", "configure terminal"): "config",
            ("config", "end"): "privileged",
            ("privileged", "exit"): "idle",
            ("user", "exit"): "idle",
        }
        self.state = moves.get((self.state, line), self.state)
        return "one\r\ntwo\r\n" if line == "show vlan" else ""


class OnPty:
    """A `Console` on a pty."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.master, self._slave = os.openpty()  # the slave stays open: a line has no hang-up
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if select.select([self.master], [], [], 0.02)[0]:
                for char in os.read(self.master, 1024).decode():
                    os.write(self.master, self.console.take(char).encode())

    def close(self) -> None:
        self._stop.set()
        self._thread.join()  # else it would read from whatever gets the descriptor's number next
        for descriptor in (self._slave, self.master):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_screen, "QUIET", 0.05)
    monkeypatch.setattr(cli_driver, "SETTLE", 0.1)
    monkeypatch.setattr(cli_driver, "NUDGE", 0.5)


@pytest.fixture
def line() -> Iterator[Any]:
    made: list[OnPty] = []

    def put(console: Console) -> OnPty:
        made.append(OnPty(console))
        return made[-1]

    yield put
    for pty in made:
        pty.close()


def opened(port: str, **options: Any) -> Any:
    way = Way(
        transport="serial",
        options={
            "port": port,
            "username": "rack",
            "password": "hunter2",
            "enable": "sesame",
            **options,
        },
    )
    return cli.open_cli(way, Surroundings(Path("/nonexistent"), writable=True), DIALECT)


STATES = ["idle", "username", "password", "user", "secret", "privileged", "config", "setup", "more"]


@pytest.mark.parametrize("state", STATES)
def test_login_from_whatever_state_the_line_is_in(line: Any, state: str) -> None:
    console = Console(state)
    session = opened(line(console).path)
    assert isinstance(session, CliSession)
    assert session.run("show vlan") == "one\ntwo"
    session.configure(["vlan 10"])
    session.close()
    deadline = time.monotonic() + 5
    while console.done[-2:] != ["end", "exit"]:
        assert time.monotonic() < deadline, console.done
        time.sleep(0.005)


@pytest.mark.parametrize("state", ["privileged", "config", "user"])
def test_a_half_typed_line_is_not_carried_out(line: Any, state: str) -> None:
    console = Console(state)
    console.typed = "no vlan 66"
    opened(line(console).path)
    assert not any("no vlan" in done for done in console.done)


@pytest.mark.parametrize(
    ("options", "step"),
    [
        ({"password": "wrong"}, "login: wrong"),
        ({"username": "nobody"}, "login: wrong"),
        ({"username": ""}, "login: it asks for a username"),
        ({"enable": "wrong"}, "enable: the device refused"),
        ({"enable": ""}, "enable: no secret"),
    ],
)
def test_a_refused_login_names_the_step(line: Any, options: dict[str, str], step: str) -> None:
    with pytest.raises(Permanent, match=step) as caught:
        opened(line(Console()).path, **options)
    assert "hunter2" not in str(caught.value)


def test_a_line_with_nobody_at_its_end(line: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_driver, "LOGIN_TIMEOUT", 0.5)

    class Dead(Console):
        def take(self, char: str) -> str:
            return ""

    with pytest.raises(Unreachable):
        opened(line(Dead()).path)


def test_a_line_has_one_user_at_a_time(line: Any) -> None:
    pty = line(Console())
    session = opened(pty.path)
    with pytest.raises(Temporary, match="another process"):
        open_serial(Serial(port=pty.path), Surroundings(Path()))
    session.close()
    open_serial(Serial(port=pty.path), Surroundings(Path())).close()


def test_a_line_that_goes_away(line: Any) -> None:
    pty = line(Console())
    session = opened(pty.path)
    pty.close()
    with pytest.raises(Unreachable):
        session.run("show vlan")
    assert not session.alive()
    session.close()


@pytest.mark.parametrize(
    ("port", "error"),
    [
        ("/nonexistent/ttyUSB0", Unreachable),
        ("nonsense://x", Permanent),
        ("/dev/null", Permanent),
    ],
)
def test_what_is_no_line(port: str, error: type[RackwrightError]) -> None:
    with pytest.raises(error):
        open_serial(Serial(port=port), Surroundings(Path()))


def test_a_terminal_server_by_socket_url() -> None:
    console = Console()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            peer, _ = server.accept()
            with peer, contextlib.suppress(OSError):
                while data := peer.recv(1024):
                    peer.sendall("".join(console.take(char) for char in data.decode()).encode())

        threading.Thread(target=serve, daemon=True).start()
        session = opened(f"socket://127.0.0.1:{server.getsockname()[1]}")
        assert session.run("show vlan") == "one\ntwo"
        session.close()


def test_nobody_listens_at_the_socket_url() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(Unreachable):
        open_serial(Serial(port=f"socket://127.0.0.1:{port}"), Surroundings(Path()))
