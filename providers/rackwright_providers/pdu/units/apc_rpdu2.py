"""APC Rack PDUs by PowerNet-MIB's rPDU2 groups (AP7xxxB, AP8xxx, AP9xxx, APDU9xxx).

OIDs and values are PowerNet-MIB's (rPDU2 1.3.6.1.4.1.318.1.1.26), held against recordings of an
AP7902B, an AP8641 and an AP8932. The state counts off 1, on 2; the command on 1, off 2.

In a network port sharing group the rows go on with the next unit's outlets, so there outlet 25 may be
the second unit's first.
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

RPDU2 = "1.3.6.1.4.1.318.1.1.26"
SWITCHED = f"{RPDU2}.9.2"

STATE = Object(f"{SWITCHED}.3.1.5", "rPDU2OutletSwitchedStatusState", "off(1), on(2)")
PENDING = Object(
    f"{SWITCHED}.3.1.6",
    "rPDU2OutletSwitchedStatusCommandPending",
    "commandPending(1), noCommandPending(2), commandPendingUnknown(3)",
)
COMMAND = Object(
    f"{SWITCHED}.4.1.5",
    "rPDU2OutletSwitchedControlCommand",
    "immediateOn(1), immediateOff(2), immediateReboot(3), outletUnknown(4), delayedOn(5), "
    "delayedOff(6), delayedReboot(7), cancelPendingCommand(8)",
)

TABLE = OutletTable(
    # masterSwitchrPDU2, masterSwitchrPDUB
    object_ids=("1.3.6.1.4.1.318.1.3.4.6", "1.3.6.1.4.1.318.1.3.4.8"),
    status=STATE,
    states={"off": "off", "on": "on"},
    command={"on": Setting(COMMAND, "immediateOn"), "off": Setting(COMMAND, "immediateOff")},
    reboot=Setting(COMMAND, "immediateReboot"),
    pending=(
        Pending(
            PENDING,
            values=("commandPending",),
            cancel=Setting(COMMAND, "cancelPendingCommand"),
        ),
    ),
    label=Label(Object(f"{SWITCHED}.1.1.3", "rPDU2OutletSwitchedConfigName")),
    on_delay=Delay(Object(f"{SWITCHED}.1.1.5", "rPDU2OutletSwitchedConfigPowerOnTime"), -1, 7200),
    off_delay=Delay(Object(f"{SWITCHED}.1.1.6", "rPDU2OutletSwitchedConfigPowerOffTime"), -1, 7200),
    reboot_delay=Delay(
        Object(f"{SWITCHED}.1.1.7", "rPDU2OutletSwitchedConfigRebootDuration"), 5, 60
    ),
    facts={
        "hardware": Object(f"{RPDU2}.2.1.5.1", "rPDU2IdentHardwareRev"),
        "firmware": Object(f"{RPDU2}.2.1.6.1", "rPDU2IdentFirmwareRev"),
        "model": Object(f"{RPDU2}.2.1.8.1", "rPDU2IdentModelNumber"),
        "serial": Object(f"{RPDU2}.2.1.9.1", "rPDU2IdentSerialNumber"),
        "rating_amperes": Object(f"{RPDU2}.4.2.1.9.1", "rPDU2DevicePropertiesMaxCurrentRating"),
    },
    # Tenths of amperes of the first phase, or all of it.
    load=Load(Object(f"{RPDU2}.6.3.1.5.1", "rPDU2PhaseStatusCurrent"), 10),
)
