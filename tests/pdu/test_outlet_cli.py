"""``rackwright outlet``: a reboot that somebody asks for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.cli.last_run import note_run
from rackwright.cli.main import main
from rackwright.engine.files import run_lock
from rackwright.model.report import Report
from rackwright_sim.faults import Faults
from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu
from tests.pdu.test_snmp_units import simulated
from tests.real.parts import until

COMMUNITY = "private"


class Desk:
    """A site with one PDU, and the command line before it."""

    def __init__(self, unit: SnmpPdu[PduDevice], where: Path, platform: str) -> None:
        self.unit, self.state = unit, where / "state"
        self._site = where / "site"
        self._site.mkdir()
        self.state.mkdir()
        secrets = self.state / "secrets"
        secrets.write_text(f"pdu: {COMMUNITY}\n")
        secrets.chmod(0o600)
        way = {"host": "127.0.0.1", "port": unit.port, "timeout": 0.5, "retries": 0}
        documents = [
            {"site": "test"},
            *({"node": name, "type": "server"} for name in ("web1", "admin1")),
            {"node": "sw-a1", "type": "switch", "platform": "cisco_ios"}
            | {"reach": [{"ssh": {"host": "127.0.0.1", "port": 1, "username": "x"}}]},
            {
                "node": "pdu-a1",
                "type": "pdu",
                "platform": platform,
                "reach": [{"snmp": {**way, "community": {"secret": "pdu"}}}],
                "links": {"2": "web1:psu1", "3": "admin1:psu2"},
            },
        ]
        (self._site / "site.yaml").write_text("\n---\n".join(map(json.dumps, documents)))

    def words(self, *words: str) -> list[str]:
        return ["outlet", *words, "--site", str(self._site), "--state", str(self.state)]

    def run(self, *words: str) -> int:
        """The exit code of the command, run here."""
        with pytest.raises(SystemExit) as ended:
            main([*self.words(*words), "--at", "admin1"])
        return int(str(ended.value.code))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """The command as a process of its own."""
        code = "import sys; from rackwright.cli.main import main; main(sys.argv[1:])"
        argv = [sys.executable, "-c", code, *self.words(*words), "--at", "admin1"]
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with simulated("eaton_epdu") as unit:
        for outlet in unit.outlets.values():
            outlet.reboot = 1
        yield Desk(unit, tmp_path, "eaton_epdu")


Said = Callable[[], tuple[str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What went to standard output and to standard error."""
    return lambda: tuple(capsys.readouterr())  # type: ignore[return-value]


def test_reboot(desk: Desk, said: Said) -> None:
    assert desk.run("reboot", "pdu-a1/2", "--yes") == 0
    assert desk.unit.device.history == [(2, "off"), (2, "on")]
    assert "pdu-a1/2: rebooted, it is on again" in said()[0]


def test_json(desk: Desk, said: Said) -> None:
    assert desk.run("reboot", "pdu-a1/02", "--yes", "--json") == 0
    told = json.loads(said()[0])
    assert told.pop("seconds") >= 1
    assert told == {
        "node": "pdu-a1",
        "outlet": "02",
        "state": "rebooted",
        "error": "",
        "via": f"snmp 127.0.0.1:{desk.unit.port}",
    }


def test_an_outlet_that_is_off(desk: Desk, said: Said) -> None:
    desk.unit.outlets[2].state = "off"
    assert desk.run("reboot", "pdu-a1/2", "--yes") == 2
    assert "outlet 2 is off, and a reboot would switch it on" in said()[1]
    assert desk.run("reboot", "pdu-a1/2", "--yes", "--json") == 2
    assert json.loads(said()[0])["state"] == "failed"
    assert desk.unit.counters.writes == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["reboot", "pdu-a1/9", "--yes"], 2, "the unit has no outlet 9"),
        (["reboot", "pdu-a1", "--yes"], 1, "NODE/OUTLET, as in pdu-a1/3"),
        (["reboot", "pdu-a1/-", "--yes"], 1, "an outlet's name is"),
        (["reboot", "pdu-b1/2", "--yes"], 1, "no node 'pdu-b1'"),
        (["reboot", "web1/2", "--yes"], 2, "no managed node"),
        (["reboot", "pdu-a1/2"], 1, "--yes says that it is meant"),
        (["reboot", "pdu-a1/3", "--yes"], 2, "feeds admin1:psu2, this admin host: --force"),
        (["reboot", "pdu-a1/0.3", "--yes"], 2, "feeds admin1:psu2, this admin host: --force"),
        (["reboot", "sw-a1/2", "--yes"], 4, ""),
        (["list", "web1"], 2, "no managed node"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_refused(words: list[str], code: int, message: str, desk: Desk, said: Said) -> None:
    assert desk.run(*words) == code
    assert message in said()[1]
    assert (desk.unit.counters.writes, desk.unit.device.history) == (0, [])


def test_the_admin_hosts_own_outlet_with_force(desk: Desk) -> None:
    assert desk.run("reboot", "pdu-a1/3", "--yes", "--force") == 0
    assert desk.unit.device.history == [(3, "off"), (3, "on")]


def web1_answers(desk: Desk) -> None:
    now = time.time()
    (desk.state / "web1").mkdir()
    note_run(desk.state / "web1", Report(id="1", node="web1", started=now, finished=now))


def test_the_last_feed_of_a_node_that_answers(desk: Desk, said: Said) -> None:
    web1_answers(desk)
    for number in ("2", "0.2"):
        assert desk.run("reboot", f"pdu-a1/{number}", "--yes") == 2
        assert "web1 answers, and it has no other live feed: --force does it still" in said()[1]
    assert desk.unit.counters.datagrams == 0
    assert desk.run("reboot", "pdu-a1/2", "--yes", "--force") == 0
    assert desk.unit.device.history == [(2, "off"), (2, "on")]


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 130)])
def test_it_asks(
    answer: str, code: int, last: bool, desk: Desk, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    if last:
        web1_answers(desk)
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    with os.fdopen(theirs, "r") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: terminal.readline())
        assert desk.run("reboot", "pdu-a1/2") == code
    os.close(ours)
    assert bool(desk.unit.device.history) == (code == 0)
    assert ("warning: web1 answers" in said()[1]) == last


def test_a_converge_that_is_under_way_is_not_disturbed(desk: Desk, said: Said) -> None:
    with run_lock(desk.state / "pdu-a1" / "run.lock"):
        assert desk.run("reboot", "pdu-a1/2", "--yes") == 4
    assert "another run of this node is under way" in said()[1]
    assert desk.unit.counters.datagrams == 0


def test_a_unit_that_does_not_answer(desk: Desk, said: Said) -> None:
    desk.unit.faults = Faults(hang=True)
    assert desk.run("reboot", "pdu-a1/2", "--yes", "--json") == 4
    told = json.loads(said()[0])
    assert told["state"] == "unreachable"
    assert COMMUNITY not in json.dumps(told)


def test_a_unit_that_hangs_in_the_middle(desk: Desk) -> None:
    desk.unit.outlets[2].reboot = 4
    process = desk.start("reboot", "pdu-a1/2", "--yes")
    assert process.stderr
    assert any("outlet 2 is off" in line for line in process.stderr)  # progress, in plain lines
    desk.unit.faults = Faults(hang=True)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 4
    assert "no answer" in err
    until(lambda: desk.unit.outlets[2].state == "on", 20)


def test_killed_in_the_middle_the_unit_ends_it_and_the_next_one_works(desk: Desk) -> None:
    process = desk.start("reboot", "pdu-a1/2", "--yes")
    until(lambda: desk.unit.device.history, 20)
    process.kill()
    process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    until(lambda: desk.unit.outlets[2].state == "on")
    assert desk.run("reboot", "pdu-a1/2", "--yes") == 0
    assert desk.unit.device.history == [(2, "off"), (2, "on")] * 2


def test_stopped_in_the_middle(desk: Desk) -> None:
    process = desk.start("reboot", "pdu-a1/2", "--yes", "--json")
    until(lambda: desk.unit.device.history, 20)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    told: dict[str, Any] = json.loads(out)
    assert (process.returncode, told["state"]) == (130, "stopped")
    assert "the unit goes on by itself" in told["error"]


def test_list(desk: Desk, said: Said) -> None:
    desk.unit.outlets[1].state = "off"
    assert desk.run("list", "pdu-a1") == 0
    lines = said()[0].splitlines()
    assert lines[0].split() == ["OUTLET", "STATE", "LABEL", "FEEDS"]
    assert lines[1].split() == ["1", "off", "Outlet", "1"]
    assert lines[2].split() == ["2", "on", "Outlet", "2", "web1:psu1"]
    assert desk.run("list", "pdu-a1", "--json") == 0
    rows = json.loads(said()[0])
    assert rows[2] == {
        "outlet": "3",
        "state": "on",
        "label": "Outlet 3",
        "feeds": ["admin1:psu2"],
    }
    assert desk.unit.counters.writes == 0


def test_a_platform_that_was_found_out(tmp_path: Path, said: Said) -> None:
    with simulated("servertech_sentry4", shared_reboot=1) as unit:
        desk = Desk(unit, tmp_path, "auto")
        assert desk.run("reboot", "pdu-a1/2", "--yes") == 0
        assert unit.device.history == [(2, "off"), (2, "on")]
        assert desk.run("list", "pdu-a1") == 0
