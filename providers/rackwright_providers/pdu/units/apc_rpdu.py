"""APC Switched Rack PDUs by PowerNet-MIB's rPDU groups (AP79xx, and AP86xx and AP89xx serve them too).

OIDs and values are PowerNet-MIB's (APC, rPDU 1.3.6.1.4.1.318.1.1.12), held against recordings of an
AP7902B, an AP8641 and an AP8932.
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

RPDU = "1.3.6.1.4.1.318.1.1.12"

STATE = Object(
    f"{RPDU}.3.5.1.1.4",
    "rPDUOutletStatusOutletState",
    "outletStatusOn(1), outletStatusOff(2)",
)
PENDING = Object(
    f"{RPDU}.3.5.1.1.5",
    "rPDUOutletStatusCommandPending",
    "outletStatusCommandPending(1), outletStatusNoCommandPending(2)",
)
COMMAND = Object(
    f"{RPDU}.3.3.1.1.4",
    "rPDUOutletControlOutletCommand",
    "immediateOn(1), immediateOff(2), immediateReboot(3), delayedOn(4), delayedOff(5), "
    "delayedReboot(6), cancelPendingCommand(7)",
)

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.318.1.3.4.5",),  # masterSwitchrPDU; newer units have rPDU2 too
    status=STATE,
    states={"outletStatusOn": "on", "outletStatusOff": "off"},
    command={"on": Setting(COMMAND, "immediateOn"), "off": Setting(COMMAND, "immediateOff")},
    reboot=Setting(COMMAND, "immediateReboot"),
    pending=(
        Pending(
            PENDING,
            values=("outletStatusCommandPending",),
            cancel=Setting(COMMAND, "cancelPendingCommand"),
        ),
    ),
    label=Label(Object(f"{RPDU}.3.4.1.1.2", "rPDUOutletConfigOutletName")),
    on_delay=Delay(Object(f"{RPDU}.3.4.1.1.4", "rPDUOutletConfigPowerOnTime"), -1, 7200),
    off_delay=Delay(Object(f"{RPDU}.3.4.1.1.5", "rPDUOutletConfigPowerOffTime"), -1, 7200),
    reboot_delay=Delay(Object(f"{RPDU}.3.4.1.1.6", "rPDUOutletConfigRebootDuration"), 5, 60),
    facts={
        "hardware": Object(f"{RPDU}.1.2.0", "rPDUIdentHardwareRev"),
        "firmware": Object(f"{RPDU}.1.3.0", "rPDUIdentFirmwareRev"),
        "model": Object(f"{RPDU}.1.5.0", "rPDUIdentModelNumber"),
        "serial": Object(f"{RPDU}.1.6.0", "rPDUIdentSerialNumber"),
        "rating_amperes": Object(f"{RPDU}.1.7.0", "rPDUIdentDeviceRating"),
    },
    # Tenths of amperes of the first phase, or all of it.
    load=Load(Object(f"{RPDU}.2.3.1.1.2.1", "rPDULoadStatusLoad"), 10),
)
