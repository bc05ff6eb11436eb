"""What OS10 shows, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.facts import FoundLink
from rackwright.model.resource import Resource
from rackwright_providers.switch import os10_discover, os10_parse
from rackwright_providers.switch.cli_lines import SeenCommunity, SeenNtpServer, SeenSyslogServer
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    Port,
    SnmpCommunity,
    Vlan,
)

RUNNING = (Path(__file__).parent / "samples" / "os10_show_running_configuration.txt").read_text()
WANTED: dict[Address, Resource] = {
    item.address: item
    for item in (
        LocalUser(name="admin", password="Hello world!"),
        SnmpCommunity(name="monitoring", community="private"),
    )
}
UNTOUCHED = {
    "admin": "up",
    "description": "",
    "mode": "access",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "none",
    "mtu": 1532,
}
ROUTED = {"admin": "up", "description": "", "mode": "routed", "mtu": 1532}
PORTS = {
    "ethernet1/1/1": UNTOUCHED,
    "ethernet1/1/2": {
        **UNTOUCHED,
        "description": "web1",
        "admin": "down",
        "access_vlan": 20,
        "native_vlan": 20,
    },
    "ethernet1/1/3": {
        **UNTOUCHED,
        "mode": "trunk",
        "access_vlan": 10,
        "native_vlan": 10,
        "allowed_vlans": "20,100-110",
        "mtu": 9216,
    },
    "ethernet1/1/4": {
        **UNTOUCHED,
        "mode": "trunk",
        "access_vlan": None,
        "native_vlan": None,
        "allowed_vlans": "20",
    },
    "ethernet1/1/5": {**ROUTED, "lag": "10"},
    "ethernet1/1/25:1": {**ROUTED, "lag": "30"},
    "mgmt1/1/1": {"admin": "up", "description": "", "mode": "routed"},
}


def found(text: str = RUNNING, wanted: dict[Address, Resource] = WANTED) -> dict[Address, Resource]:
    return os10_parse.configuration(text, wanted)


def vlans(wanted: dict[Address, Resource]) -> dict[str, str | None]:
    return {
        seen.name: seen.title for seen in found(wanted=wanted).values() if isinstance(seen, Vlan)
    }


def test_vlans_without_the_switchs_own() -> None:
    assert vlans({}) == {"10": "storage net", "20": ""}
    # The default VLAN of this switch is 40: nobody's, unless somebody wants it.
    declared = Vlan(name="40")
    assert vlans({declared.address: declared}) == {"10": "storage net", "20": "", "40": ""}


def test_ports() -> None:
    ports = {seen.name: seen for seen in found().values() if isinstance(seen, Port)}
    assert ports == {
        name: Port(name=name, **{"lag": "none", **values})  # type: ignore[arg-type]
        for name, values in PORTS.items()
    }


def test_lags() -> None:
    lags = {seen.name: seen for seen in found().values() if isinstance(seen, Lag)}
    assert lags == {
        "10": Lag(
            name="10",
            admin="up",
            description="uplink",
            mode="trunk",
            access_vlan=1,
            native_vlan=1,
            allowed_vlans="10,20",
            mtu=9100,
            members=("ethernet1/1/5",),
            lacp="active",
        ),
        "20": Lag(name="20", members=(), **{**UNTOUCHED, "admin": "down"}),  # type: ignore[arg-type]
        "30": Lag(name="30", members=("ethernet1/1/25:1",), lacp="off", **UNTOUCHED),  # type: ignore[arg-type]
    }


def test_management() -> None:
    seen = found()
    assert seen[Address("hostname", "system")] == Hostname(name="system", value="sw-d1")
    assert seen[Address("ntp_server", "192.0.2.3")] == SeenNtpServer(
        name="192.0.2.3", prefer=True, options=("key", "7")
    )
    assert Address("ntp_server", "ntp2.example.net") in seen
    assert seen[Address("syslog_server", "192.0.2.1")] == SeenSyslogServer(
        name="192.0.2.1",
        lines=(
            "logging server 192.0.2.1 udp 514 severity log-notice",
            "logging server 192.0.2.1 vrf management",
        ),
    )
    communities = {one.community: one for one in seen.values() if isinstance(one, SeenCommunity)}
    assert {text: one.access for text, one in communities.items()} == {
        "basic": "ro",
        "private": "rw",
    }
    assert communities["private"].name == "monitoring"
    assert communities["basic"].after == ("acl", "snmp-ro")


def test_accounts() -> None:
    users = {seen.name: seen for seen in found().values() if isinstance(seen, LocalUser)}
    assert set(users) == {"admin", "watcher"}
    admin, watcher = users["admin"], users["watcher"]
    assert (admin.password, admin.privilege, admin.role) == ("Hello world!", 15, "sysadmin")
    assert (watcher.privilege, watcher.role) == (1, "netoperator")


@pytest.mark.parametrize(
    "text", ["", "\n", "% Error: Unrecognized command.\n", "interface vlan1\n"]
)
def test_an_empty_answer_is_not_an_empty_switch(text: str) -> None:
    with pytest.raises(ValueError, match="does not begin"):
        found(text)


def test_the_language_of_os9_is_told() -> None:
    assert not os10_parse.os9_style(RUNNING)
    assert os10_parse.os9_style(RUNNING + "feature config-os9-style\n")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ethernet1/1/1", "ethernet1/1/1"),
        ("Eth 1/1/25:1", "ethernet1/1/25:1"),
        ("management 1/1/1", "mgmt1/1/1"),
        ("mgmt1/1/1", "mgmt1/1/1"),
        ("Po10", "port-channel10"),
    ],
)
def test_names_of_interfaces(text: str, name: str) -> None:
    assert os10_parse.interface(text) == name


@pytest.mark.parametrize("text", ["", "1/1/1", "ethernet", "Gi1/0/1", "eth1/1/1\nreload"])
def test_what_is_no_interface(text: str) -> None:
    with pytest.raises(ValueError, match="not a port's name"):
        os10_parse.interface(text)


def test_discovery() -> None:
    assert os10_discover.version_facts(
        "Dell SmartFabric OS10 Enterprise\nOS Version: 10.5.4.1\nSystem Type: S4148F-ON\n"
    ) == {"vendor": "dell", "version": "10.5.4.1", "model": "S4148F-ON"}
    table = os10_discover.mac_table(
        "VlanId  Mac Address             Type            Interface\n"
        "1       88:6F:d4:98:a7:b1       dynamic         port-channel1000\n"
        "20      88:6f:d4:98:a7:b2       static          ethernet1/1/1\n"
        "10      88:6f:d4:98:a7:b0       dynamic         port-channel1000\n"
    )
    assert table == {
        "port-channel1000": [
            {"mac": "88:6f:d4:98:a7:b0", "vlan": 10},
            {"mac": "88:6f:d4:98:a7:b1", "vlan": 1},
        ]
    }
    assert os10_discover.neighbour_links(
        "Loc PortID          Rem Host Name        Rem Port Id              Rem Chassis Id\n"
        "----------------------------------------------------------------------------------\n"
        "ethernet1/1/2       Not Advertised       fortyGigE 0/56           00:01:e8:8a:fd:35\n"
        "ethernet1/1/20:1    web1                 eth0                     00:01:e8:05:db:05\n"
    ) == [
        FoundLink(port="ethernet1/1/2", peer="00:01:e8:8a:fd:35", peer_port="fortyGigE 0/56"),
        FoundLink(port="ethernet1/1/20:1", peer="web1", peer_port="eth0"),
    ]
    assert os10_discover.port_facts(
        "Port            Description     Status   Speed    Duplex   Mode Vlan Tagged-Vlans\n"
        "Eth 1/1/1                       up       40G      full     T    1    1234\n"
        "Eth 1/1/25:2    to web1         down     0        full     A    1    -\n"
    ) == {
        "ethernet1/1/1": {"state": "up", "speed": "40G"},
        "ethernet1/1/25:2": {"state": "down", "speed": "0"},
    }
