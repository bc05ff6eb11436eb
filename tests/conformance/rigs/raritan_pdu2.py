"""Our simulated Raritan PX3, with a second one linked to it."""

from __future__ import annotations

from rackwright_sim.snmp_pdu_units import RARITAN_PX3

from ..snmp_pdus import simulated

RIGS = {"sim": simulated(RARITAN_PX3, banks=2)}
PROVEN = {"sim": "simulator"}
