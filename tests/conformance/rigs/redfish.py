"""Our simulated Redfish service, and sushy-tools' emulator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.redfish import Redfish, RedfishOptions
from tests.chassis import sushy

PASSWORD = "s3cret-of-the-bmc"


class Service:
    """A chassis of four systems that are on."""

    secrets: Mapping[str, str] = {"bmc": PASSWORD}

    def __init__(self, service: Redfish) -> None:
        self.service = service
        options = {
            "url": service.server.url,
            "fingerprint": service.server.fingerprint,
            "username": "rack",
            "password": PASSWORD,
        }
        self.ways = {"http": Way(transport="http", options=options)}

    def state(self) -> dict[str, Any]:
        systems = self.service.device.systems
        plain = {f"blade/{name}": asdict(system) for name, system in systems.items()}
        for system in plain.values():
            del system["changes"]
        return plain

    def writes(self) -> int:
        return self.service.counters.writes

    def reject(self, address: str) -> None:
        name = address.rpartition("/")[2]
        self.service.faults = Faults(reject_only=rf"/Systems/{name}\b" if name else "")

    def lose(self, after: int) -> None:
        self.service.faults = replace(self.service.faults, drop_before=after)


@contextlib.contextmanager
def simulated(_: Path) -> Iterator[Service]:
    options = RedfishOptions(systems=("b1", "b2", "b3", "b4"), password=PASSWORD)
    with Redfish(options) as service:
        yield Service(service)


class Emulator:
    """Four systems of sushy-tools' fake driver."""

    secrets: Mapping[str, str] = {"bmc": PASSWORD}

    def __init__(self, emulator: sushy.Emulator) -> None:
        self.emulator = emulator
        self.ways = {"http": Way(transport="http", options=emulator.options())}

    def state(self) -> dict[str, Any]:
        found = {}
        for name in ("b1", "b2", "b3", "b4"):
            data = self.emulator.get(f"/redfish/v1/Systems/{name}")
            kept = ("PowerState", "Boot", "IndicatorLED")
            found[f"blade/{name}"] = {key: data[key] for key in kept}
        return found


@contextlib.contextmanager
def emulated(where: Path) -> Iterator[Emulator]:
    if sushy.missing():
        pytest.skip(sushy.missing())
    where.mkdir(parents=True, exist_ok=True)
    systems = dict.fromkeys(("b1", "b2", "b3", "b4"), "On")
    with sushy.emulator(where, systems, PASSWORD) as emulator:
        yield Emulator(emulator)


RIGS = {"sim": simulated, "real": emulated}
PROVEN = {"sim": "simulator", "real": "real: sushy-tools"}
