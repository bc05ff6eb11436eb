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

COMMAND = Object(f"{SWITCHED}.4.1.5", "rPDU2OutletSwitchedControlCommand")

TABLE = OutletTable(
    # masterSwitchrPDU2, masterSwitchrPDUB
    object_ids=("1.3.6.1.4.1.318.1.3.4.6", "1.3.6.1.4.1.318.1.3.4.8"),
    status=Object(f"{SWITCHED}.3.1.5", "rPDU2OutletSwitchedStatusState"),
    states={1: "off", 2: "on"},
    command={"on": Setting(COMMAND, 1), "off": Setting(COMMAND, 2)},  # immediateOn, immediateOff
    reboot=Setting(COMMAND, 3),  # immediateReboot
    pending=(
        Pending(
            Object(f"{SWITCHED}.3.1.6", "rPDU2OutletSwitchedStatusCommandPending"),
            values={1},  # commandPending
            cancel=Setting(COMMAND, 8),  # cancelPendingCommand
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
