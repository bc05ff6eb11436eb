"""An outlet is rebooted by an admin host that knows the PDU from a store alone."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from rackwright_store.leases import Lease
from tests.pdu.test_snmp_units import simulated

from .forker import Forker
from .sites import deployed, eventually
from .stores import store


def leases(data: Path) -> list[Lease]:
    """As the running store has them on disk."""
    with closing(sqlite3.connect(f"file:{data}/store.db?mode=ro", uri=True)) as known:
        return [
            msgspec.json.decode(body, type=Lease)
            for (body,) in known.execute("SELECT body FROM leases")
        ]


def test_by_hand_with_a_store_and_while_it_is_away(
    tmp_path: Path, state: Path, forker: Forker
) -> None:
    (state / "secrets").write_text("pdu: private\n")
    (state / "secrets").chmod(0o600)
    with simulated("eaton_epdu") as unit:
        unit.outlets[2].reboot = 1
        way: dict[str, Any] = {"host": "127.0.0.1", "port": unit.port}
        node = {
            "node": "pdu-a1",
            "type": "pdu",
            "platform": "eaton_epdu",
            "reach": [{"snmp": {**way, "community": {"secret": "pdu"}}}],
        }
        wanted = deployed("power", "pdu", "pdu-a1", [{"outlet": "1", "label": "web1"}])
        with store(forker, tmp_path, node, *wanted) as made:
            where = ("--store", made.url, "--state", str(state))
            reboot = ("outlet", "reboot", "pdu-a1/2", "--yes", "--json", *where)
            stranger = forker.run(*reboot)
            assert stranger.status == 2
            assert "not enrolled here" in stranger.said()
            token = made.token("pdu-a1")
            assert forker.run("delegate", "pdu-a1", "--once", *where, "--token", token).status == 0
            unit.outlets[2].reboot = 3
            started = forker.start(*reboot)
            eventually(lambda: unit.device.history)
            (lease,) = leases(tmp_path / "store")
            assert (lease.subject, lease.released) == ("pdu-a1", False)
            other = forker.run("delegate", "pdu-a1", "--once", *where)
            assert other.status == 4
            assert "one writer a node" in other.out.read_text() + other.said()
            assert started.wait() == 0, started.said()
            assert json.loads(started.out.read_text())["state"] == "rebooted"
            assert [one.released for one in leases(tmp_path / "store")] == [True]
            kept = json.loads((state / "pdu-a1" / "lease.json").read_bytes())
            assert forker.run("delegate", "pdu-a1", "--once", *where).status == 0
            after = json.loads((state / "pdu-a1" / "lease.json").read_bytes())
            assert after["epoch"] == kept["epoch"] + 1  # nobody was there in between
            made.down()
            ended = forker.run(*reboot)  # nobody knows who has it
            assert ended.status == 4, ended.said()
        assert unit.device.history == [(2, "off"), (2, "on")]
