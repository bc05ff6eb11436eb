"""What IOS shows, as values; and cut short, never something else than it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from rackwright.model.facts import FoundLink
from rackwright_providers.switch import ios_discover, ios_parse
from rackwright_providers.switch.resources import Lag, Port

SAMPLES = Path(__file__).parent / "samples"


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.txt").read_text()


def test_vlans() -> None:
    vlans, carrying = ios_parse.vlans(sample("show_vlan_brief"))
    assert {name: vlan.title for name, vlan in vlans.items()} == {
        "10": "storage",
        "20": "a-name-of-thirty-two-characters-",
        "30": "storage net",
        "40": "parked",
        "50": "suspended",
        "666": "active",
        "2000": "VLAN2000",
    }
    assert all(vlan.name == name for name, vlan in vlans.items())
    assert carrying == {
        **{f"GigabitEthernet1/0/{number}": 1 for number in range(5, 11)},
        "TenGigabitEthernet1/1/1": 1,
        "GigabitEthernet1/0/1": 10,
        "GigabitEthernet1/0/2": 10,
        "Port-channel1": 30,
        "GigabitEthernet1/0/11": 50,
        "AppGigabitEthernet1/0/1": 666,
    }


def test_the_rest_of_show_vlan_is_no_list_of_vlans() -> None:
    types = (
        "\nVLAN Type  SAID       MTU   Parent RingNo BridgeNo Stp  BrdgMode Trans1 Trans2\n"
        "---- ----- ---------- ----- ------ ------ -------- ---- -------- ------ ------\n"
        "1    enet  100001     1500  -      -      -        -    -        0      0\n"
    )
    brief = sample("show_vlan_brief")
    assert ios_parse.vlans(brief + types) == ios_parse.vlans(brief)


@pytest.mark.parametrize("text", ["", "\n", "% something\n", "10   storage   active\n"])
def test_an_empty_answer_is_not_an_empty_switch(text: str) -> None:
    with pytest.raises(ValueError, match="heading"):
        ios_parse.vlans(text)


def test_a_line_that_makes_no_sense_is_not_passed_over() -> None:
    with pytest.raises(ValueError, match="not a line"):
        ios_parse.vlans(sample("show_vlan_brief") + "garbage here\n")


UNTOUCHED = {
    "admin": "up",
    "description": "",
    "mode": "dynamic",
    "access_vlan": 1,
    "native_vlan": 1,
    "allowed_vlans": "all",
}
ROUTED = {"admin": "up", "description": "", "mode": "routed"}
TRUNK = {"mode": "trunk", "allowed_vlans": "10,20"}
PORTS = {
    "GigabitEthernet0/0": {**ROUTED, "admin": "down"},
    "GigabitEthernet1/0/1": UNTOUCHED,
    "GigabitEthernet1/0/2": {
        **UNTOUCHED,
        "mode": "access",
        "access_vlan": 10,
        "description": "web1 eth0 | interface of 2 words",
    },
    "GigabitEthernet1/0/3": {
        **UNTOUCHED,
        "mode": "trunk",
        "native_vlan": 99,
        "description": "uplink",
        "mtu": 9198,
        "allowed_vlans": "1,10,20-29,40,42,44,46,48,50,52,54,56,58,60,62,64,66,68,100-199",
    },
    "GigabitEthernet1/0/4": {
        **UNTOUCHED,
        "mode": "trunk",
        "allowed_vlans": "none",
        "admin": "down",
    },
    "GigabitEthernet1/0/5": UNTOUCHED,
    "GigabitEthernet1/0/6": {**UNTOUCHED, "mode": None},
    "GigabitEthernet1/0/7": ROUTED,
    "GigabitEthernet1/0/8": {**UNTOUCHED, "access_vlan": 10},
    "GigabitEthernet1/0/9": {**UNTOUCHED, **TRUNK, "lag": "1"},
    "GigabitEthernet1/0/10": {**UNTOUCHED, **TRUNK, "lag": "1"},
    "Vlan1": {**ROUTED, "admin": "down"},
    "Vlan10": {**ROUTED, "description": "management"},
}


def test_ports() -> None:
    ports, lags = ios_parse.interfaces_of(sample("show_running_config"))
    assert ports == {
        name: Port(name=name, **{"lag": "none", **fields}) for name, fields in PORTS.items()
    }
    members = ("GigabitEthernet1/0/9", "GigabitEthernet1/0/10")
    assert lags == {
        "1": Lag(name="1", **{**UNTOUCHED, **TRUNK}, members=members, lacp="active"),
    }


@pytest.mark.parametrize(
    ("modes", "lacp"),
    [
        (["active", "active"], "active"),
        (["passive"], "passive"),
        (["on", "on"], "off"),
        (["active", "passive"], None),
        (["desirable"], None),
        ([], None),
    ],
)
def test_a_lags_mode_is_that_of_all_its_members(modes: list[str], lacp: str | None) -> None:
    text = "interface Port-channel2\n" + "".join(
        f"interface Gi1/0/{at}\n channel-group 2 mode {mode}\n" for at, mode in enumerate(modes, 1)
    )
    assert ios_parse.interfaces_of(text)[1]["2"].lacp == lacp


def test_the_interface_sections_alone_say_the_same() -> None:
    whole = sample("show_running_config")
    kept = []
    for line in whole.splitlines():
        if line.startswith("interface ") or (
            line.startswith(" ") and kept and "line con" not in line
        ):
            kept.append(line)
        if line.startswith("line con"):
            break
    assert ios_parse.interfaces_of("\n".join(kept)) == ios_parse.interfaces_of(whole)


@pytest.mark.parametrize(
    ("lines", "allowed"),
    [
        (["10"], "10"),
        (["all"], "all"),
        (["none"], "none"),
        (["except 10-20"], "1-9,21-4094"),
        (["remove 10-20"], "1-9,21-4094"),
        (["10", "add 20", "remove 10"], "20"),
        (["1-4094"], "all"),
    ],
)
def test_every_form_of_a_list(lines: list[str], allowed: str) -> None:
    text = "interface Gi1/0/1\n" + "".join(
        f" switchport trunk allowed vlan {line}\n" for line in lines
    )
    ports, _ = ios_parse.interfaces_of(text)
    assert ports["GigabitEthernet1/0/1"].allowed_vlans == allowed


def test_mtus() -> None:
    assert ios_parse.mtus(sample("show_interfaces")) == {
        "Vlan10": 1500,
        "GigabitEthernet1/0/1": 1500,
        "GigabitEthernet1/0/3": 9198,
    }


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_switchports(ends: str) -> None:
    text = sample("show_interfaces_switchport").replace("\n", ends)
    assert ios_parse.switchports(text) == {
        "GigabitEthernet1/0/1": {
            "operation": "static access",
            "access_vlan": 10,
            "native_vlan": 1,
            "voice_vlan": 20,
            "allowed_vlans": "all",
        },
        "TenGigabitEthernet1/1/1": {
            "operation": "trunk",
            "access_vlan": 1,
            "native_vlan": 99,
            "allowed_vlans": "1,12,15,31-36,40-42,80,85,101,201,240,410,420,602,604,"
            "900,910,920,930,940",
        },
        "Port-channel1": {"operation": "down", "allowed_vlans": "none"},
        "Vlan1": {"operation": ""},
    }


def parsed(command: str) -> ios_discover.Rows:
    return ios_discover.parse(command, sample(command.replace(" ", "_").replace("-", "_")))


def test_version() -> None:
    (row,) = parsed("show version")
    assert ios_discover.version_facts(row) == {
        "vendor": "cisco",
        "hostname": "sw-a1",
        "version": "17.9.4a",
        "image": "packages.conf",
        "model": "C9200L-24T-4G",
        "serial": "JAE00000001",
        "mac": "00:11:22:33:44:00",
        "stack": [
            {"model": "C9200L-24T-4G", "serial": "JAE00000001"},
            {"model": "C9200L-24T-4G", "serial": "JAE00000002"},
        ],
    }


def test_neighbours() -> None:
    assert ios_discover.neighbour_links(parsed("show lldp neighbors detail")) == [
        FoundLink(port="GigabitEthernet1/0/1", peer="web1", peer_port="eth0"),
        FoundLink(port="TenGigabitEthernet1/1/1", peer="core1.example.net", peer_port="Te1/0/24"),
        FoundLink(port="GigabitEthernet1/0/1", peer="00:11:22:33:77:77", peer_port="502"),
    ]


def test_mac_table() -> None:
    table = ios_discover.mac_table(parsed("show mac address-table"))
    assert table == {
        "GigabitEthernet1/0/2": [
            {"mac": "00:11:22:33:44:55", "vlan": 10},
            {"mac": "00:11:22:33:44:77", "vlan": 10},
        ],
        "TenGigabitEthernet1/1/1": [{"mac": "00:11:22:33:99:99", "vlan": 10}],
    }
    spoken = [FoundLink(port="TenGigabitEthernet1/1/1", peer="core1")]
    assert ios_discover.mac_links(table, spoken) == [
        FoundLink(port="GigabitEthernet1/0/2", peer="00:11:22:33:44:55", how="mac"),
        FoundLink(port="GigabitEthernet1/0/2", peer="00:11:22:33:44:77", how="mac"),
    ]


def test_a_port_to_another_switch_is_no_link_to_each_server() -> None:
    many = [{"mac": f"00:00:00:00:00:{n:02x}", "vlan": 1} for n in range(ios_discover.EDGE + 1)]
    assert ios_discover.mac_links({"Gi1/0/1": many}, []) == []


def test_port_facts() -> None:
    facts = ios_discover.port_facts(parsed("show interfaces status"))
    assert facts["GigabitEthernet1/0/1"] == {
        "state": "connected",
        "duplex": "a-full",
        "speed": "a-1000",
        "media": "10/100/1000BaseTX",
    }
    assert facts["Port-channel1"]["state"] == "err-disabled"


def test_what_fits_no_template_is_left_out() -> None:
    assert ios_discover.parse("show lldp neighbors detail", "no such thing\n") == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0011.2233.AAbb", "00:11:22:33:aa:bb"),
        ("00-11-22-33-44-55", "00:11:22:33:44:55"),
        ("aabbccddeeff", "aabbccddeeff"),  # as likely a name
        ("Te1/0/24", "Te1/0/24"),
        ("", ""),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    assert ios_discover.mac(text) == shown
