"""Devices of this world, and what converges them: agents and admin hosts as they are, each in threads."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from rackwright import hosted
from rackwright.client import StoreClient
from rackwright.hosting import Delegates, Hosting, _answer
from rackwright.keeper import Keeper
from rackwright.loop import Loop, Pace
from rackwright.model.address import Address
from rackwright.model.change import Step
from rackwright.model.errors import Unreachable
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.source import StoreSource, credential
from rackwright.waker import LEASED_POLL, Waker
from rackwright_providers.server.delegates import DelegateHandler
from rackwright_providers.server.resources import Delegate
from tests.engine import memory
from tests.engine.memory import Device, Line, Memory, Write

NEVER = Pace(interval=3600, splay=0)
"""Nobody runs but when woken, or to try again."""
TICK = 0.02


class Thing(memory.Thing, frozen=True, kw_only=True):
    """May hold a fact."""

    value: str | None = None


class Port(Resource, frozen=True, kw_only=True):
    """Is always there; to change it cuts what runs through it."""

    kind: ClassVar[str] = "port"
    fixture: ClassVar[bool] = True
    linked: ClassVar[bool] = True
    vlan: int | None = None

    def severs(self, before: Resource | None) -> bool:
        return before is None or self.vlan != getattr(before, "vlan", None)


PORT = Port(name="1", vlan=1)


class Node(Memory):
    """A node's device in memory. It may be away, or hang."""

    resources = frozenset({Thing, Port, Delegate})
    transports = frozenset({"local", "ssh"})

    def __init__(self) -> None:
        self.device = Device(state={PORT.address: PORT})
        self.away = False
        self.works = threading.Event()
        """Clear: whoever changes something there has to wait."""
        self.works.set()
        self.serial = "1"
        """A fact."""
        self.folder: Path | None = None
        """Of an admin host: where its delegates are declared."""

    def open(self, way: Any, around: Any) -> Any:
        self._answer()
        line = Line(self.device, via=way.transport)
        line.around = around  # type: ignore[attr-defined]
        return line

    def read(self, session: Line, wanted: Any) -> Mapping[Address, Resource]:
        self._answer()
        found = dict(super().read(session, wanted))
        if self.folder is not None:
            place: Any = SimpleNamespace(state=self.folder.parent)
            found |= DelegateHandler().read(place, ())
        return found

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        self.works.wait()
        self._answer()
        around: Any = session.around  # type: ignore[attr-defined]
        for step in steps:
            assert isinstance(step, Write)
            if step.change.address.type == "delegate":
                self._place(step, around.stop)
            else:
                if around.lease is not None:
                    around.lease.check()
                super().commit(session, [step])

    def discover(self, session: Line) -> Facts:
        self._answer()
        return Facts(values={"serial": self.serial})

    def _answer(self) -> None:
        if self.away:
            raise Unreachable("no answer")

    def _place(self, step: Write, stop: threading.Event) -> None:
        assert self.folder is not None
        place: Any = SimpleNamespace(state=self.folder.parent, stop=stop)
        (real,) = DelegateHandler().render([step.change])
        real.apply(place)


class Rack(Registry):
    """The platform of each node is its name."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        super().__init__()
        self._nodes = nodes

    def provider(self, platform: str) -> Any:
        return self._nodes[platform]


class Agent:
    """The agent of a server."""

    def __init__(self, name: str, client: StoreClient, rack: Rack, state: Path, token: str) -> None:
        self.name, self.stop = name, threading.Event()
        key = credential(state, client, name, token)
        self.source = StoreSource(client, name, key, state / name)
        self.runner = NodeRunner(
            node=name,
            source=self.source,
            registry=rack,
            state=state / name,
            stop=self.stop,
        )
        self.loop = Loop(self.runner, NEVER)
        self.waker = Waker(client, [self.loop], self.stop)
        self.loop.start()
        self.waker.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.loop.wake()

    def join(self) -> None:
        self.loop.thread.join(20)
        assert not self.loop.thread.is_alive(), self.name
        self.waker.thread.join(20)
        assert not self.waker.thread.is_alive(), self.name


class Host:
    """The daemon of an admin host's delegates, but for its signals."""

    def __init__(self, name: str, client: StoreClient, rack: Rack, state: Path) -> None:
        self.name, self.stop, self._poked = name, threading.Event(), threading.Event()
        shared = Delegates(name, client, rack, state, state / "none", NEVER, lambda _report: None)
        self.keeper = Keeper(client, shared.credential(), heard=self._poked.set)
        self.hosting = Hosting(shared, self.keeper, self._poked.set)
        self.waker = Waker(client, self.hosting.loops, self.stop, LEASED_POLL)
        self.thread = threading.Thread(target=self._go, name=f"host {name}", daemon=True)
        self.line = hosted.listen(shared.own)
        asked = threading.Thread(target=_answer, args=(self.line, self.hosting), daemon=True)
        for thread in (self.keeper, asked, self.waker.thread, self.thread):
            thread.start()

    def end(self) -> None:
        self.stop.set()
        self._poked.set()

    def join(self) -> None:
        self.thread.join(20)
        assert not self.thread.is_alive(), self.name
        self.waker.thread.join(20)
        assert not self.waker.thread.is_alive(), self.name

    def _go(self) -> None:
        while not (self.stop.is_set() and self.hosting.empty):
            self._poked.wait(10 * TICK)
            self._poked.clear()
            if self.stop.is_set():
                self.hosting.leave()
            else:
                self.hosting.look()
        self.keeper.close()
        for one in self.hosting._delegates.values():
            one.claim.unlock()  # as the end of a process does
        self.line.shutdown(socket.SHUT_RDWR)
        self.line.close()
