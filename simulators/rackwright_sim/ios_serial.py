"""An IOS-like switch's serial console."""

from __future__ import annotations

from pathlib import Path

from rackwright_sim.cli_line import PtyLine
from rackwright_sim.ios_device import IosDevice
from rackwright_sim.ios_terminal import Terminal


class IosSerial(PtyLine):
    """The console of one device. `start` and `stop` it on a loop, or use ``with``."""

    def __init__(self, device: IosDevice, link: Path) -> None:
        """``link``: where the symbolic link to the pty is made."""
        super().__init__(link, lambda write, later: Terminal(device, write, later, _stay))
        self.device = device


def _stay(cut: bool) -> None:
    """A console is not closed by the device: it greets anew."""
