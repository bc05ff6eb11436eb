"""The simulated FRR router: driven by plain netmiko, and misbehaving as it is told to."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import netmiko
import pytest

from rackwright.model.change import Wanted
from rackwright.model.errors import Rejected, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.linux_frr import LinuxFrr
from rackwright_sim.faults import Faults
from rackwright_sim.linux_frr import FrrDevice, FrrOptions
from rackwright_sim.linux_frr_lines import FrrSsh
from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site

LOGIN = {"username": "rack", "password": "pw"}


def plain(port: int) -> Any:
    return netmiko.ConnectHandler(device_type="cisco_ios", host="127.0.0.1", port=port, **LOGIN)


def test_a_site_has_one_and_it_remembers_what_was_saved(tmp_path: Path) -> None:
    line = tmp_path / "ttyS0"
    ways = (
        SimWay("ssh", {"host": "127.0.0.1", "port": 0, **LOGIN}),
        SimWay("serial", {"port": str(line), **LOGIN}),
    )
    node = SimNode("r1", "linux_frr", ways, links=(SimLink("lan7", "web1", "eth0"),))
    with start_for_site([node], state=tmp_path / "state") as farm:
        key = farm.table()[0]["host_key"]
        with plain(farm.port("r1", "ssh")) as session:
            session.send_config_set(["interface lan7", "description to web1", "shutdown"])
            assert "[OK]" in session.save_config("write memory")
            session.send_config_set(["interface lan7", "description not saved"])
        assert farm.table()[0]["writes"] > 0
        assert line.exists()
    assert not line.exists()
    with start_for_site([node], state=tmp_path / "state") as farm:
        assert farm.table()[0]["host_key"] == key
        with plain(farm.port("r1", "ssh")) as session:
            shown = session.send_command("show running-config")
        assert "interface lan7\n description to web1\n shutdown\nexit" in shown
        assert farm.table()[0]["writes"] == 0


@pytest.fixture
def device() -> FrrDevice:
    return FrrDevice(FrrOptions(hostname="r1", password="pw"))


def opened(ssh: FrrSsh, state: Path) -> Any:
    options = {"host": ssh.host, "port": ssh.port, "host_key": ssh.host_key, **LOGIN}
    return LinuxFrr().open(
        Way(transport="ssh", options=options), Surroundings(state=state, writable=True)
    )


def test_a_host_name_ends_with_its_session(device: FrrDevice, tmp_path: Path) -> None:
    with FrrSsh(device) as ssh:
        with closing(opened(ssh, tmp_path)) as session:
            session.configure(["hostname r2"])
            assert "hostname r2" in session.run("show running-config")
        with closing(opened(ssh, tmp_path)) as session:
            assert "hostname r1" in session.run("show running-config")


def test_it_refuses_lies_and_hangs_up(device: FrrDevice, tmp_path: Path) -> None:
    provider = LinuxFrr()
    with FrrSsh(device) as ssh, closing(opened(ssh, tmp_path)) as session:
        for line in ("nonsense", "switchport mode access"):
            with pytest.raises(Rejected, match="Unknown command"):
                session.configure(["interface eth1", line])
        with pytest.raises(Rejected, match="Unknown action"):
            session.run("show running-config | section x")
        assert session.run("show running-config | include ^hostname") == "hostname r1"
        device.faults = Faults(lie=True)
        session.configure(["interface eth1", "shutdown"])
        found = provider.read(session, Wanted(provider.resources, {}))
        assert {getattr(port, "admin", "up") for port in found.values()} == {"up"}
        device.faults = replace(Faults(), drop_before=1)
        with pytest.raises(Unreachable):
            session.configure(["interface eth1", "shutdown"])
        assert not device.ports["eth1"].shutdown
    assert device.faults.drop_before is None
