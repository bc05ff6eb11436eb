"""An IOS-like switch with its command line, which also reads its startup configuration."""

from __future__ import annotations

from collections.abc import Mapping

from rackwright_sim import ios_accounts
from rackwright_sim.ios_commands import GRAMMARS
from rackwright_sim.ios_config import Config, Port
from rackwright_sim.ios_grammar import Grammar
from rackwright_sim.ios_session import load
from rackwright_sim.ios_switch import IosSwitch


class IosDevice(IosSwitch):
    """One switch."""

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        return GRAMMARS

    def boot(self) -> Config:
        options = self.options
        blank = Config(options.hostname, {name: Port() for name in options.port_names})
        if options.username:
            first = ios_accounts.first(options.username, options.password)
            blank.accounts[options.username] = first
        return load(self, blank, self.startup) if self.startup else blank
