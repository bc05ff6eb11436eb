"""The world of the model: devices in memory, agents as they are, and a store as it is, without HTTP.

Every write to a device is held against what must never happen, at the instant at which it is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.change import Change
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.resource import Resource, declared_fields
from rackwright.provider import LeaseLike
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.tree import Source
from rackwright_store.compiling import SiteCompiler
from rackwright_store.database import Database
from rackwright_store.hosts import Hosts, Want
from rackwright_store.service import Service
from tests.model.devices import FOREIGN, Crash, Device, Failure, factory
from tests.model.hosts import Agent, Host, Line
from tests.model.nouns import NOUNS
from tests.model.site import HOSTS, MANAGED, NODES, PDUS, SERVERS, SWITCHES, Site

SETTING = Address("setting", "release")
STEP = 4.0
"""Seconds from one step of a host to the next."""


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


class Turned:
    """A timer of the store, on the clock of the world."""

    def __init__(self, at: float, what: Callable[[], None]) -> None:
        self.at, self.what, self.live = at, what, True

    def cancel(self) -> None:
        self.live = False


class World:
    """All of it."""

    def __init__(self, folder: Path, rates: tuple[float, ...] = (1.0, 1.0, 1.0)) -> None:
        """``rates`` are those of the hosts' clocks."""
        self.folder = folder
        self.now = 1000.0
        """Seconds, on the store's clock."""
        self.timers: list[Turned] = []
        self.late: list[tuple[str, str, dict[str, Want], dict[str, int]]] = []
        """Requests for leases that are still under way, though nobody waits for the answer."""
        self.devices = {name: Device(factory(name)) for name in NODES}
        self.agents: dict[str, Agent] = {}
        """What is no managed node has its own."""
        self.last: dict[str, Agent] = {}
        """Who wrote to a device last."""
        self.site = Site()
        self.commits = 0
        self.files: Mapping[str, bytes] = {}
        self.known: dict[str, dict[str, Any]] = {}
        """Digest → what was declared under it, in any revision."""
        self.broken: list[str] = []
        self.cut: set[tuple[str, Address]] = set()
        """What runs through these was cut, and no report has said since that they are good."""
        self.reached: dict[tuple[str, Address], int] = {}
        """The last release that was really there."""
        self._loop = asyncio.Runner()
        self.service = self._start()
        for name in (*HOSTS, *SERVERS):
            self.begin(name)
        self.hosts = {name: Host(self, name, rate) for name, rate in zip(HOSTS, rates, strict=True)}

    def do(self, work: Any) -> Any:
        """Run a coroutine of the store."""
        return self._loop.run(work)

    def _start(self) -> Service:
        async def made() -> Service:
            database = Database(self.folder / "store.db")
            service = Service(database, _Following(), Compiler(), "")  # type: ignore[arg-type]
            service.hosts = Hosts(
                service.live,
                database.all_leases(),
                database.all_drains(),
                service.retired,
                ttl=service._ttl,
                origin=service._origin,
                later=self._later,
                clock=lambda: self.now,
            )
            return service

        return self.do(made())  # type: ignore[no-any-return]

    def _later(self, seconds: float, what: Callable[[], None]) -> Turned:
        self.timers.append(Turned(self.now + seconds, what))
        return self.timers[-1]

    def restart_store(self) -> None:
        """From its database."""
        self.timers = []
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
        for name in self.nodes:
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

    # Time.

    def pass_time(self, seconds: float) -> None:
        """Hosts do meanwhile what they do."""
        end = self.now + seconds
        while self.now < end:
            self._turn_clock(min(end, self.now + STEP))
            for host in self.hosts.values():
                host.step()
                self.broken += [
                    f"{node}: two may write" for node in MANAGED if len(self.writers(node)) > 1
                ]

    def _turn_clock(self, to: float) -> None:
        while due := [timer for timer in self.timers if timer.live and timer.at <= to]:
            timer = min(due, key=lambda timer: timer.at)
            timer.live = False
            self.now = max(self.now, timer.at)
            timer.what()
        self.timers = [timer for timer in self.timers if timer.live]
        self.now = max(self.now, to)

    def stand_still(self, agent: Agent, seconds: float) -> None:
        """The process of ``agent`` is stopped in the middle of a run, and then goes on."""
        host = agent.host or self.hosts.get(agent.node)
        was = host is not None and host.paused
        if host is not None:
            host.paused = True
        self.pass_time(seconds)
        self.run(agent.node)  # by whoever has it now
        if host is not None:
            host.paused = was

    def arrive(self) -> None:
        """What was late is there."""
        while self.late:
            self.do(self.service.lease(*self.late.pop(0)))

    def drain(self, host: str, *, drain: bool = True) -> None:
        self.do(self.service.drain(host, "the model", drain=drain))

    # Agents.

    def begin(self, node: str) -> None:
        """The agent of ``node`` itself starts."""
        self.agents[node] = Agent(self, node, Line(self), self.folder / node)

    def delegates(self, node: str) -> list[Agent]:
        """Whoever is to converge ``node``, or thinks so."""
        found = [host.delegates.get(node) for host in self.hosts.values()]
        return [one for one in found if one is not None]

    def run(
        self, node: str, failure: Failure | None = None, *, delayed: bool = False
    ) -> Report | None:
        """One run of everybody who may; None when nobody may, or it was killed."""
        if node not in MANAGED:
            return self._run(self.agents[node], failure or Failure(), delayed)
        report = None
        for one in self.delegates(node):
            if one.host is None or not one.host.awake:
                continue
            if not one.may_write:
                one.runner.close()
            elif not one.runner.stop.is_set():
                report = self._run(one, failure or Failure(), delayed)
        return report

    def _run(self, agent: Agent, failure: Failure, delayed: bool) -> Report | None:
        if agent.running:
            return None
        node, line = agent.node, agent.line
        agent.running = True
        agent.provider.begin(failure)
        if delayed:
            line.delayed.add(node)
        if failure.kind == "away":
            line.away.add(node)
        try:
            report = agent.runner.run()
            if not report.error and not agent.waiting:
                self.devices[node].moved.clear()  # it has been read, and the store knows
            return report
        except Crash:
            if agent.host is not None:
                agent.host.die()
                agent.host.start()
            else:
                self.begin(node)
            return None
        finally:
            agent.running = False
            if failure.kind in ("down", "lose-before", "lose-after"):
                agent.runner.close()
            agent.provider.failure = Failure()
            line.delayed.discard(node)
            line.away.discard(node)

    def ledger(self, node: str) -> Ledger:
        """Of whoever converged it last, not its mirror."""
        agent = self.last.get(node)
        return LedgerFile(agent.runner.state / "ledger.json").load() if agent else Ledger()

    # What must never happen.

    def write(self, agent: Agent, lease: LeaseLike | None, change: Change) -> None:
        """``change`` is made on the device of the agent's node."""
        node, device = agent.node, self.devices[agent.node]
        self._check_lease(agent, lease, change)
        self.last[node] = agent
        before = device.state.get(change.address)
        if change.action == "remove":
            self._check_removal(agent, change.address)
            device.state.pop(change.address, None)
        elif change.after is not None:
            self._check_needs(agent, change)
            self._check_sides(node, change)
            new = {k: v for k, v in msgspec.structs.asdict(change.after).items() if v is not None}
            device.state[change.address] = (
                msgspec.structs.replace(before, **new) if before else type(change.after)(**new)
            )
            self._check_waves(agent, change)
            self._check_feeds(agent, change)
        device.moved.discard(change.address)

    def writers(self, node: str) -> list[Agent]:
        """Those who believe that they may write to ``node``."""
        return [one for one in self.delegates(node) if one.may_write]

    def _check_lease(self, agent: Agent, lease: LeaseLike | None, change: Change) -> None:
        if agent.claim is None:
            return
        node, device, held = agent.node, self.devices[agent.node], agent.claim.lease
        what = f"{node}: {agent.host and agent.host.name} writes {change.address}"
        if held is None or held is not lease:
            self.broken.append(f"{what} under a lease that it has not")
            return
        if self.writers(node) != [agent]:
            self.broken.append(f"{what}, and it is not the only one who may")
        if held.epoch < device.epoch:
            self.broken.append(f"{what} under {held.epoch}, after {device.epoch}")
        host = agent.host.name if agent.host else ""
        if held.epoch == device.epoch and host != device.writer:
            self.broken.append(f"{what} under {held.epoch}, which was that of {device.writer}")
        device.epoch, device.writer = max(device.epoch, held.epoch), host
        given = self.service.hosts.leases.get(node)
        if given is None or given.epoch != held.epoch or not given.held(self.now):
            self.broken.append(f"{what} under {held.epoch}, and the store knows better: {given}")

    def _check_needs(self, agent: Agent, change: Change) -> None:
        node, told = agent.node, agent.source.told
        assert told is not None
        for item in told.resources:
            if item.address != change.address or node in agent.line.unasked:
                continue
            for need in item.needs:
                address = Address.parse(need.address)
                if address.node and not self.in_place(address.node, address.local, need.digest):
                    self.broken.append(f"{node}: {change.address} came before {need.address}")
        assert change.after is not None
        for address in change.after.implied_needs():
            # Of one device all goes in one run, in order, and is read back at its end.
            lied = address in agent.provider.lied
            if address not in self.devices[node].state and not lied:
                self.broken.append(f"{node}: {change.address} came before {address}")

    def in_place(self, node: str, address: Address, digest: str) -> bool:
        """Whether the device has what was declared as ``digest``, or somebody else took it away since
        it was looked at last, which nobody can know."""
        device = self.devices[node]
        return address in device.moved or matches(device.state.get(address), self.known[digest])

    def _check_removal(self, agent: Agent, address: Address) -> None:
        node = agent.node
        for other in NODES:
            if other == node or other in self.service.retired or node in agent.line.unasked:
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

    def _check_waves(self, agent: Agent, change: Change) -> None:
        """A release goes to one server after the other, and so does what it puts on a switch."""
        told, node = agent.source.told, agent.node
        assert told is not None
        if change.address.type != "setting":
            return
        value = getattr(change.after, "value", None) or 0
        of = change.address.name.removeprefix("of-") if node in SWITCHES else node
        fresh = value > self.reached.get((node, change.address), 0)
        self.reached[node, change.address] = max(value, self.reached.get((node, change.address), 0))
        if not fresh or node in agent.line.unasked:
            return
        for earlier in SERVERS[: SERVERS.index(of)]:
            if earlier not in self.nodes or earlier in self.service.retired:
                continue
            for at in ((earlier, SETTING), ("sw1", Address("setting", f"of-{earlier}"))):
                if self.reached.get(at, 0) < value:
                    self.broken.append(f"{node}: {change.address} is {value} before {at}")

    def _check_feeds(self, agent: Agent, change: Change) -> None:
        """A server that answers keeps a feed."""
        server = f"h{change.address.name}"
        if agent.node not in PDUS or server not in self.nodes:
            return
        if server in self.service.retired or self.service.live.care.silent(server):
            return
        if all(
            getattr(self.devices[pdu].state[change.address], "state", "") == "off" for pdu in PDUS
        ):
            self.broken.append(f"{agent.node}: {change.address} was the last feed of {server}")

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
