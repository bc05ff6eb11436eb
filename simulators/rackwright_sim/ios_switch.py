"""What an IOS-like switch holds, and what was done to it. No I/O but its state file."""

from __future__ import annotations

import copy
import json
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from rackwright_sim import ios_accounts
from rackwright_sim.faults import Faults
from rackwright_sim.ios_config import Config
from rackwright_sim.ios_counters import Counters
from rackwright_sim.ios_grammar import Grammar
from rackwright_sim.ios_options import IosOptions


class Line(Protocol):
    """Who is logged in, as other sessions see it."""

    origin: str
    username: str


@dataclass(slots=True)
class Trial:
    """A change that is taken back unless it is confirmed: who began it, in how many minutes, and the
    configuration before it."""

    user: str
    minutes: int
    before: Config
    ends: float


class IosSwitch:
    """One switch. Sessions (`rackwright_sim.ios_session`) read and change it; what its command line knows,
    and with that how it boots, is `rackwright_sim.ios_device.IosDevice`'s."""

    def __init__(
        self,
        options: IosOptions,
        state: Path | None = None,
        faults: Faults | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``state``: a JSON file that keeps the startup configuration and the host key, so that a
        device whose process was killed comes up again as what it had saved. ``clock`` tells when a
        revert timer has run out."""
        self.options = options
        self.faults = faults or Faults()
        """May be replaced while it runs."""
        self.counters = Counters()
        self.log: deque[tuple[str, str]] = deque(maxlen=20_000)
        """Kind and text of each command line."""
        self.started = time.monotonic()
        self.changed = "never"
        self.sessions: list[Line] = []
        """Those that are open."""
        self.listeners: set[Callable[[str], None]] = set()
        """Lines that show log messages."""
        self.hangups: set[Callable[[], None]] = set()
        """How to end each open session."""
        self._state = state
        self._kept: dict[str, str] = {}
        if state and state.exists():
            self._kept = json.loads(state.read_text())
        self._clock = clock
        self.trial: Trial | None = None
        """What waits for ``configure confirm``. Has it had its time, see `running`."""
        self._running = self.boot()

    @property
    def grammars(self) -> Mapping[str, Grammar]:
        """What the command line knows, by mode; ``user`` and ``privileged`` are outside of configuration."""
        raise NotImplementedError

    def boot(self) -> Config:
        """The configuration that the switch comes up with."""
        raise NotImplementedError

    @property
    def running(self) -> Config:
        """The running configuration. A trial that has had its time is over."""
        if self.trial and self._clock() >= self.trial.ends:
            self.revert()
        return self._running

    def begin_trial(self, user: str, minutes: int) -> None:
        """Keep the running configuration, to go back to it after ``minutes``."""
        before = copy.deepcopy(self.running)
        self.trial = Trial(user, minutes, before, self._clock() + 60 * minutes)

    def revert(self) -> None:
        """Go back to the configuration before the trial."""
        if self.trial:
            self._running, self.trial = self.trial.before, None

    def reaches(self, address: str) -> bool:
        """Whether packets find their way to ``address``: through the VLAN and the port where `IosOptions`
        has seen it. What was never seen comes over a router, and gets through."""
        config = self.running
        for entry in self.options.arp:
            vlan = entry.interface.removeprefix("Vlan")
            if entry.address != address or not vlan.isdecimal():
                continue
            ports = [seen.port for seen in self.options.macs if seen.mac == entry.mac]
            number = int(vlan)
            if number not in config.vlans or not all(self._carries(name, number) for name in ports):
                return False
        return True

    def _carries(self, name: str, vlan: int) -> bool:
        port = self.running.ports[name]
        if port.channel:
            return self.linked(name) and self._carries(f"Port-channel{port.channel}", vlan)
        if port.shutdown or not self.cabled(name):
            return False
        return vlan in port.allowed if port.mode == "trunk" else vlan == port.access

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

    def save(self) -> None:
        """Running to startup."""
        self._keep("startup", self.running.text())

    def erase_startup(self) -> None:
        """Forget the startup configuration."""
        self._kept.pop("startup", None)
        self._write_state()

    def reload(self) -> None:
        """Come up again from the startup configuration; every session ends."""
        for hang_up in tuple(self.hangups):
            hang_up()
        self._running, self.trial = self.boot(), None
        self.started = time.monotonic()

    def unsaved(self) -> bool:
        """Whether running differs from startup."""
        return self.running.text() != self.startup

    def scratch(self) -> Config:
        """A copy that a lying device changes instead of its configuration."""
        return copy.deepcopy(self.running)

    def cabled(self, port: str) -> bool:
        """Whether something is at the other end of the port's cable; of a Port-channel: whether the
        link of any member is up."""
        if port.startswith("Port-channel"):
            return any(self.linked(member) for member in self.running.members(port))
        return self.options.cabled is None or port in self.options.cabled

    def linked(self, port: str) -> bool:
        """Whether the link is up: cabled and not shut down."""
        return self.cabled(port) and not self.running.ports[port].shutdown

    def operation(self, port: str) -> str:
        """The operational mode, as ``show interfaces switchport`` names it."""
        if not self.linked(port):
            return "down"
        return "trunk" if self.running.ports[port].mode == "trunk" else "static access"

    def admits(self, username: str, password: str) -> bool:
        """Whether this is a local account, and its password."""
        account = self.running.accounts.get(username)
        return account is not None and ios_accounts.fits(account.secret, password)

    def mac(self, port: str) -> str:
        """A made-up address of the port, always the same: ``5254.0011.2233``."""
        digest = zlib.crc32(f"{self.options.hostname} {port}".encode())
        return f"5254.{digest >> 16:04x}.{digest & 0xFFFF:04x}"

    @property
    def serial_number(self) -> str:
        """As given, or made up from the first name."""
        digest = zlib.crc32(self.options.hostname.encode())
        return self.options.serial_number or f"FOC{digest:08X}"

    def syslog(self, message: str) -> None:
        """Tell the console and whoever asked by ``terminal monitor``."""
        now = datetime.now(UTC)
        line = f"*{now:%b} {now.day:2d} {now:%H:%M:%S}.{now.microsecond // 1000:03d}: {message}"
        for listener in tuple(self.listeners):
            listener(line)

    def spend_drop(self) -> None:
        """A session was dropped: unless it is to happen always, it was the only time."""
        if not self.faults.drop_always:
            self.faults = replace(self.faults, drop_after=None)

    def drops_now(self) -> bool:
        """A configuring command has arrived: whether the session is cut instead of carrying it out
        (`Faults.drop_before`), which happens once."""
        left = self.faults.drop_before
        if left is None:
            return False
        self.faults = replace(self.faults, drop_before=left - 1 if left else None)
        return left == 0

    def _keep(self, key: str, value: str) -> None:
        self._kept[key] = value
        self._write_state()

    def _write_state(self) -> None:
        if not self._state:
            return
        new = self._state.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(self._kept, file)
        new.replace(self._state)
