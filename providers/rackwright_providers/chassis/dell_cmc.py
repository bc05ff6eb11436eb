"""Dell chassis management controllers (CMC of the M1000e, VRTX and FX2), by racadm over SSH or serial.

Commands and objects are those of the CMC RACADM command line reference guide: getmodinfo,
serveraction, getslotname, setslotname, getconfig and config of group cfgServerInfo, getversion,
getsysinfo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.errors import Permanent, Rejected, Temporary
from rackwright.model.resource import Resource
from rackwright_providers.chassis import cmc_parse
from rackwright_providers.chassis.cli_chassis import COMMAND_TIMEOUT, Action, CliChassis, Slot
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

DIALECT = Dialect(
    netmiko="generic",
    read_verbs=frozenset(),
    # racadm reads and writes under one word.
    read_commands=re.compile(
        r"racadm (?:getmodinfo|getslotname|getversion|getsysinfo"
        r"|getconfig -g cfgServerInfo -i \d{1,2}"
        r"|serveraction powerstatus -m server-\d{1,2}[a-d]?)"
    ),
    errors=re.compile(
        r"^[ \t]*(?:ERROR\b|Error\b|\S+: (?:command )?not found|Invalid \w+|Unknown command"
        r"|.*(?:insufficient privileges?|not authorized|access denied))",
        re.MULTILINE | re.IGNORECASE,
    ),
    login_refused=re.compile(r"Login incorrect|Access denied|Login failed", re.IGNORECASE),
    prompt=re.compile(rb"(?:[\w.@:~ -]{0,64})\$ ?"),
    privileged="$",
)

MODULES = "racadm getmodinfo"
SLOT_NAMES = "racadm getslotname"
VERSIONS = "racadm getversion"
SYSTEM = "racadm getsysinfo"
CONFIG = "racadm getconfig -g cfgServerInfo -i {}"
SET = "racadm config -g cfgServerInfo -o {} -i {} {}"
SET_SLOT_NAME = 'racadm setslotname -i {} "{}"'
MODIFIED = re.compile(r"success", re.IGNORECASE)
"""``Object value modified successfully``, ``Server power operation successful``: what every command of
ours that changes something is answered with, but setslotname."""

BOOT: Mapping[str, str] = {
    "none": "No-Override",
    "pxe": "PXE",
    "disk": "HDD",
    "cdrom": "VCD-DVD",
    "bios": "BIOS",
}
"""cfgServerFirstBootDevice. A blade has no drive of its own for a CD: it is virtual media."""

SLOTS = range(1, 17)
LABEL_LENGTH = 15
LABEL = re.compile(r"[^?\"$`\\\x00-\x1f\x7f-\U0010ffff]+")
"""Printable ASCII but the double quote, as the guide has it, and but what a shell or its line would
take for themselves."""
FOREIGN = re.compile(
    r"(?:Switch-|Fan-|PS-|KVM|DRAC-|MC-|Chassis|Housing-Left|Housing-Right|Housing-Center)",
    re.IGNORECASE,
)
"""How no slot's name may begin: the CMC's other modules are called so."""
SERVER = re.compile(r"server-([1-9]|1[0-6])", re.IGNORECASE)
"""Names that only the slot of that number may have."""


class DellCmc(CliChassis):
    """Provider of platform ``dell_cmc``."""

    platform = "dell_cmc"
    dialect = DIALECT
    transports = frozenset({"ssh", "serial"})
    fields = frozenset({"label", "boot", "priority"})
    actions: Mapping[Action, str] = {
        "on": "racadm serveraction powerup -m server-{}",
        "off": "racadm serveraction powerdown -m server-{}",
        "shutdown": "racadm serveraction graceshutdown -m server-{}",
    }
    signs = (r"Welcome to the CMC firmware", r"(?m)^<module> +<presence>")
    probe = ("racadm", "getmodinfo")

    def spell(self, name: str) -> str:
        """``3``; ``3a`` to ``3d`` are the sleds of a slot with quarter-height blades."""
        found = re.fullmatch(r"(?:server-)?0*(\d{1,2})([a-d]?)", name, re.IGNORECASE)
        if found is None or int(found[1]) not in SLOTS:
            raise Permanent(f"blade {name}: a slot of a CMC is a number from 1 to 16")
        return f"{int(found[1])}{found[2].lower()}"

    def check(self, blade: Blade) -> None:
        """The rules for slot names, and what can be set for a slot's number alone."""
        slot = self.spell(blade.name)
        if not slot.isdecimal() and (blade.label, blade.boot, blade.priority) != (None, None, None):
            raise Permanent(f"blade {slot}: only a whole slot has a name, priority and boot device")
        if blade.boot == "usb":
            raise Permanent("a CMC cannot make a blade start from USB")
        label = blade.label
        if label is None:
            return
        if not LABEL.fullmatch(label) or label != label.strip():
            raise Permanent(
                f"label {label!r}: a slot's name is plain ASCII without \" $ ` ? and \\"
            )
        if len(label) > LABEL_LENGTH:
            raise Permanent(f"label {label!r} is longer than {LABEL_LENGTH} characters")
        server = SERVER.fullmatch(label)
        if FOREIGN.match(label) or (server and server[1] != slot):
            raise Permanent(f"label {label!r} is the name of another module of the chassis")

    def refuse(
        self, changes: Sequence[Change], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """Names that two slots would have: the CMC wants them to differ, whatever their case."""
        names = {
            address: blade.label or ""
            for address, blade in observed.items()
            if isinstance(blade, Blade)
        }
        for change in changes:
            if isinstance(change.after, Blade) and change.after.label is not None:
                names[change.address] = change.after.label
        return {
            change.address: f"slot {other.name} is called {names[other]!r} already"
            for change in changes
            if "label" in change.field_names and change.address in names
            for other in sorted(names)
            if other != change.address and names[other].lower() == names[change.address].lower()
        }

    def slots(self, session: CliReader) -> Mapping[str, Slot]:
        """``getmodinfo``."""
        try:
            return cmc_parse.slots(session.run(MODULES))
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None

    def labels(self, session: CliReader) -> Mapping[str, str]:
        """``getslotname``."""
        try:
            return cmc_parse.labels(session.run(SLOT_NAMES))
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None

    def settings(self, session: CliReader, slot: Slot) -> Mapping[str, object]:
        """``getconfig -g cfgServerInfo``."""
        config = cmc_parse.objects(session.run(CONFIG.format(slot.name)))
        return {"boot": cmc_parse.boot(config), "priority": cmc_parse.priority(config)}

    def setting(self, slot: str, field: str, value: object) -> Sequence[str]:
        """``setslotname`` and ``config``. A boot device holds until it is told otherwise."""
        if field == "label":
            return (SET_SLOT_NAME.format(slot, value),)
        if field == "priority":
            return (SET.format("cfgServerPriority", slot, value),)
        return (
            SET.format("cfgServerBootOnce", slot, 0),
            SET.format("cfgServerFirstBootDevice", slot, BOOT[str(value)]),
        )

    def tell(self, session: CliSession, command: str) -> None:
        """A command that is not said to be successful was not carried out. Of a blade that is there
        already (``… is already powered OFF``) the CMC says so, and the read-back tells."""
        answer = session.execute(command, COMMAND_TIMEOUT)
        if "setslotname" not in command and not (MODIFIED.search(answer) or "already" in answer):
            said = answer.strip().rpartition("\n")[2] or "nothing"
            raise Rejected(f"the CMC answers {command!r} with: {said}", output=answer)

    def discover(self, session: CliReader) -> Facts:
        """The chassis, and what is in its slots; what this CMC does not tell is left out."""
        from rackwright.model.facts import Facts, FoundLink

        slots, labels = self.slots(session), self.labels(session)
        system = cmc_parse.objects(_told(session, SYSTEM))
        models = cmc_parse.models(_told(session, VERSIONS))
        facts = {name: system.get(key, "") for name, key in FACTS.items()}
        values: dict[str, object] = {name: value for name, value in facts.items() if value}
        values["slots"] = {
            name: {
                key: value
                for key, value in {
                    "present": slot.present,
                    "name": labels.get(name, ""),
                    "serial": slot.serial,
                    "model": models.get(name, "") if slot.present else "",
                    "health": slot.health,
                }.items()
                if value != ""
            }
            for name, slot in slots.items()
        }
        links = (
            FoundLink(port=name, peer=slot.serial, how="slot")
            for name, slot in slots.items()
            if slot.present and slot.serial
        )
        return Facts(values=values, links=tuple(sorted(links)))


FACTS = {
    "name": "Chassis Name",
    "model": "System Model",
    "serial": "Service Tag",
    "firmware": "Primary CMC Version",
    "mac": "MAC Address",
}
"""Facts, and the lines of ``getsysinfo`` that they are."""


def _told(session: CliReader, command: str) -> str:
    try:
        return session.run(command)
    except Rejected:
        return ""
