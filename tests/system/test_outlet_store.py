"""An outlet is rebooted by an admin host that knows the PDU from a store alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.pdu.test_snmp_units import simulated

from .forker import Forker
from .sites import deployed
from .stores import store


def test_with_a_store_and_while_it_is_away(tmp_path: Path, state: Path, forker: Forker) -> None:
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
            ended = forker.run(*reboot)
            assert ended.status == 0, ended.said()
            assert json.loads(ended.out.read_text())["state"] == "rebooted"
            made.down()
            ended = forker.run(*reboot)  # from the last bundle
            assert ended.status == 0, ended.said()
        assert unit.device.history == [(2, "off"), (2, "on")] * 2
