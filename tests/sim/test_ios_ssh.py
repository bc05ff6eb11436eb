"""The IOS-like switch over SSH, driven by clients that know nothing of it: netmiko and asyncssh.

TextFSM with ntc-templates reads its tables.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import netmiko
import pytest
from netmiko.exceptions import NetmikoAuthenticationException

from rackwright_sim.faults import Faults
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_options import ArpEntry, IosOptions, LldpNeighbour, MacEntry
from rackwright_sim.ios_ssh import IosSsh

OPTIONS = IosOptions(
    hostname="sw-a1",
    username="rack",
    password="pw",
    enable="en",
    ports=6,
    cabled=frozenset({"GigabitEthernet1/0/1", "GigabitEthernet1/0/2"}),
    serial_number="FOC1234ABCD",
    macs=(
        MacEntry(10, "0011.2233.4455", "GigabitEthernet1/0/1"),
        MacEntry(1, "0011.2233.4466", "GigabitEthernet1/0/2", "STATIC"),
    ),
    arp=(
        ArpEntry("10.0.0.9", "0011.2233.4455", "Vlan10"),
        ArpEntry("10.0.0.10", "0011.2233.4466", "Vlan10"),
    ),
    lldp=(
        LldpNeighbour(
            "GigabitEthernet1/0/1",
            chassis_id="5254.00aa.bbcc",
            port_id="eth0",
            port_description="uplink",
            system_name="web1.lab",
            system_description="Debian GNU/Linux 12",
            address="10.0.0.9",
        ),
        LldpNeighbour(
            "GigabitEthernet1/0/2", chassis_id="5254.00aa.bbdd", port_id="5254.00aa.bbdd"
        ),
    ),
)


@pytest.fixture
def switch() -> Iterator[IosSsh]:
    with IosSsh(IosDevice(OPTIONS)) as running:
        yield running


def connect(switch: IosSsh, **more: Any) -> netmiko.BaseConnection:
    given = {"username": "rack", "password": "pw", "secret": "en", **more}
    return netmiko.ConnectHandler(
        device_type="cisco_ios", host="127.0.0.1", port=switch.port, **given
    )


def test_netmiko_logs_in_configures_and_saves(switch: IosSsh) -> None:
    with connect(switch) as line:
        assert line.find_prompt() == "sw-a1>"
        line.enable()
        assert line.find_prompt() == "sw-a1#"
        out = line.send_config_set(
            [
                "vlan 10",
                "name storage",
                "interface GigabitEthernet1/0/1",
                "description to web1, eth0",
                "switchport mode access",
                "switchport access vlan 10",
                "interface GigabitEthernet1/0/2",
                "switchport mode trunk",
                "switchport trunk native vlan 10",
                "switchport trunk allowed vlan 10,20-30",
            ]
        )
        assert "%" not in out
        assert "[OK]" in line.save_config()
        assert line.is_alive()
    assert switch.device.startup == switch.device.running.text()
    assert switch.device.running.vlans[10] == "storage"
    assert switch.device.counters.config_lines == 10
    assert switch.device.counters.commands["save"] == 1


def test_netmiko_sees_a_refused_command(switch: IosSsh) -> None:
    with connect(switch) as line:
        line.enable()
        with pytest.raises(netmiko.exceptions.ConfigInvalidException):
            line.send_config_set(["interface Gi1/0/99"], error_pattern=r"% Invalid")


def test_templates_read_the_tables(switch: IosSsh) -> None:
    with connect(switch) as line:
        line.enable()
        line.send_config_set(
            [
                "vlan 10",
                "name storage",
                "interface range gi1/0/1,gi1/0/6",
                "switchport mode access",
                "switchport access vlan 10",
                "description John's spaced name",
                "interface gi1/0/2",
                "switchport mode trunk",
                "switchport trunk native vlan 10",
                "switchport trunk allowed vlan 10,20,30,40,50,60,70,80,90,100,110,120,130,140-150,2000,3000",
                "interface gi1/0/3",
                "shutdown",
            ]
        )

        def read(command: str) -> list[dict[str, Any]]:
            found = line.send_command(command, use_textfsm=True)
            assert isinstance(found, list), found
            return found

        brief = {row["vlan_id"]: row for row in read("show vlan brief")}
        assert set(brief) == {"1", "10", "1002", "1003", "1004", "1005"}
        assert brief["10"]["vlan_name"] == "storage"
        assert brief["10"]["interfaces"] == ["Gi1/0/1", "Gi1/0/6"]
        assert brief["1"]["interfaces"] == ["Gi1/0/3", "Gi1/0/4", "Gi1/0/5"]
        assert {row["vlan_id"] for row in read("show vlan")} == set(brief)

        ports = {row["interface"]: row for row in read("show interfaces switchport")}
        assert len(ports) == 6
        access, trunk, off = ports["Gi1/0/1"], ports["Gi1/0/2"], ports["Gi1/0/3"]
        assert (access["admin_mode"], access["access_vlan"]) == ("static access", "10")
        assert access["mode"] == "static access"
        assert access["trunking_vlans"] == ["ALL"]
        assert (trunk["admin_mode"], trunk["mode"], trunk["native_vlan"]) == (
            "trunk",
            "trunk",
            "10",
        )
        assert ",".join(trunk["trunking_vlans"]).endswith("130,140-150,2000,3000")
        assert off["mode"] == "down"

        status = {row["port"]: row for row in read("show interfaces status")}
        assert status["Gi1/0/1"]["name"] == "John's spaced name"
        assert [status[f"Gi1/0/{port}"]["status"] for port in (1, 3, 4)] == [
            "connected",
            "disabled",
            "notconnect",
        ]
        assert [status[f"Gi1/0/{port}"]["vlan_id"] for port in (1, 2)] == ["10", "trunk"]

        (version,) = read("show version")
        assert version["hostname"] == "sw-a1"
        assert version["version"] == "17.9.4a"
        assert version["hardware"] == ["C9200L-24T-4G"]
        assert version["serial"] == ["FOC1234ABCD"]

        lldp = read("show lldp neighbors detail")
        assert [row["local_interface"] for row in lldp] == ["Gi1/0/1", "Gi1/0/2"]
        assert lldp[0]["neighbor_name"] == "web1.lab"
        assert lldp[0]["neighbor_port_id"] == "eth0"
        assert lldp[0]["mgmt_address"] == "10.0.0.9"
        assert lldp[1]["neighbor_name"] == ""

        macs = read("show mac address-table")
        assert [(row["vlan_id"], row["destination_address"]) for row in macs] == [
            ("10", "0011.2233.4455"),
            ("1", "0011.2233.4466"),
        ]
        assert macs[0]["destination_port"] == ["Gi1/0/1"]

        assert read("show ip arp 10.0.0.9")[0]["mac_address"] == "0011.2233.4455"
        assert len(read("show ip arp")) == 2
        assert [row["location"] for row in read("show users")] == ["127.0.0.1"]
        (one,) = read("show mac address-table address 0011.2233.4466")
        assert one["destination_port"] == ["Gi1/0/2"]

        assert read("show inventory")[0]["sn"] == "FOC1234ABCD"
        interfaces = {row["interface"]: row for row in read("show interfaces")}
        assert interfaces["GigabitEthernet1/0/1"]["description"] == "John's spaced name"
        assert interfaces["GigabitEthernet1/0/3"]["link_status"] == "administratively down"


def test_long_output_comes_whole(switch: IosSsh) -> None:
    with connect(switch) as line:
        line.enable()
        line.send_config_set(["vlan 2-1001,1006-4094"])
        out = line.send_command("show vlan brief")
        assert len([row for row in out.splitlines() if row[:1].isdecimal()]) == 4094
    assert len(switch.device.running.vlans) == 4094


def test_a_wrong_password_is_no_session(switch: IosSsh) -> None:
    with pytest.raises(NetmikoAuthenticationException):
        connect(switch, password="wrong")
    assert switch.device.counters.sessions == 0


def test_one_session_too_many_is_turned_away() -> None:
    with IosSsh(IosDevice(IosOptions(sessions=2, enable="en", password="pw"))) as switch:
        first, second = connect(switch), connect(switch)
        with pytest.raises((netmiko.NetmikoTimeoutException, netmiko.exceptions.SSHException)):
            connect(switch)
        assert switch.device.counters.refused >= 1
        first.disconnect()
        _until(lambda: switch.device.counters.open == 1)
        third = connect(switch)
        assert switch.device.counters.peak == 2
        second.disconnect()
        third.disconnect()


def _until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not true():
        pause.wait(0.01)


def test_a_pinned_host_key_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "sw.json"
    key = IosSsh(IosDevice(OPTIONS, state)).host_key
    again = IosSsh(IosDevice(OPTIONS, state))
    assert again.host_key == key
    assert key.startswith("ssh-ed25519 AAAA")

    async def pinned(key: str, port: int) -> str:
        known = asyncssh.import_known_hosts(f"[127.0.0.1]:{port} {key}\n")
        async with asyncssh.connect(
            "127.0.0.1", port, username="rack", password="pw", known_hosts=known, config=None
        ) as connection:
            found = connection.get_server_host_key()
            return found.get_algorithm() if found else ""

    with again:
        assert asyncio.run(pinned(key, again.port)) == "ssh-ed25519"
        other = IosSsh(IosDevice(OPTIONS)).host_key
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            asyncio.run(pinned(other, again.port))


def test_an_old_switch_is_out_of_paramikos_reach_but_not_of_asyncsshs() -> None:
    async def old(port: int) -> str:
        async with asyncssh.connect(
            "127.0.0.1",
            port,
            username="rack",
            password="rack",
            known_hosts=None,
            config=None,
            kex_algs=["diffie-hellman-group14-sha1"],
            server_host_key_algs=["ssh-rsa"],
        ) as connection:
            return str(connection.get_extra_info("server_version"))

    with IosSsh(IosDevice(IosOptions(old_ssh=True))) as switch:
        assert "Cisco" in asyncio.run(old(switch.port))
        with pytest.raises(Exception, match=r"(?i)key exchange|incompatible|kex|negotiat"):
            connect(switch, password="rack")


def test_a_drop_is_seen_as_one_and_the_next_session_works(switch: IosSsh) -> None:
    switch.device.faults = Faults(drop_after=2)
    line = connect(switch, read_timeout_override=2)
    line.enable()
    with pytest.raises((OSError, netmiko.exceptions.NetmikoBaseException)):
        line.send_config_set(["vlan 10", "name x", "vlan 20"])
    assert 10 not in switch.device.running.vlans
    with connect(switch) as again:
        again.enable()
        again.send_config_set(["vlan 10", "name x", "vlan 20"])
    assert {10, 20} <= set(switch.device.running.vlans)


def test_a_refusing_device_takes_no_session(switch: IosSsh) -> None:
    switch.device.faults = Faults(refuse=True)
    with pytest.raises((netmiko.NetmikoTimeoutException, netmiko.exceptions.SSHException)):
        connect(switch)
    assert switch.device.counters.refused >= 1


def test_a_slow_device_holds_up_no_other() -> None:
    def shell(switch: IosSsh) -> Any:
        return asyncssh.connect(
            "127.0.0.1",
            switch.port,
            username="rack",
            password="rack",
            known_hosts=None,
            config=None,
        )

    async def both() -> str:
        slow = IosSsh(IosDevice(IosOptions(latency=3600)))
        quick = IosSsh(IosDevice(IosOptions(latency=0.001)))
        await slow.start()
        await quick.start()
        async with shell(slow) as far, shell(quick) as near:
            waiting, answering = await far.create_process(), await near.create_process()
            waiting.stdin.write("show privilege\n")
            answering.stdin.write("show privilege\n" * 50 + "exit\n")
            out = str(await answering.stdout.read())
            assert slow.device.counters.commands == {}
        await slow.stop()
        await quick.stop()
        return out

    assert asyncio.run(both()).count("Current privilege level is 15") == 50
