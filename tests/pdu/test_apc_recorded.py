"""apc_rpdu and apc_rpdu2 read recordings of three real units, which serve both, from snmpsim."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Unreachable
from rackwright_providers.pdu import units
from tests.pdu.conftest import ALL, Opener, outlet
from tests.pdu.recording import Recording

snmpsim_data = pytest.importorskip("snmpsim_data")
RESPONDER = Path(sys.executable).with_name("snmpsim-command-responder")
RECORDED = Path(snmpsim_data.__file__).parent / "data" / "UPS"
APC, APC2 = units.provider("apc_rpdu"), units.provider("apc_rpdu2")
UNITS = ("apc-7902b", "apc-8641", "apc-8932")


def recorded(unit: str) -> dict[str, str]:
    """The recording's rows as text, by OID."""
    rows = {}
    for line in (RECORDED / f"{unit}.snmprec").read_text("latin-1").splitlines():
        oid, kind, value = line.split("|", 2)
        rows[oid] = bytes.fromhex(value).decode("latin-1") if kind == "4x" else value
    return rows


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An snmpsim that serves each unit under its name as the community."""
    if not RESPONDER.exists():
        pytest.skip("snmpsim is not installed")
    where = tmp_path_factory.mktemp("snmpsim")
    (where / "data").mkdir()
    (where / "cache").mkdir()
    for unit in UNITS:
        shutil.copy(RECORDED / f"{unit}.snmprec", where / "data")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    arguments = [str(RESPONDER), f"--data-dir={where / 'data'}", f"--cache-dir={where / 'cache'}"]
    arguments.append(f"--agent-udpv4-endpoint=127.0.0.1:{number}")
    if os.geteuid() == 0:
        arguments += ["--process-user=root", "--process-group=root"]
    with (where / "log").open("w") as log:
        server = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=where
        )
    yield number
    server.terminate()
    server.wait(10)


def ready(opener: Opener, port: int, unit: str) -> Any:
    """A session once snmpsim has indexed its data."""
    end = time.monotonic() + 60
    while True:
        try:
            return opener(APC, port, community=unit)
        except Unreachable:
            if time.monotonic() > end:
                raise


RPDU = "1.3.6.1.4.1.318.1.1.12"


@pytest.mark.proves(
    "apc_rpdu", "outlet", over="snmp", on="recorded", by="APC AP7902B, AP8641, AP8932 (reads)"
)
@pytest.mark.parametrize("unit", UNITS)
def test_every_outlet_is_read_as_recorded(unit: str, port: int, opener: Opener) -> None:
    rows = recorded(unit)
    count = int(rows[f"{RPDU}.3.1.4.0"])  # rPDUOutletDevNumTotalOutlets
    found = APC.read(ready(opener, port, unit), ALL)
    assert list(found) == [outlet(number) for number in range(1, count + 1)]
    for number in range(1, count + 1):
        seen = found[outlet(number)]
        assert seen.state == {"1": "on", "2": "off"}[rows[f"{RPDU}.3.5.1.1.4.{number}"]]  # type: ignore[attr-defined]
        assert seen.label == rows[f"{RPDU}.3.5.1.1.2.{number}"]  # type: ignore[attr-defined]
        assert (seen.on_delay, seen.off_delay, seen.reboot_delay) == (0, 0, 5)  # type: ignore[attr-defined]
        assert rows[f"{RPDU}.3.5.1.1.5.{number}"] == "2"  # noCommandPending


@pytest.mark.proves(
    "apc_rpdu2", "outlet", over="snmp", on="recorded", by="APC AP8641, AP8932 (reads)"
)
@pytest.mark.parametrize("unit", ["apc-8641", "apc-8932"])
def test_both_groups_of_the_mib_tell_the_same(unit: str) -> None:
    """Though one counts on 1, off 2 and the other off 1, on 2.

    Not of the 7902B: whoever published its recording lets the states of rPDU2 drift from values that
    are not the recorded ones.
    """
    session: Any = Recording(RECORDED / f"{unit}.snmprec")
    old, new = APC.read(session, ALL), APC2.read(session, ALL)
    assert old == new
    assert len(new) == 24
    assert {outlet.state for outlet in new.values()} == {"on", "off"}  # type: ignore[attr-defined]
    told, before = APC2.discover(session).values, APC.discover(session).values
    assert told == {**before, "firmware": str(before["firmware"]).removeprefix("v")}
    assert str(told["object_id"]).startswith(APC2.object_ids)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (
            "apc-7902b",
            {
                "model": "AP7902B",
                "serial": "5A1551F39430",
                "hardware": "B2",
                "firmware": "v6.7.2",
                "name": "pwr-dc01-pdu-rack01-01",
                "object_id": "1.3.6.1.4.1.318.1.3.4.8",
                "rating_amperes": 24,
                "outlets": 16,
                "load_amperes": 2,
            },
        ),
        (
            "apc-8641",
            {
                "model": "AP8641",
                "serial": "3F3452A52295",
                "hardware": "02",
                "firmware": "v6.7.2",
                "name": "pwr-dc01-pdu-rack1-01",
                "object_id": "1.3.6.1.4.1.318.1.3.4.6",
                "rating_amperes": 24,
                "outlets": 24,
                "load_amperes": 7,
            },
        ),
        (
            "apc-8932",
            {
                "model": "AP8932",
                "serial": "3F503A169043",
                "hardware": "02",
                "firmware": "v6.7.2",
                "name": "pwr-dc01-pdu-rack3-01",
                "object_id": "1.3.6.1.4.1.318.1.3.4.6",
                "rating_amperes": 24,
                "outlets": 24,
                "load_amperes": 1,
            },
        ),
    ],
)
def test_discovery_as_recorded(
    unit: str, expected: dict[str, object], port: int, opener: Opener
) -> None:
    values = dict(APC.discover(ready(opener, port, unit)).values)
    names = values.pop("outlet_names")
    assert values == expected
    assert len(names) == expected["outlets"]
    assert ("Outlet 3" in names.values()) == (unit != "apc-8641")
