"""An OS10-like switch with its command line, which also reads its startup configuration."""

from __future__ import annotations

from collections.abc import Mapping

from rackwright_sim import modal_accounts
from rackwright_sim.ios_grammar import Grammar
from rackwright_sim.os10_commands import GRAMMARS
from rackwright_sim.os10_config import Config, Port, User
from rackwright_sim.os10_session import load
from rackwright_sim.os10_switch import Os10Switch


class Os10Device(Os10Switch):
    """One switch."""

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        return GRAMMARS

    def boot(self) -> Config:
        options = self.options
        blank = Config(options.hostname, {name: Port() for name in options.ports})
        for name, port in blank.ports.items():
            if name.startswith("mgmt"):
                port.untagged = None
        if self.startup:
            return load(self, blank, self.startup)
        secret = modal_accounts.first(options.username, options.password)
        blank.users[options.username] = User(secret, "sysadmin", 15)
        blank.more = ["iscsi target port 860", "spanning-tree mode rstp"]
        return blank
