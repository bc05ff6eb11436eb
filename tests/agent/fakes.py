"""A source of bundles and a registry in memory, around the device of tests/engine/memory.py."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Permanent, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.provider import Registry

from ..engine.memory import Device, Line, Memory


@dataclass
class FakeSource:
    what: Bundle
    gate: Gates = field(default_factory=Gates)
    away: bool = False
    facts: list[Facts] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    ledger: Ledger | None = None
    collects: bool = True
    epoch: int = 0
    forgotten: int = 0

    def forget(self) -> None:
        self.forgotten += 1

    def send_facts(self, facts: Facts) -> None:
        if self.away:
            raise Unreachable("the store is away")
        self.facts.append(facts)

    def bundle(self) -> Bundle:
        return self.what

    def gates(self) -> Gates:
        return self.gate

    def deliver(self, report: Report) -> None:
        if self.away:
            raise Unreachable("the store is away")
        self.reports.append(report)

    def mirror(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def mirrored(self) -> Ledger | None:
        return self.ledger


class Rig(Memory):
    """The memory provider with a way in, and what may be wrong with it."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.opened: list[tuple[str, bool]] = []
        self.dead: dict[str, Exception] = {}
        self.stale = False
        """The kept session has died and says that it is alive."""
        self.hang = threading.Event()
        self.hang.set()
        self.transports = frozenset({"local", "ssh", "serial"})

    def __call__(self) -> Rig:
        return self

    def open(self, way: Any, around: Any) -> Any:
        self.hang.wait(30)
        self.opened.append((way.transport, around.writable))
        if way.transport in self.dead:
            raise self.dead[way.transport]
        return Line(self.device, via=way.transport)

    def read(self, session: Line, wanted: Any) -> Any:
        if self.stale:
            self.stale = False
            raise Unreachable("the session is dead")
        return super().read(session, wanted)

    def discover(self, session: Line) -> Facts:
        return Facts(values={"model": "M1"})


class RigRegistry(Registry):
    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.rig = rig

    def provider(self, platform: str) -> Any:
        if platform != "memory":
            raise Permanent(f"no provider for platform {platform!r}")
        return self.rig
