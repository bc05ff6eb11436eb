"""Our simulated BMC with three blades, and OpenIPMI's ipmi_sim; ipmitool talks to both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from rackwright.model.site import Way
from rackwright_providers.transport import ipmi
from rackwright_sim.faults import Faults
from rackwright_sim.ipmi import Ipmi, IpmiOptions
from tests.chassis import ipmi_sim
from tests.real import parts

PASSWORD = "s3cret-of-bmc"


class Simulated:
    """All systems are on."""

    secrets: Mapping[str, str] = {"bmc": PASSWORD}

    def __init__(self, chassis: Ipmi) -> None:
        self.chassis = chassis
        options = {"host": "127.0.0.1", "port": chassis.port, "username": "rack"}
        self.ways = {"ipmi": Way(transport="ipmi", options={**options, "password": PASSWORD})}

    def state(self) -> dict[str, Any]:
        controllers = self.chassis.device.controllers
        return {f"blade/{_name(target)}": asdict(own) for target, own in controllers.items()}

    def writes(self) -> int:
        return self.chassis.counters.writes

    def reject(self, address: str) -> None:
        name = address.rpartition("/")[2]
        target = "0x20" if name == "bmc" else name
        self.chassis.faults = Faults(reject_only=f"^{target} " if name else "")

    def lose(self, after: int) -> None:
        self.chassis.faults = replace(self.chassis.faults, drop_before=after)


def _name(target: int) -> str:
    return "bmc" if target == ipmi.BMC else f"{target:#04x}"


@contextlib.contextmanager
def simulated(_: Path) -> Iterator[Simulated]:
    if parts.missing("ipmitool"):
        pytest.skip(parts.missing("ipmitool"))
    # A message is tried twice: a lost session is not waited for any longer than that.
    with (
        mock.patch.multiple(ipmi, TRY_SECONDS=1, TRIES=2),
        Ipmi(IpmiOptions(password=PASSWORD)) as chassis,
    ):
        yield Simulated(chassis)


class Real:
    """All systems are on."""

    secrets: Mapping[str, str] = {"bmc": PASSWORD}

    def __init__(self, chassis: ipmi_sim.Chassis) -> None:
        self.chassis = chassis
        self.ways = {"ipmi": Way(transport="ipmi", options=chassis.options())}

    def state(self) -> dict[str, Any]:
        targets = (ipmi.BMC, *ipmi_sim.BLADES)
        return {f"blade/{_name(target)}": self.chassis.power(target) for target in targets}


@contextlib.contextmanager
def real(where: Path) -> Iterator[Real]:
    if ipmi_sim.missing():
        pytest.skip(ipmi_sim.missing())
    with ipmi_sim.chassis(where, PASSWORD) as chassis:
        yield Real(chassis)


RIGS = {"sim": simulated, "real": real}
PROVEN = {"sim": "simulator", "real": "real: ipmi_sim (OpenIPMI)"}
