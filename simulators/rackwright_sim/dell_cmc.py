"""A Dell chassis management controller: its racadm over SSH and on a serial line.

Answers are in the form of the CMC RACADM reference guide and of what public tools expect of a real one.
"""

from __future__ import annotations

import re
import shlex
from typing import ClassVar

from rackwright_sim.cli_blades import BladeBox
from rackwright_sim.cli_box import Reply

POWERED = "Server power operation successful"
MODIFIED = "Object value modified successfully"
BOOT_DEVICES = ("No-Override", "PXE", "HDD", "CD-DVD", "VCD-DVD", "vFDD", "BIOS", "iSCSI", "SD")
PRIORITIES = range(1, 10)
LABEL = 15
_SHOWN = {"on": "ON", "off": "OFF", "going_on": "Powering ON", "going_off": "Powering OFF"}
_ACTIONS = {"powerup": "on", "powerdown": "off", "graceshutdown": "shutdown"}
_SERVER = re.compile(r"server-(\d+)", re.IGNORECASE)


def _error(text: str) -> Reply:
    return Reply(f"ERROR: {text}", status=1)


class DellCmc(BladeBox):
    """One controller."""

    writing: ClassVar[re.Pattern[str]] = re.compile(
        r"^racadm (?:config|setslotname|serveraction (?!powerstatus)|deploy|rac|set)"
    )
    refusal = _error("The operation cannot be carried out.")

    @property
    def prompt(self) -> str:
        return "$ "

    def greeting(self) -> str:
        return "\nWelcome to the CMC firmware version 6.10\n\n"

    def answer(self, line: str) -> Reply:
        """What racadm says."""
        try:
            words = shlex.split(line)
        except ValueError:
            return _error("Invalid syntax.")
        match words:
            case []:
                return Reply()
            case ["racadm", "getmodinfo"]:
                return Reply(self._modules())
            case ["racadm", "getslotname"]:
                return Reply(self._names())
            case ["racadm", "getversion"]:
                return Reply(self._versions())
            case ["racadm", "getsysinfo"]:
                return Reply(self._system())
            case ["racadm", "getconfig", "-g", "cfgServerInfo", "-i", index]:
                return self._config(index)
            case ["racadm", "config", "-g", "cfgServerInfo", "-o", name, "-i", index, value]:
                return self._set(name, index, value)
            case ["racadm", "setslotname", "-i", index, label]:
                return self._name(index, label)
            case ["racadm", "serveraction", action, "-m", server]:
                return self._act(action, server)
            case ["racadm", *_]:
                return _error("Invalid subcommand specified.")
        return Reply(f"-sh: {words[0]}: not found", status=127)

    def _modules(self) -> str:
        rows = [("<module>", "<presence>", "<pwrState>", "<health>", "<svcTag>")]
        rows.append(("Chassis", "Present", "ON", "OK", self.options.serial))
        rows.append(("CMC-1", "Present", "Primary", "OK", "N/A"))
        rows.append(("Switch-1", "Present", "ON", "OK", "0000000"))
        for number, slot in self.slots.items():
            if slot["present"]:
                cells = ("Present", _SHOWN[self.power(number)], "OK", slot["serial"])
            else:
                cells = ("Not Present", "N/A", "N/A", "N/A")
            rows.append((f"Server-{number}", *cells))
        return "".join("".join(f"{cell:<16}" for cell in row).rstrip() + "\n" for row in rows)

    def _names(self) -> str:
        rows = [("<Slot #>", "<Slot Name>", "<Host Name>")]
        rows += [(number, slot["label"], slot["host"]) for number, slot in self.slots.items()]
        return "".join(f"{row[0]:<10}{row[1]:<17}{row[2]}".rstrip() + "\n" for row in rows)

    def _versions(self) -> str:
        rows = [("<Server>", "<iDRAC Version>", "<Blade Type>", "<Gen>", "<Updatable>")]
        for number, slot in self.slots.items():
            model = self.options.model if slot["present"] else "N/A"
            rows.append((f"server-{number}", "2.41.40.40 (03)", model, "iDRAC8", "Y"))
        return "".join("".join(f"{cell:<20}" for cell in row).rstrip() + "\n" for row in rows)

    def _system(self) -> str:
        pairs = {
            "CMC Information:": None,
            "Primary CMC Version": "6.10",
            "MAC Address": "18:66:DA:00:00:01",
            "Chassis Information:": None,
            "System Model": "PowerEdge M1000e",
            "Service Tag": self.options.serial,
            "Chassis Name": self.options.name,
            "Power Status": "ON",
        }
        return "".join(
            f"{key}\n" if value is None else f"{key:<25} = {value}\n"
            for key, value in pairs.items()
        )

    def _config(self, index: str) -> Reply:
        slot = self.slots.get(index)
        if slot is None:
            return _error("The index is out of range.")
        return Reply(
            f"# cfgServerInfoIndex={index}\n"
            f"# cfgServerSlotNumber={index}\n"
            f"# cfgServerServiceTag={slot['serial'] or 'N/A'}\n"
            f"cfgServerName={slot['label']}\n"
            f"cfgServerPriority={slot['priority']}\n"
            f"cfgServerFirstBootDevice={slot['boot'] or 'No-Override'}\n"
            f"cfgServerBootOnce={slot['once']}\n"
        )

    def _set(self, name: str, index: str, value: str) -> Reply:
        slot = self.slots.get(index)
        if slot is None:
            return _error("The index is out of range.")
        if name == "cfgServerPriority" and value.isdecimal() and int(value) in PRIORITIES:
            slot["priority"] = int(value)
        elif name == "cfgServerBootOnce" and value in ("0", "1") and slot["present"]:
            slot["once"] = int(value)
        elif name == "cfgServerFirstBootDevice" and value in BOOT_DEVICES and slot["present"]:
            slot["boot"] = value
        else:
            return _error("The specified object value is not valid.")
        return Reply(MODIFIED)

    def _name(self, index: str, label: str) -> Reply:
        slot = self.slots.get(index)
        taken = {one["label"].lower() for key, one in self.slots.items() if key != index}
        if slot is None:
            return _error("The slot number is out of range.")
        if not label or len(label) > LABEL or label.lower() in taken:
            return _error("The slot name is not valid or is in use.")
        slot["label"] = label
        return Reply("The slot name was set successfully.")

    def _act(self, action: str, server: str) -> Reply:
        found = _SERVER.fullmatch(server)
        if found is None or found[1] not in self.slots:
            return _error("Invalid module specified.")
        number = found[1]
        if not self.slots[number]["present"]:
            return _error(f"The server in slot {number} is not present.")
        power = self.power(number)
        if action == "powerstatus":
            return Reply(_SHOWN[power])
        if action not in _ACTIONS:
            return _error("Invalid action specified.")
        wanted = _ACTIONS[action]
        if power == ("on" if wanted == "on" else "off"):
            return Reply(f"The server is already powered {_SHOWN[power]}.")
        self.command(number, wanted)  # type: ignore[arg-type]
        return Reply(POWERED)
