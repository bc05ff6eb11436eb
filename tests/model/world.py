"""The world of the model: devices in memory, agents as they are, and a store as it is, without HTTP.

Every write to a device is held against what must never happen, at the instant at which it is made.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from rackwright.engine.ledger import Ledger, LedgerFile, decode, encode
from rackwright.engine.spool import Spool
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent, Rejected, Unreachable
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.resource import Resource, declared_fields
from rackwright.provider import Registry
from rackwright.run import NodeRunner
from rackwright.source import Superseded
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.tree import Source
from rackwright_store.compiling import SiteCompiler
from rackwright_store.database import Database
from rackwright_store.gates import rests_of
from rackwright_store.service import Service
from tests.engine.memory import Line, Memory, Write
from tests.model.nouns import NOUNS, Outlet, Port, Share, Vlan
from tests.model.site import BY_HAND, NODES, PDUS, SERVERS, SWITCHES, Site


class Crash(BaseException):
    """The process is gone at once, without a word."""


@dataclass
class Failure:
    """What goes wrong in one run."""

    kind: str = ""
    """``reject``, ``lie``, ``crash-before``, ``crash-after``, ``lose-before``, ``lose-after``, ``lease``
    or ``down``."""
    at: int = 0
    """The number of the write that it concerns."""


@dataclass
class Device:
    """One device."""

    state: dict[Address, Resource]
    """What the device has."""
    moved: set[Address] = field(default_factory=set)
    """What somebody else took away or changed."""
    reads: int = 0
    saves: int = 0
    startup: dict[Address, Resource] = field(default_factory=dict)


def factory(name: str) -> dict[Address, Resource]:
    """What a device has before we come, much of it nobody's business."""
    found: list[Resource] = []
    if name in SWITCHES:
        found = [Port(name=str(n)) for n in range(1, 4)]
        found += [Port(name="48", access_vlan=99), Vlan(name="99"), Vlan(name="30")]
    elif name in PDUS:
        found = [Outlet(name=str(n), state="on") for n in (1, 2, 3, 24)]
    elif name not in SERVERS:
        found = [Share(name="of-others", size=7)]
    return {thing.address: thing for thing in found}


FOREIGN = {
    Address.parse(text) for text in ("port/48", "vlan/99", BY_HAND, "outlet/24", "share/of-others")
}


class Provider(Memory):
    """Of one device; with the failures of the run."""

    resources = frozenset(NOUNS.values())
    transports = frozenset({"local", "ssh"})

    def __init__(self, world: World, node: str) -> None:
        self.world, self.node = world, node
        self.failure = Failure()
        self.stop = threading.Event()
        self._count = 0
        self.lied: set[Address] = set()
        """What the device said that it did in this run, and did not."""

    def begin(self, failure: Failure, stop: threading.Event) -> None:
        """A run begins; its session may be one of an earlier run."""
        self.failure, self.stop = failure, stop
        self._count = 0
        self.lied = set()

    def open(self, way: Any, around: Any) -> Any:
        if self.failure.kind == "down":
            raise Unreachable(f"{self.node} does not answer")
        return Line(self.world.devices[self.node])  # type: ignore[arg-type]

    def commit(self, session: Line, steps: Sequence[Step]) -> None:
        kind = self.failure.kind
        for step in steps:
            assert isinstance(step, Write)
            now = self._count == self.failure.at
            self._count += 1
            if now and kind == "crash-before":
                raise Crash
            if now and kind == "lose-before":
                raise Unreachable("the line went dead")
            if now and kind == "reject":
                raise Rejected("not today")
            if now and kind == "lie":
                self.lied.add(step.change.address)
            else:
                self.world.write(self.node, step.change)
            if now and kind == "crash-after":
                raise Crash
            if now and kind == "lose-after":
                raise Unreachable("the line went dead")
            if now and kind == "lease":
                self.stop.set()


class OneProvider(Registry):
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self._one = provider

    def provider(self, platform: str) -> Any:
        return self._one


@dataclass
class StoreLink:
    """The way of one holder of one node to the store."""

    world: World
    node: str
    epoch: int
    delayed: bool = False
    """Reports do not get through."""
    collects: bool = True
    told: Bundle | None = None
    etag: str = ""

    def send_facts(self, facts: Facts) -> None:
        body = msgspec.json.encode(facts)
        self.world.do(self.world.service.put_facts(self.node, body, facts))

    def bundle(self) -> Bundle:
        served = self.world.service.live.bundles.get(self.node)
        if served is None or self.old:
            raise Permanent(f"{self.node} is not yours")
        self.world.service.heard_from(self.node)
        self.told = msgspec.json.decode(served.body, type=Bundle)
        self.etag = served.etag
        return self.told

    def gates(self) -> Gates:
        live = self.world.service.live
        if live.bundle_etag(self.node) != self.etag:
            raise Superseded("it went on")
        live.look_again(self.node)
        return msgspec.json.decode(live.gates[self.node].body, type=Gates)

    def deliver(self, report: Report) -> None:
        if self.delayed:
            raise Unreachable("the store is away")
        if not self.old:  # else it is history, and changes nothing
            body = msgspec.json.encode(report)
            self.world.do(self.world.service.post_report(body, report))
            for outcome in report.outcomes:
                if outcome.state in ("in_sync", "changed"):
                    self.world.cut.discard((self.node, Address.parse(outcome.address)))

    def mirror(self, ledger: Ledger) -> None:
        if self.old:
            raise Permanent("the lease is another's")
        body = encode(ledger)
        rests = rests_of(self.node, body)
        self.world.do(self.world.service.put_ledger(self.node, body, rests, lambda: None))

    def mirrored(self) -> Ledger | None:
        body = self.world.service.live.ledgers.get(self.node)
        return None if body is None else decode(body)

    @property
    def waiting(self) -> bool:
        """Reports of this holder have not got through yet."""
        return bool(Spool(self.world.runners[self.node].state / "reports").waiting())

    @property
    def old(self) -> bool:
        """The lease has gone on to another."""
        return self.epoch != self.world.epochs[self.node]


class _Following:
    """Stands for the branch."""

    shown = head = error = ""
    checked = 0.0

    async def keep(self, commit: str) -> None:
        pass

    def close(self) -> None:
        pass


class Compiler(SiteCompiler):
    """The real one, with the nouns of the model."""

    def __init__(self) -> None:
        self._nouns = NOUNS
        self._platforms = ("memory",)

    def compile(
        self,
        files: Mapping[str, bytes],
        commit: str,
        facts: Mapping[str, Facts],
        before: Compiled | None = None,
    ) -> Compiled:
        return compile_site(Source(files, commit), NOUNS, facts, ("memory",), before)


class World:
    """All of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devices = {name: Device(factory(name)) for name in NODES}
        self.epochs = dict.fromkeys(NODES, 1)
        self.links: dict[str, StoreLink] = {}
        self.providers: dict[str, Provider] = {}
        self.runners: dict[str, NodeRunner] = {}
        self.site = Site()
        self.commits = 0
        self.files: Mapping[str, bytes] = {}
        self.known: dict[str, dict[str, Any]] = {}
        """Digest → what was declared under it, in any revision."""
        self.broken: list[str] = []
        self.cut: set[tuple[str, Address]] = set()
        """What runs through these was cut, and no report has said since that they are good."""
        self._loop = asyncio.Runner()
        self.service = self._start()
        for name in NODES:
            self.begin(name)

    def do(self, work: Any) -> Any:
        """Run a coroutine of the store."""
        return self._loop.run(work)

    def _start(self) -> Service:
        async def made() -> Service:
            database = Database(self.folder / "store.db")
            return Service(database, _Following(), Compiler(), "")  # type: ignore[arg-type]

        return self.do(made())  # type: ignore[no-any-return]

    def restart_store(self) -> None:
        """From its database."""
        self.do(self.service.stop())
        self.service = self._start()
        last = self.service.database.last_accepted()
        if last is not None:
            self.do(self.service.revisions.offer(last.commit, self.files, restored=last))

    def end(self) -> None:
        self.do(self.service.stop())
        self._loop.close()

    def commit(self) -> bool:
        """The site as it is wanted now. False when it does not lint."""
        self.commits += 1
        files = self.site.files()
        self.do(self.service.revisions.offer(f"c{self.commits}", files))
        refused = self.service.revisions.refused
        if refused is not None:
            return False
        self.files = files
        for name in self.service.live.bundles:
            for item in self.bundle(name).resources:
                self.known[item.digest] = item.data
        return True

    def bundle(self, node: str) -> Bundle:
        found = self.service.live.bundle(node)
        assert found is not None
        return found

    @property
    def nodes(self) -> list[str]:
        """Of the revision in force."""
        return sorted(self.service.live.bundles)

    # Agents.

    def begin(self, node: str) -> None:
        """A process for ``node`` starts on the host that has the lease now."""
        state = self.folder / f"epoch{self.epochs[node]}" / node
        state.mkdir(parents=True, exist_ok=True)
        self.links[node] = StoreLink(self, node, self.epochs[node])
        self.providers[node] = Provider(self, node)
        self.runners[node] = NodeRunner(
            node=node,
            source=self.links[node],
            registry=OneProvider(self.providers[node]),
            state=state,
            here="admin1",
        )

    def run(
        self, node: str, failure: Failure | None = None, *, delayed: bool = False
    ) -> Report | None:
        """One run; None when it was killed."""
        provider, link = self.providers[node], self.links[node]
        provider.begin(failure or Failure(), self.runners[node].stop)
        link.delayed = delayed
        try:
            report = self.runners[node].run()
            if not report.error and not link.waiting:
                self.devices[node].moved.clear()  # it has been read, and the store knows
            return report
        except Crash:
            self.begin(node)
            return None
        finally:
            if provider.failure.kind in ("down", "lose-before", "lose-after"):
                self.runners[node].close()
            provider.failure = Failure()
            link.delayed = False
            if self.runners[node].stop.is_set():
                self.move(node)

    def move(self, node: str) -> None:
        """The lease ends, and another host begins with what the store has of the ledger."""
        old = self.runners[node]
        self.epochs[node] += 1
        writes = len(self.broken)
        self.begin(node)
        old.stop.set()
        old.run()  # it has not heard of it yet; whatever it does now is not to count
        assert len(self.broken) == writes

    def ledger(self, node: str) -> Ledger:
        """Of the agent itself, not its mirror."""
        return LedgerFile(self.runners[node].state / "ledger.json").load()

    # What must never happen.

    def write(self, node: str, change: Change) -> None:
        """``change`` is made on the device of ``node``."""
        device = self.devices[node]
        if self.links[node].old or self.runners[node].stop.is_set():
            self.broken.append(f"{node}: {change.address} is written after the lease has ended")
        if change.action == "remove":
            self._check_removal(node, change.address)
            device.state.pop(change.address, None)
        elif change.after is not None:
            self._check_needs(node, change)
            self._check_sides(node, change)
            old = device.state.get(change.address)
            new = {k: v for k, v in msgspec.structs.asdict(change.after).items() if v is not None}
            device.state[change.address] = (
                msgspec.structs.replace(old, **new) if old else type(change.after)(**new)
            )
        device.moved.discard(change.address)

    def _check_needs(self, node: str, change: Change) -> None:
        told = self.links[node].told
        assert told is not None
        for item in told.resources:
            if item.address != change.address:
                continue
            for need in item.needs:
                address = Address.parse(need.address)
                if address.node and not self.in_place(address.node, address.local, need.digest):
                    self.broken.append(f"{node}: {change.address} came before {need.address}")
        assert change.after is not None
        for address in change.after.implied_needs():
            # Of one device all goes in one run, in order, and is read back at its end.
            lied = address in self.providers[node].lied
            if address not in self.devices[node].state and not lied:
                self.broken.append(f"{node}: {change.address} came before {address}")

    def in_place(self, node: str, address: Address, digest: str) -> bool:
        """Whether the device has what was declared as ``digest``, or somebody else took it away since
        it was looked at last, which nobody can know."""
        device = self.devices[node]
        return address in device.moved or matches(device.state.get(address), self.known[digest])

    def _check_removal(self, node: str, address: Address) -> None:
        for other in NODES:
            if other == node or other in self.service.retired:
                continue
            for entry in self.ledger(other).entries.values():
                if (
                    f"{node}:{address}" in entry.needs
                    and entry.address in self.devices[other].state
                ):
                    self.broken.append(f"{node}: {address} went under {other}:{entry.address}")

    def _check_sides(self, node: str, change: Change) -> None:
        """A server's two paths, or feeds, are not cut together: what was cut on one side is reported to
        be good before the other is."""
        assert change.after is not None
        pairs = [pair for pair in (SWITCHES, PDUS) if node in pair]
        if not pairs or not change.after.severs(change.before):
            return
        (other,) = set(pairs[0]) - {node}
        beside = self.service.live.bundle(other)
        declared = beside and any(item.address == change.address for item in beside.resources)
        if declared and (other, change.address) in self.cut:
            self.broken.append(f"{node}: {change.address} is cut while {other}'s is not good")
        self.cut.add((node, change.address))

    def foreign(self) -> dict[str, dict[Address, Resource | None]]:
        """What is not ours, on every device."""
        return {
            name: {address: device.state[address] for address in FOREIGN if address in device.state}
            for name, device in self.devices.items()
        }


def matches(seen: Resource | None, data: Mapping[str, Any]) -> bool:
    """Whether ``seen`` has all that ``data`` declares."""
    if seen is None:
        return data.get("ensure") == "absent"
    wanted = msgspec.convert(data, type(seen))
    return all(getattr(seen, name) == value for name, value in declared_fields(wanted).items())


def undone(world: World) -> list[str]:
    """What is not as declared, or is of our making and not declared any more."""
    found = []
    for node in world.nodes:
        declared = {item.address: item for item in world.bundle(node).resources}
        state = world.devices[node].state
        found += [
            f"{node}:{address} is not as declared"
            for address, item in declared.items()
            if not matches(state.get(address), item.data)
        ]
        found += [
            f"{node}:{address} is left"
            for address, thing in state.items()
            if not thing.fixture and address not in declared and address not in FOREIGN
        ]
    return found
