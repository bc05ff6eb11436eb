"""Our simulated standards switch: one that does as the RFC says, one with other habits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.qbridge import QBridge, QBridgeOptions
from rackwright_sim.qbridge_mib import Vlan
from rackwright_sim.snmp_objects import Access

ROW = r"^1\.3\.6\.1\.2\.1\.17\.7\.1\.4\.3\.1\.\d+"


class Switch:
    """A switch of 24 ports with two VLANs of somebody else."""

    secrets: Mapping[str, str] = {"community": "s3cret-write"}

    def __init__(self, switch: QBridge) -> None:
        self.switch = switch
        # One request, one answer: a SET that is not answered is a session that is lost.
        options = {"host": "127.0.0.1", "port": switch.port, "retries": 0, "timeout": 3.0}
        community = self.secrets["community"]
        self.ways = {"snmp": Way(transport="snmp", options={**options, "community": community})}

    def state(self) -> dict[str, Any]:
        device = self.switch.device
        names = {number: port.name for number, port in device.ports.items()}
        found: dict[str, Any] = {"hostname/system": device.hostname}
        ports: dict[int, dict[str, Any]] = {n: asdict(port) for n, port in device.ports.items()}
        for number, vlan in device.vlans.items():
            found[f"vlan/{number}"] = vlan.title
            for port in vlan.egress | vlan.untagged:
                ports[port][f"in {number}"] = (port in vlan.egress, port in vlan.untagged)
        return found | {f"port/{names[number]}": port for number, port in ports.items()}

    def writes(self) -> int:
        return self.switch.counters.writes

    def reject(self, address: str) -> None:
        kind, _, name = address.partition("/")
        pattern = ""
        if kind == "vlan":
            pattern = rf"{ROW}\.{name}="
        elif kind == "port":
            number, port = next(
                found for found in self.switch.device.ports.items() if found[1].name == name
            )
            pattern = (
                rf"^1\.3\.6\.1\.2\.1\.(17\.7\.1\.4\.5\.1\.1\.{number}|(2|31)\..*\.{port.index})="
            )
        elif kind == "hostname":
            pattern = r"^1\.3\.6\.1\.2\.1\.1\.5\.0="
        self.switch.faults = Faults(reject_only=pattern)

    def lose(self, after: int) -> None:
        self.switch.faults = replace(self.switch.faults, drop_before=after)


@contextlib.contextmanager
def switch(options: QBridgeOptions, _: Path) -> Iterator[Switch]:
    access = Access(read=(), write=("s3cret-write",), users=())
    with QBridge(replace(options, access=access)) as found:
        device = found.device
        device.vlans[1000] = Vlan("somebody's", {9, 10, 20}, {9})
        device.vlans[1001] = Vlan("else's", {11}, set())
        device.touch()
        yield Switch(found)


RIGS = {"sim": partial(switch, QBridgeOptions())}
PROVEN = {"sim": "simulator"}
