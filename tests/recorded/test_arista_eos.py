"""What real Arista switches said, through the parsers: ``$RACKWRIGHT_RECORDED/ntc-templates`` and
``$RACKWRIGHT_RECORDED/napalm``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.resource import Resource
from rackwright_providers.switch import eos_discover, eos_parse
from rackwright_providers.switch.cli_lines import SeenCommunity, host
from rackwright_providers.switch.resources import NtpServer
from tests.tables import table

HERE = Path(os.environ.get("RACKWRIGHT_RECORDED", "/nonexistent"))
NAPALM = HERE / "napalm" / "test" / "eos" / "mocked_data"
NTC = HERE / "ntc-templates" / "tests" / "arista_eos"


def napalm(test: str) -> list[Path]:
    """The recordings for one of napalm's tests."""
    if not NAPALM.is_dir():
        pytest.skip("RACKWRIGHT_RECORDED names no directory with napalm")
    found = sorted(path for path in (NAPALM / test).iterdir() if path.is_dir())
    assert found
    return found


def data(place: Path, name: str) -> Any:
    return json.loads((place / f"{name}.json").read_text())


def resources(text: str) -> list[Resource]:
    """Of a part of a configuration."""
    return list(eos_parse.configuration(f"{text}\nend\n", {}).values())


@pytest.mark.parametrize("test", ["config", "config_filtered", "config_sanitized"])
def test_whole_configurations(test: str) -> None:
    for place in napalm(f"test_get_{test}"):
        for path in place.glob("show_*.text"):
            text = path.read_text()
            if text.strip():
                assert eos_parse.configuration(text, {})


@pytest.mark.proves("arista_eos", "ntp_server", over="ssh", on="recorded", by="napalm's recordings")
def test_time_servers() -> None:
    for place in napalm("test_get_ntp_servers"):
        text = (place / "show_running_config___section_ntp.text").read_text()
        found = {seen.name: seen.prefer for seen in resources(text) if isinstance(seen, NtpServer)}
        assert found == {
            host(name): server["prefer"]
            for name, server in data(place, "expected_result").items()
            if server["network_instance"] == "default"
        }


@pytest.mark.proves(
    "arista_eos", "snmp_community", over="ssh", on="recorded", by="napalm's recordings"
)
def test_communities() -> None:
    for place in napalm("test_get_snmp_information"):
        text = (place / "show_running_config___section_snmp_server_community.text").read_text()
        found = {
            seen.community: (seen.access, seen.after[-1] if seen.after else "")
            for seen in resources(text)
            if isinstance(seen, SeenCommunity)
        }
        assert found == {
            name: (community["mode"], community["acl"])
            for name, community in data(place, "expected_result")["community"].items()
        }


def test_vlans() -> None:
    for place in napalm("test_get_vlans"):
        found = eos_discover.vlan_facts(data(place, "show_vlan"))
        assert {name: vlan["title"] for name, vlan in found.items()} == {
            name: vlan["name"]
            for name, vlan in data(place, "expected_result").items()
            if int(name) not in eos_parse.RESERVED_VLANS
        }


def test_the_mac_table() -> None:
    for place in napalm("test_get_mac_address_table"):
        found = eos_discover.mac_table(data(place, "show_mac_address_table"))
        assert {
            (port, entry["mac"], entry["vlan"])
            for port, entries in found.items()
            for entry in entries
        } == {
            (entry["interface"], entry["mac"].lower(), entry["vlan"])
            for entry in data(place, "expected_result")
            if not entry["static"]
        }


def test_neighbours() -> None:
    for place in napalm("test_get_lldp_neighbors_detail"):
        found = eos_discover.neighbour_links(data(place, "show_lldp_neighbors__detail"))
        expected = data(place, "expected_result")
        assert {(link.port, link.peer) for link in found} == {
            (port, neighbour["remote_system_name"] or neighbour["remote_chassis_id"].lower())
            for port, neighbours in expected.items()
            for neighbour in neighbours
        }
        ports = {
            (port, name)
            for port, neighbours in expected.items()
            for neighbour in neighbours
            for name in (neighbour["remote_port"], neighbour["remote_port_description"])
        }
        assert {(link.port, link.peer_port) for link in found} <= ports


def test_versions() -> None:
    for place in napalm("test_get_facts"):
        shown, expected = data(place, "show_version"), data(place, "expected_result")
        found = eos_discover.version_facts(shown)
        assert (found["vendor"], found["model"]) == ("arista", expected["model"])
        assert expected["os_version"].startswith(found["version"])
        assert found.get("serial", "") == expected["serial_number"]


def test_arp() -> None:
    if not NTC.is_dir():
        pytest.skip("RACKWRIGHT_RECORDED names no directory with ntc-templates")
    recordings = sorted((NTC / "show_ip_arp").glob("*.raw"))
    assert recordings
    for path in recordings:
        text = path.read_text()
        expected = table(path.with_suffix(".yml"))["parsed_sample"]
        for row in expected:
            address = row.get("ip_address", row.get("address"))
            places = [place for place in row["interface"].split(", ") if place != "not learned"]
            assert set(places) <= set(eos_discover.places(text, address)), (path, address)
