"""Server Technology's PRO1, PRO2 and PRO3X in their own mode (firmware 8) by Sentry4-MIB.

OIDs, values and ranges are Sentry4-MIB's (1.3.6.1.4.1.1718.4). The index is unit, input cord and
outlet; what the unit's front calls AA3 is 1.1.3. The first cord's outlets have plain numbers.

The state is st4OutletState, which is sensed; st4OutletControlState tells what led to it.
Without a field: st4OutletPostOnDelay, which holds up the outlets after this one; st4OutletRebootDelay,
which is one for all outlets.
"""

from __future__ import annotations

from rackwright_providers.pdu.outlet_table import (
    Label,
    Load,
    Object,
    OutletTable,
    Pending,
    Setting,
)

SENTRY4 = "1.3.6.1.4.1.1718.4.1"  # st4Objects
OUTLETS = f"{SENTRY4}.8"

STATE = Object(f"{OUTLETS}.3.1.1", "st4OutletState", "unknown(0), on(1), off(2)")  # DeviceState
CONTROL_STATE = Object(
    f"{OUTLETS}.5.1.1",
    "st4OutletControlState",
    "notSet(0), fixedOn(1), idleOff(2), idleOn(3), wakeOff(4), wakeOn(5), ocpOff(6), ocpOn(7), "
    "pendOn(8), pendOff(9), off(10), on(11), reboot(12), shutdown(13), lockedOff(14), "
    "lockedOn(15), eventOff(16), eventOn(17), eventReboot(18), eventShutdown(19)",
)
ACTION = Object(
    f"{OUTLETS}.5.1.2",
    "st4OutletControlAction",
    "none(0), on(1), off(2), reboot(3), queueOn(4), queueOff(5), queueReboot(6)",
)

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.1718.4",),  # sentry4
    index=("st4UnitIndex", "st4InputCordIndex", "st4OutletIndex"),
    first=(1, 1),
    status=STATE,
    states={"on": "on", "off": "off"},
    command={"on": Setting(ACTION, "on"), "off": Setting(ACTION, "off")},
    reboot=Setting(ACTION, "reboot"),
    pending=(
        Pending(
            CONTROL_STATE,
            values=("pendOn", "pendOff", "reboot", "shutdown", "eventReboot", "eventShutdown"),
        ),
    ),
    label=Label(Object(f"{OUTLETS}.2.1.3", "st4OutletName"), longest=32),
    all_reboot_delay=Object(f"{OUTLETS}.1.11.0", "st4OutletRebootDelay"),
    facts={
        "firmware": Object(f"{SENTRY4}.1.1.3.0", "st4SystemFirmwareVersion"),
        "product": Object(f"{SENTRY4}.1.1.1.0", "st4SystemProductName"),
        "model": Object(f"{SENTRY4}.2.2.1.5.1", "st4UnitModel"),
        "serial": Object(f"{SENTRY4}.2.2.1.4.1", "st4UnitProductSN"),
    },
    # Hundredths of amperes of the first line of the first cord.
    load=Load(Object(f"{SENTRY4}.4.3.1.3.1.1.1", "st4LineCurrent"), 100),
)
