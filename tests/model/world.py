"""The world of the model: devices in memory, agents as they are, and a store as it is, without HTTP.

Every write to a device is held against what must never happen (`Checks`), at the instant at which it is
made.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle
from rackwright.model.change import Change
from rackwright.model.facts import Facts, FoundLink
from rackwright.model.report import Report
from rackwright.model.resource import Resource
from rackwright.provider import LeaseLike
from rackwright_proposals.compile import Compiled, compile_site
from rackwright_proposals.tree import Source
from rackwright_store.compiling import SiteCompiler
from rackwright_store.database import Database
from rackwright_store.hosts import Hosts, Want
from rackwright_store.service import Service
from tests.model.checks import Checks, matches
from tests.model.devices import FOREIGN, Crash, Device, Failure, factory
from tests.model.hosts import Agent, Host, Line
from tests.model.nouns import NOUNS
from tests.model.site import HOSTS, MANAGED, NODES, SERVERS, SWITCHES, Site

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


def cables() -> dict[str, dict[str, str]]:
    """All as the site says."""
    return {switch: {name[1:]: name for name in SERVERS} for switch in SWITCHES}


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
        self.devices = {name: Device(factory(name), startup=factory(name)) for name in NODES}
        self.agents: dict[str, Agent] = {}
        """What is no managed node has its own."""
        self.last: dict[str, Agent] = {}
        """Who wrote to a device last."""
        self.site = Site()
        self.commits = 0
        self.files: Mapping[str, bytes] = {}
        self.trusted: set[str] = set()
        """As the revision in force has `Site.trusted`."""
        self.cables = cables()
        """Switch → port → the server that is really at it."""
        self.checks = Checks(self)
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
                database.leases.all(),
                database.leases.all_drains(),
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
        self.checks.restarted()
        last = self.service.database.revisions.last_accepted()
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
        self.files, self.trusted = files, set(self.site.trusted)
        self.checks.committed()
        return True

    @property
    def broken(self) -> list[str]:
        """What must never happen, and did."""
        return self.checks.broken

    def retire(self, node: str) -> None:
        """It is gone for good."""
        self.do(self.service.retire(node, "the model", "gone"))
        self.checks.retired(node)
        self.devices[node] = Device({})

    def enrol(self, node: str) -> None:
        """A new machine of that name."""
        token, _ = self.do(self.service.add_token([node], 60.0))
        assert self.do(self.service.enrol(token, node))
        shutil.rmtree(self.folder / node)
        self.begin(node)

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
                self.checks.broken += [
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
        agent.served = agent.claim.lease if agent.claim else None
        agent.provider.begin(failure)
        if delayed:
            line.delayed.add(node)
        if failure.kind == "away":
            line.away.add(node)
        try:
            look = agent.looked != self.facts(node)
            report = agent.runner.run(fresh_facts=look)
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

    def woken(self, node: str) -> bool:
        """Whether somebody who may would converge it now without being told to."""
        agents = self.delegates(node) if node in MANAGED else [self.agents[node]]
        return any(one.may_write and one.woken for one in agents)

    # Devices.

    def facts(self, node: str) -> Facts:
        """What a look at ``node`` finds."""
        found = self.cables.get(node, {})
        return Facts(
            links=tuple(
                FoundLink(port=port, peer=peer, peer_port=f"eth{SWITCHES.index(node)}")
                for port, peer in sorted(found.items())
            )
        )

    def write(self, agent: Agent, lease: LeaseLike | None, change: Change) -> None:
        """``change`` is made on the device of the agent's node."""
        device, address = self.devices[agent.node], change.address
        aim = msgspec.structs.asdict(change.after) if change.after is not None else {}
        new = {name: value for name, value in aim.items() if value is not None}
        self.checks.write(agent, lease, change)
        self.last[agent.node] = agent
        before = device.state.get(address)
        if change.action == "remove":
            device.state.pop(address, None)
            device.written.discard(address)
            device.gone.add(address)
        elif change.after is not None:
            if before is None:
                device.made.add(address)
                device.gone.discard(address)
            device.written.add(address)
            device.lost.discard(address)
            device.state[address] = (
                msgspec.structs.replace(before, **new) if before else type(change.after)(**new)
            )
        device.moved.discard(address)
        self.checks.written(agent, change)

    def writers(self, node: str) -> list[Agent]:
        """Those who believe that they may write to ``node``."""
        return [one for one in self.delegates(node) if one.may_write]

    def foreign(self) -> dict[str, dict[Address, Resource | None]]:
        """What is not ours, on every device."""
        return {
            name: {address: device.state[address] for address in FOREIGN if address in device.state}
            for name, device in self.devices.items()
        }


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
        device = world.devices[node]
        found += [
            f"{node}:{address} is not saved"
            for address in declared.keys() & device.written
            if device.startup.get(address) != state.get(address)
        ]
        found += [f"{node}:{a} comes back" for a in device.gone if a in device.startup]
    return found
