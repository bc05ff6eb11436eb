"""The SNMP transport against net-snmp's snmpd."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.errors import Permanent, RackwrightError, Rejected, Unreachable
from rackwright.model.site import Snmp
from rackwright.provider import Surroundings
from rackwright_providers.transport.snmp import SnmpSession, integer, octets, open_snmp

SNMPD = shutil.which("snmpd") or shutil.which("snmpd", path="/usr/sbin:/sbin")
pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(not SNMPD, reason="net-snmp's daemon (snmpd) is missing"),
]
CONTACT, NAME, UP_TIME = (f"1.3.6.1.2.1.1.{n}.0" for n in (4, 5, 3))
V3 = {"version": "3", "username": "rack", "auth": "rack-auth-1", "priv": "rack-priv-1"}
CONF = """\
createUser rack SHA rack-auth-1 AES rack-priv-1
createUser old MD5 rack-auth-1 DES rack-priv-1
createUser signed SHA-256 rack-auth-1
createUser looker SHA rack-auth-1 AES rack-priv-1
rwuser rack authPriv
rwuser old authPriv
rwuser signed authNoPriv
rouser looker authPriv
rwcommunity private
rocommunity public
rocommunity6 public
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An snmpd of our own on a high loopback port."""
    assert SNMPD
    where = tmp_path_factory.mktemp("snmpd")
    (where / "snmpd.conf").write_text(CONF)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    server = subprocess.Popen(
        f"{SNMPD} -f -C -c {where}/snmpd.conf -Lf {where}/log -p {where}/pid "
        f"udp:127.0.0.1:{number} udp6:[::1]:{number}".split(),
        env=os.environ | {"SNMP_PERSISTENT_DIR": str(where), "MIBS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            try:
                reach(number).close()
                break
            except Unreachable:
                assert server.poll() is None, (where / "log").read_text()
        yield number
    finally:
        server.terminate()
        server.wait(10)


def reach(port: int, **options: Any) -> SnmpSession:
    given = {"host": "127.0.0.1", "port": port, "community": "private", "timeout": 0.5}
    session = open_snmp(
        Snmp(**given | {"retries": 0} | options),
        Surroundings(state=Path("/nonexistent"), writable=True),
    )
    assert isinstance(session, SnmpSession)
    return session


OLD = V3 | {"username": "old", "auth_protocol": "MD5", "priv_protocol": "DES"}
SIGNED = V3 | {"username": "signed", "auth_protocol": "SHA256", "priv": ""}


@pytest.mark.parametrize("options", [{}, V3, OLD, SIGNED], ids=["2c", "authPriv", "old", "signed"])
def test_get_walk_and_set(options: dict[str, Any], port: int) -> None:
    session = reach(port, **options)
    wanted = f"we, over {options.get('username', 'v2c')}"
    session.set({CONTACT: octets(wanted)})
    found = session.get(CONTACT, UP_TIME, "1.3.6.1.2.1.1.99.0")
    assert found[CONTACT].text == wanted
    assert found[UP_TIME].kind == "ticks"
    assert len(found) == 2
    system = session.walk("1.3.6.1.2.1.1")
    assert system[CONTACT] == found[CONTACT]
    assert all(oid.startswith("1.3.6.1.2.1.1.") for oid in system)
    columns = [f"1.3.6.1.2.1.2.2.1.{n}" for n in (1, 2, 7)]  # ifIndex, ifDescr, ifAdminStatus
    interfaces = session.walk(*columns)
    assert {v.text for k, v in interfaces.items() if k.startswith(f"{columns[1]}.")} >= {"lo"}
    assert len(interfaces) % 3 == 0
    session.close()


def test_over_ipv6(port: int) -> None:
    try:
        session = reach(port, host="::1", community="public")
    except Unreachable:
        pytest.skip("no IPv6 on the loopback")
    assert session.via == f"snmp [::1]:{port}"
    assert NAME in session.get(NAME)


@pytest.mark.parametrize(
    ("options", "value", "error"),
    [
        ({}, integer(1), "wrongType"),
        ({"community": "public"}, octets("x"), "noAccess"),
        ({**V3, "username": "looker"}, octets("x"), "noAccess"),
    ],
)
def test_refused_writes(options: dict[str, Any], value: Any, error: str, port: int) -> None:
    with pytest.raises(Rejected, match=f"SET {CONTACT}: {error}") as caught:
        reach(port, **options).set({CONTACT: value})
    assert caught.value.output == error


def test_what_cannot_be_written(port: int) -> None:
    with pytest.raises(Rejected, match="notWritable"):
        reach(port).set({UP_TIME: integer(1)})


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"community": "nope"}, Unreachable, "no answer"),
        ({**V3, "username": "nobody"}, Permanent, "does not know this user name"),
        ({**V3, "auth": "wrong-auth-1"}, Permanent, "authentication failed"),
        ({**V3, "auth_protocol": "SHA512"}, Permanent, "authentication failed"),
        ({**V3, "priv": "wrong-priv-1"}, Permanent, "decryption failed"),
        ({**V3, "priv_protocol": "DES"}, Permanent, "decryption failed"),
        ({**SIGNED, "priv": "rack-priv-1"}, Permanent, "at this security level"),
    ],
    ids=str,
)
def test_wrong_credentials(
    options: dict[str, Any], kind: type[RackwrightError], message: str, port: int
) -> None:
    with pytest.raises(kind, match=message):
        reach(port, **options)


def test_too_little_protection_for_the_user(port: int) -> None:
    with pytest.raises(Permanent, match="authorizationError"):
        reach(port, **V3 | {"priv": ""}).get(NAME)


def test_a_closed_port_is_known_at_once_over_v3() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    with pytest.raises(Unreachable, match="refused"):
        reach(number, timeout=60, **V3)
