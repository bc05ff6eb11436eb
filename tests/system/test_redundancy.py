"""One commit cuts both uplinks of a server, and both its feeds: the devices see one after the other, and
the second only when the first was verified. Where the first refuses, the second is not touched."""

from __future__ import annotations

import re
import threading
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


def vlan_of(devices: Devices, name: str) -> int:
    text = devices.running(name)
    block = text.partition(f"interface {PORT}\n")[2].partition("\n!")[0]
    found = re.search(r"access vlan (\d+)", block)
    return int(found[1]) if found else 1


class Seen(threading.Thread):
    """What the devices show together, each time that it is another than before."""

    def __init__(self, devices: Devices) -> None:
        super().__init__(daemon=True)
        self.devices, self.ended = devices, threading.Event()
        self.vlans: list[tuple[int, ...]] = []

    def run(self) -> None:
        while not self.ended.wait(0.01):
            now = tuple(vlan_of(self.devices, name) for name in SWITCHES)
            if self.vlans[-1:] != [now]:
                self.vlans.append(now)


def changed(made: Store, node: str, key: str) -> dict[str, Any]:
    """The last run of ``node`` that changed ``key``."""
    return [
        report
        for report in made.reports(node)
        if any(item["address"] == key and item["state"] == "changed" for item in report.get("outcomes", []))
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
        seen = Seen(devices)
        try:
            head = made.repo.git("rev-parse", "HEAD")
            eventually(lambda: settled(made, head))
            seen.start()
            commit = made.commit(*documents(devices, 20, "off"))
            eventually(lambda: settled(made, commit))
            seen.ended.set()
            seen.join()
            assert seen.vlans == [(10, 10), (20, 10), (20, 20)]
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
