"""The rig of every simulated SNMP PDU."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rackwright.model.site import Way
from rackwright_sim.faults import Faults
from rackwright_sim.snmp_objects import Access
from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu
from rackwright_sim.snmp_pdu_unit import PduOptions, Unit

from .rig import Maker

COMMUNITY = "s3cret-write"


class PduRig:
    """One unit."""

    def __init__(self, pdu: SnmpPdu[PduDevice]) -> None:
        self.pdu = pdu
        self.secrets: Mapping[str, str] = {"community": COMMUNITY}
        # One request, one answer: a SET that is not answered is a session that is lost.
        options = {"host": "127.0.0.1", "port": pdu.port, "retries": 0, "timeout": 3.0}
        way = Way(transport="snmp", options={**options, "community": COMMUNITY})
        self.ways: Mapping[str, Way] = {"snmp": way}

    def state(self) -> dict[str, Any]:
        banks = self.pdu.device.unit.banks
        found = {}
        for key, outlet in self.pdu.outlets.items():
            bank, number = divmod(key, 1000)
            name = ".".join(map(str, (*banks[bank], number))) if bank else str(number)
            found[f"outlet/{name}"] = asdict(outlet)
        return found

    def writes(self) -> int:
        return self.pdu.counters.writes

    def reject(self, address: str) -> None:
        name = address.rpartition("/")[2]
        row = name if "." in name else ".".join(map(str, (*self.pdu.device.unit.banks[0], name)))
        self.pdu.faults = Faults(reject_only=rf"\.{re.escape(row)}=" if name else "")

    def lose(self, after: int) -> None:
        self.pdu.faults = replace(self.pdu.faults, drop_before=after)


def simulated(unit: Unit, banks: int = 1) -> Maker:
    """Starts such a unit with 24 outlets in each of ``banks``."""

    @contextlib.contextmanager
    def started(_: Path) -> Iterator[PduRig]:
        access = Access(read=(), write=(COMMUNITY,), users=())
        with SnmpPdu(PduDevice(unit, PduOptions(banks=banks, access=access))) as pdu:
            yield PduRig(pdu)

    return started
