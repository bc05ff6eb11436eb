"""The simulated standards switch itself: as a node of a site, and over restarts."""

from __future__ import annotations

import contextlib
from pathlib import Path

from rackwright.model.change import Wanted
from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch.qbridge import QBridge
from rackwright_providers.switch.resources import Hostname, Port, Vlan
from rackwright_providers.transport.snmp import SnmpReader
from rackwright_sim.qbridge import QBridge as SimulatedSwitch
from rackwright_sim.qbridge_mib import Vlan as Row
from rackwright_sim.run import SimLink, SimNode, SimWay, start_for_site

V3 = {"version": "3", "username": "rack", "auth": "rack-auth-1", "priv": "rack-priv-1"}
NODE = SimNode(
    "sw-b1",
    "qbridge",
    (SimWay("snmp", {"host": "127.0.0.1", "port": 0, **V3}),),
    (SimLink("ge-0/0/2", "web1", "eth0"), SimLink("xe-0/1/0", "core1", "Ethernet7")),
)


def opened(port: int, state: Path) -> contextlib.closing[SnmpReader]:
    way = Way(transport="snmp", options={"host": "127.0.0.1", "port": port, **V3})
    return contextlib.closing(QBridge().open(way, Surroundings(state=state)))


def test_a_node_of_a_site(tmp_path: Path) -> None:
    provider = QBridge()
    with start_for_site([NODE]) as farm:
        assert farm.skipped == []
        with opened(farm.port("sw-b1", "snmp"), tmp_path) as session:
            assert provider.recognises(session)
            found = provider.read(session, Wanted(frozenset({Vlan, Port, Hostname}), {}))
            facts = provider.discover(session)
    assert Hostname(name="system", value="sw-b1") in found.values()
    port = Port(name="xe-0/1/0", admin="up", description="", mode="access", access_vlan=1)
    assert found[port.address] == port
    assert {link for link in facts.links if link.how == "lldp"} == {
        FoundLink(port="ge-0/0/2", peer="web1", peer_port="eth0"),
        FoundLink(port="xe-0/1/0", peer="core1", peer_port="Ethernet7"),
    }
    assert facts.values["model"] == "QB-24"


def test_it_remembers_what_it_was_told(tmp_path: Path) -> None:
    kept = tmp_path / "switch.json"
    with SimulatedSwitch(state=kept) as switch:
        switch.device.vlans[30] = Row("storage", {1, 2}, {2})
        switch.device.ports[2].pvid = 30
        switch.device.hostname = "sw-b2"
        switch.device.touch()
        before = switch.device.values()
    with SimulatedSwitch(state=kept) as again:
        after = again.device.values()
        assert again.device.boots == 2
    uptime = (1, 3, 6, 1, 2, 1, 1, 3, 0)
    assert {**before, uptime: 0} == {**after, uptime: 0}
