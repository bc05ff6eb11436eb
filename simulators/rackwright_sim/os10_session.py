"""One session on an OS10-like switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rackwright_sim.ios_filter import apply_filter
from rackwright_sim.ios_reply import CliError
from rackwright_sim.modal_device import ModalDevice
from rackwright_sim.modal_session import ModalSession
from rackwright_sim.os10_config import Config
from rackwright_sim.os10_switch import Os10Switch

FILTERS = {"grep": "include", "except": "exclude", "find": "begin"}
SHORT = {"ethernet": "eth", "port-channel": "po-", "vlan": "vl-", "mgmt": "ma-", "loopback": "lo-"}


class Os10Session(ModalSession):
    """A line."""

    INVALID = "% Error: Unrecognized command.\n"
    INCOMPLETE = "% Error: Incomplete command.\n"
    AMBIGUOUS = "% Error: Ambiguous command.\n"
    KINDS: ClassVar[Mapping[str, str]] = {
        "show": "show",
        "configure": "config",
        "write": "save",
        "copy": "save",
    }

    device: Os10Switch

    def __init__(self, device: Os10Switch, origin: str = "console", username: str = "") -> None:
        super().__init__(device, origin, username)
        self.interface = ""
        """In an interface mode: the one that it configures."""
        self.range = ""
        """In the mode of a range of VLANs: as it was typed."""
        self.instead: Config | None = None
        """What is configured instead of the device: at boot, and when it lies."""

    @property
    def config(self) -> Config:
        return self.instead or self.device.running

    @property
    def prompt(self) -> str:
        name = self.device.running.hostname
        if self.mode == "exec":
            return f"{name}# "
        mode = "config"
        if self.mode == "range":
            mode = f"conf-range-vl-{self.range}"
        elif self.mode in ("if", "vlan"):
            kind = self.interface.rstrip("0123456789/:")
            mode = f"conf-if-{SHORT[kind]}{self.interface[len(kind) :]}"
        return f"{name}({mode})# "

    def leave(self) -> None:
        super().leave()
        self.instead = None

    def pipe(self, filter_: str, answer: Any) -> str | None:
        word, _, pattern = filter_.partition(" ")
        if word == "no-more":
            return str(answer)
        name = FILTERS.get(word)
        return apply_filter(f"{name} {pattern}", str(answer)) if name else None


def make(device: ModalDevice, origin: str, username: str) -> Os10Session:
    """A session of an OS10-like switch."""
    assert isinstance(device, Os10Switch)  # noqa: S101  its servers are made for it
    return Os10Session(device, origin, username)


def load(device: Os10Switch, blank: Config, text: str) -> Config:
    """``blank`` with the configuration of ``text`` taken in, as at boot."""
    session = Os10Session(device)
    session.mode, session.instead = "config", blank
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("!"):
            continue
        try:
            session.take(line)
        except CliError:
            continue
    return blank
