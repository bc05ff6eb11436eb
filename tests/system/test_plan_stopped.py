"""A plan that somebody no longer waits for."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from .forker import Forker
from .sites import deployed, write_secrets, write_site


@pytest.mark.parametrize("named", [False, True], ids=["site", "node"])
def test_control_c_ends_a_plan_whatever_hangs(named: bool, tmp_path: Path, forker: Forker) -> None:
    write_secrets(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        way = {"host": "127.0.0.1", "port": mute.getsockname()[1], "version": "2c"}
        # Longer than anybody waits for the command to end.
        way |= {"community": {"secret": "device"}, "timeout": 60, "retries": 5}
        reach = [{"snmp": way}]
        pdu = {"node": "pdu1", "type": "pdu", "platform": "apc_rpdu", "reach": reach}
        outlet = deployed("power", "pdu", "pdu1", [{"outlet": "1", "state": "on"}])
        write_site(tmp_path / "site", pdu, *outlet)
        where = ("--site", str(tmp_path / "site"), "--state", str(tmp_path))
        mute.settimeout(60)
        run = forker.start("plan", *(("pdu1",) if named else ()), *where)
        assert mute.recv(1500), run.said()
        run.signal(signal.SIGINT)
        assert run.wait() == 130, run.said()
    assert run.said().splitlines()[-1] == "stopped: nothing was written"
    assert "Traceback" not in run.said()
