"""``rackwright plan --site`` for a whole site: read live where that can be done, from reports where not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .forker import Forker
from .simulators import Devices, pdu, reach, simulated, switch
from .sites import deployed, write_secrets, write_site
from .stores import Store, store

NETWORK = "/etc/eth0"
PORTS = ("GigabitEthernet1/0/1", "GigabitEthernet1/0/2")
ON = {"state": "on"}
OFF = {"state": "off", "power": "force_off"}


@dataclass
class Rack:
    """A switch, a PDU and two servers, converged once with a store; and an operator's host, which has
    none of their state directories and knows one of the devices' secrets."""

    forker: Forker
    made: Store
    devices: Devices
    tmp_path: Path
    nodes: tuple[dict[str, Any], ...]
    first_said: str = ""
    """By the first plan, on standard error."""

    def documents(
        self,
        vlans: dict[str, int],
        servers: tuple[str, ...] = ("web1", "web2"),
        outlet: dict[str, str] = ON,
        files: tuple[str, ...] = (NETWORK,),
    ) -> list[dict[str, Any]]:
        """``vlans``: server → the VLAN that it is in; ``files``: what each server has."""
        links = {"sw1": dict(zip(PORTS, ("web1:eth0", "web2:eth0"), strict=True)), "pdu1": {"1": "web1:psu1"}}  # fmt: skip
        found = []
        for node in self.nodes:
            document = reach(node, self.devices)
            name = document["node"]
            document["links"] = {
                port: end for port, end in links[name].items() if end.split(":")[0] in servers
            }
            for way in document["reach"]:
                for options in way.values():
                    options.update({"timeout": 1.5, "retries": 0} if name == "pdu1" else {})
            found.append(document)
        used = [
            {"port": port, "mode": "access", "access_vlan": vlans[web]}
            for port, web in zip(PORTS, ("web1", "web2"), strict=True)
            if web in servers
        ]
        there = [{"vlan": str(vlan)} for vlan in sorted({vlans[web] for web in servers})]
        found += deployed("net", "switch", "sw1", [*there, *used])
        found += deployed("power", "pdu", "pdu1", [{"outlet": "1", **outlet}])
        for number, web in enumerate(servers):
            found.append({"node": web, "type": "server"})
            needs = [f"sw1:vlan/{vlans[web]}", f"sw1:port/{PORTS[number]}"]
            text = f"vlan {vlans[web]}\n"
            made = [{"file": name, "content": text, "needs": needs} for name in files]
            found += deployed(f"files-{web}", "server", web, made)
        return found

    def converge(self) -> None:
        """Everybody once, and the servers again when the switch is there."""
        state = self.tmp_path / "state"
        token = self.made.token("sw1", "pdu1", "web1", "web2")
        where = ("--once", "--store", self.made.url, "--state", str(state), "--token", token)
        assert self.forker.run("delegate", "sw1", "pdu1", *where).status == 0
        for web in ("web1", "web2"):
            (self.tmp_path / web / "etc").mkdir(parents=True)
            done = self.forker.run(
                "agent", "--node", web, "--root", str(self.tmp_path / web), *where
            )
            assert done.status == 0, done.said() + done.out.read_text()

    def plan(self, *more: str, with_store: bool = True) -> tuple[int | None, str, str]:
        """Exit code, output, and what was said besides, on the operator's host."""
        state = self.tmp_path / "operator"
        asks = ("--store", self.made.url, "--credential", str(self.tmp_path / "store" / "admin.credential"))  # fmt: skip
        site = ("--site", str(self.tmp_path / "site"), "--state", str(state))
        done = self.forker.run("plan", *site, *(asks if with_store else ()), *more)
        return done.status, done.out.read_text(), done.said()

    def traces(self) -> tuple[Any, ...]:
        """Whatever would show that something was written anywhere but on the operator's host."""
        files = {
            str(path): (path.stat().st_mtime_ns, path.read_text())
            for name in ("web1", "web2", "state", "operator", "site")
            for path in (self.tmp_path / name).rglob("*")
            if path.is_file()
        }
        admin = self.made.admin
        return self.devices.writes(), files, admin.runs("", 1000), admin.known()


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory, forker: Forker) -> Iterator[Rack]:
    tmp_path = tmp_path_factory.mktemp("rack")
    nodes = (switch("sw1"), pdu("pdu1"))
    (tmp_path / "state").mkdir()
    write_secrets(tmp_path / "state")
    with simulated(tmp_path / "devices", *nodes) as devices:
        made = Rack(forker, None, devices, tmp_path, nodes)  # type: ignore[arg-type]
        first = made.documents({"web1": 20, "web2": 20})
        with store(forker, tmp_path, *first) as running:
            made.made = running
            made.converge()
            (tmp_path / "operator").mkdir()
            write_secrets(tmp_path / "operator")
            write_site(tmp_path / "site", *first)
            _, _, made.first_said = made.plan()
            yield made


def lines(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["address"]: line for wave in plan["waves"] for line in wave["changes"]}


def test_a_whole_site_live_and_from_reports_with_a_device_off(rack: Rack) -> None:
    rack.devices.faults("pdu1", refuse=True)
    write_site(rack.tmp_path / "site", *rack.documents({"web1": 20, "web2": 30}, outlet=OFF))
    before = rack.traces()
    status, out, said = rack.plan("--json")
    assert status == 0, out
    assert "trusting the host key" not in said
    plan = json.loads(out)
    by = {node["node"]: node["by"] for node in plan["nodes"]}
    assert by == {"sw1": "live", "pdu1": "report", "web1": "report", "web2": "report"}
    errors = {node["node"] for node in plan["nodes"] if node["error"]}
    assert errors == {"pdu1"}
    found = lines(plan)
    port, file = f"sw1:port/{PORTS[1]}", f"web2:file/{NETWORK}"
    assert list(found) == ["pdu1:outlet/1", "sw1:vlan/30", port, file]
    assert [wave["wave"] for wave in plan["waves"]] == [1, 2, 3]
    assert {name: (line["mark"], line["after"]) for name, line in found.items()} == {
        "pdu1:outlet/1": ("read", []),
        "sw1:vlan/30": ("read", []),
        port: ("read", []),
        file: ("assumed", [port, "sw1:vlan/30"]),
    }
    assert found[port]["changes"] == [{"field": "access_vlan", "old": 20, "new": 30}]
    assert found[file]["changes"] == [{"field": "content", "old": "vlan 20\n", "new": "vlan 30\n"}]
    assert found["pdu1:outlet/1"]["changes"] == [{"field": "state", "old": "on", "new": "off"}]
    cut = {
        name: [hit["what"] for hit in line["radius"].get("servers", []) if hit["cut"]]
        for name, line in found.items()
    }
    assert cut == {"pdu1:outlet/1": ["web1"], "sw1:vlan/30": [], port: ["web2"], file: []}
    assert plan["summary"]["cuts"] == ["web1", "web2"]
    (away,) = [doubt for doubt in found["pdu1:outlet/1"]["doubts"] if "reached" in doubt]
    assert away == "pdu1 could not be reached; this is done when it can be"
    assert found[port]["doubts"] == []
    assert rack.traces() == before

    status, out, _ = rack.plan()
    assert status == 0
    assert [line for line in out.splitlines() if line.startswith("wave ")] == ["wave 1", "wave 2", "wave 3"]  # fmt: skip
    assert "4 changes on 3 nodes (1 to make, 3 to change): 3 read, 1 assumed" in out
    assert f"after {port}, sw1:vlan/30" in out
    assert "cuts web2 (eth0: its only uplink)" in out
    assert "cuts web1 (psu1: its only feed)" in out
    assert "read report " in out
    assert rack.traces() == before


def test_a_host_key_that_was_never_seen_is_all_that_is_kept(rack: Rack) -> None:
    """Else it would never be checked."""
    assert rack.first_said.count("trusting the host key") == 1
    files = {path.name for path in (rack.tmp_path / "operator").rglob("*") if path.is_file()}
    assert files == {"secrets", "known_hosts"}


def test_the_last_feed_of_a_server_that_answers_is_refused_as_it_would_be(rack: Rack) -> None:
    rack.devices.faults("pdu1")
    # It reports, so it answers.
    again = ("--once", "--store", rack.made.url, "--state", str(rack.tmp_path / "state"))
    rack.forker.run("agent", "--node", "web1", "--root", str(rack.tmp_path / "web1"), *again).wait()
    documents = rack.documents({"web1": 20, "web2": 20}, outlet={"state": "off"})
    write_site(rack.tmp_path / "site", *documents)
    status, out, _ = rack.plan("--json")
    assert status == 2, out
    line = lines(json.loads(out))["pdu1:outlet/1"]
    assert line["state"] == "refused"
    assert "web1 answers, and it has no other live feed" in line["why"]
    assert [hit["what"] for hit in line["radius"]["servers"] if hit["cut"]] == ["web1"]


def test_what_is_not_declared_any_more_goes_in_reverse_order_though_nobody_looks(
    rack: Rack,
) -> None:
    """web2 lets go of its file by its ledger at the store, and the switch, which is off, of the VLAN."""
    documents = rack.documents({"web1": 20, "web2": 20}, files=())
    documents = [item for item in documents if item.get("role") != "net"]
    elsewhere = [{"port": port, "mode": "access", "access_vlan": 1} for port in PORTS]
    documents.append({"role": "net", "for": ["switch"], "resources": elsewhere})
    write_site(rack.tmp_path / "site", *documents)
    rack.devices.faults("sw1", refuse=True)
    before = rack.traces()
    try:
        _, out, _ = rack.plan("--json")
    finally:
        rack.devices.faults("sw1")
    assert rack.traces() == before
    plan = json.loads(out)
    assert {node["by"] for node in plan["nodes"]} == {"report", "live"}
    found = lines(plan)
    states = {address: line["state"] for address, line in found.items()}
    port, vlan, file = f"sw1:port/{PORTS[1]}", "sw1:vlan/20", "web2:file//etc/eth0"
    assert [states[address] for address in (file, port, vlan)] == ["removed", "changed", "removed"]
    order = list(found)
    assert order.index(file) < order.index(port) < order.index(vlan)
    assert found[port]["after"] == [file]
    assert (found[file]["mark"], found[port]["mark"], found[vlan]["mark"]) == (
        "read",
        "assumed",
        "assumed",
    )
    assert found[vlan]["doubts"][0] == "sw1 could not be reached; this is done when it can be"
    assert [hit["what"] for hit in found[vlan]["radius"]["servers"]] == ["web1", "web2"]


def test_without_a_store_the_rest_is_assumed_and_this_host_is_read(rack: Rack) -> None:
    write_site(rack.tmp_path / "site", *rack.documents({"web1": 20, "web2": 20}))
    rack.devices.faults("pdu1")
    root = ("--at", "web1", "--root", str(rack.tmp_path / "web1"))
    before = rack.traces()
    status, out, _ = rack.plan("--json", *root, with_store=False)
    assert status == 0, out
    plan = json.loads(out)
    by = {node["node"]: node["by"] for node in plan["nodes"]}
    assert by == {"sw1": "live", "pdu1": "live", "web1": "live", "web2": "nothing"}
    found = lines(plan)
    # The switch reads as declared, so nothing is waited for; who was never seen is assumed all the same.
    assert set(found) == {"web2:file//etc/eth0"}
    assert found["web2:file//etc/eth0"]["mark"] == "assumed"
    assert "--store URL" in rack.plan(*root, with_store=False)[1]
    assert rack.traces() == before


def test_a_server_that_is_taken_out_of_the_site_holds_until_it_is_retired(rack: Rack) -> None:
    documents = rack.documents({"web1": 30, "web2": 20}, servers=("web1",))
    write_site(rack.tmp_path / "site", *documents)
    status, out, _ = rack.plan("--json")
    plan = json.loads(out)
    assert status == 2, "a port that stays as it is keeps its VLAN"
    (gone,) = plan["gone"]
    assert (gone["node"], gone["holds"]) == ("web2", [f"sw1:port/{PORTS[1]}", "sw1:vlan/20"])
    found = lines(plan)
    # The switch's own ledger is on another host: the store's copy says what is to go.
    assert found["sw1:vlan/20"]["state"] == "refused"
    assert found[f"sw1:port/{PORTS[1]}"]["state"] == "blocked"
    assert found["web1:file//etc/eth0"]["mark"] == "assumed"
    assert "web2 is not in the site any more" in " ".join(rack.plan()[1].split())
    rack.made.commit(*documents)
    rack.made.admin.retire("web2", who="test", force=True)
    assert json.loads(rack.plan("--json")[1])["gone"] == []
