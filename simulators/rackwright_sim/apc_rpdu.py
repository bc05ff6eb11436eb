"""An APC Switched Rack PDU (AP8641): the rPDU and rPDU2 groups of PowerNet-MIB, which such units both
serve, as recorded AP7902B, AP8641 and AP8932 do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath

from rackwright_sim.faults import Faults
from rackwright_sim.snmp_objects import Gauge, Path
from rackwright_sim.snmp_pdu import PduDevice, SnmpPdu
from rackwright_sim.snmp_pdu_unit import Number, Outlet, PduOptions, Phase, Unit, Verb

__all__ = ["ApcRpdu", "Outlet", "RpduDevice", "RpduOptions"]

ON, OFF, REBOOT, DELAYED_ON, DELAYED_OFF, DELAYED_REBOOT, CANCEL = range(1, 8)
"""rPDUOutletControlOutletCommand."""
DELAYS = range(-1, 7201)
REBOOTS = range(5, 61)
LABEL = range(32)
"""How long an outlet's name may be; the MIB leaves it to the device."""

APC: Path = (1, 3, 6, 1, 4, 1, 318)
RPDU: Path = (*APC, 1, 1, 12)
IDENT, LOAD = (*RPDU, 1), (*RPDU, 2, 3, 1, 1)
DEVICE, CONTROL = (*RPDU, 3, 1), (*RPDU, 3, 3, 1, 1)
CONFIG, STATUS = (*RPDU, 3, 4, 1, 1), (*RPDU, 3, 5, 1, 1)
RPDU2: Path = (*APC, 1, 1, 26)
IDENT2, PROPERTIES2 = (*RPDU2, 2, 1), (*RPDU2, 4, 2, 1)
CONFIG2, STATUS2 = (*RPDU2, 9, 2, 1, 1), (*RPDU2, 9, 2, 3, 1)
CONTROL2 = (*RPDU2, 9, 2, 4, 1)

VERBS: dict[int, Verb] = {
    ON: "on",
    OFF: "off",
    REBOOT: "reboot",
    DELAYED_ON: "delayed_on",
    DELAYED_OFF: "delayed_off",
    DELAYED_REBOOT: "delayed_reboot",
    CANCEL: "cancel",
}
VERBS2: dict[int, Verb] = {
    1: "on",
    2: "off",
    3: "reboot",
    5: "delayed_on",
    6: "delayed_off",
    7: "delayed_reboot",
    8: "cancel",
}
PENDING: dict[Phase, int] = {
    "on": 2,
    "off": 2,
    "going_on": 1,
    "going_off": 1,
    "rebooting_on": 1,
    "rebooting_off": 1,
}
"""commandPending 1, noCommandPending 2, in both groups."""

UNIT = Unit(
    object_id="1.3.6.1.4.1.318.1.3.4.6",
    engine=318,
    model="AP8641",
    description="APC Web/SNMP Management Card (MB:v4.1.0 PF:{firmware} MN:{model} HR:02 SN:{serial})",
    shows={
        (*CONTROL, 4): {"on": ON, "off": OFF},
        (*STATUS, 4): {"on": ON, "off": OFF},
        (*STATUS, 5): PENDING,
        (*CONTROL2, 5): {"on": 1, "off": 2},
        (*STATUS2, 5): {"on": 2, "off": 1},
        (*STATUS2, 6): PENDING,
        # Phase, bank and load of an outlet are the same always.
        (*CONTROL, 3): {"on": 1, "off": 1},
        (*CONTROL, 5): {"on": 1, "off": 1},
        (*CONFIG, 3): {"on": 1, "off": 1},
        (*CONFIG, 7): {"on": 1, "off": 1},
        (*STATUS, 3): {"on": 1, "off": 1},
        (*STATUS, 6): {"on": 1, "off": 1},
    },
    verbs={(*CONTROL, 4): VERBS, (*CONTROL2, 5): VERBS2},
    labels=dict.fromkeys(
        [(*CONTROL, 2), (*CONFIG, 2), (*STATUS, 2), (*CONFIG2, 3), (*STATUS2, 3), (*CONTROL2, 3)],
        LABEL,
    ),
    numbers={
        (*CONFIG, 4): Number("on_delay", DELAYS),
        (*CONFIG, 5): Number("off_delay", DELAYS),
        (*CONFIG, 6): Number("reboot", REBOOTS),
        (*CONFIG2, 5): Number("on_delay", DELAYS),
        (*CONFIG2, 6): Number("off_delay", DELAYS),
        (*CONFIG2, 7): Number("reboot", REBOOTS),
    },
    counted=(
        (*CONTROL, 1),
        (*CONFIG, 1),
        (*STATUS, 1),
        (*CONFIG2, 1),
        (*CONFIG2, 4),
        (*STATUS2, 1),
        (*STATUS2, 4),
        (*CONTROL2, 1),
        (*CONTROL2, 4),
    ),
    fixed={
        (*IDENT, 1, 0): "{name}",
        (*IDENT, 2, 0): "02",
        (*IDENT, 3, 0): "{firmware}",
        (*IDENT, 5, 0): "{model}",
        (*IDENT, 6, 0): "{serial}",
        (*IDENT, 7, 0): 24,
        (*LOAD, 1, 1): 1,
        (*IDENT2, 3, 1): "{name}",
        (*IDENT2, 5, 1): "02",
        (*IDENT2, 6, 1): "{firmware}",
        (*IDENT2, 8, 1): "{model}",
        (*IDENT2, 9, 1): "{serial}",
        (*PROPERTIES2, 9, 1): 24,
    },
    counts=((*IDENT, 8, 0), (*DEVICE, 3, 0), (*DEVICE, 4, 0), (*PROPERTIES2, 4, 1)),
    loads={(*LOAD, 2, 1): (Gauge, 1), (*RPDU2, 6, 3, 1, 5, 1): (int, 1)},
)


@dataclass(frozen=True, slots=True)
class RpduOptions(PduOptions):
    """What the unit is."""


class RpduDevice(PduDevice):
    """The unit without its network."""

    def __init__(
        self,
        options: PduOptions | None = None,
        *,
        state: FilePath | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(UNIT, options, state=state, clock=clock)

    def command(self, number: int, command: int) -> None:
        """rPDUOutletControlOutletCommand."""
        self.do(number, VERBS[command])


class ApcRpdu(SnmpPdu[RpduDevice]):
    """The unit on the network: ``async with`` on the caller's loop, ``with`` on a thread of its own."""

    def __init__(
        self,
        options: PduOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        state: FilePath | None = None,
    ) -> None:
        super().__init__(RpduDevice(options, state=state), host=host, port=port, faults=faults)
