"""PDUs of APC, Raritan, Server Technology and Eaton as data, each written from its vendor's MIB."""

from __future__ import annotations

from rackwright_sim import apc_rpdu
from rackwright_sim.snmp_objects import Gauge, Path
from rackwright_sim.snmp_pdu_unit import Number, Unit

ENTERPRISES: Path = (1, 3, 6, 1, 4, 1)

# PDU2-MIB: SensorStateEnumeration on 7, off 8; OutletSwitchingOperationsEnumeration off 0, on 1, cycle 2.
RARITAN: Path = (*ENTERPRISES, 13742, 6)
_SWITCHING, _CONFIGURATION = (*RARITAN, 4, 1, 2, 1), (*RARITAN, 3, 5, 3, 1)
RARITAN_PX3 = Unit(
    object_id="1.3.6.1.4.1.13742.6",
    engine=13742,
    model="PX3-5190R",
    description="Raritan PDU, MD:{model} HW:0x10 FW:{firmware}",
    banks=((1,), (2,)),  # pduId
    shows={
        (*_SWITCHING, 2): {"on": 1, "off": 0},  # switchingOperation
        (*_SWITCHING, 3): {"on": 7, "off": 8},  # outletSwitchingState
    },
    verbs={(*_SWITCHING, 2): {0: "off", 1: "on", 2: "reboot"}},
    labels={(*_CONFIGURATION, 3): range(256)},  # outletName, DisplayString
    numbers={
        # outletPowerCyclingPowerOffPeriod, outletUseGlobalPowerCyclingPowerOffPeriod
        (*_CONFIGURATION, 12): Number("reboot", range(1, 3601), Gauge),
        (*_CONFIGURATION, 14): Number("shared", range(1, 3)),
    },
    fixed={
        (*RARITAN, 3, 2, 1, 1, 2, 1): "Raritan",
        (*RARITAN, 3, 2, 1, 1, 3, 1): "{model}",
        (*RARITAN, 3, 2, 1, 1, 4, 1): "{serial}",
        (*RARITAN, 3, 2, 3, 1, 6, 1, 1, 1): "{firmware}",
    },
    counts=((*RARITAN, 3, 2, 2, 1, 4, 1),),  # outletCount
    shared_reboot=((*RARITAN, 3, 2, 2, 1, 37, 1), Gauge),
)

# Sentry3-MIB: outletStatus, outletControlState, outletControlAction.
SENTRY3: Path = (*ENTERPRISES, 1718, 3)
_OUTLET3 = (*SENTRY3, 2, 3, 1)
SENTRY_CDU = Unit(
    object_id="1.3.6.1.4.1.1718.3",
    engine=1718,
    model="CW-24V2C458C1",
    description="Sentry Switched CDU",
    banks=((1, 1), (1, 2), (1, 3)),  # tower, infeed
    shows={
        (*_OUTLET3, 5): {"on": 1, "off": 0, "going_off": 2, "going_on": 3},
        (*_OUTLET3, 10): {
            "on": 5,
            "off": 4,
            "going_on": 10,
            "going_off": 11,
            "rebooting_off": 8,
            "rebooting_on": 8,
        },
        (*_OUTLET3, 11): {"on": 0, "off": 0},  # none
    },
    verbs={(*_OUTLET3, 11): {0: "nothing", 1: "on", 2: "off", 3: "reboot"}},
    labels={(*_OUTLET3, 3): range(25)},
    fixed={
        (*SENTRY3, 1, 1, 0): "Sentry Switched CDU Version {firmware}",
        (*SENTRY3, 1, 4, 0): 1,
        (*SENTRY3, 2, 1, 1, 6, 1): "{serial}",
        (*SENTRY3, 2, 1, 1, 7, 1): "{model}",
        (*SENTRY3, 2, 2, 1, 10, 1, 1): 30,
    },
    loads={(*SENTRY3, 2, 2, 1, 7, 1, 1): (int, 10)},  # infeedLoadValue, hundredths
    shared_reboot=((*SENTRY3, 1, 14, 0), int),
)

# Sentry4-MIB: st4OutletState (DeviceState on 1, off 2), st4OutletControlState, st4OutletControlAction.
SENTRY4: Path = (*ENTERPRISES, 1718, 4, 1)
_OUTLET4 = (*SENTRY4, 8)
SENTRY_PRO = Unit(
    object_id="1.3.6.1.4.1.1718.4",
    engine=1718,
    model="C2WG36TE-DQME2M66",
    description="Sentry Switched PDU",
    banks=((1, 1), (1, 2)),  # unit, input cord
    shows={
        (*_OUTLET4, 3, 1, 1): {"on": 1, "off": 2},
        (*_OUTLET4, 5, 1, 1): {
            "on": 11,
            "off": 10,
            "going_on": 8,
            "going_off": 9,
            "rebooting_off": 13,
            "rebooting_on": 12,
        },
        (*_OUTLET4, 5, 1, 2): {"on": 0, "off": 0},  # none
    },
    verbs={(*_OUTLET4, 5, 1, 2): {0: "nothing", 1: "on", 2: "off", 3: "reboot"}},
    labels={(*_OUTLET4, 2, 1, 3): range(33)},
    fixed={
        (*SENTRY4, 1, 1, 1, 0): "Sentry Switched PDU",
        (*SENTRY4, 1, 1, 3, 0): "{firmware}",
        (*SENTRY4, 2, 2, 1, 4, 1): "{serial}",
        (*SENTRY4, 2, 2, 1, 5, 1): "{model}",
    },
    loads={(*SENTRY4, 4, 3, 1, 3, 1, 1, 1): (int, 10)},  # st4LineCurrent, hundredths
    shared_reboot=((*_OUTLET4, 1, 11, 0), int),
)

# EATON-EPDU-MIB: a status, and a column of seconds for each command.
EATON: Path = (*ENTERPRISES, 534, 6, 6, 7)
_CONTROL = (*EATON, 6, 6, 1)
EATON_EPDU = Unit(
    object_id="1.3.6.1.4.1.534.6.6.7",
    engine=534,
    model="EMA114-10",
    description="Eaton ePDU MA 1P IN:L6-30P 24A OUT:20xC13, 4xC19",
    banks=((0,), (1,)),  # strappingIndex
    shows={
        (*_CONTROL, 2): {
            "on": 1,
            "off": 0,
            "going_off": 2,
            "going_on": 3,
            "rebooting_off": 2,
        }
    },
    timers={(*_CONTROL, 3): "off", (*_CONTROL, 4): "on", (*_CONTROL, 5): "reboot"},
    labels={(*EATON, 6, 1, 1, 3): range(1, 32)},
    numbers={
        (*_CONTROL, 7): Number("on_delay", range(-1, 100_000)),  # outletControlSequenceDelay
        (*_CONTROL, 8): Number("reboot", range(1, 100_000)),  # outletControlRebootOffTime
    },
    fixed={
        (*EATON, 1, 2, 1, 2, 0): "ePDU MA 24 outlets",
        (*EATON, 1, 2, 1, 3, 0): "{model}",
        (*EATON, 1, 2, 1, 4, 0): "{serial}",
        (*EATON, 1, 2, 1, 5, 0): "{firmware}",
    },
    counts=((*EATON, 1, 2, 1, 22, 0),),  # outletCount
    loads={(*EATON, 3, 3, 1, 4, 0, 1, 1): (int, 100)},  # inputCurrent, milliamperes
)

UNITS = {
    "apc_rpdu": apc_rpdu.UNIT,
    "apc_rpdu2": apc_rpdu.UNIT,
    "raritan_pdu2": RARITAN_PX3,
    "servertech_sentry3": SENTRY_CDU,
    "servertech_sentry4": SENTRY_PRO,
    "eaton_epdu": EATON_EPDU,
}
"""By platform."""
