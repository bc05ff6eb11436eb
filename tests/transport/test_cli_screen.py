"""One exchange: what counts as the answer, whatever arrives how and when."""

from __future__ import annotations

import re
import threading

import pytest

from rackwright.model.errors import Unreachable
from rackwright_providers.transport import cli_screen
from rackwright_providers.transport.cli_screen import Screen
from tests.transport.scripted import PAUSE, Ios, ScriptedStream

VLANS = """\

VLAN Name                             Status    Ports
---- -------------------------------- --------- -------------------------------
1    default                          active    Gi1/0/1, Gi1/0/2
10   storage                          active    Gi1/0/3
"""
SHOW = "show vlan brief"
LOG = "*Nov 22 19:12:03.123: %LINK-3-UPDOWN: Interface Vlan666, changed state to up"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_screen, "QUIET", 0.03)


def screen(stream: ScriptedStream, prompt: str = "sw1#") -> Screen:
    made = Screen(stream, threading.Event())
    made.learn(prompt)
    return made


def fixed(raw: str) -> ScriptedStream:
    """Says ``raw`` to the first line, and its prompt to every further one."""
    answers = iter([raw])
    return ScriptedStream(lambda line: next(answers, f"{line}\r\nsw1#"))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64, 65536])
def test_the_answer_is_what_stands_between_echo_and_prompt(chunk: int) -> None:
    stream = ScriptedStream(Ios({SHOW: VLANS}), chunk=chunk)
    answer = screen(stream).exchange(SHOW, 1.0)
    assert answer.text == VLANS.strip("\n")
    assert answer.prompt == "sw1#"
    assert not answer.noisy


@pytest.mark.parametrize("hang", [False, True], ids=["gone", "silent"])
def test_cut_off_at_every_byte_it_is_lost_or_right(hang: bool) -> None:
    whole = len(Ios({SHOW: VLANS})(SHOW))
    for cut in range(0, whole + 1, 23 if hang else 1):
        stream = ScriptedStream(Ios({SHOW: VLANS}), chunk=1, cut=cut, hang=hang)
        under_test = screen(stream)
        try:
            answer = under_test.exchange(SHOW, 0.05)
        except Unreachable:
            assert cut < whole or not hang
            assert under_test.dead
            assert stream.closed
        else:
            assert cut == whole
            assert answer.text == VLANS.strip("\n")


def test_prompts_and_output_from_before_are_not_the_answer() -> None:
    stream = ScriptedStream(
        Ios({SHOW: VLANS}), greeting="old output\r\nsw1#\r\nsw1#\r\n" + LOG + "\r\nsw1#"
    )
    assert screen(stream).exchange(SHOW, 1.0).text == VLANS.strip("\n")


def test_a_prompt_that_comes_late_is_not_the_answer() -> None:
    raw = f"\r\nsw1#{PAUSE}\r\nsw1#{PAUSE}{SHOW}\r\nline\r\nsw1#"
    stream = fixed(raw)
    stream._chunk = 1
    assert screen(stream).exchange(SHOW, 1.0).text == "line"


def test_output_with_the_prompt_inside() -> None:
    stream = ScriptedStream(Ios({"show banner": "sw1#\nnot sw1#\nsw1# welcome\n"}))
    assert screen(stream).exchange("show banner", 1.0).text == "sw1#\nnot sw1#\nsw1# welcome"


# What a console says when a log message comes in between; all must read as the same answer.
NOISE = {
    "before the output": f"{SHOW}\r\n{LOG}\r\n10   storage\r\nsw1#",
    "between lines": f"{SHOW}\r\n10   storage\r\n{LOG}\r\nsw1#",
    "in the echo, line shown again": f"show vl\r\n{LOG}\r\nsw1#{SHOW}\r\n10   storage\r\nsw1#",
    "in the echo, torn": f"show vl\r\n{LOG}\r\nan brief\r\n10   storage\r\nsw1#",
    "after the echo, line shown again": f"{SHOW}\r\n{LOG}\r\nsw1#{SHOW}\r\n10   storage\r\nsw1#",
    "after the echo, and a pause": (
        f"{SHOW}\r\n{LOG}\r\nsw1#{PAUSE}{SHOW}\r\n10   storage\r\nsw1#"
    ),
    "no time stamp": f"{SHOW}\r\n%SYS-5-CONFIG_I: Configured from console\r\n10   storage\r\nsw1#",
    "sequence number": f"{SHOW}\r\n000123: {LOG}\r\n10   storage\r\nsw1#",
    "after the prompt": f"{SHOW}\r\n10   storage\r\nsw1#\r\n{LOG}\r\n",
    "twice after the prompt": f"{SHOW}\r\n10   storage\r\nsw1#\r\n{LOG}\r\n\r\n{LOG}\r\n",
    "on both sides": f"{SHOW}\r\n{LOG}\r\n10   storage\r\nsw1#\r\n{LOG}\r\n",
    "two": f"{SHOW}\r\n{LOG}\r\n{LOG}\r\n10   storage\r\nsw1#",
}


@pytest.mark.parametrize("chunk", [1, 65536])
@pytest.mark.parametrize("raw", NOISE.values(), ids=NOISE)
def test_log_messages_are_taken_out(raw: str, chunk: int) -> None:
    stream = fixed(raw)
    stream._chunk = chunk
    answer = screen(stream).exchange(SHOW, 1.0)
    assert answer.text.replace(f"sw1#{SHOW}\n", "") == "10   storage"


def test_an_answer_with_a_log_message_inside_is_noisy() -> None:
    assert screen(fixed(NOISE["between lines"])).exchange(SHOW, 1.0).noisy
    assert not screen(fixed(NOISE["in the echo, line shown again"])).exchange(SHOW, 1.0).noisy


MORE = " --More-- "
ERASE = "\b" * 9 + " " * 8 + "\b" * 9


@pytest.mark.parametrize("chunk", [1, 65536])
@pytest.mark.parametrize(
    "erase", [ERASE, "\r          \r", ""], ids=["backspaces", "returns", "none"]
)
def test_pages_are_turned(chunk: int, erase: str) -> None:
    pages = iter([f"{SHOW}\r\none\r\n{MORE}", f"{erase}two\r\n{MORE}", f"{erase}three\r\nsw1#"])
    stream = ScriptedStream(lambda line: next(pages), chunk=chunk)
    assert screen(stream).exchange(SHOW, 1.0).text == "one\ntwo\nthree"
    assert stream.sent == f"{SHOW}\r  "


@pytest.mark.parametrize("chunk", [1, 65536])
def test_a_line_wider_than_the_screen_scrolls(chunk: int) -> None:
    command = "show interfaces GigabitEthernet1/0/1 switchport backup detail"
    scrolled = command[:40] + "\b" * 40 + "$" + command[20:] + " " * 10 + "\b" * 10
    stream = fixed(f"{scrolled}\r\nout\r\nsw1#")
    stream._chunk = chunk
    assert screen(stream).exchange(command, 1.0).text == "out"


def test_an_echo_of_something_else_is_no_licence_to_guess() -> None:
    with pytest.raises(Unreachable):
        screen(fixed("show version\r\nout\r\nsw1#")).exchange(SHOW, 0.1)


def test_the_host_name_changes() -> None:
    stream = ScriptedStream(Ios({SHOW: VLANS}))
    under_test = screen(stream)
    under_test.exchange("configure terminal", 1.0)
    assert under_test.exchange("hostname other", 1.0).prompt == "other(config)#"
    under_test.exchange("end", 1.0)
    assert under_test.exchange(SHOW, 1.0).text == VLANS.strip("\n")


@pytest.mark.parametrize("host", ["sw1", "a.b-c_d", "a-very-long-name-of-a-switch-in-rack-7"])
@pytest.mark.parametrize("mode", ["", "(config)", "(config-if-range)"])
def test_the_prompt_of_every_mode(host: str, mode: str) -> None:
    shown = host[:20] if mode else host
    stream = fixed(f"x\r\nout\r\n{shown}{mode}#")
    assert screen(stream, f"{host}#").exchange("x", 1.0).prompt == f"{shown}{mode}#"


def test_questions_are_answered_as_the_dialect_says() -> None:
    answers = iter(["copy\r\nDestination filename [startup-config]? ", "\r\n[OK]\r\nsw1#"])
    stream = ScriptedStream(lambda line: next(answers))
    known = ((re.compile(r"Destination filename \[[^\]]*\]\? *\Z"), "\r"),)
    assert "[OK]" in screen(stream).exchange("copy", 1.0, known).text
    assert stream.sent == "copy\r\r"


def test_an_unknown_question_is_left_by_control_c() -> None:
    answers = iter(["erase\r\nContinue? [confirm]", "\r\nsw1#"])
    stream = ScriptedStream(lambda line: next(answers))
    answer = screen(stream).exchange("erase", 1.0)
    assert answer.question == "Continue? [confirm]"
    assert stream.sent == "erase\r\x03"


def test_a_question_mark_is_typed_literally() -> None:
    stream = ScriptedStream(Ios({"description what?": ""}))
    screen(stream).exchange(" description what?", 1.0)
    assert stream.sent == " description what\x16?\r"


def test_a_babbling_device_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_screen, "LIMIT", 100_000)
    stream = ScriptedStream(lambda line: "x" * 1_000_000)
    with pytest.raises(Unreachable, match="without end"):
        screen(stream).exchange(SHOW, 1.0)


def test_leaving_does_not_wait_for_a_silent_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_screen, "STOPPING", 0.0)
    under_test = Screen(ScriptedStream(lambda line: ""), stop := threading.Event())
    under_test.learn("sw1#")
    stop.set()
    with pytest.raises(Unreachable, match="stopped"):
        under_test.exchange(SHOW, 1000.0)


@pytest.mark.parametrize(
    "greeting", ["\r\nUsername: ", "\r\nsw1 login: ", "\r\nPress RETURN to get started.\r\n\r\n"]
)
def test_a_console_that_logged_us_out_is_not_waited_for(greeting: str) -> None:
    under_test = screen(ScriptedStream(lambda line: greeting))
    with pytest.raises(Unreachable, match="ended the session"):
        under_test.exchange(SHOW, 1000.0)
    assert under_test.dead
