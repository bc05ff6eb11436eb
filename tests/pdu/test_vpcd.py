"""The vpcd provider: what it reads, and its sessions on the simulated line."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.change import Change
from rackwright.model.errors import Rejected, Temporary, Unreachable
from rackwright.model.report import FieldChange
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu import plain_pdu, vpcd_session
from rackwright_providers.pdu.resources import Outlet
from rackwright_providers.pdu.vpcd import Vpcd
from rackwright_providers.pdu.vpcd_session import VpcdReader, plugs
from rackwright_sim.faults import Faults
from rackwright_sim.vpcd import Vpcd as Unit
from rackwright_sim.vpcd import VpcdLine
from tests.pdu.conftest import ALL

PROVIDER = Vpcd()


def test_the_answer_to_stat() -> None:
    assert plugs("plug 0: ON\nplug 15: OFF\n") == {"0": "on", "15": "off"}
    assert plugs("") == {}
    for wrong in ("plug 3: 86\n", "plug x: ON\n", "noise\nplug 1: ON\n"):
        with pytest.raises(Temporary, match="makes no sense"):
            plugs(wrong)


@contextmanager
def line(tmp_path: Path, **faults: Any) -> Iterator[VpcdLine]:
    with VpcdLine(Unit(faults=Faults(**faults)), tmp_path / "vpcd") as found:
        yield found


def opened(found: VpcdLine, tmp_path: Path, *, writable: bool = True) -> Any:
    way = Way(transport="serial", options={"port": str(found.link)})
    return closing(PROVIDER.open(way, Surroundings(state=tmp_path, writable=writable)))  # type: ignore[type-var]


def change(name: str, power: str) -> list[Change]:
    after = Outlet(name=name, state=power)  # type: ignore[arg-type]
    fields = (FieldChange(field="state", old=None, new=power),)
    return [Change("update", after.address, Outlet(name=name), after, fields)]


@pytest.mark.parametrize("left", [b"login\nstat *\nstat 3\nbogus\nsta", b"sta", b""])
def test_what_somebody_left_on_the_line_is_not_taken_for_an_answer(
    left: bytes, tmp_path: Path
) -> None:
    with line(tmp_path) as found:
        before = os.open(found.link, os.O_RDWR | os.O_NOCTTY)
        os.write(before, left)  # its answers are never read
        with opened(found, tmp_path) as session:
            os.close(before)
            for _ in range(3):
                assert session.states() == dict.fromkeys(map(str, range(16)), "off")
                assert session.state("3") == "off"


def test_switching_and_reboot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpcd_session, "OFF_TIME", 0.01)
    with line(tmp_path) as found, opened(found, tmp_path) as session:
        PROVIDER.commit(session, PROVIDER.render(change("3", "on"), {}))
        assert found.box.plugs["3"] == "on"
        before = found.box.counters.writes
        PROVIDER.reboot(session, "03")
        assert found.box.plugs["3"] == "on"
        assert found.box.counters.writes == before + 2
        assert session.alive()


def test_a_stop_in_the_middle_of_a_reboot_leaves_the_outlet_on(tmp_path: Path) -> None:
    with line(tmp_path) as found, opened(found, tmp_path) as session:
        session.switch("3", "on")
        session.stop.set()
        session.cycle("3")
        assert found.box.plugs["3"] == "on"


def test_a_refusal_is_said_and_the_session_stays(tmp_path: Path) -> None:
    with line(tmp_path, reject=True) as found, opened(found, tmp_path) as session:
        with pytest.raises(Rejected, match="vpcd rejects 'on 3': UNKNOWN: refused"):
            PROVIDER.commit(session, PROVIDER.render(change("3", "on"), {}))
        with pytest.raises(Rejected, match="BADVAL: 99"):
            session.state("99")
        assert session.state("3") == "off"


def test_a_command_that_changes_nothing_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_pdu, "PATIENCE", 0.2)
    said = r"outlet 3: .* the outlet is off"
    with line(tmp_path, lie=True) as found, opened(found, tmp_path) as session:
        steps = PROVIDER.render(change("3", "on"), {})
        with pytest.raises(Rejected, match=said):
            PROVIDER.commit(session, steps)


def test_a_line_that_is_hung_up_ends_the_session(tmp_path: Path) -> None:
    with line(tmp_path, drop_before=0) as found, opened(found, tmp_path) as session:
        with pytest.raises(Unreachable, match=r"gone|not answer"):
            session.switch("3", "on")
        assert not session.alive()
        with pytest.raises(Unreachable):
            session.states()
        with opened(found, tmp_path) as again:
            assert again.state("3") == "off"


def test_nobody_at_the_end_of_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vpcd_session, "ANSWER_TIMEOUT", 0.3)
    with line(tmp_path, hang=True) as found, pytest.raises(Unreachable, match="does not answer"):
        opened(found, tmp_path)


class Scripted:
    """A line that says what it was told to, one piece a read."""

    via = "serial test"

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.closed = False

    def read(self, timeout: float) -> bytes:
        return self.answers.pop(0) if self.answers else b""

    def write(self, data: bytes) -> None:
        token = data.rpartition(b"sync-")[2].strip()
        self.answers = [piece.replace(b"TOKEN", b"sync-" + token) for piece in self.answers]

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed = True


OPENING = b"7 vpc> 7 OK\n8 vpc> 8 UNKNOWN: TOKEN\n9 vpc> "


def test_an_answer_out_of_step_ends_the_session() -> None:
    stream = Scripted(OPENING, b"plug 3: ON\n8 OK\n9 vpc> ")
    session = VpcdReader(stream, threading.Event())
    with pytest.raises(Unreachable, match="answer 8 where 9 was due"):
        session.state("3")
    assert stream.closed


def test_a_vpcd_that_was_restarted_in_between_is_noticed() -> None:
    session = VpcdReader(Scripted(OPENING, b"9 Please login\n10 vpc> "), threading.Event())
    with pytest.raises(Unreachable, match="restarted"):
        session.state("3")


def test_answers_come_a_byte_at_a_time() -> None:
    answer = OPENING + b"plug 3: ON\r\n9 OK\r\n10 vpc> "
    session = VpcdReader(Scripted(OPENING), threading.Event())
    session._stream.answers = [answer[at : at + 1] for at in range(len(OPENING), len(answer))]  # type: ignore[attr-defined]
    assert session.state("3") == "on"


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with line(tmp_path) as found, opened(found, tmp_path, writable=False) as session:
        assert len(PROVIDER.read(session, ALL)) == 16
        assert PROVIDER.discover(session).values == {"model": "vpcd", "outlets": 16}
        assert not hasattr(session, "switch")
        assert not hasattr(session, "cycle")
        assert found.box.counters.writes == 0
