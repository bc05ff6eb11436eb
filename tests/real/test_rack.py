"""The whole loop on real software: a commit becomes packets that pass, and is undone again."""

from __future__ import annotations

import datetime
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real import parts, rack
from tests.real.rack import HOSTS, SWITCH, Rack
from tests.real.rack_site import BACKUP, STORAGE

pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(
        bool(parts.missing(*rack.NEEDS)),
        reason=parts.missing(*rack.NEEDS),
    ),
]
ALL = (SWITCH, *HOSTS)


@pytest.fixture(scope="module")
def shared(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    """One rack for all these tests (for each of the workers)."""
    with rack.rack(tmp_path_factory.mktemp("rack")) as made:
        yield made


@pytest.fixture
def real(shared: Rack) -> Rack:
    """The rack, with nothing asked of it."""
    shared.become({})
    return shared


@pytest.fixture
def in_use(shared: Rack) -> Rack:
    """The rack with both hosts in VLAN 666."""
    shared.become({"storage.yaml": STORAGE})
    assert shared.pings()
    return shared


def states(report: dict[str, Any]) -> dict[str, str]:
    """Address → what came of it."""
    assert not report.get("error"), report
    return {outcome["address"]: outcome["state"] for outcome in report.get("outcomes", ())}


def outcome(reports: list[dict[str, Any]], address: str, state: str) -> dict[str, Any]:
    """The one report in which ``address`` got to ``state``."""
    found = [report for report in reports if states(report).get(address) == state]
    assert len(found) == 1, reports
    return found[0]


def happened(log: Path, *words: str) -> float:
    """When the kernel said a line with all of ``words`` for the first time, in Unix seconds."""
    for line in log.read_text().splitlines():
        if all(word in line for word in words):
            return datetime.datetime.fromisoformat(line[1:].partition("]")[0]).timestamp()
    raise AssertionError(f"the kernel said nothing of {words}: {log.read_text()}")


def changes(log: Path) -> list[str]:
    """What the kernel said, but for the link-local address that it makes and tries out by itself."""
    return [line for line in log.read_text().splitlines() if "scope link" not in line]


def test_a_commit_becomes_packets_and_goes_again(real: Rack) -> None:
    foreign = real.foreign()
    assert real.strangers_ping()
    assert not real.pings(within=0.5)
    assert not real.vlan_is_kept(666)

    with real.watching("h1") as h1, real.watching("h2") as h2:
        began = time.time()
        with real.frozen(SWITCH):
            commit = real.push("Storage", {"storage.yaml": STORAGE})
            for host, port in HOSTS.items():
                assert real.waits(host) == [f"{SWITCH}:port/{port}", f"{SWITCH}:vlan/666"]
            assert (changes(h1), changes(h2)) == ([], [])
        real.converged(commit)
        assert real.pings()
        on_switch = real.reports(SWITCH, began)
        for host, log in (("h1", h1), ("h2", h2)):
            made = outcome(on_switch, "vlan/666", "changed")
            assert states(made)[f"port/{HOSTS[host]}"] == "changed"
            outcome(real.reports(host, began), "interface/eth0", "changed")
            for words in (["LOWER_UP"], [f"{rack.ADDRESSES[host]}/24"]):
                assert happened(log, *words) > made["finished"]
        assert real.foreign() == foreign

    wrote = real.written()
    with real.watching("h1") as h1, real.watching("h2") as h2:
        for name, report in real.run_now(*ALL).items():
            assert set(states(report).values()) == {"in_sync"}, name
        assert (changes(h1), changes(h2)) == ([], [])
    assert real.written() == wrote

    began = time.time()
    with real.frozen("h2"):
        commit = real.push("No storage", {"storage.yaml": None})
        assert real.waits(SWITCH)[-1:] == ["h2:interface/eth0"]
        assert real.vlan_is_kept(666)
    real.converged(commit)
    assert not real.pings(within=0.5)
    removed = outcome(real.reports(SWITCH, began), "vlan/666", "removed")
    for host in HOSTS:
        let_go = outcome(real.reports(host, began), "interface/eth0", "changed")
        assert let_go["finished"] < removed["finished"]
    assert not real.vlan_is_kept(666)
    assert real.vlan_is_kept(777)
    assert real.foreign() == foreign
    assert real.strangers_ping()
    for name, report in real.run_now(*ALL).items():
        assert set(states(report).values()) == {"in_sync"}, name


def test_a_hand_on_the_switch_is_mended(in_use: Rack) -> None:
    began = time.time()
    in_use.switch.vsctl("set", "Port", "p1", "tag=10")
    assert not in_use.pings(within=0.5)
    in_use.run_now(SWITCH)
    report = outcome(in_use.reports(SWITCH, began), "port/p1", "changed")
    (port,) = (found for found in report["outcomes"] if found["address"] == "port/p1")
    assert port["changes"] == [{"field": "access_vlan", "old": 10, "new": 666}]
    assert "access-ports/role.yaml:" in port["origin"]
    assert in_use.pings()
    assert set(states(in_use.run_now(SWITCH)[SWITCH]).values()) == {"in_sync"}


def test_a_hand_on_a_host_is_mended(in_use: Rack) -> None:
    ns, began = in_use.hosts["h2"].ns, time.time()
    parts.command(["ip", "address", "flush", "dev", "eth0", "scope", "global"], ns=ns)
    parts.command(["ip", "address", "add", "203.0.113.9/24", "dev", "eth0"], ns=ns)
    assert not in_use.pings(within=0.5)
    in_use.run_now("h2")
    outcome(in_use.reports("h2", began), "interface/eth0", "changed")
    assert in_use.pings()
    assert "203.0.113.9" not in parts.command(["ip", "address", "show", "eth0"], ns=ns)


def test_the_switch_is_lost_in_the_middle_of_a_commit(in_use: Rack) -> None:
    """Its sshd dies when the transaction is in the database and nobody has heard so."""
    began = time.time()
    with in_use.frozen("ovs-vswitchd"):
        in_use.push("Backup", {"backup.yaml": BACKUP})
        parts.until(lambda: in_use.vlan_is_kept(667), what="VLAN 667 in the database")
        in_use.door.kill()
        parts.until(lambda: in_use.node(SWITCH)["state"] == "unreachable", what="unreachable")
        said = in_use.node(SWITCH)["error"]
    # Another run may have ended right before, and the back-off be over by now.
    lost, *later = (r for r in in_use.reports(SWITCH, began) if r["kind"] == "unreachable")
    (vlan,) = (found for found in lost["outcomes"] if found["address"] == "vlan/667")
    assert vlan["state"] == "failed"
    assert "the session was lost: " in vlan["why"]
    assert said in [report["error"] for report in (lost, *later)]
    assert in_use.pings()

    in_use.door.start()  # and nobody says so: it is the back-off that brings it back
    in_use.converged(in_use.head())
    again = in_use.reports(SWITCH, began)[-1]
    assert set(states(again).values()) == {"in_sync"}
    # The VLAN is ours all the same, and goes when it is no longer wanted.
    in_use.converged(in_use.push("No backup", {"backup.yaml": None}))
    assert not in_use.vlan_is_kept(667)
    assert in_use.pings()


def test_an_sshd_that_is_away_and_comes_back(in_use: Rack) -> None:
    in_use.door.kill()
    report = in_use.run_now(SWITCH)[SWITCH]
    assert report["kind"] == "unreachable"
    shown = json.loads(in_use.command("status", "--json"))["nodes"]
    (said,) = (node for node in shown if node["node"] == SWITCH)
    assert said["state"] == "unreachable"
    assert said["error"] == report["error"]
    assert f"{in_use.door.running.host}:2222" in said["error"]
    assert "refused" in said["error"].lower()
    for host in HOSTS:
        assert in_use.node(host)["state"] in ("converged", "changed")
        assert set(states(in_use.run_now(host)[host]).values()) == {"in_sync"}

    in_use.door.start()
    assert set(states(in_use.run_now(SWITCH)[SWITCH]).values()) == {"in_sync"}
    assert in_use.node(SWITCH)["state"] == "converged"
    assert in_use.node(SWITCH)["error"] == ""


def test_a_stranger_in_the_place_of_the_switch_is_not_spoken_to(in_use: Rack) -> None:
    kept = [in_use.base / "sshd" / name for name in ("host_key", "host_key.pub")]
    in_use.door.kill()
    for path in kept:
        path.rename(path.with_name(f"{path.name}.old"))
    in_use.door.start()
    try:
        report = in_use.run_now(SWITCH)[SWITCH]
    finally:
        in_use.door.kill()
        for path in kept:
            path.with_name(f"{path.name}.old").replace(path)
    assert report["kind"] == "device"
    assert "host key" in report["error"]
    assert in_use.node(SWITCH)["state"] == "failed"


def test_a_bad_commit_is_refused_and_all_goes_on(in_use: Rack) -> None:
    good = in_use.head()
    wrote = in_use.written()
    typo = STORAGE.replace("vlan: 666", "vlan: 6666", 1).replace("deploy:", "deplyo:", 1)
    bad = in_use.push("Storage of another kind", {"storage.yaml": typo})

    def refused() -> Any:
        return in_use.admin().status()["store"]["refused"]

    parts.until(lambda: (refused() or {}).get("commit") == bad, what="the commit is refused")
    where = [problem["where"] for problem in refused()["problems"]]
    assert {"storage.yaml:4", "storage.yaml:9"} <= {place.rpartition(":")[0] for place in where}
    said = in_use.command("status")
    assert bad[:10] in said
    assert all(place in said for place in where)
    assert in_use.admin().status()["store"]["in_force"]["commit"] == good
    for name, report in in_use.run_now(*ALL).items():
        assert set(states(report).values()) == {"in_sync"}, name
        assert report["revision"] != bad
    assert in_use.written() == wrote
    assert in_use.pings()

    renamed = STORAGE.replace("name: storage}", "name: blocks}")
    in_use.converged(in_use.push("Mended", {"storage.yaml": renamed}))
    assert refused() is None
    assert "rackwright-vlan-666=blocks" in in_use.switch.vsctl(
        "get", "Open_vSwitch", ".", "external_ids"
    )
    assert in_use.pings()


def test_the_store_is_away_and_the_network_stays(in_use: Rack) -> None:
    """Agents go on from what they know, and tell when the store is back."""
    began = time.time()
    in_use.store.kill()
    in_use.switch.vsctl("set", "Port", "p1", "tag=10")
    assert not in_use.pings(within=0.5)
    in_use.processes[SWITCH].send_signal(signal.SIGUSR1)
    assert in_use.pings(within=10)
    in_use.store.start()
    in_use.run_now(SWITCH)
    outcome(in_use.reports(SWITCH, began), "port/p1", "changed")
