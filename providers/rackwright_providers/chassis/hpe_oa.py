"""HPE BladeSystem enclosures (c7000, c3000), by the Onboard Administrator's command line over SSH.

Commands are those of the Onboard Administrator command line interface user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rackwright.model.errors import Permanent, Rejected, Temporary, Unreachable
from rackwright.model.site import Way
from rackwright.provider import Surroundings
from rackwright_providers.chassis import oa_parse
from rackwright_providers.chassis.cli_chassis import COMMAND_TIMEOUT, Action, CliChassis, Slot
from rackwright_providers.chassis.resources import Blade
from rackwright_providers.transport.cli_dialect import Dialect

if TYPE_CHECKING:
    from rackwright.model.facts import Facts
    from rackwright_providers.transport.cli import CliReader, CliSession

DIALECT = Dialect(
    netmiko="generic",
    read_verbs=frozenset({"show"}),
    errors=re.compile(
        r"^[ \t]*(?:ERROR\b|Error\b|Invalid (?:Arguments?|Command|Bay)|Unknown command"
        r"|No Server Blade Installed|Unable to|Failed to|Insufficient|You do not have"
        r"|.*\b(?:permission|privileges?) (?:is|are|to)\b.*(?:required|denied))",
        re.MULTILINE | re.IGNORECASE,
    ),
    login_refused=re.compile(r"Login incorrect|Access denied|Authentication fail", re.IGNORECASE),
    privileged=">",
)

SERVERS = "show server names"
BOOT_ORDER = "show server boot {}"
BOOT_FIRST = "set server boot first {} {}"
OA_STATUS = "show oa status"
OA_INFO = "show oa info"
ENCLOSURE = "show enclosure info"
SERVER_INFO = "show server info all"
SURE = ((re.compile(r"(?:continue|sure|YES)[^\n]*[?:] *\Z", re.IGNORECASE), "YES\r"),)
"""What it asks before it cuts a blade's power, when script mode is off."""

BOOT: Mapping[str, str] = {"pxe": "pxe", "disk": "hdd", "cdrom": "cd", "usb": "usb"}
BAYS = range(1, 17)


class HpeOa(CliChassis):
    """Provider of platform ``hpe_oa``. A bay has no name of its own: what the table of servers calls a
    name is the server's own, which is a fact."""

    platform = "hpe_oa"
    dialect = DIALECT
    transports = frozenset({"ssh"})
    fields = frozenset({"boot"})
    actions: Mapping[Action, str] = {
        "on": "poweron server {}",
        "off": "poweroff server {} force",
        "shutdown": "poweroff server {}",
    }
    signs = (r"\bOA-[0-9A-F]{12}>", r"Onboard Administrator")

    def open(self, way: Way, around: Surroundings) -> CliReader:
        """I/O: a session with the active Onboard Administrator. Raises Unreachable at the standby
        one, so that the next way is tried."""
        session = super().open(way, around)
        try:
            status = session.run(OA_STATUS)
        except BaseException:
            session.close()
            raise
        if oa_parse.standby(status):
            session.close()
            raise Unreachable(f"{session.via}: this is the standby Onboard Administrator")
        return session

    def spell(self, name: str) -> str:
        """``3``; ``3A`` and ``3B`` are the two servers of a double-dense blade."""
        found = re.fullmatch(r"0*(\d{1,2})([A-Da-d]?)", name)
        if found is None or int(found[1]) not in BAYS:
            raise Permanent(f"blade {name}: a bay is a number from 1 to 16")
        return f"{int(found[1])}{found[2].upper()}"

    def check(self, blade: Blade) -> None:
        """Boot devices that can be put first."""
        if blade.boot is not None and blade.boot not in BOOT:
            allowed = ", ".join(sorted(BOOT))
            raise Permanent(f"boot {blade.boot}: an Onboard Administrator knows {allowed}")

    def slots(self, session: CliReader) -> Mapping[str, Slot]:
        """``show server names``."""
        return self._servers(session)[0]

    def _servers(self, session: CliReader) -> tuple[Mapping[str, Slot], Mapping[str, str]]:
        try:
            return oa_parse.slots(session.run(SERVERS))
        except ValueError as error:
            raise Temporary(f"{session.via}: an answer that makes no sense: {error}") from None

    def settings(self, session: CliReader, slot: Slot) -> Mapping[str, object]:
        """``show server boot``; an empty bay has none."""
        if not slot.present:
            return {}
        return {"boot": oa_parse.boot(session.run(BOOT_ORDER.format(slot.name)))}

    def setting(self, slot: str, field: str, value: object) -> Sequence[str]:
        """The device comes first in the order; the others follow as they were."""
        return (BOOT_FIRST.format(BOOT[str(value)], slot),)

    def tell(self, session: CliSession, command: str) -> None:
        """What it asks is answered with YES: it was declared."""
        session.execute(command, COMMAND_TIMEOUT, SURE)

    def discover(self, session: CliReader) -> Facts:
        """The enclosure, and what is in its bays; what this one does not tell is left out."""
        from rackwright.model.facts import Facts, FoundLink

        slots, names = self._servers(session)
        enclosure = oa_parse.pairs(_told(session, ENCLOSURE))
        administrator = oa_parse.pairs(_told(session, OA_INFO))
        infos = oa_parse.blades(_told(session, SERVER_INFO))
        values: dict[str, object] = {
            name: value for name, key in FACTS.items() if (value := enclosure.get(key, ""))
        }
        if "Firmware Ver." in administrator:
            values["firmware"] = administrator["Firmware Ver."]
        values["slots"] = {
            bay: {
                key: value
                for key, value in {
                    "present": slot.present,
                    "server_name": names.get(bay, ""),
                    "serial": slot.serial,
                    "model": infos.get(bay, {}).get("Product Name", ""),
                    "health": slot.health,
                }.items()
                if value != ""
            }
            for bay, slot in slots.items()
        }
        links = (
            FoundLink(port=bay, peer=slot.serial, how="slot")
            for bay, slot in slots.items()
            if slot.present and slot.serial
        )
        return Facts(values=values, links=tuple(sorted(links)))


FACTS = {"name": "Enclosure Name", "model": "Enclosure Type", "serial": "Serial Number"}
"""Facts, and the lines of ``show enclosure info`` that they are."""


def _told(session: CliReader, command: str) -> str:
    try:
        return session.run(command)
    except Rejected:
        return ""
