"""The qbridge provider on recordings of real switches: all of them through what is pure, those of each
kind through snmpsim and the whole provider, where not one SET is seen on the wire."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rackwright.model.address import Address
from rackwright.model.change import Wanted
from rackwright.model.errors import Permanent
from rackwright.model.facts import FoundLink
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.switch import qbridge_facts, qbridge_tables
from rackwright_providers.switch.portlist import Form
from rackwright_providers.switch.qbridge import QBridge
from rackwright_providers.switch.resources import Hostname, Port, Vlan
from tests.real import parts
from tests.switch import qbridge_recordings
from tests.tables import table

CASES: list[dict[str, Any]] = table(
    Path(__file__).with_name("cases").joinpath("qbridge_recorded.yaml")
)
RESPONDER = Path(sys.executable).with_name("snmpsim-command-responder")
MANAGED = (
    "network/switch/hpe-procurve-516733-b21",
    "cloud/arista-dcs-7150s-52-cl",
    "network/switch/brocade-icx6430-24",
    "network/switch/dlink-des3200",
    "network/switch/dlink-des3038",
)
OTHERS = (
    "network/switch/cisco-c3560",
    "network/switch/cisco-c3750",
    "network/switch/cisco-n5000",
    "network/switch/cisco-n5000-uk9",
)
ALL = Wanted(frozenset({Vlan, Port, Hostname}), {})


def named(case: dict[str, Any]) -> str:
    return str(case["recording"]).rpartition("/")[2]


@pytest.mark.parametrize("case", CASES, ids=named)
def test_what_is_read_out_of_a_recording(case: dict[str, Any]) -> None:
    found = qbridge_recordings.values(qbridge_recordings.lines(case["recording"]))
    bridge = qbridge_tables.bridge(found)
    resources = qbridge_tables.resources(bridge)
    vlans = {vlan.name: vlan for vlan in resources.values() if isinstance(vlan, Vlan)}
    ports = {port.name: port for port in resources.values() if isinstance(port, Port)}
    assert len(vlans) == case.get("count", 0)
    assert {n: vlans[str(n)].title for n in case.get("vlans", {})} == case.get("vlans", {})
    if vlans:
        assert bridge.form == Form[case["lists"].upper()]
    assert Counter(port.mode or "unknown" for port in ports.values()) == case["modes"]
    for name, fields in case.get("ports", {}).items():
        assert {field: getattr(ports[name], field) for field in fields} == fields
    assert {**qbridge_facts.chassis(found), **case.get("chassis", {})} == qbridge_facts.chassis(
        found
    )
    links = {(link.port, link.peer, link.peer_port) for link in qbridge_facts.links(bridge, found, found)}  # fmt: skip
    assert {tuple(link) for link in case.get("links", [])} <= links


@dataclass(frozen=True)
class Sim:
    """Every recording under the last part of its name as the community."""

    port: int
    log: Path

    def session(self, recording: str, state: Path, *, writable: bool = False) -> Any:
        community = recording.rpartition("/")[2]
        options = {"host": "127.0.0.1", "port": self.port, "community": community, "timeout": 5}
        around = Surroundings(state=state, writable=writable)
        return QBridge().open(Way(transport="snmp", options=options), around)


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    if why := parts.missing("setpriv", str(RESPONDER)):
        pytest.skip(why)
    where = tmp_path_factory.mktemp("snmpsim")
    for name in ("cache", "data"):
        (where / name).mkdir()
    for recording in MANAGED + OTHERS:
        rows = qbridge_recordings.lines(recording)
        file = where / "data" / f"{recording.rpartition('/')[2]}.snmprec"
        file.write_text("\n".join(rows) + "\n", "latin-1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    argv = [str(RESPONDER), f"--data-dir={where / 'data'}", f"--cache-dir={where / 'cache'}"]
    argv += [f"--agent-udpv4-endpoint=127.0.0.1:{port}"]
    if os.geteuid() == 0:
        argv += ["--process-user=root", "--process-group=root"]
    log = where / "log"

    def listens() -> bool:
        return f"127.0.0.1:{port}" in log.read_text()

    with parts.daemon(argv, log, ready=listens):
        yield Sim(port, log)


@pytest.mark.proves(
    "qbridge",
    "vlan",
    "port",
    "hostname",
    over="snmp",
    on="recorded",
    by="snmpsim-data: ProCurve 6120XG, Arista 7150S, ICX 6430, D-Link DES-3200 and 3028",
)
@pytest.mark.parametrize("recording", MANAGED)
def test_the_provider_reads_the_same_over_snmp(recording: str, sim: Sim, tmp_path: Path) -> None:
    found = qbridge_recordings.values(qbridge_recordings.lines(recording))
    bridge = qbridge_tables.bridge(found)
    with contextlib.closing(sim.session(recording, tmp_path)) as session:
        provider = QBridge()
        seen = dict(provider.read(session, ALL))
        name = seen.pop(Address("hostname", "system"))
        assert isinstance(name, Hostname)
        assert name.value == found["1.3.6.1.2.1.1.5.0"].text
        assert seen == qbridge_tables.resources(bridge)
        assert provider.recognises(session)
        facts = provider.discover(session)
        assert list(provider.carriers(session, seen)) == []
    neighbours = qbridge_facts.links(bridge, found, found)
    assert [link for link in facts.links if link.how == "lldp"] == neighbours
    assert len(facts.values["vlans"]) == len(bridge.vlans)
    assert facts.values["mac_table"]
    learned = {
        (port, entry["mac"])
        for port, entries in facts.values["mac_table"].items()
        for entry in entries
    }
    by_mac = {(link.port, link.peer) for link in facts.links if link.how == "mac"}
    assert by_mac <= learned
    assert not {port for port, _ in by_mac} & {link.port for link in neighbours}
    assert "EXACT, SET" not in sim.log.read_text()


@pytest.mark.parametrize("recording", OTHERS)
def test_a_switch_without_static_vlans_is_told_apart(
    recording: str, sim: Sim, tmp_path: Path
) -> None:
    with contextlib.closing(sim.session(recording, tmp_path)) as session:
        provider = QBridge()
        with pytest.raises(Permanent, match=r"no row in dot1qVlanStaticTable.*another `platform:`"):
            provider.read(session, ALL)
        assert not provider.recognises(session)
        facts = provider.discover(session)
        assert facts.values["serial"]
        assert facts.values["ports"]
        if "n5000" in recording:
            link = FoundLink(
                port="Ethernet1/19", peer="ProCurve 6120XG Blade Switch", peer_port="17"
            )
            assert link in facts.links
