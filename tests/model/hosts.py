"""Agents and admin hosts of the model. The keeper of leases, its claims, the source and the runs are the
real ones; the daemon's threads are not there, nor is HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.engine.spool import Spool
from rackwright.keeper import Claim, Keeper
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import Unreachable
from rackwright.model.facts import Facts
from rackwright.model.lease import Leases
from rackwright.model.report import Report
from rackwright.run import NodeRunner
from rackwright.source import StoreSource
from rackwright.store_http import NotAllowed
from rackwright_store.gates import rests_of
from rackwright_store.hosts import Want
from tests.model.devices import OneProvider, Provider

if TYPE_CHECKING:
    from tests.model.world import World


@dataclass
class Line:
    """The way of one process to the store, in the place of `rackwright.client.StoreClient`. Who may do
    what is decided as `rackwright_store.app` does."""

    world: World
    cut: bool = False
    """Nothing gets through."""
    delayed: set[str] = field(default_factory=set)
    """Nodes whose reports do not get through."""
    away: set[str] = field(default_factory=set)
    """Nodes for which nothing gets through."""
    unasked: set[str] = field(default_factory=set)
    """Nodes that could not ask for their gates in their last run."""
    fate: str = ""
    """Of the next request for leases: ``lost``, ``unanswered``, ``late`` or ``slow``."""

    def leases(
        self,
        credential: str,
        process: str,
        want: Mapping[str, tuple[str, int]],
        release: Mapping[str, int],
    ) -> Leases:
        fate, self.fate = self.fate, ""
        if self.cut or fate == "lost":
            raise Unreachable("the store is away")
        asked = {node: Want(*item) for node, item in want.items()}
        request = (credential, process, asked, dict(release))
        if fate == "late":
            self.world.late.append(request)
            raise Unreachable("no answer in time")
        if fate == "slow":
            self.world.pass_time(9.0)
        given: Leases = self.world.do(self.world.service.lease(*request))
        if fate == "slow":
            self.world.pass_time(3.0)
        if fate == "unanswered":
            raise Unreachable("no answer in time")
        return given

    def bundle(
        self, node: str, credential: str, etag: str = "", *, epoch: int = 0
    ) -> tuple[Bundle, str] | None:
        self._may(node, credential, epoch)
        served = self.world.service.live.bundles.get(node)
        if served is None:
            raise NotAllowed(f"there is no node {node}")
        if served.etag == etag:
            return None
        return msgspec.json.decode(served.body, type=Bundle), served.etag

    def gates(self, node: str, credential: str, *, epoch: int = 0) -> tuple[Gates, str]:
        self.unasked.add(node)
        self._may(node, credential, epoch)
        self.unasked.discard(node)
        live = self.world.service.live
        live.look_again(node)
        served = live.gates[node]
        return msgspec.json.decode(served.body, type=Gates), served.etag

    def put_facts(self, node: str, credential: str, facts: Facts, *, epoch: int = 0) -> str:
        self._may(node, credential, epoch)
        body = msgspec.json.encode(facts)
        self.world.checks.facts[node] = facts
        return str(self.world.do(self.world.service.put_facts(node, body, facts)))

    def put_ledger(self, node: str, credential: str, ledger: bytes, *, epoch: int = 0) -> None:
        def allowed() -> None:
            self._may(node, credential, epoch)

        allowed()
        rests = rests_of(node, ledger)
        self.world.do(self.world.service.put_ledger(node, ledger, rests, allowed))

    def get_ledger(self, node: str, credential: str, *, epoch: int = 0) -> bytes | None:
        self._may(node, credential, epoch)
        return self.world.service.live.ledgers.get(node)

    def post_report(self, node: str, credential: str, report: Report, *, epoch: int = 0) -> None:
        if self.cut or node in self.delayed or node in self.away:
            raise Unreachable("the store is away")
        service, body = self.world.service, msgspec.json.encode(report)
        if credential == node:
            self._known(node)
            self.world.do(service.post_report(body, report))
        elif service.hosts.counts(credential, node, epoch):
            service.heard_from(node)
            self.world.do(service.post_report(body, report, credential, epoch))
        elif service.hosts.last(credential, node, epoch) or self.world.do(
            service.granted(credential, node, epoch)
        ):
            self.world.do(service.post_outrun(body, report, epoch))
            return
        else:
            raise NotAllowed(f"{credential} never held {node} under epoch {epoch}")
        self.world.checks.reported(report)

    def _may(self, node: str, credential: str, epoch: int) -> None:
        if self.cut or node in self.away:
            raise Unreachable("the store is away")
        service = self.world.service
        if credential != node and not service.hosts.acts(credential, node, epoch):
            raise NotAllowed(f"{credential} does not hold {node} (epoch {epoch})")
        self._known(node)
        service.heard_from(node)
        self.world.checks.heard.add(node)

    def _known(self, node: str) -> None:
        if node in self.world.service.retired:
            raise NotAllowed(f"{node} is retired")


class Source(StoreSource):
    """Remembers what it gave."""

    told: Bundle | None = None

    def bundle(self) -> Bundle:
        self.told = super().bundle()
        return self.told


class Agent:
    """The process that converges one node: its own agent, or a delegate on ``host``."""

    def __init__(
        self, world: World, node: str, line: Line, state: Path, host: Host | None = None
    ) -> None:
        state.mkdir(parents=True, exist_ok=True)
        self.world, self.node, self.line, self.host = world, node, line, host
        self.claim = Claim(node, state) if host else None
        self.source = Source(line, node, host.name if host else node, state)  # type: ignore[arg-type]
        self.provider = Provider(world, node)
        self.provider.agent = self
        self.running = False
        self.looked = Facts()
        """What it found when it looked last."""
        self.served: object = None
        """The lease under which it ran last."""
        self.runner = NodeRunner(
            node=node,
            source=self.source,
            registry=OneProvider(self.provider),
            state=state,
            here=host.name if host else "",
            claim=self.claim,
        )

    @property
    def may_write(self) -> bool:
        """As far as it knows itself."""
        if self.claim is None:
            return True
        return self.claim.lease is not None and self.claim.lease.left() > 0

    @property
    def woken(self) -> bool:
        """Whether its loop would run it now: for a new lease, or for news of the store."""
        live, source = self.world.service.live, self.source
        lease = self.claim.lease if self.claim else None
        return lease is not self.served or (source.etag, source.gates_etag) != (
            live.bundle_etag(self.node),
            live.gates_etag(self.node),
        )

    @property
    def waiting(self) -> bool:
        """Some of its reports have not got through yet."""
        return bool(Spool(self.runner.state / "reports").waiting())


class Host:
    """An admin host. Its own agent notes in the device of the same name which delegates are to run."""

    def __init__(self, world: World, name: str, rate: float) -> None:
        self.world, self.name, self.rate = world, name, rate
        self.line = Line(world)
        self.keeper: Keeper | None = None
        self.delegates: dict[str, Agent] = {}
        self.paused = self.agentless = False
        self._stepping = False
        self._booted = 0.0
        self.start()

    def clock(self) -> float:
        """Of this boot, and not quite as fast as others."""
        return (self.world.now - self._booted) * self.rate

    def start(self) -> None:
        """The daemon, after a boot."""
        self._booted = self.world.now
        self.keeper = Keeper(self.line, self.name, clock=self.clock)  # type: ignore[arg-type]

    def die(self) -> None:
        """All processes, at once."""
        for one in self.delegates.values():
            assert one.claim is not None
            one.claim.unlock()
            one.runner.close()
        self.keeper, self.delegates = None, {}

    def wipe(self) -> None:
        """The disk, while it is dead."""
        shutil.rmtree(self.world.folder / self.name, ignore_errors=True)
        self.world.begin(self.name)
        self.world.devices[self.name].note({})

    def mend(self) -> None:
        """All is well with it again."""
        self.paused = self.agentless = self.line.cut = False
        self.line.fate = ""
        if self.keeper is None:
            self.start()
        self.world.drain(self.name, drain=False)

    @property
    def awake(self) -> bool:
        """Whether its daemon runs at all."""
        return self.keeper is not None and not self.paused

    def step(self) -> None:
        """What its agent and its daemon do every few seconds."""
        if self._stepping or not self.awake:
            return
        self._stepping = True
        try:
            if not self.agentless and self._to_run() != self._files():
                self.world.run(self.name)
            self.look()
            keeper: Any = self.keeper
            keeper._poked = True
            keeper._turn()
            self.look()
        finally:
            self._stepping = False

    def _to_run(self) -> set[str]:
        bundle = self.world.service.live.bundle(self.name)
        items = bundle.resources if bundle else ()
        return {item.data["name"] for item in items if item.type == "delegate"}

    def _files(self) -> set[str]:
        return {address.name for address in self.world.devices[self.name].state}

    def look(self) -> None:
        """As `rackwright.hosting.Hosting.look` does."""
        assert self.keeper is not None
        files = self._files()
        for node, one in list(self.delegates.items()):
            assert one.claim is not None
            if node not in files:
                one.runner.stop.set()
            if one.runner.stop.is_set() and not one.running:
                one.runner.close()
                self.keeper.give_up(one.claim)
                if self.keeper.released(node):
                    one.claim.unlock()
                    del self.delegates[node]
        for node in sorted(files - self.delegates.keys()):
            state = self.world.folder / self.name / "delegates" / node
            self.delegates[node] = one = Agent(self.world, node, self.line, state, self)
            assert one.claim is not None
            self.keeper.want(one.claim)
