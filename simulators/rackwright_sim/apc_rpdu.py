"""An APC Switched Rack PDU (rPDU): what it is, what it holds, and its SNMP agent.

Objects and their values are PowerNet-MIB's rPDU groups (1.3.6.1.4.1.318.1.1.12), as recorded AP7902B,
AP8641 and AP8932 serve them.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Literal, Self

from rackwright_sim.faults import Faults
from rackwright_sim.loop import on_thread
from rackwright_sim.snmp_agent import (
    Access,
    Counters,
    Gauge,
    Oid,
    Path,
    Scalar,
    SetError,
    SnmpAgent,
    Ticks,
)

ON, OFF, REBOOT, DELAYED_ON, DELAYED_OFF, DELAYED_REBOOT, CANCEL = range(1, 8)
"""rPDUOutletControlOutletCommand; of them rPDUOutletStatusOutletState knows ON and OFF."""
PENDING, NOT_PENDING = 1, 2
"""rPDUOutletStatusCommandPending."""
DELAYS = range(-1, 7201)
REBOOTS = range(5, 61)
LABEL = 31
"""Characters of an outlet's name; the MIB leaves it to the device."""

SYSTEM: Path = (1, 3, 6, 1, 2, 1, 1)
RPDU: Path = (1, 3, 6, 1, 4, 1, 318, 1, 1, 12)
IDENT, LOAD = (*RPDU, 1), (*RPDU, 2, 3, 1, 1)
DEVICE, CONTROL = (*RPDU, 3, 1), (*RPDU, 3, 3, 1, 1)
CONFIG, STATUS = (*RPDU, 3, 4, 1, 1), (*RPDU, 3, 5, 1, 1)


@dataclass(frozen=True, slots=True)
class RpduOptions:
    """What the unit is. Times in seconds."""

    name: str = "RackPDU"
    outlets: int = 24
    model: str = "AP8641"
    serial: str = "5A1000E00001"
    firmware: str = "v6.7.2"
    lag: float = 0.0
    """From an outlet's command to its state; real units take 5 to 20."""
    latency: float = 0.0
    """Before each answer."""
    load: int = 12
    """Tenths of amperes."""
    access: Access = field(default_factory=Access)


@dataclass(slots=True)
class Outlet:
    """One outlet."""

    label: str
    state: Literal["on", "off"] = "on"
    on_delay: int = 0
    off_delay: int = 0
    reboot: int = 5


@dataclass(frozen=True, slots=True)
class _Event:
    due: float
    state: Literal["on", "off"]
    delayed: bool
    """By a delayed command, which can be cancelled; an immediate one is only slow."""


class RpduDevice:
    """The unit without its network. With ``state`` (a JSON file) it remembers its outlets across
    restarts, as the unit does across power cuts, and counts its starts."""

    def __init__(
        self,
        options: RpduOptions | None = None,
        *,
        state: FilePath | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or RpduOptions()
        self.history: list[tuple[int, str]] = []
        """Every change of an outlet's state, in order: (outlet, ``on`` or ``off``)."""
        self.engine_id = bytes([0x80, 0, 1, 0x3E, 5]) + random.randbytes(8)  # enterprise 318
        self.boots = 1
        self._outlets = {
            number: Outlet(f"Outlet {number}") for number in range(1, self.options.outlets + 1)
        }
        self._events: dict[int, list[_Event]] = {number: [] for number in self._outlets}
        self._clock = clock
        self._lock = threading.RLock()  # a test looks in from another thread than the agent's
        self._started = clock()
        self._state = state
        if state is not None and state.exists():
            kept = json.loads(state.read_text())
            self.engine_id, self.boots = bytes.fromhex(kept["engine_id"]), kept["boots"] + 1
            for number, outlet in kept["outlets"].items():
                if int(number) in self._outlets:
                    self._outlets[int(number)] = Outlet(**outlet)
        self._keep()

    @property
    def outlets(self) -> dict[int, Outlet]:
        """The outlets as they are now, by number. Change them to play a person at the unit."""
        with self._lock:
            self._settle()
            return self._outlets

    def pending(self, number: int) -> bool:
        """Whether the outlet has a command that is not carried out yet."""
        with self._lock:
            self._settle()
            return bool(self._events[number])

    def command(self, number: int, command: int) -> None:
        """rPDUOutletControlOutletCommand. A delayed command that nobody cancels is still carried out
        after a later immediate one."""
        with self._lock:
            self._settle()
            self._schedule(number, command)
            self._settle()

    def _schedule(self, number: int, command: int) -> None:
        now, lag = self._clock(), self.options.lag
        outlet, events = self._outlets[number], self._events[number]
        on, off = max(outlet.on_delay, 0), max(outlet.off_delay, 0)
        if command in (ON, OFF):
            events.append(_Event(now + lag, "on" if command == ON else "off", False))
        elif command == REBOOT:
            events.append(_Event(now + lag, "off", False))
            events.append(_Event(now + lag + outlet.reboot, "on", False))
        elif command == DELAYED_ON and outlet.on_delay >= 0:
            events.append(_Event(now + on + lag, "on", True))
        elif command == DELAYED_OFF and outlet.off_delay >= 0:
            events.append(_Event(now + off + lag, "off", True))
        elif command == DELAYED_REBOOT:
            events.append(_Event(now + off + lag, "off", True))
            events.append(_Event(now + off + lag + outlet.reboot + on, "on", True))
        elif command == CANCEL:
            events[:] = [event for event in events if not event.delayed]
        events.sort(key=lambda event: event.due)

    def values(self) -> dict[Path, Scalar]:
        """All objects of the MIB that the unit serves."""
        with self._lock:
            self._settle()
            return self._objects()

    def _objects(self) -> dict[Path, Scalar]:
        options, outlets = self.options, self._outlets
        found: dict[Path, Scalar] = {
            (*SYSTEM, 1, 0): f"APC Web/SNMP Management Card (MB:v4.1.0 PF:{options.firmware} "
            f"MN:{options.model} HR:02 SN:{options.serial})",
            (*SYSTEM, 2, 0): Oid("1.3.6.1.4.1.318.1.3.4.6"),
            (*SYSTEM, 3, 0): Ticks((self._clock() - self._started) * 100),
            (*SYSTEM, 5, 0): options.name,
            (*IDENT, 1, 0): options.name,
            (*IDENT, 2, 0): "02",
            (*IDENT, 3, 0): options.firmware,
            (*IDENT, 5, 0): options.model,
            (*IDENT, 6, 0): options.serial,
            (*IDENT, 7, 0): 24,
            (*IDENT, 8, 0): len(outlets),
            (*LOAD, 1, 1): 1,
            (*LOAD, 2, 1): Gauge(options.load),
            (*DEVICE, 3, 0): len(outlets),
            (*DEVICE, 4, 0): len(outlets),
        }
        for number, outlet in outlets.items():
            state = ON if outlet.state == "on" else OFF
            pending = PENDING if self._events[number] else NOT_PENDING
            delays = (outlet.on_delay, outlet.off_delay, outlet.reboot)
            tables: dict[Path, tuple[Scalar, ...]] = {
                CONTROL: (number, outlet.label, 1, state, 1),
                CONFIG: (number, outlet.label, 1, *delays, 1),
                STATUS: (number, outlet.label, 1, state, pending, 1, Gauge(0)),
            }
            for table, columns in tables.items():
                for column, value in enumerate(columns, 1):
                    found[(*table, column, number)] = value
        return found

    def set(self, bindings: Sequence[tuple[Path, Scalar]], *, apply: bool) -> None:
        """Take all of a SET or raise SetError."""
        doing = [
            self._doing(path, value, position) for position, (path, value) in enumerate(bindings)
        ]
        if apply:
            with self._lock:
                for do in doing:
                    do()
                self._keep()

    def _doing(self, path: Path, value: Scalar, position: int) -> Callable[[], None]:
        *table, column, number = path
        if number not in self._outlets:
            raise SetError("noCreation", position)
        outlet, where = self._outlets[number], (tuple(table), column)
        if where == (CONFIG, 2):
            if not isinstance(value, bytes):
                raise SetError("wrongType", position)
            if len(value) > LABEL:
                raise SetError("wrongLength", position)
            if not value.isascii():
                raise SetError("wrongValue", position)
            return lambda: setattr(outlet, "label", value.decode("ascii"))
        ranges = {
            (CONTROL, 4): ("command", range(ON, CANCEL + 1)),
            (CONFIG, 4): ("on_delay", DELAYS),
            (CONFIG, 5): ("off_delay", DELAYS),
            (CONFIG, 6): ("reboot", REBOOTS),
        }
        if where not in ranges:
            raise SetError("notWritable", position)
        name, allowed = ranges[where]
        if type(value) is not int:
            raise SetError("wrongType", position)
        if value not in allowed:
            raise SetError("wrongValue", position)
        if name == "command":
            return lambda: self.command(number, value)
        return lambda: setattr(outlet, name, value)

    def _settle(self) -> None:
        """Carry out what is due."""
        now, changed = self._clock(), False
        for number, events in self._events.items():
            while events and events[0].due <= now:
                state = events.pop(0).state
                if self._outlets[number].state != state:
                    self._outlets[number].state = state
                    self.history.append((number, state))
                    changed = True
        if changed:
            self._keep()

    def _keep(self) -> None:
        if self._state is None:
            return
        kept = {
            "engine_id": self.engine_id.hex(),
            "boots": self.boots,
            "outlets": {str(number): asdict(outlet) for number, outlet in self._outlets.items()},
        }
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(kept, indent=1))
        draft.replace(self._state)


class ApcRpdu:
    """The unit on the network: ``async with`` on the caller's loop, ``with`` on a thread of its own.

    ``device`` is the unit itself; ``counters`` and ``faults`` (which may be replaced while it runs)
    are its agent's.
    """

    def __init__(
        self,
        options: RpduOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        state: FilePath | None = None,
    ) -> None:
        self.device = RpduDevice(options, state=state)
        self.agent = SnmpAgent(
            self.device,
            access=self.device.options.access,
            host=host,
            port=port,
            latency=self.device.options.latency,
            faults=faults,
            engine_id=self.device.engine_id,
            boots=self.device.boots,
        )

    @property
    def port(self) -> int:
        """The UDP port, once started."""
        return self.agent.port

    @property
    def counters(self) -> Counters:
        """What was asked of it."""
        return self.agent.counters

    @property
    def outlets(self) -> dict[int, Outlet]:
        """The outlets as they are now."""
        return self.device.outlets

    @property
    def faults(self) -> Faults:
        """How it misbehaves."""
        return self.agent.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.agent.faults = faults

    async def start(self) -> None:
        """Listen on `port`."""
        await self.agent.start()

    async def stop(self) -> None:
        """Close the port."""
        await self.agent.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def __enter__(self) -> Self:
        on_thread(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        on_thread(self.stop())
