"""One session on an EOS-like switch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from rackwright_sim.eos_config import Config
from rackwright_sim.eos_switch import EosSwitch
from rackwright_sim.ios_filter import apply_filter
from rackwright_sim.ios_reply import CliError
from rackwright_sim.modal_device import ModalDevice
from rackwright_sim.modal_session import ModalSession

SHOWN_NAME = 6
"""Characters of a configuration session's name that the prompt shows."""


class Shown(str):
    """An answer with the data that ``| json`` shows of it."""

    data: Any = None

    @classmethod
    def of(cls, text: str, data: Any) -> Shown:
        """Text and data of one answer."""
        made = cls(text)
        made.data = data
        return made


class EosSession(ModalSession):
    """A line. In configuration mode `name` says of which configuration session."""

    INVALID = "% Invalid input\n"
    INCOMPLETE = "% Incomplete command\n"
    AMBIGUOUS = "% Ambiguous command\n"
    KINDS: ClassVar[Mapping[str, str]] = {
        "show": "show",
        "configure": "config",
        "write": "save",
        "copy": "save",
    }

    device: EosSwitch

    def __init__(self, device: EosSwitch, origin: str = "console", username: str = "") -> None:
        super().__init__(device, origin, username)
        self.privileged = False
        self.name = ""
        self.interface = ""
        self.vlans: frozenset[int] = frozenset()
        self.loading: Config | None = None
        """At boot: what is configured instead of a session."""

    @property
    def config(self) -> Config:
        if self.loading is not None:
            return self.loading
        if self.mode != "exec" and self.name in self.device.pending:
            return self.device.pending[self.name]
        return self.device.running

    @property
    def prompt(self) -> str:
        name = self.device.running.hostname
        if self.mode == "exec":
            return f"{name}{'#' if self.privileged else '>'}"
        mode = f"config-s-{self.name[:SHOWN_NAME]}"
        if self.mode == "vlan":
            mode += f"-vlan-{min(self.vlans)}"
        elif self.mode == "if":
            kind = self.interface.rstrip("0123456789/")
            mode += f"-if-{kind[:2]}{self.interface[len(kind) :]}"
        return f"{name}({mode})#"

    def pipe(self, filter_: str, answer: Any) -> str | None:
        if filter_ == "json":
            if not isinstance(answer, Shown):
                return json.dumps({"errors": ["This is an unconverted command"]}) + "\n"
            return json.dumps(answer.data, indent=4) + "\n"
        return apply_filter(filter_, str(answer or ""))


def make(device: ModalDevice, origin: str, username: str) -> EosSession:
    """A session of an EOS-like switch."""
    assert isinstance(device, EosSwitch)  # noqa: S101  its servers are made for it
    return EosSession(device, origin, username)


def load(device: EosSwitch, blank: Config, text: str) -> Config:
    """``blank`` with the configuration of ``text`` taken in, as at boot."""
    session = EosSession(device)
    session.mode, session.loading = "config", blank
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("!") or line == "end":
            continue
        try:
            session.take(line)
        except CliError:
            continue
    return blank
