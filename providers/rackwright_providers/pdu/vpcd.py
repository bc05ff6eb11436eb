"""vpcd, powerman's virtual power controller, on a serial line: 16 plugs, 0 to 15, that are on or off.

It is what powerman's own tests switch, and it serves ours and anybody's who wants a serial PDU
without hardware. It forgets its plugs when it ends, and starts with all of them off.
"""

from __future__ import annotations

import msgspec

from rackwright.model import typed
from rackwright.model.errors import Permanent
from rackwright.model.site import Serial, Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.plain_pdu import PlainPdu, PlainReader, Power

PLUGS = 16
COMMANDS: dict[Power, str] = {"on": "on {}", "off": "off {}"}
"""vpcd(8); the answers are in ``vpcd_session``."""


class Vpcd(PlainPdu):
    """Provider of platform ``vpcd``."""

    platform = "vpcd"
    transports = frozenset({"serial"})
    signs = (r"\b\d+ vpc> ",)

    def open(self, way: Way, around: Surroundings) -> PlainReader:
        """I/O: takes the line for ourselves alone; see `serial.open_serial`."""
        from rackwright_providers.pdu.vpcd_session import VpcdReader, VpcdWriter
        from rackwright_providers.transport.serial import open_serial

        try:
            options = typed.convert(way.options, Serial)
        except msgspec.ValidationError as error:
            raise Permanent(f"serial: {error}") from None
        kind = VpcdWriter if around.writable else VpcdReader
        return kind(open_serial(options, around), around.stop)

    def spell(self, name: str) -> str:
        """Plain decimal, 0 to 15."""
        if not name.isdecimal() or not 0 <= int(name) < PLUGS:
            raise Permanent(f"outlet {name}: vpcd has plugs 0 to {PLUGS - 1}")
        return str(int(name))

    def command(self, name: str, power: Power) -> str:
        """``off 3``."""
        return COMMANDS[power].format(name)
