"""Our simulated Sentry Switched CDU, with three infeeds."""

from __future__ import annotations

from rackwright_sim.snmp_pdu_units import SENTRY_CDU

from ..snmp_pdus import simulated

RIGS = {"sim": simulated(SENTRY_CDU, banks=3)}
PROVEN = {"sim": "simulator"}
