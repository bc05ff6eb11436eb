"""kill -9 of a delegate that converges a switch, at random instants: what is declared is reached, what
we made goes when it is no longer declared, and what was there before us is never touched."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rackwright_sim import ios_accounts
from rackwright_sim.ios_config import ALL_VLANS, DEFAULT_VLANS, Config, Port, parse_vlans

from .forker import Forker
from .killing import Killing
from .simulators import PASSWORD, Devices, reach, simulated, switch
from .sites import deployed, write_secrets, write_site

BATCHES, KILLS, TERMS = 6, 15, 4
FOREIGN = {900: "not-ours", 901: "VLAN0901"}
OURS = range(10, 22)
PORTS = [f"GigabitEthernet1/0/{number}" for number in range(1, 5)]
UPLINK = "GigabitEthernet1/0/24"
STARTUP = f"""vlan 900
 name not-ours
!
vlan 901
!
interface {UPLINK}
 description not ours
 switchport trunk allowed vlan 900,901
 switchport mode trunk
!
end
"""


@dataclass
class Rack:
    """A switch, and the site that says what it is."""

    tmp_path: Path
    devices: Devices
    node: dict[str, Any]
    killing: Killing
    expected: Config = field(
        default_factory=lambda: Config(
            "sw1",
            {f"GigabitEthernet1/0/{number}": Port() for number in range(1, 25)},
            accounts={"rack": ios_accounts.first("rack", PASSWORD)},
        )
    )
    """What the switch must be in the end."""

    def declare(self, vlans: dict[int, str], ports: dict[str, dict[str, Any]]) -> None:
        resources = [{"vlan": str(vlan), "title": title} for vlan, title in vlans.items()]
        resources += [{"port": port, **spec} for port, spec in ports.items()]
        write_site(
            self.tmp_path / "site",
            reach(self.node, self.devices),
            *deployed("net", "switch", "sw1", resources),
        )
        self.expected.vlans = {**DEFAULT_VLANS, **FOREIGN, **vlans}
        self.expected.ports[UPLINK] = Port(
            description="not ours", mode="trunk", allowed=frozenset({900, 901})
        )
        for port, spec in ports.items():
            allowed = spec["allowed_vlans"]
            self.expected.ports[port] = Port(
                description=spec["description"],
                shutdown=spec["admin"] == "down",
                mode=spec["mode"],
                access=spec["access_vlan"],
                native=spec["native_vlan"],
                allowed=ALL_VLANS if allowed == "all" else parse_vlans(allowed),
            )

    def check(self) -> None:
        """Run to the end: the switch is what it must be, also after a power cut."""
        self.killing.complete()
        assert self.devices.running("sw1") == self.expected.text()
        assert self.devices.startup("sw1") == self.expected.text()


@pytest.fixture
def rack(tmp_path: Path, state: Path, forker: Forker, chance: random.Random) -> Iterator[Rack]:
    node = switch("sw1", latency=0.002)
    kept = tmp_path / "devices"
    kept.mkdir()
    (kept / "sw1.json").write_text(json.dumps({"startup": STARTUP}))
    write_secrets(state)
    argv = ("delegate", "sw1", "--once", "--site", str(tmp_path / "site"), "--state", str(state))
    with simulated(kept, node) as devices:
        yield Rack(tmp_path, devices, node, Killing(forker, chance, state, "sw1", argv))


def revision(chance: random.Random) -> tuple[dict[int, str], dict[str, dict[str, Any]]]:
    """Some VLANs, under one name or another, and every port in one of them or another."""
    some = sorted(chance.sample(OURS, chance.randrange(1, 9)))
    vlans = {vlan: f"{chance.choice(['red', 'green', 'blue'])}-{vlan}" for vlan in some}
    ports = {
        port: {
            "admin": chance.choice(["up", "down"]),
            "description": f"to server {chance.randrange(4)}",
            "mode": chance.choice(["access", "trunk"]),
            "access_vlan": chance.choice([1, 900, *some]),
            "native_vlan": chance.choice([1, *some]),
            "allowed_vlans": chance.choice(["all", "900", ",".join(map(str, some))]),
        }
        for port in PORTS
    }
    return vlans, ports


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_delegate(rack: Rack, chance: random.Random, batch: int) -> None:
    rack.declare(*revision(chance))
    rack.check()
    while rack.killing.killed < KILLS:
        rack.declare(*revision(chance))
        rack.killing.interrupt()
        if chance.random() < 0.5:
            rack.check()
    # The ports must leave the VLANs before these can go: what the switch has now is not told.
    plain = {"admin": "up", "description": "free", "mode": "access", "access_vlan": 1}
    rack.declare({}, {port: {**plain, "native_vlan": 1, "allowed_vlans": "all"} for port in PORTS})
    rack.killing.interrupt()
    rack.check()
    rack.declare({}, {})
    rack.killing.interrupt()
    rack.check()
    rack.killing.complete()
    assert (rack.killing.state / "sw1" / "ledger.json").read_text() == "{}"


@pytest.mark.parametrize("batch", range(2))
def test_terminated_delegate_finishes_the_step_in_hand(
    rack: Rack, chance: random.Random, batch: int
) -> None:
    rack.declare(*revision(chance))
    rack.check()
    for _ in range(TERMS):
        before = Config("sw1", dict(rack.expected.ports), dict(rack.expected.vlans))
        rack.declare(*revision(chance))
        run = rack.killing.interrupt(signal.SIGTERM)
        # Before it listens to signals it has done nothing yet, and may die of one.
        assert run.status in (0, 130, -signal.SIGTERM), run.said()
        running = rack.devices.running("sw1")
        assert running == rack.devices.startup("sw1")
        for name in PORTS:
            block = set(running.split("!\n")) & {
                "\n".join(config.interface_lines(name)) + "\n" for config in (before, rack.expected)
            }
            assert block, f"{name} is half done:\n{running}"
        rack.check()
