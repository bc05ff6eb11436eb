"""The farm: many switches in a process of their own, read and steered from outside."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import netmiko
import pytest

from rackwright_sim.control import ask


@contextmanager
def farm(*arguments: str) -> Iterator[tuple[int, list[dict[str, Any]], subprocess.Popen[str]]]:
    """The control port, the devices, the process."""
    with subprocess.Popen(
        [sys.executable, "-m", "rackwright_sim.farm", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        try:
            control = json.loads(process.stdout.readline())["control"]
            devices: list[dict[str, Any]] = []
            while "ready" not in (said := json.loads(process.stdout.readline())):
                devices.append(said)
            assert said["ready"] == len(devices)
            yield control, devices, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0


def connect(device: dict[str, Any]) -> netmiko.BaseConnection:
    wanted = {key: device[key] for key in ("host", "port", "username", "password")}
    return netmiko.ConnectHandler(device_type="cisco_ios", secret=device["enable"], **wanted)


def test_counters_faults_and_configurations_from_outside(tmp_path: Path) -> None:
    with farm("--count", "20", "--enable", "en", "--state", str(tmp_path)) as (control, devices, _):
        assert [device["name"] for device in devices] == [f"sw{number}" for number in range(1, 21)]
        assert len({device["host_key"] for device in devices}) == 20
        with connect(devices[2]) as session:
            session.enable()
            session.send_config_set(["vlan 10", "name x"])
            session.save_config()
        counters = ask(control, "counters")
        assert len(counters) == 20
        assert counters["sw3"]["writes"] == 4
        assert counters["sw1"]["writes"] == 0
        assert "vlan 10" in ask(control, "running", name="sw3")["sw3"]
        assert "vlan 10" in ask(control, "startup", name="sw3")["sw3"]
        assert ask(control, "startup", name="sw1") == {"sw1": None}
        ask(control, "reset")
        assert ask(control, "counters", name="sw3")["sw3"]["writes"] == 0
        ask(control, "faults", name="sw1", faults={"refuse": True})
        with pytest.raises((netmiko.NetmikoTimeoutException, netmiko.exceptions.SSHException)):
            connect(devices[0])
        connect(devices[1]).disconnect()
        for wrong in ({"op": "dance"}, {"op": "counters", "name": "sw99"}, {"op": "faults"}):
            with pytest.raises(ValueError):
                ask(control, **wrong)  # type: ignore[arg-type]


def test_a_killed_farm_comes_up_with_what_was_saved(tmp_path: Path) -> None:
    with farm("--count", "1", "--state", str(tmp_path)) as (_, devices, process):
        with connect(devices[0]) as session:
            session.send_config_set(["vlan 10"])
            session.save_config()
            session.send_config_set(["vlan 20"])
        process.kill()
        process.wait(20)
    with farm("--count", "1", "--state", str(tmp_path)) as (control, again, _):
        assert again[0]["host_key"] == devices[0]["host_key"]
        running = ask(control, "running")["sw1"]
        assert "vlan 10" in running
        assert "vlan 20" not in running
