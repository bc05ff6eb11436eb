"""Teardown across nodes: the real engine on devices in memory, gated by the store's own gates.

A server's mount rests on a SAN's export, that on a switch's port, and the port on a VLAN. However the
site's commits and the runs come, each goes after all that rested on it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rackwright.engine.converge import Job, converge
from rackwright.engine.ledger import Ledger, LedgerFile, encode
from rackwright.model.bundle import Bundle, Declared, Gates
from rackwright.model.report import Report
from rackwright_store.gates import rests_of
from rackwright_store.live import Live
from rackwright_store.runs import summarise, verification
from rackwright_store.standing import Seen, standings
from rackwright_store.waiting import Rack as Waits

from ..engine.memory import Device, Line, Memory, bundle, declare, thing

NODES = ("web1", "san1", "sw1")
ORDERS = list(itertools.permutations(NODES))


class Rack:
    def __init__(self, tmp_path: Path) -> None:
        self.live = Live({}, {}, {})
        self.devices = {node: Device() for node in NODES}
        # The port was there before us, and is there after us.
        port = thing("plug/gi1", state="down")
        self.devices["sw1"].state[port.address] = port
        self.files = {node: LedgerFile(tmp_path / f"{node}.json") for node in NODES}
        self.writes: list[str] = []
        self.clock = 0.0

    def commit(self, wanted: Mapping[str, Sequence[Declared]]) -> None:
        bundles: dict[str, Bundle] = {}
        for node, resources in wanted.items():
            made = bundle(*resources)
            about = msgspec.structs.replace(made.node, name=node)
            bundles[node] = msgspec.structs.replace(made, node=about)
        self.clock += 1
        self.live.install(self.live.prepare(bundles), self.clock)

    def run(self, node: str) -> Report:
        served, device = self.live.bundles[node].value, self.devices[node]
        gates = self.live.gates[node].value
        assert isinstance(served, Bundle)
        assert isinstance(gates, Gates)

        def mirror(ledger: Ledger) -> None:
            body = encode(ledger)
            self.live.note_ledger(node, body, rests_of(node, body))

        before = len(device.writes)
        job = Job(bundle=served, gates=gates, secrets={}, mirror=mirror)
        report = converge(job, Memory(), Line(device), self.files[node])
        self.writes += [f"{node}: {write}" for write in device.writes[before:]]
        self.clock += 1
        report = msgspec.structs.replace(report, started=self.clock, finished=self.clock)
        known, stood = self.live.verified.get(node, {}), self.live.standings.get(node, {})
        came = verification(report, known, None, self.clock)
        standing = standings(report, stood, None, self.clock)
        self.live.note_run(summarise(report, self.clock), came, standing)
        return report

    def rounds(self, order: Sequence[str], count: int = 4) -> None:
        for _ in range(count):
            for node in order:
                self.run(node)

    def waits(self) -> Waits:
        seen = {}
        for node, served in self.live.bundles.items():
            gates = self.live.gates[node].value
            assert isinstance(served.value, Bundle)
            assert isinstance(gates, Gates)
            seen[node] = Seen(
                bundle=served.value,
                verified=self.live.verified.get(node, {}),
                standing=self.live.standings.get(node, {}),
                last=self.live.last_runs.get(node),
                gates=gates,
                told=self.live.told[node],
            )
        return Waits(seen, self.clock, 900.0)


def chain() -> dict[str, list[Declared]]:
    """All of it, up."""
    vlan = declare("thing/vlan30")
    port = declare("plug/Gi1", state="on", needs=["thing/vlan30"])
    export = declare("thing/IQN.lun1", needs=[("sw1:plug/Gi1", port.digest)])
    mount = declare("thing/mount", needs=[("san1:thing/IQN.lun1", export.digest)])
    return {"web1": [mount], "san1": [export], "sw1": [vlan, port]}


UP = [
    "sw1: create thing/vlan30",
    "sw1: update plug/gi1",
    "san1: create thing/iqn.lun1",
    "web1: create thing/mount",
]
DOWN = ["web1: remove thing/mount", "san1: remove thing/iqn.lun1", "sw1: remove thing/vlan30"]
NOTHING: dict[str, list[Declared]] = {"web1": [], "san1": [], "sw1": []}


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_all_deleted_in_one_commit(tmp_path: Path, order: Sequence[str]) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(order)
    assert rack.writes == UP
    rack.commit(NOTHING)
    rack.rounds(order)
    assert rack.writes == UP + DOWN
    assert all(not file.load().entries for file in rack.files.values())
    # What was there before us is left as it is.
    assert list(map(str, rack.devices["sw1"].state)) == ["plug/gi1"]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_deleted_from_the_bottom_in_two_commits(tmp_path: Path, order: Sequence[str]) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(order)
    up = chain()
    # The switch's part goes first. The export must not say any more that it needs it, or lint refuses.
    export = msgspec.structs.replace(up["san1"][0], needs=())
    rack.commit({"web1": up["web1"], "san1": [export], "sw1": []})
    rack.run("sw1")
    assert rack.writes == UP, "the SAN has not said that it uses the port no more"
    rack.commit(NOTHING)
    rack.rounds(order)
    assert rack.writes == UP + DOWN


def test_a_server_that_is_down_holds_all_of_it_and_is_named(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(NODES)
    rack.commit(NOTHING)
    for _ in range(3):
        assert rack.run("san1").exit_code == 3
        assert rack.run("sw1").exit_code == 3
    assert rack.writes == UP
    chains = rack.waits().why("sw1")
    assert [chain.kind for chain in chains] == ["pending"]
    assert [step.what for step in chains[0].path] == [
        "sw1:plug/Gi1",
        "san1:thing/IQN.lun1",
        "web1:thing/mount",
        "web1",
    ]


def test_a_server_that_left_the_site_holds_until_it_is_retired(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(NODES)
    rack.commit({"san1": [], "sw1": []})
    rack.rounds(("sw1", "san1"))
    assert rack.writes == UP
    chains = rack.waits().why("san1")
    assert [(chain.kind, chain.root) for chain in chains] == [("left", "web1:thing/mount")]
    assert "rackwright node retire web1" in chains[0].act
    assert rack.live.rests("web1") == ("san1:thing/IQN.lun1",)
    assert rack.live.retire("web1") == {"san1"}
    rack.rounds(("sw1", "san1"))
    assert rack.writes == UP + DOWN[1:]


def test_what_fails_to_go_keeps_what_it_rests_on(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(NODES)
    rack.commit(NOTHING)
    rack.devices["san1"].reject = {"thing/iqn.lun1"}
    rack.rounds(NODES)
    assert "sw1: remove thing/vlan30" not in rack.writes
    found: Any = rack.waits().why("sw1")[0]
    assert (found.kind, found.error) == ("failed", "rejected thing/iqn.lun1")
    rack.devices["san1"].reject = set()
    rack.rounds(NODES)
    assert rack.writes[-1] == "sw1: remove thing/vlan30"


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_a_port_is_not_cut_off_under_what_is_about_to_go(
    tmp_path: Path, order: Sequence[str]
) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(order)
    rack.commit({"web1": [], "san1": [], "sw1": [declare("plug/Gi1", state="off")]})
    rack.rounds(order)
    last = set(rack.writes[len(UP) + 2 :])
    assert rack.writes[: len(UP) + 2] == UP + DOWN[:2]
    assert last == {"sw1: update plug/gi1", "sw1: remove thing/vlan30"}


def test_what_stays_in_use_moves_its_port_as_it_likes(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(NODES)
    wanted = chain()
    off = declare("plug/Gi1", state="off", needs=["thing/vlan30"])
    export = declare("thing/IQN.lun1", needs=[("sw1:plug/Gi1", off.digest)])
    rack.commit({**wanted, "san1": [export], "sw1": [wanted["sw1"][0], off]})
    rack.run("sw1")
    assert rack.writes == [*UP, "sw1: update plug/gi1"]


def test_who_is_to_go_holds_at_once_what_stays(tmp_path: Path) -> None:
    rack = Rack(tmp_path)
    rack.commit(chain())
    rack.rounds(NODES)
    rack.commit({**chain(), "web1": []})
    gates = rack.live.gates["san1"].value
    assert isinstance(gates, Gates)
    assert gates.held == {"thing/IQN.lun1": ("web1:thing/mount",)}
