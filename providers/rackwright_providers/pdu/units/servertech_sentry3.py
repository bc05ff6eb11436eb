"""Server Technology's Switched CDUs (firmware 5 to 7) by Sentry3-MIB.

OIDs, values and ranges are Sentry3-MIB's (1.3.6.1.4.1.1718.3). The index is tower, infeed and outlet;
what the unit's front calls AA3 is 1.1.3, and AB3 is 1.2.3. The first infeed's outlets have plain
numbers.

Without a field: outletPostOnDelay, which holds up the outlets after this one; systemOutletRebootDelay,
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

SENTRY3 = "1.3.6.1.4.1.1718.3"
OUTLET = f"{SENTRY3}.2.3.1"

STATUS = Object(
    f"{OUTLET}.5",
    "outletStatus",
    "off(0), on(1), offWait(2), onWait(3), offError(4), onError(5), noComm(6), reading(7), "
    "offFuse(8), onFuse(9)",
)
CONTROL_STATE = Object(
    f"{OUTLET}.10",
    "outletControlState",
    "idleOff(0), idleOn(1), wakeOff(2), wakeOn(3), off(4), on(5), lockedOff(6), lockedOn(7), "
    "reboot(8), shutdown(9), pendOn(10), pendOff(11), minimumOff(12), minimumOn(13), "
    "eventOff(14), eventOn(15), eventReboot(16), eventShutdown(17)",
)
ACTION = Object(f"{OUTLET}.11", "outletControlAction", "none(0), on(1), off(2), reboot(3)")

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.1718.3",),  # sentry3
    index=("towerIndex", "infeedIndex", "outletIndex"),
    first=(1, 1),
    status=STATUS,
    states={"off": "off", "on": "on"},
    command={"on": Setting(ACTION, "on"), "off": Setting(ACTION, "off")},
    reboot=Setting(ACTION, "reboot"),
    pending=(
        Pending(
            CONTROL_STATE,
            values=("reboot", "shutdown", "pendOn", "pendOff", "eventReboot", "eventShutdown"),
        ),
    ),
    label=Label(Object(f"{OUTLET}.3", "outletName"), longest=24),
    all_reboot_delay=Object(f"{SENTRY3}.1.14.0", "systemOutletRebootDelay"),
    facts={
        "firmware": Object(f"{SENTRY3}.1.1.0", "systemVersion"),
        "model": Object(f"{SENTRY3}.2.1.1.7.1", "towerModelNumber"),
        "serial": Object(f"{SENTRY3}.2.1.1.6.1", "towerProductSN"),
        "rating_amperes": Object(f"{SENTRY3}.2.2.1.10.1.1", "infeedCapacity"),
    },
    # Hundredths of amperes of the first infeed.
    load=Load(Object(f"{SENTRY3}.2.2.1.7.1.1", "infeedLoadValue"), 100),
)
