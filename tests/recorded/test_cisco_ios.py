"""Answers of real IOS devices through the parsers: ntc-templates' raw outputs and napalm's mocked data, in
``$RACKWRIGHT_RECORDED/ntc-templates`` and ``$RACKWRIGHT_RECORDED/napalm``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.resource import Resource
from rackwright_providers.switch import ios_discover, ios_management, ios_parse, vlanset
from rackwright_providers.switch.cisco_ios import DIALECT
from rackwright_providers.switch.interfaces import canonical
from rackwright_providers.switch.resources import LocalUser
from rackwright_providers.transport.cli import ERROR_WITHIN
from tests.tables import table

HERE = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent"))
NTC = HERE / "ntc-templates" / "tests" / "cisco_ios"
NAPALM = HERE / "napalm" / "test" / "ios" / "mocked_data"

Row = dict[str, Any]


def each(command: str, check: Callable[[str, list[Row]], None]) -> None:
    """``check`` with every raw output of ``command`` and the rows that ntc-templates expects of it."""
    files = sorted((NTC / command).glob("*.raw"))
    if not files:
        pytest.skip("RACKWRIGHT_RECORDED names no directory with ntc-templates")
    for file in files:
        rows = table(file.with_suffix(".yml"))["parsed_sample"]
        try:
            check(file.read_text(), rows)
        except Exception as error:
            raise AssertionError(f"{file.name}: {error}") from error


def port(text: str) -> str:
    return ios_discover.port_name(text)


@pytest.mark.proves("cisco_ios", "vlan", over="ssh", on="recorded", by="ntc-templates")
@pytest.mark.proves("cisco_ios", "vlan", over="serial", on="recorded", by="ntc-templates")
def test_vlans_and_who_carries_them() -> None:
    def check(text: str, rows: list[Row]) -> None:
        vlans, carrying = ios_parse.vlans(text)
        own = {row["vlan_id"]: row for row in rows}
        assert {name: vlan.title for name, vlan in vlans.items()} == {
            number: row["vlan_name"]
            for number, row in own.items()
            if int(number) not in ios_parse.RESERVED_VLANS
        }
        assert carrying == {
            port(name): int(number) for number, row in own.items() for name in row["interfaces"]
        }

    each("show_vlan", check)


@pytest.mark.proves("cisco_ios", "port", over="ssh", on="recorded", by="ntc-templates")
@pytest.mark.proves("cisco_ios", "port", over="serial", on="recorded", by="ntc-templates")
def test_descriptions_and_mtus_of_interface_sections() -> None:
    def check(text: str, rows: list[Row]) -> None:
        ports, lags = ios_parse.interfaces_of(text)
        assert not lags
        assert {name: (one.description, one.mode) for name, one in ports.items()} == {
            port(row["interface"]): (row["description"], "routed") for row in rows
        }
        assert {name: one.mtu for name, one in ports.items() if one.mtu} == {
            port(row["interface"]): int(row["mtu"]) for row in rows if row["mtu"]
        }

    each("show_running-config_interface", check)


@pytest.mark.proves("cisco_ios", "port", over="ssh", on="recorded", by="ntc-templates")
def test_mtus_of_interfaces() -> None:
    def check(text: str, rows: list[Row]) -> None:
        # What `| include line protocol|MTU` lets through.
        shown = "\n".join(
            line for line in text.splitlines() if re.search("line protocol|MTU", line)
        )
        assert ios_parse.mtus(shown) == {
            port(row["interface"]): int(row["mtu"]) for row in rows if row["mtu"]
        }

    each("show_interfaces", check)


def test_what_switched_ports_are_doing() -> None:
    def check(text: str, rows: list[Row]) -> None:
        found = ios_parse.switchports(text)
        assert set(found) == {port(row["interface"]) for row in rows}
        for row in rows:
            one = found[port(row["interface"])]
            assert one["operation"].startswith(row["mode"])
            for key in ("access_vlan", "native_vlan", "voice_vlan"):
                if str(row[key]).isdecimal():
                    assert one[key] == int(row[key]), key
            if row["trunking_vlans"]:
                assert one["allowed_vlans"] == vlanset.show(vlanset.parse(row["trunking_vlans"]))

    each("show_interfaces_switchport", check)


def test_states_of_ports() -> None:
    def check(text: str, rows: list[Row]) -> None:
        facts = ios_discover.port_facts(ios_discover.parse("show interfaces status", text))
        assert {name: one["state"] for name, one in facts.items()} == {
            port(row["port"]): row["status"] for row in rows
        }

    each("show_interfaces_status", check)


def test_learnt_addresses() -> None:
    def check(text: str, rows: list[Row]) -> None:
        table = ios_discover.mac_table(ios_discover.parse("show mac address-table", text))
        wanted = {
            (port(name), ios_discover.mac(row["destination_address"]), int(row["vlan_id"]))
            for row in rows
            if row["type"].lower() == "dynamic" and row["vlan_id"].isdecimal()
            for name in row["destination_port"]
        }
        found = {(name, row["mac"], row["vlan"]) for name, held in table.items() for row in held}
        assert found == wanted

    each("show_mac-address-table", check)


def test_neighbours() -> None:
    def check(text: str, rows: list[Row]) -> None:
        links = ios_discover.neighbour_links(ios_discover.parse("show lldp neighbors detail", text))
        assert [(link.port, link.peer) for link in links] == [
            (
                port(row["local_interface"]),
                row["neighbor_name"] or ios_discover.mac(row["chassis_id"]),
            )
            for row in rows
            if row["local_interface"] and (row["neighbor_name"] or row["chassis_id"])
        ]

    each("show_lldp_neighbors_detail", check)


def test_versions() -> None:
    def check(text: str, rows: list[Row]) -> None:
        (row,) = ios_discover.parse("show version", text)
        facts = ios_discover.version_facts(row)
        assert facts.get("hostname", "") == rows[0]["hostname"]
        assert facts.get("version", "") == rows[0]["version"]
        assert facts.get("serial", "") == next(iter(rows[0]["serial"]), "")

    each("show_version", check)


def test_who_we_are() -> None:
    def check(text: str, rows: list[Row]) -> None:
        ours = [row["user"] for row in rows if row["user"]]
        assert [address.name for address in ios_discover._accounts(text, {})] == ours

    each("show_users", check)


@pytest.mark.parametrize(
    "command",
    [
        "show_vlan", "show_interfaces", "show_interfaces_switchport", "show_interfaces_status",
        "show_running-config_interface", "show_mac-address-table", "show_lldp_neighbors_detail",
        "show_users", "show_version",
    ],
)  # fmt: skip
def test_no_answer_counts_as_a_refusal(command: str) -> None:
    each(command, lambda text, _: _no_error(text))


def _no_error(text: str) -> None:
    assert not DIALECT.errors.search(text[:ERROR_WITHIN])


def mocked(test: str, file: str) -> tuple[str, Any]:
    """napalm's recording of one getter: what the device said, and what napalm makes of it."""
    folder = NAPALM / test / "normal"
    if not folder.exists():
        pytest.skip("RACKWRIGHT_RECORDED names no directory with napalm")
    text = (folder / file).read_text()
    return text, json.loads((folder / "expected_result.json").read_text())


def named(kind: str, found: dict[Any, Resource]) -> dict[str, Any]:
    return {address.name: item for address, item in found.items() if address.type == kind}


@pytest.mark.proves("cisco_ios", "ntp_server", over="ssh", on="recorded", by="napalm")
@pytest.mark.proves("cisco_ios", "ntp_server", over="serial", on="recorded", by="napalm")
def test_time_servers() -> None:
    text, expected = mocked("test_get_ntp_servers", "show_run___include_ntp_server.txt")
    found = named("ntp_server", ios_management.parse(text, ()))
    in_vrf = set(re.findall(r"ntp server vrf \S+ (\S+)", text))
    assert set(found) == {ios_management.host(name) for name in expected} - in_vrf
    assert {name for name, one in found.items() if one.prefer} == set(
        re.findall(r"ntp server (\S+) prefer", text)
    )


@pytest.mark.proves("cisco_ios", "local_user", over="ssh", on="recorded", by="napalm")
@pytest.mark.proves("cisco_ios", "local_user", over="serial", on="recorded", by="napalm")
def test_accounts() -> None:
    text, expected = mocked("test_get_users", "show_run___section_username.txt")
    found = named("local_user", ios_management.parse(text, [LocalUser(name="user1", password="x")]))
    assert {name: one.privilege for name, one in found.items()} == {
        name: one["level"] or 1 for name, one in expected.items()
    }
    assert {one.password for one in found.values()} <= {ios_management.UNKNOWN, ""}


@pytest.mark.proves("cisco_ios", "snmp_community", over="ssh", on="recorded", by="napalm")
@pytest.mark.proves("cisco_ios", "snmp_community", over="serial", on="recorded", by="napalm")
def test_communities() -> None:
    text, expected = mocked("test_get_snmp_information", "show_run___include_snmp_server.txt")
    found = named("snmp_community", ios_management.parse(text, ()))
    assert {one.community: (one.access, one.options or "N/A") for one in found.values()} == {
        name: (one["mode"], one["acl"]) for name, one in expected["community"].items()
    }


@pytest.mark.proves("cisco_ios", "hostname", over="ssh", on="recorded", by="napalm")
@pytest.mark.proves("cisco_ios", "hostname", over="serial", on="recorded", by="napalm")
def test_whole_configurations() -> None:
    files = sorted(NAPALM.rglob("show_running_config.txt"))
    if not files:
        pytest.skip("RACKWRIGHT_RECORDED names no directory with napalm")
    for file in files:
        text = file.read_text()
        names = re.findall(r"^hostname (\S+)", text, re.MULTILINE)
        found = ios_management.parse(text, ())
        assert [one.value for one in named("hostname", found).values()] == names, file
        ports, lags = ios_parse.interfaces_of(text)
        assert {*ports, *(f"Port-channel{number}" for number in lags)} == {
            canonical(name) for name in re.findall(r"^interface (\S+)", text, re.MULTILINE)
        }, file
