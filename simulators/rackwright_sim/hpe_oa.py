"""An HPE Onboard Administrator: its command line over SSH.

Answers are in the form of its command line interface user guide and of recordings in public tools.
"""

from __future__ import annotations

import re
from typing import ClassVar

from rackwright_sim.cli_blades import BladeBox
from rackwright_sim.cli_box import Reply

DEVICES = {"cd": "CD-ROM", "usb": "USB DriveKey (C:)", "hdd": "Hard Drive", "pxe": "PXE NIC 1"}
_POWER = {"on": "On", "off": "Off", "going_on": "Off", "going_off": "On", "": ""}
_COLUMNS = (3, 49, 15, 8, 7, 3, 7)


def _row(*cells: str) -> str:
    widths = _COLUMNS[: len(cells)]
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


class HpeOa(BladeBox):
    """One Onboard Administrator. ``role``: ``Active`` or ``Standby``."""

    writing: ClassVar[re.Pattern[str]] = re.compile(
        r"^(?:poweron|poweroff|reboot|reset|set)\b", re.IGNORECASE
    )
    refusal = Reply("ERROR: The request could not be carried out.")
    role = "Active"

    @property
    def prompt(self) -> str:
        return "OA-001E0B6B0E33> "

    def greeting(self) -> str:
        return (
            "\n\nHPE BladeSystem Onboard Administrator\n"
            "(C) Copyright 2006-2017 Hewlett Packard Enterprise Development LP\n\n"
            f"OA Bay Number:  1\nOA Role:        {self.role}\n\n"
        )

    def answer(self, line: str) -> Reply:
        """Commands are taken in any case."""
        words = line.lower().split()
        match words:
            case []:
                return Reply()
            case ["show", "server", "names"]:
                return Reply(self._servers())
            case ["show", "server", "boot", bay] if bay in self.slots:
                return self._order(bay)
            case ["show", "server", "info", "all"]:
                return Reply(self._infos())
            case ["show", "oa", "status"]:
                return Reply(
                    f"Onboard Administrator #1 Status:\n    Name:   {self.options.name}\n"
                    f"    Role:   {self.role}\n    UID:    Off\n    Status: OK\n"
                )
            case ["show", "oa", "info"]:
                return Reply(
                    "Onboard Administrator #1 information:\n"
                    "    Product Name  : BladeSystem c7000 DDR2 Onboard Administrator with KVM\n"
                    "    Firmware Ver. : 4.80 Dec 13 2017\n"
                )
            case ["show", "enclosure", "info"]:
                return Reply(
                    f"Enclosure Information:\n    Enclosure Name: {self.options.name}\n"
                    "    Enclosure Type: BladeSystem c7000 Enclosure G2\n"
                    f"    Serial Number: {self.options.serial}\n"
                )
            case ["poweron", "server", bay]:
                return self._act(bay, "on")
            case ["poweroff", "server", bay]:
                return self._act(bay, "shutdown")
            case ["poweroff", "server", bay, "force"]:
                return self._act(bay, "off")
            case ["set", "server", "boot", "first", device, bay] if device in DEVICES:
                return self._first(device, bay)
        return Reply("Invalid Arguments\n", status=1)

    def _servers(self) -> str:
        heads = ("Bay", "Server Name", "Serial Number", "Status", "Power", "UID", "Partner")
        lines = ["", _row(*heads), " ".join("-" * width for width in _COLUMNS)]
        for bay, slot in self.slots.items():
            if slot["present"]:
                power = _POWER[self.power(bay)]
                lines.append(_row(f"{bay:>3}", slot["host"], slot["serial"], "OK", power, "Off"))
            else:
                lines.append(_row(f"{bay:>3}", "[Absent]"))
        present = [bay for bay, slot in self.slots.items() if slot["present"]]
        on = sum(self.power(bay) == "on" for bay in present)
        lines.append(f"Totals: {len(present)} server blades installed, {on} powered on.")
        return "\n".join(lines) + "\n"

    def _order(self, bay: str) -> Reply:
        slot = self.slots[bay]
        if not slot["present"]:
            return Reply("No Server Blade Installed\n")
        order = [slot["boot"], *DEVICES] if slot["boot"] else list(DEVICES)
        shown = "".join(f"        {DEVICES[device]}\n" for device in dict.fromkeys(order))
        return Reply(
            f"Server Blade #{bay} Boot Information:\n    One time boot: None\n"
            f"    IPL Devices (Boot Order):\n{shown}"
        )

    def _infos(self) -> str:
        return "".join(
            f"Server Blade #{bay} Information:\n    Type: Server Blade\n"
            f"    Product Name: {self.options.model}\n    Serial Number: {slot['serial']}\n"
            f"    Server Name: {slot['host']}\n\n"
            if slot["present"]
            else f"Server Blade #{bay} Information:\n    Server Blade Type: No Server Blade Installed\n\n"
            for bay, slot in self.slots.items()
        )

    def _first(self, device: str, bay: str) -> Reply:
        slot = self.slots.get(bay)
        if slot is None or not slot["present"]:
            return Reply("No Server Blade Installed\n")
        slot["boot"] = device
        return Reply(f"Blade #{bay} boot order changed to {device.upper()}\n")

    def _act(self, bay: str, action: str) -> Reply:
        slot = self.slots.get(bay)
        if slot is None:
            return Reply("Invalid Arguments\n")
        if not slot["present"]:
            return Reply("No Server Blade Installed\n")
        self.command(bay, action)  # type: ignore[arg-type]
        if action == "on":
            return Reply(f"Powering on blade {bay}.\n")
        return Reply(f"Blade {bay} is powering down.\n")
