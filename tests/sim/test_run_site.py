"""Simulators for a site: one for each managed node, at the addresses that its ways name."""

from __future__ import annotations

import socket
from pathlib import Path

import netmiko
import pytest

from rackwright_sim.faults import Faults
from rackwright_sim.run import PLATFORMS, SimError, SimLink, SimNode, SimWay, start_for_site

LOGIN = {"username": "admin", "password": "pw"}


def ssh(**more: object) -> SimWay:
    return SimWay("ssh", {"host": "127.0.0.1", "port": 0, **LOGIN, **more})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_switch_over_ssh_and_serial_and_a_pdu(tmp_path: Path) -> None:
    line = tmp_path / "ttyUSB0"
    nodes = [
        SimNode(
            "sw-a1",
            "cisco_ios",
            (ssh(enable="en"), SimWay("serial", {"port": str(line), "baud": 9600, **LOGIN})),
            links=(SimLink("GigabitEthernet1/0/30", "web1", "eth0"),),
        ),
        SimNode(
            "pdu-a1",
            "apc_rpdu",
            (SimWay("snmp", {"host": "127.0.0.1", "port": 0, "community": "c0"}),),
        ),
    ]
    with start_for_site(nodes) as farm:
        assert farm.skipped == []
        assert [(row["node"], row["transport"]) for row in farm.table()] == [
            ("sw-a1", "ssh"),
            ("sw-a1", "serial"),
            ("pdu-a1", "snmp"),
        ]
        assert line.exists()
        assert farm.port("pdu-a1", "snmp") > 0
        with netmiko.ConnectHandler(
            device_type="cisco_ios",
            host="127.0.0.1",
            port=farm.port("sw-a1", "ssh"),
            secret="en",
            **LOGIN,
        ) as session:
            session.enable()
            lldp = session.send_command("show lldp neighbors detail", use_textfsm=True)
            status = session.send_command("show interfaces status", use_textfsm=True)
        assert [(row["local_interface"], row["neighbor_name"]) for row in lldp] == [
            ("Gi1/0/30", "web1")
        ]
        assert [row["port"] for row in status if row["status"] == "connected"] == ["Gi1/0/30"]
        assert farm.table()[0]["host_key"].startswith("ssh-ed25519 ")
        assert [row["writes"] for row in farm.table()] == [0, 0, 0]
    assert not line.exists()
    farm.stop()


def test_the_port_that_the_site_names_is_used_and_the_startup_config_kept(tmp_path: Path) -> None:
    port = free_port()
    nodes = [SimNode("sw-a1", "cisco_ios", (ssh(port=port),))]
    login = {"device_type": "cisco_ios", "host": "127.0.0.1", "port": port, **LOGIN}
    with start_for_site(nodes, state=tmp_path), netmiko.ConnectHandler(**login) as session:
        session.send_config_set(["vlan 10"])
        session.save_config()
    with start_for_site(nodes, state=tmp_path) as farm:
        with netmiko.ConnectHandler(**login) as session:
            assert "VLAN0010" in session.send_command("show vlan brief")
        assert farm.port("sw-a1", "ssh") == port


def test_what_has_no_simulator_is_named_and_the_rest_starts() -> None:
    nodes = [
        SimNode("old1", "procurve", (ssh(),)),
        SimNode(
            "sw-a1", "cisco_ios", (ssh(), SimWay("serial", {"port": "rfc2217://h:1", **LOGIN}))
        ),
        SimNode("sw-a2", "cisco_ios", (SimWay("http", {"url": "https://h"}),)),
    ]
    with start_for_site(nodes) as farm:
        assert farm.skipped == [
            f"old1: there is no simulator of 'procurve'; there are: {', '.join(sorted(PLATFORMS))}",
            "sw-a1: cisco_ios over serial rfc2217://h:1 is not simulated",
            "sw-a2: cisco_ios over http https://h is not simulated",
        ]
        assert list(farm.devices) == ["sw-a1"]
        with pytest.raises(KeyError, match="sw-a2 is not simulated"):
            farm.port("sw-a2", "ssh")


def test_an_address_that_is_taken_stops_all_of_them(tmp_path: Path) -> None:
    line = tmp_path / "ttyUSB0"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        nodes = [
            SimNode("sw-a1", "cisco_ios", (SimWay("serial", {"port": str(line), **LOGIN}),)),
            SimNode("sw-a2", "cisco_ios", (ssh(port=taken.getsockname()[1]),)),
        ]
        with pytest.raises(SimError, match=r"sw-a2: cannot be simulated there: .*in use"):
            start_for_site(nodes)
    assert not line.is_symlink()


def test_ways_that_contradict_each_other_are_refused() -> None:
    nodes = [SimNode("sw-a1", "cisco_ios", (ssh(), ssh(password="other")))]
    with pytest.raises(SimError, match="sw-a1: its ways differ in password"):
        start_for_site(nodes)


def test_a_node_may_have_faults_that_are_mended_while_it_runs() -> None:
    nodes = [SimNode("sw-a1", "cisco_ios", (ssh(),), faults=Faults(refuse=True))]
    with start_for_site(nodes) as farm:
        login = {"device_type": "cisco_ios", "host": "127.0.0.1", **LOGIN}
        port = farm.port("sw-a1", "ssh")
        with pytest.raises((netmiko.NetmikoTimeoutException, netmiko.exceptions.SSHException)):
            netmiko.ConnectHandler(port=port, **login)
        farm.devices["sw-a1"].faults = Faults()
        netmiko.ConnectHandler(port=port, **login).disconnect()
