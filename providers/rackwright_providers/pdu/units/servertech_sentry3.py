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

ACTION = Object(f"{OUTLET}.11", "outletControlAction")

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.1718.3",),  # sentry3
    index=("towerIndex", "infeedIndex", "outletIndex"),
    first=(1, 1),
    status=Object(f"{OUTLET}.5", "outletStatus"),
    # The rest is offWait 2, onWait 3, offError 4, onError 5, noComm 6, reading 7, offFuse 8, onFuse 9.
    states={0: "off", 1: "on"},
    command={"on": Setting(ACTION, 1), "off": Setting(ACTION, 2)},
    reboot=Setting(ACTION, 3),
    pending=(
        Pending(
            Object(f"{OUTLET}.10", "outletControlState"),
            values={8, 9, 10, 11, 16, 17},  # reboot, shutdown, pendOn/Off, eventReboot/Shutdown
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
