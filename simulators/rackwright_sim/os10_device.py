"""An OS10-like switch."""

from __future__ import annotations

import copy
from pathlib import Path

from rackwright_sim import modal_accounts
from rackwright_sim.faults import Faults
from rackwright_sim.modal_device import ModalDevice, ModalOptions
from rackwright_sim.os10_config import Config, Port, User


class Os10Device(ModalDevice):
    """One switch."""

    def __init__(
        self, options: ModalOptions, state: Path | None = None, faults: Faults | None = None
    ) -> None:
        super().__init__(options, state, faults)
        self.running = self._boot()

    def admits(self, username: str, password: str) -> bool:
        user = self.running.users.get(username)
        return user is not None and modal_accounts.fits(user.secret, password)

    def scratch(self) -> Config:
        """A copy that a lying device changes instead of its configuration."""
        return copy.deepcopy(self.running)

    def save(self) -> None:
        """Running to startup."""
        self.keep_startup(self.running.text())

    def _boot(self) -> Config:
        from rackwright_sim.os10_session import load  # it needs this module

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
