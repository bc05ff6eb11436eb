"""Eaton ePDU G3 and later, managed and switched, by EATON-EPDU-MIB.

OIDs, values and ranges are EATON-EPDU-MIB's (eatonEpdu 1.3.6.1.4.1.534.6.6.7), held against a recording
of an EMA114-10 (firmware 05.01). The index is unit (strappingIndex, 0 for the first or only one) and
outlet. Off, on and reboot are a column each: 0 is now, -1 cancels, and a reader sees the seconds left or
-1. More than 0 is never written: some units do not take it.

Without a field: outletControlShutoffDelay, a note to programs that the unit itself does not act on.
"""

from __future__ import annotations

from rackwright_providers.pdu.outlet_table import (
    Delay,
    Label,
    Load,
    Object,
    OutletTable,
    Pending,
    Setting,
)

EPDU = "1.3.6.1.4.1.534.6.6.7"
CONTROL = f"{EPDU}.6.6.1"

STATUS = Object(
    f"{CONTROL}.2",
    "outletControlStatus",
    "off(0), on(1), pendingOff(2), pendingOn(3)",
)
OFF = Object(f"{CONTROL}.3", "outletControlOffCmd")
ON = Object(f"{CONTROL}.4", "outletControlOnCmd")
REBOOT = Object(f"{CONTROL}.5", "outletControlRebootCmd")
COUNTDOWN = range(100_000)

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.534.6.6.7",),  # eatonEpdu
    index=("strappingIndex", "outletIndex"),
    first=(0,),
    status=STATUS,
    states={"off": "off", "on": "on"},
    leaving={"pendingOff": "on", "pendingOn": "off"},
    command={"on": Setting(ON, 0), "off": Setting(OFF, 0)},
    reboot=Setting(REBOOT, 0),
    pending=(
        Pending(OFF, COUNTDOWN, cancel=Setting(OFF, -1)),
        Pending(ON, COUNTDOWN, cancel=Setting(ON, -1)),
        Pending(REBOOT, COUNTDOWN, cancel=Setting(REBOOT, -1)),
    ),
    label=Label(Object(f"{EPDU}.6.1.1.3", "outletName"), longest=31, shortest=1),
    on_delay=Delay(Object(f"{CONTROL}.7", "outletControlSequenceDelay"), -1, 99999),
    reboot_delay=Delay(Object(f"{CONTROL}.8", "outletControlRebootOffTime"), 1, 99999),
    facts={
        "product": Object(f"{EPDU}.1.2.1.2.0", "productName"),
        "model": Object(f"{EPDU}.1.2.1.3.0", "partNumber"),
        "serial": Object(f"{EPDU}.1.2.1.4.0", "serialNumber"),
        "firmware": Object(f"{EPDU}.1.2.1.5.0", "firmwareVersion"),
    },
    # Milliamperes of the first phase of the first input.
    load=Load(Object(f"{EPDU}.3.3.1.4.0.1.1", "inputCurrent"), 1000),
)
