"""Our simulated Sentry Switched PDU, with two input cords."""

from __future__ import annotations

from rackwright_sim.snmp_pdu_units import SENTRY_PRO

from ..snmp_pdus import simulated

RIGS = {"sim": simulated(SENTRY_PRO, banks=2)}
PROVEN = {"sim": "simulator"}
