"""How long a managed node stands alone when its admin host is lost: two hosts in namespaces, real agents.

From the moment of the loss, with the device drifted at that moment, until the other host has mended it.
Needs root, Open vSwitch and OpenSSH; without them nothing is measured. The rig is that of the tests.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.real import admin_hosts, parts
from tests.real.admin_hosts import HOSTS, LEASE, SWITCHES, AdminHosts

from bench.measure import Progress

ROUNDS = 5
ALLOWED = LEASE + 5
"""Seconds: what is promised."""
ONE = next(iter(HOSTS))
WHAT = "Two admin hosts with real agents and one store, two Open vSwitches"


def run(progress: Progress, *, quick: bool = False) -> dict[str, Any]:
    """Lose the host of a switch in each way, some times over."""
    reason = parts.no_namespaces() or parts.missing(*admin_hosts.NEEDS)
    if reason:
        progress(f"left out: {reason}")
        return {"what": WHAT, "skipped": reason}
    rows = []
    with tempfile.TemporaryDirectory() as base, admin_hosts.admin_hosts(Path(base)) as hosts:
        for name, lose in LOSSES.items():
            took = [_round(hosts, lose) for _ in range(2 if quick else ROUNDS)]
            rows.append({"loss": name, "median": statistics.median(took), "worst": max(took)})
            progress(f"{name}: {statistics.median(took):.1f} s, at worst {max(took):.1f} s")
    return {"what": WHAT, "lease": LEASE, "allowed": ALLOWED, "rows": rows}


def _round(hosts: AdminHosts, lose: Callable[[AdminHosts], Any]) -> float:
    admin_hosts.share(hosts)
    lost = [node for node, host in hosts.holders().items() if host == ONE and node in SWITCHES]
    with lose(hosts):
        return hosts.mends(*lost)


@contextlib.contextmanager
def _killed(hosts: AdminHosts) -> Iterator[None]:
    hosts.kill(ONE)
    try:
        yield
    finally:
        hosts.start(ONE)


LOSSES: dict[str, Callable[[AdminHosts], Any]] = {
    "killed": _killed,
    "cut off from the store": lambda hosts: hosts.cut_from_store(ONE),
    "cut off from the device": lambda hosts: hosts.cut_from_devices(ONE),
    "paused": lambda hosts: hosts.paused(ONE),
}
