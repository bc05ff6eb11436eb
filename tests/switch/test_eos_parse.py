"""What EOS shows, as values; and cut short, never something else than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackwright.model.address import Address
from rackwright.model.resource import Resource
from rackwright_providers.switch import eos_parse
from rackwright_providers.switch.cli_lines import SeenCommunity, SeenNtpServer, SeenSyslogServer
from rackwright_providers.switch.resources import (
    Hostname,
    Lag,
    LocalUser,
    Port,
    SnmpCommunity,
    Vlan,
)

RUNNING = (Path(__file__).parent / "samples" / "eos_show_running_config.txt").read_text()
WANTED: dict[Address, Resource] = {
    item.address: item
    for item in (
        LocalUser(name="admin", password="Hello world!"),
        LocalUser(name="ops", password="not this"),
        SnmpCommunity(name="monitoring", community="private"),
        Lag(name="30", lacp="passive"),
    )
}
UNTOUCHED = {
    "admin": "up",
    "description": "",
    "mode": "access",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "all",
}
ROUTED = {"admin": "up", "description": "", "mode": "routed"}
PORTS = {
    "Ethernet1": UNTOUCHED,
    "Ethernet2": {**UNTOUCHED, "description": "web1 eth0", "admin": "down", "access_vlan": 20},
    "Ethernet3": {
        **UNTOUCHED,
        "mode": "trunk",
        "native_vlan": 10,
        "allowed_vlans": "10,20-22,100-110,200",
    },
    "Ethernet4": {**UNTOUCHED, "mode": "trunk", "native_vlan": None, "allowed_vlans": "none"},
    "Ethernet5": {**UNTOUCHED, "lag": "10"},
    "Ethernet6": {**UNTOUCHED, "lag": "10"},
    "Ethernet7": ROUTED,
    "Ethernet8": {**UNTOUCHED, "mode": None},
    "Ethernet49/1": {**UNTOUCHED, "lag": "40"},
    "Management1": ROUTED,
}


def found(text: str = RUNNING) -> dict[Address, Resource]:
    return eos_parse.configuration(text, WANTED)


def test_vlans() -> None:
    vlans = {seen.name: seen.title for seen in found().values() if isinstance(seen, Vlan)}
    assert vlans == {
        "10": "VLAN0010",
        "20": "VLAN0020",
        "21": "VLAN0021",
        "22": "VLAN0022",
        "30": "storage",
        "2000": "a-name-of-thirty-two-characters-",
    }


def test_ports() -> None:
    ports = {seen.name: seen for seen in found().values() if isinstance(seen, Port)}
    assert ports == {
        name: Port(name=name, **{"lag": "none", **values})  # type: ignore[arg-type]
        for name, values in PORTS.items()
    }


def test_ports_of_a_switch_that_routes_by_default() -> None:
    text = RUNNING.replace("interface Ethernet1\n", "interface Ethernet1\n   switchport\n")
    ports = found("switchport default mode routed\n!\n" + text)
    modes = {address.name: seen.mode for address, seen in ports.items() if isinstance(seen, Port)}
    assert (modes["Ethernet1"], modes["Ethernet2"], modes["Ethernet3"]) == (
        "access",
        "routed",
        "routed",
    )


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
            members=("Ethernet5", "Ethernet6"),
            lacp="passive",
        ),
        # Without members it can only have the mode that is declared.
        "30": Lag(
            name="30",
            members=(),
            lacp="passive",
            **{**UNTOUCHED, "admin": "down"},  # type: ignore[arg-type]
        ),
        "40": Lag(name="40", members=("Ethernet49/1",), lacp="off", **UNTOUCHED),  # type: ignore[arg-type]
    }


def test_management() -> None:
    seen = found()
    assert seen[Address("hostname", "system")] == Hostname(name="system", value="sw-a1")
    assert seen[Address("ntp_server", "192.0.2.3")] == SeenNtpServer(
        name="192.0.2.3", prefer=True, options=("iburst",)
    )
    assert Address("ntp_server", "2001:db8::1") in seen
    assert Address("ntp_server", "192.0.2.4") not in seen  # of another VRF
    assert seen[Address("syslog_server", "192.0.2.1")] == SeenSyslogServer(
        name="192.0.2.1", lines=("logging host 192.0.2.1", "logging host 192.0.2.1 25")
    )
    assert Address("syslog_server", "loghost") in seen
    assert Address("syslog_server", "192.0.2.9") not in seen


def test_communities() -> None:
    communities = {
        seen.community: seen for seen in found().values() if isinstance(seen, SeenCommunity)
    }
    assert {text: seen.access for text, seen in communities.items()} == {
        "basic": "ro",
        "private": "rw",
        "seen": "ro",
        "bare": "ro",
    }
    assert communities["private"].name == "monitoring"
    assert communities["basic"].name.startswith("#")
    assert (communities["seen"].before, communities["seen"].after) == (("view", "all"), ("list1",))


def test_accounts() -> None:
    users = {seen.name: seen for seen in found().values() if isinstance(seen, LocalUser)}
    assert set(users) == {"admin", "guest", "ops"}
    admin = users["admin"]
    assert (admin.password, admin.privilege, admin.role) == ("Hello world!", 15, "network-admin")
    assert (users["guest"].password, users["guest"].privilege) == ("", 1)
    assert str(users["ops"].password).startswith("$1$")


def test_a_new_switch_is_called_localhost() -> None:
    assert found("interface Ethernet1\n!\nend\n")[Address("hostname", "system")] == Hostname(
        name="system", value="localhost"
    )


def test_cut_short_it_is_no_configuration() -> None:
    for end in range(len(RUNNING.rstrip()) - 1):
        with pytest.raises(ValueError, match="does not end"):
            found(RUNNING[:end])


SESSIONS = """{
    "maxSavedSessions": 1, "maxOpenSessions": 5%s,
    "sessions": {
        "rackwright-1": {"state": "%s", "instances": {}},
        "capi-12-34": {"state": "pending", "instances": {}},
        "rackwright-2": {"state": "completed", "instances": {}},
        "sess-1": {"state": "pendingCommitTimer", "instances": {}}
    }
}"""


@pytest.mark.parametrize(
    ("more", "state", "ours"),
    [
        ("", "pending", ["rackwright-1"]),
        ("", "pendingCommitTimer", ["rackwright-1"]),
        ("", "aborted", []),
        (', "commitTimerSessionName": ""', "completed", []),
        (', "commitTimerSessionName": "rackwright-2"', "completed", ["rackwright-2"]),
        (', "commitTimerSessionName": "capi-12-34"', "completed", []),
        (', "commitTimerSessionName": "rackwright-9"', "pending", ["rackwright-9", "rackwright-1"]),
    ],
)
def test_our_sessions_and_nobody_elses(more: str, state: str, ours: list[str]) -> None:
    assert eos_parse.our_sessions(SESSIONS % (more, state)) == ours


@pytest.mark.parametrize("text", ["", "{}", "[]", "% Invalid input", '{"sessions": 5}'])
def test_an_answer_about_sessions_that_makes_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="show configuration sessions"):
        eos_parse.our_sessions(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ethernet1", "Ethernet1"),
        ("et49/1", "Ethernet49/1"),
        ("Eth 1", "Ethernet1"),
        ("ma1", "Management1"),
        ("Management 0", "Management0"),
        ("po10", "Port-Channel10"),
        ("port-channel 10", "Port-Channel10"),
    ],
)
def test_names_of_interfaces(text: str, name: str) -> None:
    assert eos_parse.interface(text) == name


@pytest.mark.parametrize("text", ["", "1", "Ethernet", "Gi1/0/1", "v10", "eth one", "Et1\nreload"])
def test_what_is_no_interface(text: str) -> None:
    with pytest.raises(ValueError, match="not a port's name"):
        eos_parse.interface(text)
