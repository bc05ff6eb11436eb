"""The Arista- and Dell-like switches, driven by a client that knows nothing of them: netmiko; and as
devices of a site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netmiko
import pytest

from rackwright.model.errors import Permanent
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.identify import identify
from rackwright_sim.eos_device import EosDevice
from rackwright_sim.eos_session import make as eos
from rackwright_sim.modal_access import ModalSsh
from rackwright_sim.modal_device import ModalDevice, ModalOptions
from rackwright_sim.os10_device import Os10Device
from rackwright_sim.os10_session import make as os10
from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site

EOS = EosDevice(ModalOptions(hostname="sw-a1", ports=("Ethernet1",)))
OS10 = Os10Device(ModalOptions(hostname="sw-d1", ports=("ethernet1/1/1",)))


def connect(ssh: ModalSsh, platform: str) -> netmiko.BaseConnection:
    where: dict[str, Any] = {"host": ssh.host, "port": ssh.port}
    return netmiko.ConnectHandler(
        device_type=platform, username="rack", password="rack", fast_cli=True, **where
    )


def test_netmiko_configures_an_arista_in_a_session() -> None:
    with ModalSsh(EOS, eos) as ssh, connect(ssh, "arista_eos") as client:
        client.enable()
        lines = ["vlan 10", "name storage", "interface Ethernet1", "switchport access vlan 10"]
        client.send_config_set(lines, config_mode_command="configure session one")
        assert "+vlan 10" in client.send_command("show session-config named one diffs")
        assert not EOS.running.vlans
        client.send_command("configure session one commit")
        assert EOS.running.vlans == {10: "storage"}
        assert EOS.running.ports["Ethernet1"].access == 10
        assert "completed successfully" in client.save_config()


def test_netmiko_configures_a_dell() -> None:
    with ModalSsh(OS10, os10) as ssh, connect(ssh, "dell_os10") as client:
        lines = ["interface range vlan 10-12", "interface ethernet1/1/1", "switchport mode trunk"]
        client.send_config_set([*lines, "switchport trunk allowed vlan 10,12"])
        client.send_config_set(["interface ethernet1/1/1", "no switchport trunk allowed vlan 12"])
        assert OS10.running.ports["ethernet1/1/1"].tagged == {10}
        assert "% Error" in client.send_config_set(["interface ethernet1/1/9"])
        client.save_config()
        assert OS10.startup == OS10.running.text()


@pytest.mark.parametrize(
    ("device", "make", "platform"), [(EOS, eos, "arista_eos"), (OS10, os10, "dell_os10")]
)
def test_each_is_told_by_what_it_answers(
    device: ModalDevice, make: Any, platform: str, tmp_path: Path
) -> None:
    with ModalSsh(device, make) as ssh:
        where = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        way = Way(transport="ssh", options={**where, "username": "rack", "password": "rack"})
        assert identify(way, Surroundings(state=tmp_path)).platform == platform


def test_a_site_has_them(tmp_path: Path) -> None:
    def way(transport: str, **options: Any) -> SimWay:
        return SimWay(transport, {"username": "ops", "password": "s3cret-ops", **options})

    nodes = [
        SimNode(
            "sw-a1",
            "arista_eos",
            (way("ssh", host="127.0.0.1", port=0), way("serial", port=str(tmp_path / "a"))),
            (SimLink("Ethernet30", "web1", "eth0"),),
        ),
        SimNode(
            "sw-d1",
            "dell_os10",
            (way("ssh", host="127.0.0.1", port=0), way("serial", port=str(tmp_path / "d"))),
            (SimLink("ethernet1/1/25:1", "web1", "eth1"),),
        ),
    ]
    with start_for_site(nodes, state=tmp_path / "state") as farm:
        assert len(farm.skipped) == 1  # an Arista over serial is no way of the platform
        assert {(found.node, found.transport) for found in farm.endpoints} == {
            ("sw-a1", "ssh"),
            ("sw-d1", "ssh"),
            ("sw-d1", "serial"),
        }
        arista, dell = farm.devices["sw-a1"], farm.devices["sw-d1"]
        assert isinstance(arista, EosDevice)
        assert isinstance(dell, Os10Device)
        assert {"Ethernet1", "Ethernet30", "Management1"} <= set(arista.running.ports)
        assert {"ethernet1/1/24", "ethernet1/1/25:1"} <= set(dell.running.ports)
        assert arista.admits("ops", "s3cret-ops")
        assert farm.table()[0]["writes"] == 0


def test_a_wrong_password_is_refused(tmp_path: Path) -> None:
    from rackwright_providers.switch.dell_os10 import DellOs10

    with ModalSsh(OS10, os10) as ssh:
        where = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key}
        way = Way(transport="ssh", options={**where, "username": "rack", "password": "wrong"})
        with pytest.raises(Permanent):
            DellOs10().open(way, Surroundings(state=tmp_path))
