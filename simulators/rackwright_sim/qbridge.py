"""A switch that is managed by the standards, over SNMP: Q-BRIDGE-MIB (RFC 4363), BRIDGE-MIB, IF-MIB,
LLDP-MIB and ENTITY-MIB, with the habits that real agents were seen to have (`QBridgeOptions`).
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path as FilePath
from typing import Any, Literal, Self

from rackwright_sim import qbridge_mib as mib
from rackwright_sim.faults import Faults
from rackwright_sim.loop import on_thread
from rackwright_sim.qbridge_mib import Neighbour, Port, Vlan
from rackwright_sim.snmp_agent import Counters, SnmpAgent
from rackwright_sim.snmp_objects import Access, Gauge, Path, Scalar, SetError, Ticks

CREATE_AND_GO, CREATE_AND_WAIT, DESTROY = 4, 5, 6  # RowStatus, RFC 2579
NAME, ALIAS = 32, 64
"""Octets of dot1qVlanStaticName and ifAlias."""


@dataclass(frozen=True, slots=True)
class QBridgeOptions:
    """What the switch is, and how its agent behaves."""

    name: str = "switch"
    ports: int = 24
    names: tuple[str, ...] = ()
    """ifName of each port; ``ge-0/0/N`` from 1 on if there are fewer."""
    serial: str = "QB000001"
    offset: int = 0
    """dot1dBasePort is the port's number and this; ifIndex is the number and 1000."""
    lists: Literal["full", "trimmed", "pairs", "numbers"] = "full"
    """PortLists as octets for every port, without their trailing zeros, as pairs of 16-bit numbers (an
    ICX 6430), as decimal numbers (Junos)."""
    max_set: int = 0
    """Bindings in one SET beyond which it is tooBig; 0: no limit."""
    untagged_within_egress: bool = True
    """Refuses a port untagged in a VLAN that it is not in, and lets it out of none that it is untagged
    in."""
    pvid_holds_vlan: bool = True
    """Refuses to destroy a VLAN into which a port's untagged frames go."""
    one_untagged: bool = False
    """A port is untagged in one VLAN alone: its new PVID's, which it leaves the old one for."""
    latency: float = 0.0
    """Before each answer, in seconds."""
    neighbours: tuple[Neighbour, ...] = ()
    access: Access = field(default_factory=Access)


class QBridgeDevice:
    """The switch without its network. With ``state`` (a JSON file) it remembers all across restarts."""

    def __init__(
        self, options: QBridgeOptions | None = None, *, state: FilePath | None = None
    ) -> None:
        self.options = options or QBridgeOptions()
        usual = [f"ge-0/0/{number}" for number in range(1, self.options.ports + 1)]
        names = [*self.options.names, *usual[len(self.options.names) :]]
        self.hostname = self.options.name
        self.ports = {
            number + self.options.offset: Port(name, 1000 + number)
            for number, name in enumerate(names, start=1)
        }
        """By dot1dBasePort."""
        self.vlans = {1: Vlan("default", set(self.ports), set(self.ports))}
        self.before_set: Callable[[], None] = lambda: None
        """Called when a SET has come in, before it is carried out: to play somebody else who writes."""
        self.engine_id = bytes([0x80, 0, 0, 0, 5]) + random.randbytes(8)
        self.boots = 1
        self._lock = threading.RLock()  # a test looks in from another thread than the agent's
        self._started = time.monotonic()
        self._state = state
        self._columns: dict[Path, dict[Path, Scalar]] = {}
        """Of the VLANs, as they are served: 4,094 of them are not made anew at every request."""
        self._shown: dict[int, Vlan] = {}
        self._values: dict[Path, Scalar] = {}
        if state is not None and state.exists():
            self._load(json.loads(state.read_text()))
        self.touch()

    def touch(self) -> None:
        """Say that something was changed, by a person at the switch (VLANs by new `Vlan` objects)."""
        with self._lock:
            self._values = {}
            if self._state is None:
                return
            draft = self._state.with_name(f"{self._state.name}.new")
            draft.write_text(json.dumps(self._kept()))
            draft.replace(self._state)

    def _kept(self) -> dict[str, Any]:
        return {
            "engine_id": self.engine_id.hex(),
            "boots": self.boots,
            "hostname": self.hostname,
            "ports": {str(number): asdict(port) for number, port in self.ports.items()},
            "vlans": {
                str(number): [vlan.title, sorted(vlan.egress), sorted(vlan.untagged)]
                for number, vlan in self.vlans.items()
            },
        }

    def _load(self, kept: dict[str, Any]) -> None:
        self.engine_id, self.boots = bytes.fromhex(kept["engine_id"]), kept["boots"] + 1
        self.hostname = kept["hostname"]
        for number, port in kept["ports"].items():
            if int(number) in self.ports:
                self.ports[int(number)] = Port(**port)
        self.vlans = {
            int(number): Vlan(title, set(egress), set(untagged))
            for number, (title, egress, untagged) in kept["vlans"].items()
        }

    def values(self) -> dict[Path, Scalar]:
        """All objects."""
        with self._lock:
            if not self._values:
                self._refresh()
                self._values = mib.objects(
                    self.hostname,
                    self.options.serial,
                    self.ports,
                    len(self.vlans),
                    self.options.neighbours,
                )
                for column in self._columns.values():
                    self._values |= column
            self._values[mib.UP_TIME] = Ticks((time.monotonic() - self._started) * 100)
            return self._values

    def _refresh(self) -> None:
        """Bring the columns up to date with `vlans`, whose rows are replaced, not changed."""
        for number in self._shown.keys() - self.vlans.keys():
            for base, column in self._columns.items():
                del column[(*base, number)]
        highest, form = max(self.ports), self.options.lists
        for number, vlan in self.vlans.items():
            if self._shown.get(number) is not vlan:
                for base, value in mib.row(vlan, highest, form).items():
                    self._columns.setdefault(base, {})[(*base, number)] = value
        self._shown = dict(self.vlans)

    def set(self, bindings: Sequence[tuple[Path, Scalar]], *, apply: bool) -> None:
        """Take a SET whole or raise SetError. The bindings count one after the other."""
        self.before_set()
        limit = self.options.max_set
        if limit and len(bindings) > limit:
            raise SetError("tooBig")
        with self._lock:
            draft = _Draft(self)
            for position, (path, value) in enumerate(bindings):
                try:
                    draft.take(path, value)
                except SetError as refusal:
                    raise SetError(refusal.error, position) from None
            if apply:
                self.hostname = draft.hostname
                self.ports, self.vlans = draft.ports, draft.vlans
                self.touch()


class _Draft:
    """The switch as it would be."""

    def __init__(self, device: QBridgeDevice) -> None:
        self.options = device.options
        self.device = device
        self.hostname = device.hostname
        self.ports = {number: Port(**asdict(port)) for number, port in device.ports.items()}
        self.vlans = dict(device.vlans)
        """A row is replaced, never changed: the switch's own are these too."""

    def take(self, path: Path, value: Scalar) -> None:
        column, index = path[:-1], path[-1]
        if path == mib.SYS_NAME:
            self.hostname = _text(value, 255)
        elif column == mib.PVID:
            self._pvid(index, value)
        elif column in (mib.IF_ADMIN, mib.IF_ALIAS):
            self._interface(column, index, value)
        elif column == mib.VLAN_STATUS:
            self._status(index, value)
        elif column in (mib.VLAN_NAME, mib.VLAN_EGRESS, mib.VLAN_UNTAGGED):
            if index not in self.vlans:
                raise SetError("inconsistentName")
            self._row(column, index, value)
        else:
            raise SetError("notWritable")

    def _interface(self, column: Path, index: int, value: Scalar) -> None:
        port = next((port for port in self.ports.values() if port.index == index), None)
        if port is None:
            raise SetError("noCreation")
        if column == mib.IF_ALIAS:
            port.alias = _text(value, ALIAS)
        elif value in (1, 2):
            port.admin = "up" if value == 1 else "down"
        else:
            raise SetError("wrongValue")

    def _pvid(self, index: int, value: Scalar) -> None:
        if index not in self.ports:
            raise SetError("noCreation")
        if not isinstance(value, Gauge):
            raise SetError("wrongType")
        if value not in self.vlans:
            raise SetError("inconsistentValue")
        self.ports[index].pvid = int(value)
        if self.options.one_untagged:
            for number, vlan in self.vlans.items():
                if index in vlan.untagged and number != value:
                    self._put(number, vlan.egress - {index}, vlan.untagged - {index})
            vlan = self.vlans[int(value)]
            self._put(int(value), vlan.egress | {index}, vlan.untagged | {index})

    def _put(self, number: int, egress: set[int], untagged: set[int]) -> None:
        self.vlans[number] = Vlan(self.vlans[number].title, egress, untagged)

    def _status(self, index: int, value: Scalar) -> None:
        if value == CREATE_AND_GO:
            if index in self.vlans:
                raise SetError("inconsistentValue")
            if not 1 <= index <= 4094:
                raise SetError("noCreation")
            self.vlans[index] = Vlan("", set(), set())
        elif value == DESTROY:
            held = any(port.pvid == index for port in self.ports.values())
            if index == 1 or (held and self.options.pvid_holds_vlan):
                raise SetError("inconsistentValue")
            self.vlans.pop(index, None)
        elif value != 1 or index not in self.vlans:
            raise SetError("inconsistentValue" if value != CREATE_AND_WAIT else "wrongValue")

    def _row(self, column: Path, index: int, value: Scalar) -> None:
        vlan = self.vlans[index]
        if column == mib.VLAN_NAME:
            self.vlans[index] = Vlan(_text(value, NAME), vlan.egress, vlan.untagged)
            return
        if not isinstance(value, bytes):
            raise SetError("wrongType")
        ports = mib.decoded(value)
        if ports - self.ports.keys():
            raise SetError("wrongValue")
        egress, untagged = vlan.egress, vlan.untagged
        if column == mib.VLAN_EGRESS:
            egress = ports
        else:
            untagged = ports
        if self.options.untagged_within_egress and untagged - egress:
            raise SetError("inconsistentValue")
        if self.options.one_untagged and column == mib.VLAN_UNTAGGED:
            untagged = {port for port in untagged if self.ports[port].pvid == index}
        self._put(index, egress, untagged)


def _text(value: Scalar, most: int) -> str:
    if not isinstance(value, bytes):
        raise SetError("wrongType")
    if len(value) > most:
        raise SetError("wrongLength")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise SetError("wrongValue") from None


class QBridge:
    """The switch on the network: ``async with`` on the caller's loop, ``with`` on a thread of its own.

    ``device`` is the switch itself; ``counters`` and ``faults`` (which may be replaced while it runs)
    are its agent's.
    """

    def __init__(
        self,
        options: QBridgeOptions | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Faults | None = None,
        state: FilePath | None = None,
    ) -> None:
        self.device = QBridgeDevice(options, state=state)
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
