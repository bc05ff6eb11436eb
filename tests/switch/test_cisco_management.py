"""Names, servers, communities and accounts of a running configuration: what is read of them."""

from __future__ import annotations

from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.resource import Resource
from rackwright_providers.switch import ios_management, ios_secrets
from rackwright_providers.switch.resources import LocalUser, NtpServer, SnmpCommunity, SyslogServer

RUNNING = """\
hostname sw-a1
username ops privilege 15 secret 9 $9$2MJBozw/9R3UsU$2lFhcKvpghcyw8deP25GOfyZaagyUOGBymkryvOdfo6
username old secret 5 $1$28772684$iEwNOgGugqO9.bIz5sk8k/
username clear privilege 3 password 0 two words
username hidden password 7 0822455D0A16
username script privilege 2 nopassword
username script autocommand show version
logging buffered 9000
logging trap debugging
logging host 192.0.2.2
logging host 192.0.2.3 transport udp port 5514
logging host 192.0.2.4 vrf Mgmt-vrf
logging host ipv6 2001:DB8::2
logging 192.0.2.5
snmp-server community public RO
snmp-server community s3cret view all RW 99
ntp server 192.0.2.1 prefer
ntp server 2001:DB8:0:0:8:800:200C:417A version 4
ntp server vrf NAPALM 192.0.2.9
ntp server ip time.example.net
"""


def read(*wanted: Resource) -> dict[str, dict[str, Any]]:
    found = ios_management.parse(RUNNING, wanted)
    return {
        str(address): {
            name: getattr(item, name)
            for name in item.__struct_fields__
            if name not in ("name", "ensure") and getattr(item, name) is not None
        }
        for address, item in found.items()
    }


def test_all_that_is_there() -> None:
    ops = LocalUser(name="ops", password="hashcat")
    ours = SnmpCommunity(name="ours", community="s3cret")
    unknown = ios_management.UNKNOWN
    assert read(ops, ours, LocalUser(name="clear", password="two words")) == {
        "hostname/system": {"value": "sw-a1"},
        "ntp_server/192.0.2.1": {"prefer": True},
        "ntp_server/2001:db8::8:800:200c:417a": {"prefer": False, "options": "version 4"},
        "ntp_server/time.example.net": {"prefer": False},
        "syslog_server/192.0.2.2": {},
        "syslog_server/192.0.2.3": {"options": "transport udp port 5514"},
        "syslog_server/2001:db8::2": {},
        "syslog_server/192.0.2.5": {},
        "snmp_community/#1": {"community": "public", "access": "ro"},
        "snmp_community/ours": {"community": "s3cret", "access": "rw", "options": "view all 99"},
        "local_user/ops": {"password": "hashcat", "privilege": 15},
        "local_user/old": {"password": unknown, "privilege": 1},
        "local_user/clear": {"password": "two words", "privilege": 3},
        "local_user/hidden": {"password": unknown, "privilege": 1},
        "local_user/script": {"password": "", "privilege": 2},
    }


HASHES = [
    ("0", "in clear", "in clear"),
    ("5", "$1$28772684$iEwNOgGugqO9.bIz5sk8k/", "hashcat"),
    ("8", "$8$TnGX/fE4KGHOVU$pEhnEvxrvaynpi8j4f.EMHr6M.FzU8xnZnBr/tJdFWk", "hashcat"),
    ("8", "$8$dsYGNam3K1SIJO$7nv/35M/qr6t.dVc7UY9zrJDWRVqncHub1PE9UlMQFs", "cisco"),
    ("9", "$9$2MJBozw/9R3UsU$2lFhcKvpghcyw8deP25GOfyZaagyUOGBymkryvOdfo6", "hashcat"),
]


@pytest.mark.parametrize(("kind", "shown", "password"), HASHES)
def test_published_hashes(kind: str, shown: str, password: str) -> None:
    assert ios_secrets.fits(kind, shown, password)
    assert not ios_secrets.fits(kind, shown, f"{password}x")
    assert not ios_secrets.fits(kind, shown, "")
    assert not ios_secrets.fits("7", shown, password)


@pytest.mark.parametrize("shown", ["", "$9$", "$9$salt", "$9$salt$not base64", "$8$a$b$c", "x"])
@pytest.mark.parametrize("kind", ["5", "8", "9"])
def test_what_is_no_hash_fits_nothing(kind: str, shown: str) -> None:
    assert not ios_secrets.fits(kind, shown, "x")


def seen(address: str) -> Resource:
    return ios_management.parse(RUNNING, ())[Address.parse(address)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("", NtpServer(name="192.0.2.1"), ["ntp server 192.0.2.1"]),
        (
            "ntp_server/192.0.2.1",
            NtpServer(name="192.0.2.1", prefer=False),
            ["no ntp server 192.0.2.1", "ntp server 192.0.2.1"],
        ),
        (
            "ntp_server/2001:db8::8:800:200c:417a",
            NtpServer(name="2001:db8::8:800:200c:417a", prefer=True),
            ["ntp server 2001:db8::8:800:200c:417a version 4 prefer"],
        ),
        ("", SyslogServer(name="2001:db8::2"), ["logging host ipv6 2001:db8::2"]),
        ("syslog_server/192.0.2.3", None, ["no logging host 192.0.2.3 transport udp port 5514"]),
        ("snmp_community/#1", None, ["no snmp-server community public"]),
        (
            "snmp_community/#2",
            SnmpCommunity(name="#2", community="s3cret", access="ro"),
            ["snmp-server community s3cret view all RO 99"],
        ),
        ("local_user/ops", None, ["no username ops"]),
        ("local_user/ops", LocalUser(name="ops", privilege=1), ["username ops privilege 1"]),
        (
            "",
            LocalUser(name="new", privilege=15, password="x y"),
            ["username new privilege 15 algorithm-type scrypt secret x y"],
        ),
    ],
)
def test_lines(before: str, after: Resource | None, lines: list[str]) -> None:
    from .test_cisco_render import change

    was = seen(before) if before else None
    assert ios_management.lines(change(was, after)) == lines
    assert ios_management.lines(Change("release", Address("vlan", "1"))) == []
