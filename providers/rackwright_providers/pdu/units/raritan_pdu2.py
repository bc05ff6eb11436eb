"""Raritan PX2, PX3, PX4 and those that share their firmware, by PDU2-MIB.

OIDs, values and ranges are PDU2-MIB's (1.3.6.1.4.1.13742.6). An outlet's state is a
SensorStateEnumeration (on 7, off 8), its command another enumeration (off 0, on 1, cycle 2). The index
is PDU and outlet; a PDU that is not linked with others is 1.

Without a field: the delay between outlets that go on one after another (outletSequenceDelay), which is
not counted from the unit's start; the load, whose decimal digits are in another object.
"""

from __future__ import annotations

from rackwright_providers.pdu.outlet_table import Delay, Label, Object, OutletTable, Setting

PDU2 = "1.3.6.1.4.1.13742.6"
CONFIG = f"{PDU2}.3.5.3.1"

# Of SensorStateEnumeration, what an outlet can be.
STATE = Object(f"{PDU2}.4.1.2.1.3", "outletSwitchingState", "unavailable(-1), on(7), off(8)")
COMMAND = Object(f"{PDU2}.4.1.2.1.2", "switchingOperation", "off(0), on(1), cycle(2)")
GLOBAL = Object(
    f"{CONFIG}.14",
    "outletUseGlobalPowerCyclingPowerOffPeriod",
    "true(1), false(2)",  # TruthValue, SNMPv2-TC
)

TABLE = OutletTable(
    object_ids=("1.3.6.1.4.1.13742.6",),  # pdu2
    index=("pduId", "outletId"),
    first=(1,),
    status=STATE,
    states={"on": "on", "off": "off"},
    command={"on": Setting(COMMAND, "on"), "off": Setting(COMMAND, "off")},
    reboot=Setting(COMMAND, "cycle"),
    label=Label(Object(f"{CONFIG}.3", "outletName")),
    reboot_delay=Delay(
        Object(f"{CONFIG}.12", "outletPowerCyclingPowerOffPeriod"),
        1,
        3600,
        unsigned=True,
        own=Setting(GLOBAL, "false"),
    ),
    all_reboot_delay=Object(f"{PDU2}.3.2.2.1.37.1", "globalOutletPowerCyclingPowerOffPeriod"),
    facts={
        "manufacturer": Object(f"{PDU2}.3.2.1.1.2.1", "pduManufacturer"),
        "model": Object(f"{PDU2}.3.2.1.1.3.1", "pduModel"),
        "serial": Object(f"{PDU2}.3.2.1.1.4.1", "pduSerialNumber"),
        # Of board 1 of type mainController (1) of PDU 1.
        "firmware": Object(f"{PDU2}.3.2.3.1.6.1.1.1", "boardFirmwareVersion"),
    },
)
