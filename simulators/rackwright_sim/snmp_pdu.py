"""PDUs in software: a device that any `Unit` describes, and its SNMP agent.

The objects of each unit are written from its vendor's MIB, in `apc_rpdu` and `snmp_pdu_units`.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path as FilePath
from typing import Generic, NamedTuple, Self, TypeVar

from rackwright_sim.faults import Faults
from rackwright_sim.loop import on_thread
from rackwright_sim.snmp_agent import Counters, SnmpAgent
from rackwright_sim.snmp_objects import Oid, Path, Scalar, SetError, Ticks
from rackwright_sim.snmp_pdu_unit import Outlet, PduOptions, Phase, Power, Unit, Verb

SYSTEM: Path = (1, 3, 6, 1, 2, 1, 1)


class _Event(NamedTuple):
    due: float
    state: Power
    verb: Verb
    delayed: bool
    """By a delayed command, which can be cancelled; an immediate one is only slow."""


class PduDevice:
    """The unit without its network. With ``state`` (a JSON file) it remembers its outlets across
    restarts, as the unit does across power cuts, and counts its starts.

    Outlets are found by their number alone in the first bank, by ``bank * 1000 + number`` in others
    (the second bank is 1).
    """

    def __init__(
        self,
        unit: Unit,
        options: PduOptions | None = None,
        *,
        state: FilePath | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unit, self.options = unit, options or PduOptions()
        self.history: list[tuple[int, str]] = []
        """Every change of an outlet's state, in order: (outlet, ``on`` or ``off``)."""
        self.engine_id = (0x8000_0000 | unit.engine).to_bytes(4) + b"\x05" + random.randbytes(8)
        self.boots = 1
        self._rows: dict[Path, int] = {}
        for bank, index in enumerate(unit.banks[: self.options.banks]):
            for number in range(1, self.options.outlets + 1):
                self._rows[(*index, number)] = bank * 1000 + number
        self._outlets = {key: Outlet(f"Outlet {row[-1]}") for row, key in self._rows.items()}
        self._events: dict[int, list[_Event]] = {key: [] for key in self._outlets}
        self._clock = clock
        self._lock = threading.RLock()  # a test looks in from another thread than the agent's
        self._started = clock()
        self._state = state
        if state is not None and state.exists():
            kept = json.loads(state.read_text())
            self.engine_id, self.boots = bytes.fromhex(kept["engine_id"]), kept["boots"] + 1
            for key, outlet in kept["outlets"].items():
                if int(key) in self._outlets:
                    self._outlets[int(key)] = Outlet(**outlet)
        self._keep()

    @property
    def outlets(self) -> dict[int, Outlet]:
        """The outlets as they are now. Change them to play a person at the unit."""
        with self._lock:
            self._settle()
            return self._outlets

    def pending(self, key: int) -> bool:
        """Whether the outlet has a command that is not carried out yet."""
        with self._lock:
            self._settle()
            return bool(self._events[key])

    def do(self, key: int, verb: Verb, wait: float = 0) -> None:
        """What a command means. A delayed command that nobody cancels is still carried out after a
        later immediate one."""
        with self._lock:
            self._settle()
            self._schedule(key, verb, wait)
            self._settle()

    def _schedule(self, key: int, verb: Verb, wait: float) -> None:
        outlet, events = self._outlets[key], self._events[key]
        begin, delayed = self._clock() + self.options.lag + wait, wait > 0
        on, off = max(outlet.on_delay, 0), max(outlet.off_delay, 0)
        if verb == "on" or verb == "off":
            events.append(_Event(begin, verb, verb, delayed))
        elif verb == "reboot":
            events.append(_Event(begin, "off", verb, delayed))
            events.append(_Event(begin + self._without_power(outlet), "on", verb, delayed))
        elif verb == "delayed_on" and outlet.on_delay >= 0:
            events.append(_Event(begin + on, "on", verb, True))
        elif verb == "delayed_off" and outlet.off_delay >= 0:
            events.append(_Event(begin + off, "off", verb, True))
        elif verb == "delayed_reboot":
            events.append(_Event(begin + off, "off", verb, True))
            back = begin + off + self._without_power(outlet) + on
            events.append(_Event(back, "on", verb, True))
        elif verb == "cancel":
            events[:] = [event for event in events if not event.delayed]
        events.sort(key=lambda event: event.due)

    def _without_power(self, outlet: Outlet) -> int:
        shared = self.unit.shared_reboot and outlet.shared == 1
        return self.options.shared_reboot if shared else outlet.reboot

    def _phase(self, key: int) -> Phase:
        state, events = self._outlets[key].state, self._events[key]
        if not events:
            return state
        rebooting = "reboot" in events[0].verb
        if events[0].state == "on":
            return "rebooting_on" if rebooting else "going_on"
        return "rebooting_off" if rebooting else "going_off"

    def values(self) -> dict[Path, Scalar]:
        """All objects of the MIB that the unit serves."""
        with self._lock:
            self._settle()
            return self._objects()

    def _objects(self) -> dict[Path, Scalar]:
        unit, options = self.unit, self.options
        found: dict[Path, Scalar] = {
            (*SYSTEM, 1, 0): self._said(unit.description),
            (*SYSTEM, 2, 0): Oid(unit.object_id),
            (*SYSTEM, 3, 0): Ticks((self._clock() - self._started) * 100),
            (*SYSTEM, 5, 0): options.name,
        }
        for path, value in unit.fixed.items():
            plain = type(value) is str  # an Oid is one too
            found[path] = self._said(str(value)) if plain else value
        found |= dict.fromkeys(unit.counts, len(self._outlets))
        for path, (kind, tenth) in unit.loads.items():
            found[path] = kind(options.load * tenth)
        if unit.shared_reboot:
            path, kind = unit.shared_reboot
            found[path] = kind(options.shared_reboot)
        for row, key in self._rows.items():
            found |= {(*column, *row): value for column, value in self._columns(key).items()}
        return found

    def _said(self, text: str) -> str:
        options = self.options
        return text.format(
            name=options.name,
            model=options.model or self.unit.model,
            serial=options.serial,
            firmware=options.firmware,
        )

    def _columns(self, key: int) -> dict[Path, Scalar]:
        unit, outlet, phase = self.unit, self._outlets[key], self._phase(key)
        found: dict[Path, Scalar] = dict.fromkeys(unit.counted, key % 1000)
        found |= dict.fromkeys(unit.labels, outlet.label)
        for column, shown in unit.shows.items():
            found[column] = shown.get(phase, shown[outlet.state])
        for column, number in unit.numbers.items():
            value = getattr(outlet, number.field)
            found[column] = number.kind(value)
        now = self._clock()
        for column, verb in unit.timers.items():
            due = [
                event.due
                for event in self._events[key]
                if event.verb == verb and (verb != "reboot" or event.state == "off")
            ]
            found[column] = max(0, int(due[0] - now)) if due else -1
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
        unit, depth = self.unit, len(self.unit.banks[0]) + 1
        column, key = path[:-depth], self._rows.get(path[-depth:])
        if key is None:
            raise SetError("noCreation", position)
        outlet = self._outlets[key]
        if column in unit.labels:
            if not isinstance(value, bytes):
                raise SetError("wrongType", position)
            if len(value) not in unit.labels[column]:
                raise SetError("wrongLength", position)
            if not value.isascii():
                raise SetError("wrongValue", position)
            return lambda: setattr(outlet, "label", value.decode("ascii"))
        if column in unit.numbers:
            name, allowed, kind = unit.numbers[column]
            checked = self._checked(value, allowed, position, kind)
            return lambda: setattr(outlet, name, checked)
        if column in unit.timers:
            verb = unit.timers[column]
            seconds = self._checked(value, range(-1, 100_000), position)
            return lambda: self._time(key, verb, seconds)
        if column in unit.verbs:
            known = unit.verbs[column]
            command = known[self._checked(value, known, position)]
            return lambda: self.do(key, command)
        raise SetError("notWritable", position)

    @staticmethod
    def _checked(
        value: Scalar,
        allowed: range | Mapping[int, Verb],
        position: int,
        kind: type[int] = int,
    ) -> int:
        if type(value) is not kind:
            raise SetError("wrongType", position)
        if value not in allowed:
            raise SetError("wrongValue", position)
        return int(value)

    def _time(self, key: int, verb: Verb, seconds: int) -> None:
        if seconds < 0:
            events = self._events[key]
            events[:] = [event for event in events if event.verb != verb or not event.delayed]
        else:
            self.do(key, verb, seconds)

    def _settle(self) -> None:
        """Carry out what is due."""
        now, changed = self._clock(), False
        for key, events in self._events.items():
            while events and events[0].due <= now:
                state = events.pop(0).state
                if self._outlets[key].state != state:
                    self._outlets[key].state = state
                    self.history.append((key, state))
                    changed = True
        if changed:
            self._keep()

    def _keep(self) -> None:
        if self._state is None:
            return
        kept = {
            "engine_id": self.engine_id.hex(),
            "boots": self.boots,
            "outlets": {str(key): asdict(outlet) for key, outlet in self._outlets.items()},
        }
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(kept, indent=1))
        draft.replace(self._state)


D_co = TypeVar("D_co", bound=PduDevice, covariant=True)


class SnmpPdu(Generic[D_co]):
    """A unit on the network: ``async with`` on the caller's loop, ``with`` on a thread of its own.

    ``device`` is the unit itself; ``counters`` and ``faults`` (which may be replaced while it runs)
    are its agent's.
    """

    def __init__(
        self,
        device: D_co,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
    ) -> None:
        self.device = device
        self.agent = SnmpAgent(
            device,
            access=device.options.access,
            host=host,
            port=port,
            latency=device.options.latency,
            faults=faults,
            engine_id=device.engine_id,
            boots=device.boots,
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
