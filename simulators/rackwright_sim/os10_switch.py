"""What an OS10-like switch holds."""

from __future__ import annotations

import copy
from pathlib import Path

from rackwright_sim import modal_accounts
from rackwright_sim.faults import Faults
from rackwright_sim.modal_device import ModalDevice, ModalOptions
from rackwright_sim.os10_config import Config


class Os10Switch(ModalDevice):
    """One switch, but for its command line (`rackwright_sim.os10_device.Os10Device`)."""

    def __init__(
        self, options: ModalOptions, state: Path | None = None, faults: Faults | None = None
    ) -> None:
        super().__init__(options, state, faults)
        self.running = self.boot()

    def boot(self) -> Config:
        """The configuration that the switch comes up with."""
        raise NotImplementedError

    def admits(self, username: str, password: str) -> bool:
        user = self.running.users.get(username)
        return user is not None and modal_accounts.fits(user.secret, password)

    def scratch(self) -> Config:
        """A copy that a lying device changes instead of its configuration."""
        return copy.deepcopy(self.running)

    def save(self) -> None:
        """Running to startup."""
        self.keep_startup(self.running.text())
