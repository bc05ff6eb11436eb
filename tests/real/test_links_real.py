"""LLDP as lldpd speaks it: two cables are swapped, and what rests on them is refused until they are
swapped back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rackwright.cli import tree
from rackwright.cli.tree import Tree, TreeSource
from rackwright.model.report import Outcome
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from tests.real import agents, parts

NEEDS = ("lldpd", "lldpcli", "sshd", "ovs-vswitchd", "unshare", "setpriv")
pytestmark = [
    pytest.mark.root,
    pytest.mark.apt,
    pytest.mark.usefixtures("namespaces"),
    pytest.mark.skipif(bool(parts.missing(*NEEDS)), reason=parts.missing(*NEEDS)),
]


class Rack:
    """An Open vSwitch with a server on p1 and on p2, each with lldpd, and the switch's delegate."""

    def __init__(self, base: Path, stack: contextlib.ExitStack) -> None:
        self.base, self.swapped = base, False
        self.ovs = stack.enter_context(parts.open_vswitch(base / "ovs"))
        self.hosts = {
            name: stack.enter_context(parts.host(self.ovs.ns, port, f"192.0.2.{number}/24")).ns
            for number, (name, port) in enumerate((("web1", "p1"), ("web2", "p2")), 1)
        }
        for port in ("p1", "p2"):
            self.ovs.plug(port)
        self.lldpd = stack.enter_context(agents.lldpd(self.ovs.ns, "sw-a1", "p1", "p2"))
        for name, ns in self.hosts.items():
            stack.enter_context(agents.lldpd(ns, name, "eth0"))
        address = stack.enter_context(parts.management(self.ovs.ns))
        self.door = stack.enter_context(
            parts.sshd(
                base / "sshd", ns=self.ovs.ns, host=address, env={**self.ovs.env, **self.lldpd.env}
            )
        )
        state = base / "state"
        state.mkdir()
        (state / "secrets").touch(mode=0o600)
        (state / "secrets").write_text(json.dumps({"key": self.door.key}))
        self.runner = NodeRunner(
            node="sw-a1",
            source=self.declaring("web1:eth0", vlan=666),
            registry=Registry.installed(),
            state=state / "sw-a1",
            secrets=state / "secrets",
        )
        stack.callback(self.runner.close)

    def declaring(self, far_end: object, vlan: int) -> TreeSource:
        """The site says that p1 goes there, and is in that VLAN with all that needs it."""
        way = {"ssh": self.door.options(key={"secret": "key"})}
        node = {"node": "sw-a1", "type": "switch", "platform": "openvswitch", "reach": [way]}
        resources = [
            {"vlan": str(vlan)},
            {"vlan": str(vlan + 1), "needs": ["port/p1"]},
            {"port": "p1", "mode": "access", "access_vlan": vlan},
        ]
        documents = [
            {"site": "links"},
            {**node, "links": {"p1": far_end, "p2": "web2:eth0"}},
            *({"node": name, "type": "server"} for name in self.hosts),
            {"role": "ports", "for": ["switch"], "resources": resources},
            {"proposal": "ports", "deploy": {"ports": ["sw-a1"]}},
        ]
        site = self.base / "site"
        site.mkdir(exist_ok=True)
        (site / "site.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
        return TreeSource(Tree(site, Registry.installed(), self.base / "state"), "sw-a1")

    def converge(self, far_end: object, vlan: int) -> dict[str, Outcome]:
        """What came of each resource, once the switch was asked what it sees."""
        self.runner.source = self.declaring(far_end, vlan)
        report = self.runner.run(fresh_facts=True)
        assert not report.error, report.error
        return {outcome.address: outcome for outcome in report.outcomes}

    def swap(self) -> None:
        """The cables of the two servers change places."""
        self.swapped = not self.swapped
        one, other = self.hosts.values()
        for port in ("p1", "p2"):
            parts.command(["ip", "link", "del", port], ns=self.ovs.ns)
        for port, ns in (
            (("p1", other), ("p2", one)) if self.swapped else (("p1", one), ("p2", other))
        ):
            parts.cable(self.ovs.ns, port, ns, "eth0")

    def seen(self, **neighbours: str) -> None:
        """Wait until the switch's lldpd sees these, and nobody else."""

        def so() -> bool:
            found = sorted(
                (port["name"], name["value"])
                for lldp in json.loads(self.lldpd.neighbours())["lldp"]
                for port in lldp.get("interface", ())
                for chassis in port["chassis"]
                for name in chassis.get("name", ())
            )
            return found == sorted(neighbours.items())

        parts.until(so, 30.0, f"the switch sees {neighbours}")


@pytest.fixture
def rack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rack]:
    monkeypatch.setattr(tree, "LOOKED", 0.0)
    with contextlib.ExitStack() as stack:
        yield Rack(tmp_path, stack)


def test_a_moved_cable_stops_what_rests_on_it(rack: Rack) -> None:
    def tag() -> str:
        return rack.ovs.vsctl("get", "Port", "p1", "tag").strip()

    rack.seen(p1="web1", p2="web2")
    first = rack.converge("web1:eth0", 666)
    assert {outcome.state for outcome in first.values()} == {"changed"}
    assert tag() == "666"

    rack.swap()
    rack.seen(p1="web2", p2="web1")
    moved = rack.converge("web1:eth0", 777)
    assert moved["port/p1"].state == "refused"
    said = "the link p1 to web1:eth0 is contradicted: web2 eth0 is seen there"
    assert moved["port/p1"].why.startswith(said)
    assert moved["vlan/777"].state == "changed"
    assert (moved["vlan/778"].state, moved["vlan/778"].waits_for) == ("blocked", ("port/p1",))
    assert moved["vlan/666"].state == "blocked"  # p1 is still in it
    assert tag() == "666"
    assert rack.converge("web1:eth0", 666)["port/p1"].state == "in_sync"

    trusted = rack.converge({"to": "web1:eth0", "trust": "declared"}, 777)
    assert trusted["port/p1"].state == "changed"
    assert tag() == "777"

    rack.swap()
    rack.seen(p1="web1", p2="web2")
    assert rack.converge("web1:eth0", 666)["port/p1"].state == "changed"
    assert tag() == "666"
