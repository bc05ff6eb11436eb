"""powerman: whatever powermand drives, through its client on the host where it runs, over SSH.

An outlet is a node of powerman.conf: ``outlet/web1``. Aliases are no outlets: they may stand for
several.
"""

from __future__ import annotations

import msgspec

from rackwright.model import typed
from rackwright.model.errors import Permanent
from rackwright.model.site import Ssh, Way
from rackwright.provider import Surroundings
from rackwright_providers.pdu.plain_pdu import PlainPdu, PlainReader, Power
from rackwright_providers.pdu.powerman_parse import switch_argv


class Powerman(PlainPdu):
    """Provider of platform ``powerman``."""

    platform = "powerman"
    transports = frozenset({"ssh"})
    probe = ("powerman", "--list")

    def open(self, way: Way, around: Surroundings) -> PlainReader:
        """I/O: see `ssh.open_ssh`."""
        from rackwright_providers.pdu.powerman_session import PowermanReader, PowermanWriter
        from rackwright_providers.transport.ssh import open_ssh

        try:
            options = typed.convert(way.options, Ssh)
        except msgspec.ValidationError as error:
            raise Permanent(f"ssh: {error}") from None
        kind = PowermanWriter if around.writable else PowermanReader
        return kind(open_ssh(options, around), around.stop)

    def spell(self, name: str) -> str:
        """As it is: names of nodes are case-sensitive."""
        return name

    def command(self, name: str, power: Power) -> str:
        """``powerman --off web1``."""
        return " ".join(switch_argv(name, power))
