"""An outlet of a PDU that the store has placed is rebooted by the daemon that has its lease. The PDU's own
log says from where it was spoken to."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pysnmp.carrier.asyncio.dgram.udp import UdpAsyncioTransport

from rackwright.engine.files import replace
from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu
from tests.pdu.test_snmp_units import simulated

from . import test_hosts
from .forker import Forked, Forker
from .sites import deployed, eventually
from .stores import Store, store
from .test_hosts import Rack

COMMUNITY = "private"
SETS = b"\xa3"
"""The tag of a SetRequest-PDU (RFC 3416, section 3)."""


@dataclass
class Desk:
    """Two admin hosts before one PDU, which the first of them converges."""

    rack: Rack
    unit: SnmpPdu[PduDevice]
    writers: list[int] = field(default_factory=list)
    """UDP ports, in the order in which they changed something."""
    heard: set[int] = field(default_factory=set)
    """UDP ports from which anything came."""

    def words(self, host: str, *words: str) -> tuple[str, ...]:
        where = ("--store", self.rack.made.url, "--state", str(self.rack.state(host)))
        return ("outlet", *words, "--json", "--at", host, *where)

    def run(self, host: str, *words: str) -> Forked:
        return self.rack.forker.run(*self.words(host, *words))


def documents(port: int) -> list[dict[str, Any]]:
    way = {"host": "127.0.0.1", "port": port, "community": {"secret": "pdu"}}
    hosts = [
        {"node": host, "type": "server", "offers": {"networks": ["oob"]},
         "attributes": {"delegate_host": {"store": "http://unused", "manager": "none"}}}
        for host in ("admin1", "admin2")
    ]  # fmt: skip
    return [
        *hosts,
        {"proposal": "hosts", "deploy": {"delegate-host": ["admin1", "admin2"]}},
        {
            "node": "pdu-a1",
            "type": "pdu",
            "platform": "eaton_epdu",
            "reach": [{"snmp": way, "network": "oob"}],
            "links": {"3": "admin2:psu1"},
        },
        *deployed("power", "pdu", "pdu-a1", [{"outlet": "1", "label": "web1"}]),
    ]


@contextmanager
def desk(tmp_path: Path, forker: Forker, patch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with simulated("eaton_epdu") as unit:
        unit.outlets[2].reboot = unit.outlets[3].reboot = 1
        with store(forker, tmp_path, *documents(unit.port)) as made:
            found = Desk(_Rack(forker, made, tmp_path), unit)
            receive = UdpAsyncioTransport.datagram_received

            def heard(self: Any, datagram: bytes, address: tuple[str, int]) -> None:
                found.heard.add(address[1])
                if SETS in datagram[: 16 + len(COMMUNITY)]:
                    found.writers.append(address[1])
                receive(self, datagram, address)

            patch.setattr(UdpAsyncioTransport, "datagram_received", heard)
            patch.setattr(test_hosts, "write_secrets", write_secrets)
            found.rack.begin("admin1")
            eventually(lambda: made.node("pdu-a1")["state"] in ("converged", "changed"))
            yield found


def write_secrets(state: Path) -> None:
    """The one secret that there is here."""
    replace(state / "secrets", f"pdu: {COMMUNITY}\n".encode())


class _Rack(Rack):
    def __init__(self, forker: Forker, made: Store, tmp_path: Path) -> None:
        self.forker, self.made, self.tmp_path = forker, made, tmp_path
        self.agents, self.daemons = {}, {}


def test_the_daemon_that_has_the_lease_does_it(
    tmp_path: Path, forker: Forker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk(tmp_path, forker, monkeypatch) as made:
        rack, history = made.rack, made.unit.device.history
        writers, heard = set(made.writers), set(made.heard)
        assert len(writers) == 1  # the label
        runs = len(rack.made.reports("pdu-a1"))
        done = made.run("admin1", "reboot", "pdu-a1/2", "--yes")
        assert done.status == 0, done.said()
        told = json.loads(done.out.read_text())
        assert (told["state"], told["via"]) == ("rebooted", f"snmp 127.0.0.1:{made.unit.port}")
        assert "pdu-a1/2: outlet 2 is off" in done.said()
        assert history == [(2, "off"), (2, "on")]
        assert (set(made.writers), made.heard) == (writers, heard)
        # What it is like afterwards is read back at once.
        eventually(lambda: len(rack.made.reports("pdu-a1")) > runs)

        # What cannot be done is told by the daemon, which goes on.
        wrong = made.run("admin1", "reboot", "pdu-a1/9", "--yes")
        assert wrong.status == 2
        assert "the unit has no outlet 9" in json.loads(wrong.out.read_text())["error"]

        listed = made.run("admin1", "list", "pdu-a1")
        assert json.loads(listed.out.read_text())[2]["feeds"] == ["admin2:psu1"]

        # Elsewhere, whoever asks.
        rack.begin("admin2")
        eventually(lambda: rack.made.node("admin2")["state"] in ("converged", "changed"))
        other = made.run("admin2", "reboot", "pdu-a1/2", "--yes")
        assert other.status == 4
        assert "the store places pdu-a1 on admin1" in other.said()
        secrets = rack.state("admin2") / "secrets"
        by_hand = rack.forker.run(
            "delegate", "pdu-a1", "--once", "--secrets", str(secrets),
            "--token", rack.made.token("pdu-a1"), *rack.where("elsewhere"),
        )  # fmt: skip
        assert by_hand.status == 4
        mine = made.run("elsewhere", "reboot", "pdu-a1/2", "--yes", "--secrets", str(secrets))
        assert mine.status == 4
        assert "admin1 converges it" in mine.out.read_text()

        # A node that answers hangs on it.
        dark = made.run("admin1", "reboot", "pdu-a1/3", "--yes")
        assert dark.status == 2
        assert "admin2 answers, and it has no other live feed: --force" in dark.said()
        assert (set(made.writers), len(history)) == (writers, 2)
        assert made.run("admin1", "reboot", "pdu-a1/3", "--yes", "--force").status == 0
        assert history[2:] == [(3, "off"), (3, "on")]


def test_a_daemon_that_dies_or_leaves_meanwhile(
    tmp_path: Path, forker: Forker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk(tmp_path, forker, monkeypatch) as made:
        rack, history = made.rack, made.unit.device.history
        made.unit.outlets[2].reboot = 3
        reboot = made.words("admin1", "reboot", "pdu-a1/2", "--yes")

        asked = forker.start(*reboot)
        eventually(lambda: history)
        asked.signal(signal.SIGINT)  # the daemon goes on
        assert asked.wait() == 130
        assert json.loads(asked.out.read_text())["state"] == "stopped"
        assert eventually(lambda: history[1:]) == [(2, "on")]

        made.unit.outlets[2].reboot = 3
        asked = forker.start(*reboot)
        eventually(lambda: history[2:])
        rack.daemons["admin1"].kill()
        assert asked.wait() == 4
        assert "ended before it was done" in json.loads(asked.out.read_text())["error"]
        gone = forker.run(*reboot)
        assert gone.status == 4
        assert "no daemon of delegates answers on admin1" in gone.said()
        eventually(lambda: made.unit.outlets[2].state == "on")  # by the unit itself

        rack.begin_daemon("admin1")
        eventually(lambda: rack.told("admin1"))
        eventually(lambda: rack.told("admin1")["pdu-a1"].state == "running")
        asked = forker.start(*reboot)
        eventually(lambda: history[4:])
        rack.daemons["admin1"].signal(signal.SIGTERM)
        assert asked.wait() == 130
        assert "the unit goes on by itself" in json.loads(asked.out.read_text())["error"]
        assert rack.daemons["admin1"].wait() == 0
        assert "Traceback" not in rack.daemons["admin1"].said()
