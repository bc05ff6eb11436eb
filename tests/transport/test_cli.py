"""Sessions: a reader that cannot write, and what the device's refusals become."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.cisco_ios import DIALECT
from rackwright_providers.transport import cli, cli_driver, cli_screen, ssh
from rackwright_providers.transport.cli import CliReader, CliSession
from rackwright_providers.transport.cli_screen import Screen
from tests.transport.scripted import Ios, ScriptedStream

SECRETS = {"password": "hunter2!", "enable": "sesame99"}
LOG = "*Nov 22 19:12:03.123: %LINK-3-UPDOWN: Interface Vlan666, changed state to up"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_screen, "QUIET", 0.03)
    monkeypatch.setattr(cli_driver, "SETTLE", 0.02)
    monkeypatch.setattr(cli_driver, "NUDGE", 0.05)
    monkeypatch.setattr(cli_driver, "LOGIN_TIMEOUT", 1.0)
    monkeypatch.setattr(cli_driver, "SHELL_TIMEOUT", 1.0)
    monkeypatch.setattr(cli_driver, "ANSWER_TIMEOUT", 1.0)


def session(device: Any, kind: type[CliReader] = CliSession) -> Any:
    screen = Screen(ScriptedStream(device), threading.Event())
    screen.learn("sw1#")
    return kind(screen, DIALECT)


def sent(of: CliReader) -> list[str]:
    return [line.strip() for line in of._screen.stream.lines]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "command",
    [
        "configure terminal",
        "write memory",
        "reload",
        "sh vlan",
        "showx",
        "",
        "do show vlan",
        "show run | redirect flash:x",
        "show run | tee flash:x",
        "show run | include x | append flash:y",
        "show vlan\rreload",
        "show vlan\nreload",
        "show vlan\x03",
    ],
)
def test_a_reader_sends_nothing_that_is_not_in_the_table_of_reads(command: str) -> None:
    reader = session(Ios(), CliReader)
    with pytest.raises(Permanent):
        reader.run(command)
    assert sent(reader) == []


def test_a_reader_has_no_way_to_write() -> None:
    for method in ("configure", "save"):
        assert not hasattr(CliReader, method)
        assert hasattr(CliSession, method)


def test_configuration_mode_is_kept_until_the_next_read() -> None:
    under_test = session(Ios({"show vlan": "x\n", "write memory": "Building...\n[OK]\n"}))
    under_test.configure(["vlan 10", " name a"])
    under_test.configure(["vlan 11"])
    under_test.run("show vlan")
    under_test.run("show vlan")
    under_test.configure(["vlan 12"])
    under_test.save()
    assert sent(under_test) == [
        *("configure terminal", "vlan 10", "name a", "vlan 11", "end", "show vlan", "show vlan"),
        *("configure terminal", "vlan 12", "end", "write memory"),
    ]


# What IOS says to a line that it does not carry out.
REFUSALS = [
    "                  ^\n% Invalid input detected at '^' marker.\n\n",
    "% Incomplete command.\n\n",
    '% Ambiguous command:  "sw"\n',
    "% Authorization failed.\n",
    "Command authorization failed.\n\n",
    "%Default VLAN 1 may not be deleted.\n",
    "% Default VLAN 1 may not have its name changed.\n",
    "%VTP VLAN configuration not allowed when device is in CLIENT mode.\n",
    "% Failed to create VLANs 2000\nExtended VLAN(s) not allowed in current VTP mode.\n",
    "Command rejected: Bad VLAN list - character #5 delimits a VLAN number\n",
    'Command rejected: An interface whose trunk encapsulation is "Auto" can not be configured to "trunk" mode.\n',
    f"{LOG}\n% Incomplete command.\n",
]
# What it says besides when it does.
REMARKS = [
    "",
    "% Access VLAN does not exist. Creating vlan 666\n",
    "%Warning: portfast should only be enabled on ports connected to a single host.\n",
    f"{LOG}\n",
    "%LINK-3-UPDOWN: Interface Vlan666, changed state to up\n",
    "%LINEPROTO-5-UPDOWN: Line protocol on Interface Gi1/0/1, changed state to down\n",
    "%SPANTREE-SP-2-BLOCK_PVID_LOCAL: Blocking Gi1/0/1 on VLAN0010.\n",
]


@pytest.mark.parametrize("said", REFUSALS)
def test_a_refused_line_ends_it_there(said: str) -> None:
    under_test = session(Ios({"vlan 10": "", "name x": said}))
    with pytest.raises(Rejected, match="name x") as caught:
        under_test.configure(["vlan 10", " name x", " name y"])
    assert said.strip().splitlines()[-1] in caught.value.output
    assert sent(under_test)[-1] == "name x"


@pytest.mark.parametrize("said", REMARKS)
def test_a_remark_is_no_refusal(said: str) -> None:
    session(Ios({"vlan 10": said})).configure(["vlan 10", " name y"])


def test_a_refused_read_is_rejected() -> None:
    with pytest.raises(Rejected, match="Invalid input"):
        session(Ios()).run("show vlan")


def test_what_looks_like_an_error_in_the_data_is_data() -> None:
    text = "interface GigabitEthernet1/0/1\n" * 20 + "% of the rack\n"
    assert session(Ios({"show run": text})).run("show run") == text.strip("\n")


def test_a_read_torn_by_log_messages_is_asked_again() -> None:
    device = Ios()
    answers = iter([f"10  sto\n{LOG}\nrage\n", "10  storage\n"])

    def noisy(line: str) -> str:
        device.says[line] = next(answers)
        return device(line)

    under_test = session(noisy)
    assert under_test.run("show vlan") == "10  storage"
    assert sent(under_test) == ["show vlan", "show vlan"]


def test_locked_configuration_is_temporary() -> None:
    stream = ScriptedStream(
        lambda line: f"{line}\r\nConfiguration mode is locked by process '3' user 'joe'\r\nsw1#"
    )
    screen = Screen(stream, threading.Event())
    screen.learn("sw1#")
    with pytest.raises(Temporary, match="somebody else"):
        CliSession(screen, DIALECT).configure(["vlan 10"])


def test_lines_with_control_characters_are_never_sent() -> None:
    under_test = session(Ios())
    with pytest.raises(Permanent, match="control characters"):
        under_test.configure(["vlan 10", " name a\rreload"])
    assert sent(under_test) == []


@pytest.mark.parametrize(
    "said",
    [
        "Building configuration...\n[OK]\n",
        "Building configuration...\nCompressed configuration from 9 bytes to 7 bytes[OK]\n",
    ],
)
def test_saved(said: str) -> None:
    session(Ios({"write memory": said})).save()


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("startup-config file open failed (Device or resource busy)\n", Temporary),
        ("% Invalid input detected at '^' marker.\n", Rejected),
        ("%Error opening nvram:/startup-config (No space left on device)\n", Rejected),
        ("Building configuration...\n", Rejected),
    ],
)
def test_not_saved(said: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        session(Ios({"write memory": said})).save()


@pytest.mark.parametrize(
    "question",
    [
        "Destination filename [startup-config]? ",
        "Overwrite the previous NVRAM configuration?[confirm]",
        "Continue? [yes/no]: ",
    ],
)
def test_saving_answers_what_it_is_asked(question: str) -> None:
    said = iter([f"write memory\r\nWarning: x\r\n{question}", "\r\nBuilding...\r\n[OK]\r\nsw1#"])
    session(lambda line: next(said)).save()


def test_a_fresh_session_counts_as_alive_without_asking() -> None:
    under_test = session(Ios())
    assert under_test.alive()
    assert sent(under_test) == []


def test_an_idle_session_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "FRESH", 0.0)
    monkeypatch.setattr(cli, "PROBE_TIMEOUT", 0.1)
    assert session(Ios()).alive()
    assert not session(lambda line: "").alive()
    assert not session(lambda line: "\r\n\r\nUsername: ").alive()


def opened(monkeypatch: pytest.MonkeyPatch, stream: ScriptedStream, **options: Any) -> CliReader:
    monkeypatch.setattr(ssh, "open_shell", lambda *args, **more: stream)
    writable = options.pop("writable", True)
    way = Way(transport="ssh", options={"host": "sw1", "username": "rack", **SECRETS, **options})
    return cli.open_cli(way, Surroundings(Path("/nonexistent"), writable=writable), DIALECT)


class WithEnable(Ios):
    """Starts unprivileged."""

    def __init__(self, secret: str, host: str = "sw1") -> None:
        super().__init__({"": ""}, host=host)
        self.secret = secret
        self.privileged = False
        self.asks = 0

    def prompt(self) -> str:
        return super().prompt() if self.privileged else f"{self.host}>"

    def __call__(self, line: str) -> str:
        if self.asks:
            self.privileged = line == self.secret
            self.asks = 0 if self.privileged else self.asks - 1
            if self.asks:
                return "\r\nPassword: "
            return f"\r\n{'' if self.privileged else '% Bad secrets'}\r\n{self.prompt()}"
        if line == "enable":
            self.asks = 3
            return "enable\r\nPassword: "
        return super().__call__(line)


@pytest.mark.parametrize("chunk", [1, 3, 65536])
@pytest.mark.parametrize("host", ["sw1", "enable-sw", "a-very-long-name-of-a-switch-in-rack-7"])
def test_login_over_ssh(monkeypatch: pytest.MonkeyPatch, chunk: int, host: str) -> None:
    banner = f"\r\n*** #1 lab ###\r\nno trespassing>\r\n{host}>"
    stream = ScriptedStream(WithEnable("sesame99", host), greeting=banner, chunk=chunk)
    made = opened(monkeypatch, stream)
    assert isinstance(made, CliSession)
    assert stream.lines == ["enable", "sesame99", "terminal width 511", "terminal length 0"]


@pytest.mark.parametrize("hang", [False, True], ids=["gone", "silent"])
def test_login_cut_off_at_every_byte(monkeypatch: pytest.MonkeyPatch, hang: bool) -> None:
    for name in ("SHELL_TIMEOUT", "ANSWER_TIMEOUT"):
        monkeypatch.setattr(cli_driver, name, 0.03)
    whole = ScriptedStream(WithEnable("sesame99"), greeting="\r\nsw1>")
    opened(monkeypatch, whole)
    for cut in range(0, whole.said, 11 if hang else 1):
        stream = ScriptedStream(
            WithEnable("sesame99"), greeting="\r\nsw1>", chunk=1, cut=cut, hang=hang
        )
        with pytest.raises(Unreachable):
            opened(monkeypatch, stream)
        assert stream.closed


def test_a_banner_that_looks_like_a_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    class Late(ScriptedStream):
        """The true prompt comes only after the client has taken the banner for it."""

        def write(self, data: bytes) -> None:
            if not self.sent:
                self._pending += b"\r\nsw1#"
            super().write(data)

    stream = Late(Ios(), greeting="\r\nlab#")
    assert opened(monkeypatch, stream)._screen.prompt == "sw1#"


@pytest.mark.parametrize(
    ("options", "step"),
    [({"enable": "wrong"}, "enable: the device refused"), ({"enable": ""}, "enable: no secret")],
)
def test_a_refused_enable_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, options: Any, step: str
) -> None:
    caplog.set_level(logging.DEBUG)
    stream = ScriptedStream(WithEnable("sesame99"), greeting="\r\nsw1>")
    with pytest.raises(Permanent, match=step) as caught:
        opened(monkeypatch, stream, **options)
    assert stream.closed
    shown = f"{caught.value!r} {caplog.text}"
    assert not any(secret in shown for secret in ("wrong", *SECRETS.values()))


def test_a_reader_may_stay_unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = ScriptedStream(WithEnable("sesame99"), greeting="\r\nsw1>")
    made = opened(monkeypatch, stream, enable="", writable=False)
    assert type(made) is CliReader
    assert "enable" not in stream.lines


def test_secrets_stay_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = list(logging.getLogger("netmiko").filters)  # netmiko's own sessions leave theirs
    opened(monkeypatch, ScriptedStream(WithEnable("sesame99"), greeting="\r\nsw1>"))
    assert not any(secret in caplog.text for secret in SECRETS.values())
    assert logging.getLogger("netmiko").filters == before


def test_a_transport_without_a_screen_is_refused() -> None:
    with pytest.raises(Permanent, match="snmp"):
        cli.open_cli(Way(transport="snmp", options={}), Surroundings(Path()), DIALECT)


def test_wrong_options_are_named() -> None:
    with pytest.raises(Permanent, match="prot"):
        cli.open_cli(
            Way(transport="ssh", options={"host": "x", "prot": 1}), Surroundings(Path()), DIALECT
        )
