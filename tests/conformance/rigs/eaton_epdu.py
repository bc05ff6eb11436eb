"""Our simulated Eaton ePDU, with a second one strapped to it."""

from __future__ import annotations

from rackwright_sim.snmp_pdu_units import EATON_EPDU

from ..snmp_pdus import simulated

RIGS = {"sim": simulated(EATON_EPDU, banks=2)}
PROVEN = {"sim": "simulator"}
