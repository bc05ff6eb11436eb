"""An EOS-like switch with its command line, which also reads its startup configuration."""

from __future__ import annotations

from collections.abc import Mapping

from rackwright_sim import modal_accounts
from rackwright_sim.eos_commands import GRAMMARS
from rackwright_sim.eos_config import Config, Port, User
from rackwright_sim.eos_session import load
from rackwright_sim.eos_switch import EosSwitch
from rackwright_sim.ios_grammar import Grammar


class EosDevice(EosSwitch):
    """One switch."""

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        return GRAMMARS

    def boot(self) -> Config:
        options = self.options
        blank = Config(options.hostname, {name: Port() for name in options.ports})
        for name, port in blank.ports.items():
            port.switched = not name.startswith("Management")
        if self.startup:
            return load(self, blank, self.startup)
        secret = modal_accounts.first(options.username, options.password)
        blank.users[options.username] = User(15, "network-admin", secret)
        blank.more = ["transceiver qsfp default-mode 4x10G", "spanning-tree mode mstp"]
        return blank
