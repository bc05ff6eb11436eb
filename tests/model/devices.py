"""The devices of the model, and their provider with all that may go wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rackwright.model.address import Address
from rackwright.model.change import Step, Wanted
from rackwright.model.errors import Rejected, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.resource import Resource
from rackwright.provider import LeaseLike, Registry
from tests.engine.memory import Line, Memory, Write
from tests.model.nouns import NOUNS, Blade, Outlet, Port, Share, Vlan
from tests.model.site import ARRAY, BY_HAND, CHASSIS, OWN_PORTS, PDUS, SWITCHES

if TYPE_CHECKING:
    from tests.model.hosts import Agent
    from tests.model.world import World


class Crash(BaseException):
    """The process is gone at once, without a word."""


class Failure(NamedTuple):
    """What goes wrong in one run."""

    kind: str = ""
    """``reject``, ``lie``, ``crash-before``, ``crash-after``, ``lose-before``, ``lose-after``, ``down``,
    ``unsaved``;
    ``away``: the store does not answer; ``pause``: the process stands still for a while; ``drain``: the
    host is told to let go."""
    at: int = 0
    """The number of the write that it concerns."""
    seconds: float = 0.0
    """Of a pause."""


@dataclass
class Device:
    """One device."""

    state: dict[Address, Resource]
    """What the device has."""
    moved: set[Address] = field(default_factory=set)
    """What somebody else took away or changed."""
    lost: set[Address] = field(default_factory=set)
    """What somebody else took away, and is not there again."""
    epoch: int = 0
    """The highest under which something was written."""
    writer: str = ""
    """The host that did."""
    reads: int = 0
    saves: int = 0
    startup: dict[Address, Resource] = field(default_factory=dict)
    """What it has after it was off."""
    made: set[Address] = field(default_factory=set)
    """What it got from us, even if it has lost it since: it may have it again when it was off."""
    written: set[Address] = field(default_factory=set)
    """What is as we wrote it last."""
    gone: set[Address] = field(default_factory=set)
    """What we took away."""

    def note(self, now: dict[Address, Resource]) -> None:
        """Somebody else makes it have ``now``."""
        before = self.state
        changed = {a for a in before.keys() | now.keys() if before.get(a) != now.get(a)}
        self.moved |= changed
        self.written -= changed
        self.lost = (self.lost | changed) - now.keys()
        self.state = dict(now)


def factory(name: str) -> dict[Address, Resource]:
    """What a device has before we come, much of it nobody's business."""
    found: list[Resource] = []
    if name in SWITCHES:
        found = [Port(name=str(n)) for n in range(1, 4)]
        found += [Port(name="48", access_vlan=99), Vlan(name="99"), Vlan(name="30")]
        if name == SWITCHES[0]:
            found += [Port(name=port, access_vlan=50) for port in OWN_PORTS.values()]
            found += [Vlan(name="50")]
    elif name in PDUS:
        found = [Outlet(name=str(n), state="on") for n in (1, 2, 3, 24)]
    elif name == CHASSIS:
        found = [Blade(name=str(n), power="on") for n in (1, 2, 3, 8)]
    elif name == ARRAY:
        found = [Share(name="of-others", size=7)]
    return {thing.address: thing for thing in found}


FOREIGN = {
    Address.parse(text)
    for text in (
        *("port/48", "vlan/99", "vlan/50", BY_HAND),
        *("outlet/24", "blade/8", "share/of-others"),
    )
}


@dataclass
class Session(Line):
    """As every transport, it asks the lease right before each thing that it sends."""

    lease: LeaseLike | None = None

    def check(self) -> None:
        if self.lease is not None:
            self.lease.check()


class Provider(Memory):
    """Of one device, in one process; with the failures of the run."""

    resources = frozenset(NOUNS.values())
    transports = frozenset({"local", "ssh"})
    agent: Agent

    def __init__(self, world: World, node: str) -> None:
        self.world, self.node = world, node
        self.failure = Failure()
        self._count = 0
        self.lied: set[Address] = set()
        """What the device said that it did in this run, and did not."""

    def begin(self, failure: Failure) -> None:
        """A run begins; its session may be one of an earlier run."""
        self.failure = failure
        self._count = 0
        self.lied = set()

    def open(self, way: Any, around: Any) -> Session:
        if self.failure.kind == "down":
            raise Unreachable(f"{self.node} does not answer")
        return Session(self.world.devices[self.node], lease=around.lease)  # type: ignore[arg-type]

    def read(self, session: Line, wanted: Wanted) -> Mapping[Address, Resource]:
        assert isinstance(session, Session)
        session.check()
        return super().read(session, wanted)

    def discover(self, session: Line) -> Facts:
        assert isinstance(session, Session)
        session.check()
        self.agent.looked = self.world.facts(self.node)
        return self.agent.looked

    def save(self, session: Line) -> bool:
        assert isinstance(session, Session)
        session.check()
        if self.failure.kind == "unsaved":
            raise Rejected("no space left")
        return super().save(session)

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        assert isinstance(session, Session)
        kind = self.failure.kind
        for step in steps:
            assert isinstance(step, Write)
            now = self._count == self.failure.at
            self._count += 1
            if now and kind == "pause":
                self.world.stand_still(self.agent, self.failure.seconds)
            if now and kind == "drain" and self.agent.host is not None:
                self.world.drain(self.agent.host.name)
                self.agent.host.step()
            if now and kind == "crash-before":
                raise Crash
            if now and kind == "lose-before":
                raise Unreachable("the line went dead")
            session.check()
            if now and kind == "reject":
                raise Rejected("not today")
            if now and kind == "lie":
                self.lied.add(step.change.address)
            else:
                self.world.write(self.agent, session.lease, step.change)
            if now and kind == "crash-after":
                raise Crash
            if now and kind == "lose-after":
                raise Unreachable("the line went dead")


class OneProvider(Registry):
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._one = provider

    def provider(self, platform: str) -> Any:
        return self._one
