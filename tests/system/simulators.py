"""Simulated devices in a process of their own, so that they outlive who is killed.

``python -m tests.system.simulators STATE NODES`` with NODES as JSON prints one JSON line with the
control port and the endpoints, and serves until SIGTERM.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rackwright_sim.control import ask

from .forker import PR_SET_PDEATHSIG

ROOT = Path(__file__).parents[2]
PASSWORD = "rack-pass"
"""Of every simulated device."""


def main() -> None:
    """Serve."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    from rackwright_sim.control import Control
    from rackwright_sim.faults import Faults
    from rackwright_sim.loop import on_thread
    from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site

    nodes = [
        SimNode(
            name=node["name"],
            platform=node["platform"],
            ways=tuple(SimWay(transport, options) for transport, options in node["ways"]),
            links=tuple(SimLink(*link) for link in node.get("links", ())),
            faults=Faults(**node.get("faults", {})),
            latency=node.get("latency", 0.0),
        )
        for node in json.loads(sys.argv[2])
    ]
    with start_for_site(nodes, state=Path(sys.argv[1])) as farm:
        control = Control(farm.devices)
        on_thread(control.start())
        ports = {end.node: end.port for end in farm.endpoints}
        print(json.dumps({"control": control.port, "ports": ports}), flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


@dataclass(frozen=True)
class Devices:
    """Running simulators, as seen from outside."""

    control: int
    ports: Mapping[str, int]
    state: Path

    def running(self, name: str) -> str:
        """A switch's running configuration."""
        return str(ask(self.control, "running", name=name)[name])

    def startup(self, name: str) -> str | None:
        """A switch's startup configuration."""
        found: str | None = ask(self.control, "startup", name=name)[name]
        return found

    def counters(self) -> dict[str, dict[str, Any]]:
        """What was done to each device since its start."""
        found: dict[str, dict[str, Any]] = ask(self.control, "counters")
        return found

    def writes(self) -> dict[str, int]:
        """Commands or requests that could have changed each device."""
        return {name: counters["writes"] for name, counters in self.counters().items()}

    def faults(self, name: str, **faults: Any) -> None:
        """Let it misbehave from now on."""
        ask(self.control, "faults", name=name, faults=faults)

    def outlets(self, name: str) -> dict[str, dict[str, Any]]:
        """A PDU's outlets, by number."""
        found: dict[str, dict[str, Any]] = json.loads((self.state / f"{name}.json").read_text())
        return found["outlets"]


def switch(name: str, **more: Any) -> dict[str, Any]:
    """An IOS switch with SSH on any free port."""
    way = {"host": "127.0.0.1", "port": 0, "username": "rack", "password": PASSWORD}
    return {"name": name, "platform": "cisco_ios", "ways": [("ssh", way)], **more}


def pdu(name: str, **more: Any) -> dict[str, Any]:
    """An APC PDU with SNMP v2c on any free port."""
    way = {"host": "127.0.0.1", "port": 0, "version": "2c", "community": PASSWORD}
    return {"name": name, "platform": "apc_rpdu", "ways": [("snmp", way)], **more}


def reach(node: Mapping[str, Any], devices: Devices) -> dict[str, Any]:
    """``node`` as a document of a site, at the address that it really has."""
    kinds = {"cisco_ios": "switch", "apc_rpdu": "pdu"}
    ways = []
    for transport, options in node["ways"]:
        hidden = {
            key: {"secret": "device"} if key in ("password", "community") else value
            for key, value in options.items()
        }
        ways.append({transport: {**hidden, "port": devices.ports[node["name"]]}})
    links = {port: f"{peer}:{peer_port}" for port, peer, peer_port in node.get("links", ())}
    return {
        "node": node["name"],
        "type": kinds[node["platform"]],
        "platform": node["platform"],
        "reach": ways,
        "links": links,
    }


@contextmanager
def simulated(state: Path, *nodes: Mapping[str, Any]) -> Iterator[Devices]:
    """Simulators of ``nodes``, until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.system.simulators", str(state), json.dumps(nodes)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout
            said = json.loads(process.stdout.readline())
            yield Devices(said["control"], said["ports"], state)
        finally:
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
