"""kill -9 of a delegate that converges a PDU, at random instants."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from .forker import Forker
from .killing import Killing
from .simulators import pdu, reach, simulated
from .sites import deployed, ledger, write_secrets, write_site

BATCHES, KILLS = 2, 10
OURS = range(1, 7)


@pytest.mark.parametrize("batch", range(BATCHES))
def test_killed_delegate(
    tmp_path: Path, state: Path, forker: Forker, chance: random.Random, batch: int
) -> None:
    node, site = pdu("pdu1", latency=0.002), tmp_path / "site"
    write_secrets(state)
    argv = ("delegate", "pdu1", "--once", "--site", str(site), "--state", str(state))
    killing = Killing(forker, chance, state, "pdu1", argv)
    with simulated(tmp_path / "devices", node) as devices:
        before = devices.outlets("pdu1")

        def declare(outlets: dict[str, dict[str, Any]]) -> None:
            named = [{"outlet": number, **spec} for number, spec in outlets.items()]
            documents = deployed("power", "pdu", "pdu1", named)
            write_site(site, reach(node, devices), *documents)

        def check() -> None:
            killing.complete()
            assert devices.outlets("pdu1") == before | {
                number: {**before[number], **spec} for number, spec in want.items()
            }

        want = revision(chance)
        declare(want)
        check()
        while killing.killed < KILLS:
            want = revision(chance)
            declare(want)
            killing.interrupt()
            if chance.random() < 0.5:
                check()
        declare(want)
        check()
        declare({})
        killing.interrupt()
        killing.complete()
        # Nobody says any more what they should be, so they are left as they are.
        check()
        assert ledger(state, "pdu1").entries == {}


def revision(chance: random.Random) -> dict[str, dict[str, Any]]:
    """Every outlet of ours with some label, delays and state."""
    return {
        str(number): {
            "label": f"server {chance.randrange(100)}",
            "state": chance.choice(["on", "off"]),
            "on_delay": chance.randrange(-1, 4),
            "off_delay": chance.randrange(0, 4),
        }
        for number in OURS
    }
