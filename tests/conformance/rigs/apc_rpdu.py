"""Our simulated APC unit."""

from __future__ import annotations

from rackwright_sim.apc_rpdu import UNIT

from ..snmp_pdus import simulated

RIGS = {"sim": simulated(UNIT)}
PROVEN = {"sim": "simulator"}
