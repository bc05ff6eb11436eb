"""What an IOS-like switch says of itself: ``show version``, ``show inventory``."""

from __future__ import annotations

import time

from rackwright_sim.ios_session import IosSession
from rackwright_sim.ios_switch import IosSwitch

_COPYRIGHT = """\
This product contains cryptographic features and is subject to United
States and local country laws governing import, export, transfer and
use. Delivery of Cisco cryptographic products does not imply
third-party authority to import, export, distribute or use encryption.
Importers, exporters, distributors and users are responsible for
compliance with U.S. and local country laws."""


def inventory(session: IosSession) -> str:
    device = session.device
    model, serial = _model(device), device.serial_number
    return (
        f'NAME: "c92xx Stack", DESCR: "c92xx Stack"\n'
        f"PID: {model:<18}, VID: V02  , SN: {serial}\n\n"
        f'NAME: "Switch 1", DESCR: "{model}"\n'
        f"PID: {model:<18}, VID: V02  , SN: {serial}\n\n"
        f'NAME: "Switch 1 - Power Supply A", DESCR: "Switch 1 - Power Supply A"\n'
        f"PID: PWR-C5-1KWAC      , VID: V01  , SN: PS{serial[3:]}\n\n"
    )


def _model(device: IosSwitch) -> str:
    return "C9200L-24T-4G" if len(device.options.port_names) <= 24 else "C9200L-48T-4G"


def _spell(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"


def version(session: IosSession) -> str:
    device = session.device
    minutes = int(time.monotonic() - device.started) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    uptime = [_spell(days, "day")] if days else []
    uptime += [_spell(hours, "hour")] if hours or days else []
    uptime += [_spell(minutes % 60, "minute")]
    model, ports = _model(device), len(device.options.port_names)
    raw = device.mac("").replace(".", "")
    base = ":".join(raw[at : at + 2] for at in range(0, 12, 2))
    return f"""\
Cisco IOS XE Software, Version 17.09.04a
Cisco IOS Software [Cupertino], Catalyst L3 Switch Software (CAT9K_LITE_IOSXE), Version 17.9.4a, RELEASE SOFTWARE (fc3)
Technical Support: http://www.cisco.com/techsupport
Copyright (c) 1986-2023 by Cisco Systems, Inc.
Compiled Fri 20-Oct-23 10:44 by mcpre


ROM: IOS-XE ROMMON
BOOTLDR: System Bootstrap, Version 17.9.1r [FC3], RELEASE SOFTWARE (P)

{device.running.hostname} uptime is {", ".join(uptime)}
Uptime for this control processor is {", ".join(uptime)}
System returned to ROM by Reload Command
System image file is "flash:packages.conf"
Last reload reason: Reload Command



{_COPYRIGHT}

cisco {model} (ARM64) processor with 516877K/3071K bytes of memory.
Processor board ID {device.serial_number}
{_spell(len(device.running.svis), "Virtual Ethernet interface")}
{_spell(ports, "Gigabit Ethernet interface")}
2048K bytes of non-volatile configuration memory.
2015456K bytes of physical memory.
819200K bytes of Crash Files at crashinfo:.
1941504K bytes of Flash at flash:.

Base Ethernet MAC Address          : {base}
Motherboard Assembly Number        : 73-18700-03
Motherboard Serial Number          : {device.serial_number}
Model Revision Number              : B0
Motherboard Revision Number        : A0
Model Number                       : {model}
System Serial Number               : {device.serial_number}
CLEI Code Number                   : INM1H00ARA


Switch Ports Model              SW Version        SW Image              Mode
------ ----- -----              ----------        ----------            ----
*    1 {ports:<5} {model:<18} 17.09.04a         CAT9K_LITE_IOSXE      INSTALL


Configuration register is 0x102

"""
