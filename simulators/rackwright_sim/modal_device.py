"""A simulated device whose command line has modes (not as `cli_box`): what all such devices are."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rackwright_sim.faults import Faults
from rackwright_sim.ios_counters import Counters
from rackwright_sim.ios_grammar import Grammar
from rackwright_sim.ios_options import ArpEntry, LldpNeighbour, MacEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalOptions:
    """What the device is. Times in seconds."""

    hostname: str
    username: str = "rack"
    password: str = "rack"
    enable: str = ""
    """The enable secret; empty: none is asked for."""
    ports: tuple[str, ...]
    """Names in full."""
    latency: float = 0.0
    sessions: int = 5
    """SSH sessions at once; a further one is turned away."""
    lldp: tuple[LldpNeighbour, ...] = ()
    macs: tuple[MacEntry, ...] = ()
    arp: tuple[ArpEntry, ...] = ()


class ModalDevice:
    """Its sessions, counters and faults, and what it keeps over a restart."""

    def __init__(
        self, options: ModalOptions, state: Path | None = None, faults: Faults | None = None
    ) -> None:
        """``state``: a JSON file that keeps the startup configuration and the host key."""
        self.options = options
        self.faults = faults or Faults()
        """May be replaced while it runs."""
        self.counters = Counters()
        self.log: deque[tuple[str, str]] = deque(maxlen=20_000)
        """Kind and text of each command line."""
        self.started = time.monotonic()
        self.sessions: list[Any] = []
        self.listeners: set[Callable[[str], None]] = set()
        self.hangups: set[Callable[[], None]] = set()
        """How to end each open session."""
        self._state = state
        self._kept: dict[str, str] = {}
        if state and state.exists():
            self._kept = json.loads(state.read_text())

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        """What the command line knows, by mode; ``user`` and ``exec`` are outside of configuration."""
        raise NotImplementedError

    @property
    def startup(self) -> str | None:
        """The startup configuration; None when nothing was ever saved."""
        return self._kept.get("startup")

    @property
    def host_key(self) -> str | None:
        """The private host key, PEM."""
        return self._kept.get("host_key")

    def keep_host_key(self, pem: str) -> None:
        """Make ``pem`` the host key, now and after a restart."""
        self._keep("host_key", pem)

    def admits(self, username: str, password: str) -> bool:
        """Whether this is a local account, and its password."""
        raise NotImplementedError

    def drops_now(self) -> bool:
        """A configuring command has arrived: whether the session is cut instead of carrying it out
        (`Faults.drop_before`), which happens once."""
        left = self.faults.drop_before
        if left is None:
            return False
        self.faults = replace(self.faults, drop_before=left - 1 if left else None)
        return left == 0

    def drops_after(self, done: int) -> bool:
        """Whether a session is cut after its ``done``-th configuring command."""
        after = self.faults.drop_after
        if after is None or done < after:
            return False
        if not self.faults.drop_always:
            self.faults = replace(self.faults, drop_after=None)
        return True

    def keep_startup(self, text: str) -> None:
        """Make ``text`` the startup configuration."""
        self._keep("startup", text)

    def _keep(self, key: str, value: str) -> None:
        self._kept[key] = value
        if not self._state:
            return
        new = self._state.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._kept, file)
        new.replace(self._state)
