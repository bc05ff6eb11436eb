"""One commit cuts both uplinks of a server, and both its feeds, or the LAGs and the VLAN in which they run: the
devices see one after the other, and the second only when the first was verified. Where the first refuses,
the second is not touched."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .forker import Forker
from .simulators import Devices, pdu, reach, simulated, switch
from .sites import deployed, eventually, write_secrets
from .stores import Store

SWITCHES, PDUS = ("sw-a", "sw-b"), ("pdu-a", "pdu-b")
PORT = "GigabitEthernet1/0/1"
NODES = [
    *(switch(name, latency=0.02, links=[(PORT, "web1", f"eth{i}")]) for i, name in enumerate(SWITCHES)),
    *(pdu(name, links=[("1", "web1", f"psu{i}")]) for i, name in enumerate(PDUS)),
]  # fmt: skip


def documents(devices: Devices, vlan: int, power: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"node": "web1", "type": "server"}]
    for node in NODES:
        name = node["name"]
        found.append(reach(node, devices))
        if name in SWITCHES:
            port = {"port": PORT, "mode": "access", "access_vlan": vlan}
            found += deployed(name, "switch", name, [{"vlan": str(vlan)}, port])
        else:
            found += deployed(name, "pdu", name, [{"outlet": "1", "state": power}])
    return found


def vlan_of(devices: Devices, name: str, interface: str = PORT) -> int:
    text = devices.running(name)
    block = text.partition(f"interface {interface}\n")[2].partition("\n!")[0]
    found = re.search(r"access vlan (\d+)", block)
    return int(found[1]) if found else 1


class Seen(threading.Thread):
    """What the devices show together, each time that it is another than before."""

    def __init__(self, look: Callable[[str], Any]) -> None:
        super().__init__(daemon=True)
        self.look, self.ended = look, threading.Event()
        self.states: list[tuple[Any, ...]] = []

    def run(self) -> None:
        while not self.ended.wait(0.01):
            now = tuple(self.look(name) for name in SWITCHES)
            if self.states[-1:] != [now]:
                self.states.append(now)


def changed(made: Store, node: str, key: str) -> dict[str, Any]:
    """The last run of ``node`` that changed ``key``, or took it away."""
    return [
        report
        for report in made.reports(node)
        if any(item["address"] == key and item["state"] in ("changed", "removed") for item in report.get("outcomes", []))
    ][-1]  # fmt: skip


def settled(made: Store, commit: str) -> bool:
    status = made.admin.status()
    return bool((status["store"]["in_force"] or {}).get("commit") == commit) and all(
        not node["pending"] and node["state"] in ("converged", "changed")
        for node in status["nodes"]
        if node["managed"]
    )


def test_one_side_after_the_other(tmp_path: Path, forker: Forker) -> None:
    state = tmp_path / "state"
    write_secrets(state)
    with simulated(tmp_path / "devices", *NODES) as devices:
        made = Store(forker, tmp_path)
        made.commit(*documents(devices, 10, "on"), poke=False)
        made.up()
        token = made.token(*SWITCHES, *PDUS)
        where = ("--store", made.url, "--state", str(state), "--token", token)
        rare = ("--interval", "7200", "--splay", "0", "--json")
        delegates = forker.start("delegate", *SWITCHES, *PDUS, *where, *rare)
        seen = Seen(lambda name: vlan_of(devices, name))
        try:
            head = made.repo.git("rev-parse", "HEAD")
            eventually(lambda: settled(made, head))
            seen.start()
            commit = made.commit(*documents(devices, 20, "off"))
            eventually(lambda: settled(made, commit))
            seen.ended.set()
            seen.join()
            assert seen.states == [(10, 10), (20, 10), (20, 20)]
            for one, other, key in (
                ("sw-a", "sw-b", f"port/{PORT}"),
                ("pdu-a", "pdu-b", "outlet/1"),
            ):
                first, second = changed(made, one, key), changed(made, other, key)
                assert first["finished"] <= second["started"]
            assert [devices.outlets(name)["1"]["state"] for name in PDUS] == ["off", "off"]

            devices.faults("sw-a", reject_only="access vlan 30")
            made.commit(*documents(devices, 30, "off"))
            eventually(lambda: made.node("sw-a")["state"] == "failed")
            eventually(lambda: made.node("sw-b")["state"] == "blocked")
            assert f"sw-a:port/{PORT}" in made.node("sw-b")["waits_for"]
            assert vlan_of(devices, "sw-b") == 20
            assert changed(made, "sw-b", "vlan/30"), "what cuts nothing goes ahead"
            chain = made.admin.waiting("sw-b")["chains"][0]
            assert (chain["kind"], chain["root"]) == ("failed", f"sw-a:port/{PORT}")
            assert chain["path"][-1]["why"] == "the two are web1's uplinks"
        finally:
            seen.ended.set()
            delegates.kill()
            made.down()


PORTS = [f"GigabitEthernet1/0/{number}" for number in (1, 2, 3)]
LAGGED = [
    switch(
        name,
        latency=0.02,
        links=[
            (PORTS[0], "web1", f"eth{i}"),
            (PORTS[1], "web1", f"eth{i + 2}"),
            (PORTS[2], "web2", f"eth{i}"),
        ],
    )
    for i, name in enumerate(SWITCHES)
]


def lagged(devices: Devices, vlan: int, *, storage: bool) -> list[dict[str, Any]]:
    """Nothing is declared of web2's ports, so they may be in any VLAN."""
    found: list[dict[str, Any]] = [{"node": name, "type": "server"} for name in ("web1", "web2")]
    for node in LAGGED:
        found.append(reach(node, devices))
        lag = {"lag": 10, "members": ["Gi1/0/1", "Gi1/0/2"], "mode": "access", "access_vlan": vlan}
        vlans = [{"vlan": "10"}, {"vlan": "20"}]
        vlans += [{"vlan": "30", "title": "storage"}] if storage else []
        found += deployed(node["name"], "switch", node["name"], [*vlans, lag])
    return found


def test_lags_and_vlans_one_switch_after_the_other(tmp_path: Path, forker: Forker) -> None:
    state = tmp_path / "state"
    write_secrets(state)
    with simulated(tmp_path / "devices", *LAGGED) as devices:
        made = Store(forker, tmp_path)
        made.commit(*lagged(devices, 10, storage=True), poke=False)
        made.up()
        where = ("--store", made.url, "--state", str(state), "--token", made.token(*SWITCHES))
        rare = ("--interval", "7200", "--splay", "0", "--json")
        delegates = forker.start("delegate", *SWITCHES, *where, *rare)

        def look(name: str) -> tuple[int, bool]:
            lag = vlan_of(devices, name, "Port-channel10")
            return lag, "name storage" in devices.running(name)

        seen = Seen(look)
        try:
            head = made.repo.git("rev-parse", "HEAD")
            eventually(lambda: settled(made, head))
            for name in SWITCHES:
                assert devices.running(name).count("channel-group 10 ") == 2
            seen.start()
            commit = made.commit(*lagged(devices, 20, storage=False))
            eventually(lambda: settled(made, commit))
            seen.ended.set()
            seen.join()
            for what, states in enumerate(([10, 20], [True, False])):
                old, new = states
                shown = [tuple(now[what] for now in both) for both in seen.states]
                assert list(dict.fromkeys(shown)) == [(old, old), (new, old), (new, new)]
            for key in ("lag/10", "vlan/30"):
                first, second = changed(made, "sw-a", key), changed(made, "sw-b", key)
                assert first["finished"] <= second["started"], key

            devices.faults("sw-a", reject_only="access vlan 10")
            made.commit(*lagged(devices, 10, storage=False))
            eventually(lambda: made.node("sw-a")["state"] == "failed")
            eventually(lambda: made.node("sw-b")["state"] == "blocked")
            assert vlan_of(devices, "sw-b", "Port-channel10") == 20
            chain = made.admin.waiting("sw-b")["chains"][0]
            assert (chain["kind"], chain["root"]) == ("failed", "sw-a:lag/10")
            assert chain["path"][-1]["why"] == "what is redundant runs through both"
        finally:
            seen.ended.set()
            delegates.kill()
            made.down()
