"""The simulated APC unit: its manners with time, and its agent as net-snmp's tools see it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rackwright_sim.apc_rpdu import (
    CANCEL,
    DELAYED_OFF,
    DELAYED_ON,
    DELAYED_REBOOT,
    OFF,
    ON,
    REBOOT,
    ApcRpdu,
    RpduDevice,
    RpduOptions,
)
from rackwright_sim.faults import Faults
from rackwright_sim.snmp_objects import Access, User
from tests.real.parts import until

RPDU = "1.3.6.1.4.1.318.1.1.12"
STATE, PENDING = f"{RPDU}.3.5.1.1.4", f"{RPDU}.3.5.1.1.5"
COMMAND = f"{RPDU}.3.3.1.1.4"
LABEL, ON_DELAY = f"{RPDU}.3.4.1.1.2", f"{RPDU}.3.4.1.1.4"
V3 = [
    "-v3",
    "-l",
    "authPriv",
    "-u",
    "rack",
    "-a",
    "SHA",
    "-A",
    "rack-auth-1",
    "-x",
    "AES",
    "-X",
    "rack-priv-1",
]
READ, WRITE = ["-v2c", "-c", "public"], ["-v2c", "-c", "private"]


def needs_tools(test: Callable[..., None]) -> Callable[..., None]:
    """For tests that run net-snmp's tools."""
    missing = not shutil.which("snmpget")
    test = pytest.mark.skipif(missing, reason="net-snmp's tools (snmp) are missing")(test)
    return pytest.mark.apt(test)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("commands", "story"),
    [
        # (seconds, command at that time) … → (seconds, state, pending) as seen then; lag is 5 s.
        ([(0, OFF)], [(0, "on", True), (4, "on", True), (5, "off", False)]),
        ([(0, OFF), (6, ON)], [(5, "off", False), (7, "off", True), (11, "on", False)]),
        ([(0, ON)], [(0, "on", True), (5, "on", False)]),
        ([(0, DELAYED_OFF)], [(20, "on", True), (25, "off", False)]),
        ([(0, DELAYED_OFF), (3, CANCEL)], [(2, "on", True), (3, "on", False), (99, "on", False)]),
        ([(0, OFF), (1, CANCEL)], [(1, "on", True), (5, "off", False)]),
        ([(0, OFF), (6, DELAYED_ON)], [(6, "off", True), (20, "off", True), (21, "on", False)]),
        ([(0, REBOOT)], [(5, "off", True), (14, "off", True), (15, "on", False)]),
        ([(0, DELAYED_REBOOT)], [(24, "on", True), (25, "off", True), (45, "on", False)]),
        # Nobody cancelled it, so it is still carried out.
        ([(0, DELAYED_OFF), (1, ON)], [(10, "on", True), (25, "off", False)]),
    ],
)
def test_commands_in_time(
    commands: list[tuple[int, int]], story: list[tuple[int, str, bool]]
) -> None:
    clock = Clock()
    device = RpduDevice(RpduOptions(outlets=2, lag=5), clock=clock)
    outlet = device.outlets[1]
    outlet.on_delay, outlet.off_delay, outlet.reboot = 10, 20, 10
    began, seen = clock.now, []
    moments = sorted({at for at, _ in commands} | {at for at, _, _ in story})
    for at in moments:
        clock.now = began + at
        for when, command in commands:
            if when == at:
                device.command(1, command)
        seen.append((at, device.outlets[1].state, device.pending(1)))
    assert set(story) <= set(seen)
    assert device.outlets[2].state == "on"


def test_an_outlet_that_never_switches_on_by_delay() -> None:
    device = RpduDevice(RpduOptions(outlets=1))
    device.outlets[1].on_delay = -1
    device.command(1, OFF)
    device.command(1, DELAYED_ON)
    assert (device.outlets[1].state, device.pending(1)) == ("off", False)


def test_the_unit_remembers(tmp_path: Path) -> None:
    kept = tmp_path / "pdu.json"
    first = RpduDevice(RpduOptions(outlets=3), state=kept)
    first.set([((*map(int, LABEL.split(".")), 2), b"web")], apply=True)
    first.command(3, OFF)
    second = RpduDevice(RpduOptions(outlets=3), state=kept)
    assert (second.outlets[2].label, second.outlets[3].state) == ("web", "off")
    assert (second.engine_id, second.boots) == (first.engine_id, first.boots + 1)
    assert list(tmp_path.iterdir()) == [kept]
    assert json.loads(kept.read_text())["outlets"]["1"]["state"] == "on"


def tool(unit: ApcRpdu, name: str, *arguments: str, patience: int = 20) -> tuple[int, str]:
    """Exit code and output of one of net-snmp's tools, asked of ``unit`` once."""
    options, rest = [], list(arguments)
    while rest and not rest[0].startswith("1.3"):
        options.append(rest.pop(0))
    done = subprocess.run(
        [name, *options, "-On", "-r0", f"-t{patience}", f"127.0.0.1:{unit.port}", *rest],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout + done.stderr


CASES = [
    ("snmpget", [*READ, "1.3.6.1.2.1.1.2.0"], 0, "OID: .1.3.6.1.4.1.318.1.3.4.6"),
    ("snmpget", [*V3, f"{RPDU}.1.5.0"], 0, 'STRING: "AP8641"'),
    ("snmpget", [*READ, f"{STATE}.9"], 0, "No Such Instance"),
    ("snmpgetnext", [*READ, f"{STATE}.2"], 0, f".{PENDING}.1 = INTEGER: 2"),
    ("snmpbulkget", [*READ, STATE], 0, f".{STATE}.2 = INTEGER: 1"),
    ("snmpset", [*WRITE, f"{COMMAND}.1", "i", "2"], 0, f".{COMMAND}.1 = INTEGER: 2"),
    ("snmpset", [*V3, f"{LABEL}.1", "s", "web 1"], 0, 'STRING: "web 1"'),
    ("snmpset", [*READ, f"{COMMAND}.1", "i", "2"], 2, "noAccess"),
    ("snmpset", [*WRITE, f"{COMMAND}.1", "i", "9"], 2, "wrongValue"),
    ("snmpset", [*WRITE, f"{COMMAND}.1", "s", "2"], 2, "wrongType"),
    ("snmpset", [*WRITE, f"{COMMAND}.7", "i", "2"], 2, "noCreation"),
    ("snmpset", [*WRITE, f"{STATE}.1", "i", "2"], 2, "notWritable"),
    ("snmpset", [*WRITE, f"{ON_DELAY}.1", "i", "7201"], 2, "wrongValue"),
    ("snmpset", [*WRITE, f"{LABEL}.1", "s", "x" * 40], 2, "wrongLength"),
    ("snmpset", [*WRITE, f"{LABEL}.1", "s", "a", f"{ON_DELAY}.2", "i", "-5"], 2, f"{ON_DELAY}.2"),
    ("snmpget", ["-v2c", "-c", "wrong", f"{STATE}.1"], 1, "Timeout"),
    ("snmpget", [*V3[:-1], "wrong-priv", f"{STATE}.1"], 1, ""),
    ("snmpget", [*V3[:7], "-A", "wrong-auth", *V3[9:], f"{STATE}.1"], 1, "Authentication failure"),
    ("snmpget", [*["-v3", "-l", "noAuthNoPriv", "-u", "rack"], f"{STATE}.1"], 1, "security level"),
    (
        "snmpget",
        [
            *["-v3", "-l", "authNoPriv", "-u", "rack", "-a", "SHA", "-A", "rack-auth-1"],
            f"{STATE}.1",
        ],
        1,
        "",
    ),
    ("snmpget", [*V3[:4], "nobody", *V3[5:], f"{STATE}.1"], 1, "Unknown user name"),
]


@pytest.mark.parametrize(("name", "arguments", "code", "shown"), CASES, ids=lambda v: str(v)[:60])
@needs_tools
def test_net_snmps_tools(name: str, arguments: list[str], code: int, shown: str) -> None:
    with ApcRpdu(RpduOptions(outlets=2)) as unit:
        before = dict(unit.outlets)
        result, output = tool(unit, name, *arguments, patience=1 if code == 1 else 20)
        assert result == code, output
        assert shown in output
        if name != "snmpset":
            assert unit.counters.writes == 0
        elif code:
            assert unit.outlets == before
            assert unit.outlets[1].label == "Outlet 1"


@needs_tools
@pytest.mark.parametrize("how", [READ, V3], ids=["v2c", "v3"])
def test_net_snmp_walks_the_whole_unit(how: list[str]) -> None:
    with ApcRpdu(RpduOptions(outlets=24)) as unit:
        code, one_by_one = tool(unit, "snmpwalk", *how, "1.3.6")
        assert code == 0
        code, in_bulk = tool(unit, "snmpbulkwalk", *how, "-Cr40", "1.3.6")
        assert code == 0
        held = [line for line in one_by_one.splitlines() if "No more" not in line]
        assert len(held) == len(unit.device.values())
        ticking = {line for line in held if "Timeticks" in line}
        assert set(held) - ticking <= set(in_bulk.splitlines())
        assert unit.counters.get_next > unit.counters.get_bulk > 0
        assert unit.counters.writes == 0


@needs_tools
def test_net_snmp_sees_command_pending_and_state() -> None:
    with ApcRpdu(RpduOptions(outlets=2, lag=1.5)) as unit:
        assert tool(unit, "snmpset", *WRITE, f"{COMMAND}.1", "i", "2")[0] == 0
        _, seen = tool(unit, "snmpget", *READ, f"{STATE}.1", f"{PENDING}.1")
        assert [line.split()[-1] for line in seen.splitlines()] == ["1", "1"]
        until(lambda: not unit.device.pending(1))
        _, seen = tool(unit, "snmpget", *READ, f"{STATE}.1", f"{PENDING}.1")
        assert [line.split()[-1] for line in seen.splitlines()] == ["2", "2"]


@needs_tools
@pytest.mark.parametrize(
    ("faults", "code", "shown", "label"),
    [
        (Faults(hang=True), 1, "Timeout", "Outlet 1"),
        (Faults(refuse=True), 1, "Timeout", "Outlet 1"),
        (Faults(garbage=True), 1, "Timeout", "x"),
        (Faults(reject=True), 2, "notWritable", "Outlet 1"),
        (Faults(lie=True), 0, 'STRING: "x"', "Outlet 1"),
        (Faults(drop_after=1), 1, "Timeout", "x"),
        (Faults(drop_after=2), 0, 'STRING: "x"', "x"),
    ],
    ids=str,
)
def test_faults(faults: Faults, code: int, shown: str, label: str) -> None:
    with ApcRpdu(RpduOptions(outlets=2), faults=faults) as unit:
        result, output = tool(
            unit, "snmpset", *WRITE, f"{LABEL}.1", "s", "x", patience=1 if code == 1 else 20
        )
        assert (result, unit.outlets[1].label) == (code, label), output
        assert shown in output


@needs_tools
def test_users_may_be_limited_to_reading() -> None:
    access = Access(users=(User("looker", "look-auth-1", "look-priv-1", write=False),))
    with ApcRpdu(RpduOptions(outlets=1, access=access)) as unit:
        how = [
            "-v3",
            "-l",
            "authPriv",
            "-u",
            "looker",
            "-a",
            "SHA",
            "-A",
            "look-auth-1",
            "-x",
            "AES",
            "-X",
            "look-priv-1",
        ]
        assert tool(unit, "snmpget", *how, f"{STATE}.1")[0] == 0
        assert "noAccess" in tool(unit, "snmpset", *how, f"{COMMAND}.1", "i", "2")[1]


def test_on_the_callers_loop() -> None:
    async def both() -> set[int]:
        async with ApcRpdu() as one, ApcRpdu() as two:
            return {one.port, two.port}

    assert len(asyncio.run(both()) - {0}) == 2
