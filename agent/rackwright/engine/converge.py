"""One converge: observe, plan, guard, gate, commit, verify, report.

The same for a server and for a switch. What can be decided is decided by pure functions of this
package; this module does the I/O between them, through the provider, the session and the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from rackwright.engine import guard
from rackwright.engine import ledger as ledgers
from rackwright.engine.decide import Decision, Held, decide, unmet
from rackwright.engine.declared import Declarations, prepare
from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.engine.masking import masked
from rackwright.engine.outcomes import Progress, outcomes
from rackwright.engine.plan import differences, make_plan
from rackwright.engine.spool import new_id
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.change import Change, Step, Wanted
from rackwright.model.errors import (
    Permanent,
    RackwrightError,
    Rejected,
    Temporary,
    Unreachable,
)
from rackwright.model.report import Outcome, Report
from rackwright.model.resource import Resource
from rackwright.model.secret import Masker
from rackwright.provider import AnyProvider, Session


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What one converge works on."""

    bundle: Bundle
    gates: Gates
    secrets: Mapping[str, str]
    here: str = ""
    """The host that this runs on, by its node name: links to it carry our path."""
    why_run: bool = False
    stop: threading.Event = msgspec.field(default_factory=threading.Event)
    """When set, the resource in hand is finished and the rest left for the next run."""
    mirror: Callable[[Ledger], None] = lambda _: None
    """Sends the ledger where it survives this host. Must not raise."""
    progress: Callable[[int, int, str], None] = lambda _sent, _of, _next: None
    """Hears how many steps of how many are sent, and which resource is next."""


def converge(job: Job, provider: AnyProvider, session: Session, file: LedgerFile) -> Report:
    """Converge one node over ``session``. What goes wrong is in the report; nothing is raised for it.

    With ``job.why_run`` the session must be one that cannot write, and the ledger is not written.
    """
    started = time.time()
    run = _Run(job, provider, session, file)
    error, kind = "", ""
    try:
        run.go()
        if run.lost:
            error, kind = run.lost, "unreachable"
    except Temporary as problem:
        error, kind = str(problem), "unreachable"
    except RackwrightError as problem:
        error, kind = str(problem), "device"
    report = Report(
        id=new_id(started),
        node=job.bundle.node.name,
        revision=job.bundle.revision,
        started=started,
        finished=time.time(),
        why_run=job.why_run,
        via=session.via,
        outcomes=run.outcomes(),
        error=error,
        kind=kind,  # type: ignore[arg-type]
        saved=run.saved,
    )
    return masked(report, run.masker)


class _Run:
    """One converge, as far as it has come."""

    def __init__(self, job: Job, provider: AnyProvider, session: Session, file: LedgerFile) -> None:
        self.job, self.provider, self.session, self.file = job, provider, session, file
        self.masker = Masker(job.secrets.values())
        self.before = Ledger()
        """The ledger as the run found it."""
        self.ledger = self.before
        """As it is on disk."""
        self.said: Declarations | None = None
        self.observed: Mapping[Address, Resource] = {}
        self.decision: Decision | None = None
        self.progress = Progress()
        self.lost = ""
        """Why the session broke, when it did."""
        self.saved = False
        self.startup_agrees = False

    def go(self) -> None:
        job, provider = self.job, self.provider
        self.before = self.ledger = self.file.load()
        self.said = said = prepare(job.bundle, provider, self.ledger, job.secrets)
        self.observed = observed = self.observe(said)
        self.decision = decision = self.decide(said, observed)
        self.progress.held.update(decision.held)
        steps = self.render(decision.allowed, observed)
        if job.why_run:
            return
        if steps:
            self.intend(said, decision.allowed)
            self.commit(decision, steps)
            if not self.lost:
                self.verify(said, decision)
        if not self.lost:
            self.notify(said, decision, observed)
        try:
            if not self.lost:
                self.save(decision)
        finally:
            # A save that fails is said by the report; what was seen to be done is done all the same.
            self.settle(said, decision)

    def observe(self, said: Declarations) -> Mapping[Address, Resource]:
        resources = {item.address: item.resource for item in said.items}
        resources.update(said.ledger_only)
        types = {type(resource) for resource in resources.values()}
        types |= {kind for kind in self.provider.resources if kind.kind in self.job.bundle.purge}
        if not types:
            return {}
        return self.provider.read(self.session, Wanted(frozenset(types), resources))

    def decide(self, said: Declarations, observed: Mapping[Address, Resource]) -> Decision:
        purge = self.job.bundle.purge
        plan = make_plan(
            said.items,
            observed,
            self.ledger,
            purge=purge,
            waiting=said.waiting,
            reserved=[
                address
                for address, seen in observed.items()
                if address.type in purge and self.reserved(seen)
            ],
        )
        acts = any(change.action != "release" for change in plan.changes)
        cuts = any(guard.severs(change) for change in plan.changes)
        return decide(
            plan,
            said,
            observed,
            self.ledger,
            self.job.gates,
            carriers=self.carriers(observed) if cuts else (),
            undoes=self.provider.undoes,
            refused=self.provider.refuse(plan.changes, observed) if acts else {},
            contradicted=self.contradicted() if acts else {},
        )

    def reserved(self, seen: Resource) -> bool:
        """Whether the platform keeps this one to itself (VLANs 1 and 1002 to 1005)."""
        try:
            self.provider.canonical(seen)
        except Permanent:
            # What is there may hold a value that nobody could declare, an empty name, and go all the
            # same.
            try:
                self.provider.canonical(type(seen)(name=seen.name, ensure="absent"))
            except (Permanent, ValueError):
                return True
        return False

    def carriers(self, observed: Mapping[Address, Resource]) -> Collection[Address]:
        """What carries our path: as the device can tell, and by the links to the host we run on."""
        found = set(self.provider.carriers(self.session, observed))
        ours = [link.port for link in self.job.bundle.node.links if link.peer == self.job.here]
        kinds = [kind for kind in self.provider.resources if kind.fixture]
        found.update(address for port in ours for address in self.called(port, kinds))
        return found

    def contradicted(self) -> dict[Address, str]:
        """The resources at whose port somebody else is seen than the site says."""
        kinds = [kind for kind in self.provider.resources if kind.linked]
        ports = self.job.gates.contradicted.items()
        return {address: why for port, why in ports for address in self.called(port, kinds)}

    def called(self, port: str, kinds: Iterable[type[Resource]]) -> Iterator[Address]:
        """What a link's port is called as a resource of one of ``kinds``."""
        for kind in kinds:
            # A noun may have no such name: an outlet is not called eth0.
            with suppress(Permanent, ValueError):
                yield self.provider.canonical(kind(name=port)).address

    def render(self, allowed: Sequence[Change], observed: Mapping[Address, Resource]) -> list[Step]:
        """The steps of ``allowed``; what cannot be rendered fails by itself."""
        changes = [change for change in allowed if change.action != "release"]
        try:
            steps = list(self.provider.render(changes, observed))
        except Permanent:
            steps = []
            for change in changes:
                waits = self.unmet(change)
                if waits:
                    self.progress.held[change.address] = Held("blocked", "", waits)
                    continue
                try:
                    steps.extend(self.provider.render([change], observed))
                except Permanent as error:
                    self.progress.held[change.address] = Held("failed", str(error))
        reached = {address for step in steps for address in step.addresses}
        for change in changes:
            if change.address not in reached:
                # Nobody would read it back, so it must not pass for done.
                self.hold([change.address], Held("failed", "this platform has no way to change it"))
        for step in steps:
            for address in step.addresses:
                known = self.progress.commands.get(address, ())
                self.progress.commands[address] = (*known, self.masker.text(step.text))
        return steps

    def unmet(self, change: Change) -> tuple[str, ...]:
        """What of this node ``change`` rests on and that has been held until now."""
        assert self.said is not None  # noqa: S101 - go() has set it
        assert self.decision is not None  # noqa: S101 - go() has set it
        return unmet(change, self.decision.plan, self.said, self.progress.held)

    def intend(self, said: Declarations, allowed: Sequence[Change]) -> None:
        entries = {item.address: item.entry for item in said.items}
        self.keep(ledgers.intend(self.ledger, allowed, entries, _notified_by(said, allowed)))

    def keep(self, ledger: Ledger) -> None:
        # Read back from disk a tuple is a list: what is written the same is the same.
        same = ledger == self.ledger or ledgers.encode(ledger) == ledgers.encode(self.ledger)
        if not same or not self.file.exists():
            self.file.store(ledger)
            self.ledger = ledger
            self.job.mirror(ledger)

    def commit(self, decision: Decision, steps: Sequence[Step]) -> None:
        """Send the steps, one by one or, where the platform can, as one."""
        changes = {change.address: change for change in decision.allowed}
        batches = [list(steps)] if self.provider.atomic else [[step] for step in steps]
        for number, batch in enumerate(batches):
            addresses = list(dict.fromkeys(a for step in batch for a in step.addresses))
            self.job.progress(number, len(batches), str(addresses[0]))
            waits = {need for address in addresses for need in self.unmet(changes[address])}
            if self.lost or self.job.stop.is_set():
                self.hold(addresses, Held("blocked", self.unsent()))
                continue
            if waits and not self.provider.atomic:
                if (
                    len(addresses) > 1
                ):  # of many that go together, only those that wait are left out
                    self.send_apart([changes[address] for address in addresses])
                else:
                    self.hold(addresses, Held("blocked", "", tuple(sorted(waits))))
                continue
            refusal = self.send(addresses, batch)
            if refusal and len(addresses) == 1:
                self.hold(addresses, Held("failed", str(refusal)))
            elif refusal:
                self.send_apart([changes[address] for address in addresses])
        self.job.progress(len(batches), len(batches), "")

    def send(self, addresses: Sequence[Address], steps: Sequence[Step]) -> Rejected | None:
        """Commit ``steps``. What the device refuses is returned, everything else that goes wrong is
        held against ``addresses``."""
        began = time.monotonic()
        refusal = None
        try:
            self.provider.commit(self.session, steps)
        except Unreachable as error:
            self.lost = str(error)
            self.hold(addresses, Held("failed", f"the session was lost: {error}"))
        except Rejected as error:
            refusal = error
        except RackwrightError as error:
            self.hold(addresses, Held("failed", str(error)))
        took = (time.monotonic() - began) / len(addresses)
        sent = self.progress.seconds
        for address in addresses:
            sent[address] = sent.get(address, 0.0) + took
        return refusal

    def send_apart(self, changes: Sequence[Change]) -> None:
        """``changes`` were refused together: by halves, down to those that the device will not have,
        so that only these fail."""
        middle = len(changes) // 2
        for half in (changes[:middle], changes[middle:]):
            ready = []
            for change in half:
                waits = self.unmet(change)
                if self.lost or self.job.stop.is_set():
                    self.hold([change.address], Held("blocked", self.unsent()))
                elif waits:
                    self.hold([change.address], Held("blocked", "", tuple(sorted(waits))))
                else:
                    ready.append(change)
            if not ready:
                continue
            addresses = [change.address for change in ready]
            refusal = self.send(addresses, self.provider.render(ready, self.observed))
            if refusal and len(ready) == 1:
                self.hold(addresses, Held("failed", str(refusal)))
            elif refusal:
                self.send_apart(ready)

    def unsent(self) -> str:
        """Why nothing more is sent in this run."""
        if self.lost:
            return f"not sent: {self.lost}"
        return "the agent was told to leave; the next run goes on here"

    def hold(self, addresses: Sequence[Address], held: Held) -> None:
        for address in addresses:
            self.progress.held.setdefault(address, held)

    def verify(self, said: Declarations, decision: Decision) -> None:
        """Read again: what the device answered is no proof."""
        items = {item.address: item for item in said.items}
        sent = [change for change in decision.allowed if change.address in self.progress.seconds]
        resources: dict[Address, Resource] = {}
        for change in sent:
            resource = change.after or change.before
            if resource is not None:
                resources[change.address] = resource
        types = frozenset(type(resource) for resource in resources.values())
        try:
            seen = self.provider.read(self.session, Wanted(types, resources))
        except RackwrightError as error:
            why = f"the changes could not be read back: {error}"
            self.hold(list(resources), Held("failed", why))
            if isinstance(error, Temporary):
                self.lost = why
            return
        for change in sent:
            address, now = change.address, seen.get(change.address)
            if change.action == "remove":
                wrong = "it is still there" if now is not None else ""
            elif now is None:
                self.progress.absent.add(address)
                wrong = "it is not there"
            else:
                wrong = "; ".join(
                    f"{found.field} reads {found.old!r}, not {found.new!r}"
                    for found in differences(items[address], now)
                )
            known = self.progress.held.get(address)
            if wrong and known is None:
                said_so = f"the device accepted it, but when read back {wrong}"
                self.progress.held[address] = Held("failed", said_so)
            elif not wrong and known is None:
                self.progress.verified.add(address)

    def notify(
        self, said: Declarations, decision: Decision, observed: Mapping[Address, Resource]
    ) -> None:
        """Restart or reload what changes of this run, or of one that was cut short, call for."""
        items = {str(item.declared.address): item for item in said.items}
        for name in self.due(said, decision):
            item = items.get(name)
            if item is None or item.address in self.progress.held:
                continue
            if self.job.stop.is_set():
                return
            change = Change("notify", item.address, observed.get(item.address), item.resource)
            try:
                steps = list(self.provider.render([change], observed))
                self.provider.commit(self.session, steps)
            except Unreachable as error:
                self.lost = str(error)
                return
            except RackwrightError as error:
                self.progress.held[item.address] = Held("failed", f"when notified: {error}")
                continue
            texts = tuple(self.masker.text(step.text) for step in steps)
            known = self.progress.commands.get(item.address, ())
            self.progress.commands[item.address] = (*known, *texts)
            self.progress.notified.add(name)

    def due(self, said: Declarations, decision: Decision) -> tuple[str, ...]:
        """Pending from before, and earned by changes that were seen to be done."""
        if self.lost:
            return self.ledger.notify
        done = [c for c in decision.allowed if c.address in self.progress.verified]
        return tuple(dict.fromkeys((*self.before.notify, *_notified_by(said, done))))

    @property
    def unsaved(self) -> bool:
        """Whether running may hold what startup lacks: of an earlier run, or sent in this one."""
        return self.before.unsaved or bool(self.progress.seconds)

    def save(self, decision: Decision) -> None:
        """Running to startup, once, when there is something verified to save."""
        held = self.progress.held
        failed = any(item.state == "failed" for item in held.values())
        seen = bool(self.progress.verified) or (
            # What an earlier run sent and could not save, and is now seen to be as declared.
            self.before.unsaved and any(address not in held for address in decision.plan.in_sync)
        )
        if self.unsaved and (seen or not failed):
            self.saved = self.provider.save(self.session)
            self.startup_agrees = True

    def settle(self, said: Declarations, decision: Decision) -> None:
        """Note the outcome. What could not be read back keeps its intent."""
        progress = self.progress
        items = {item.address: item for item in said.items}
        seen = [a for a in decision.plan.in_sync if a not in progress.held]
        seen += [a for a in items if a in progress.verified]
        removed = {c.address for c in decision.plan.changes if c.action == "remove"}
        settled = ledgers.settle(
            self.ledger,
            verified={a: items[a].entry for a in seen if items[a].resource.ensure == "present"},
            gone=[
                *(removed & progress.verified),
                *(a for a in seen if items[a].resource.ensure == "absent"),
                *(progress.absent if not self.lost else ()),
                *(
                    c.address
                    for c in decision.plan.changes
                    if c.action == "release" and c.address not in progress.held
                ),
            ],
            unsent={
                c.address: self.before.get(c.address)
                for c in decision.allowed
                if c.action != "release" and c.address not in progress.seconds
            },
            due=[name for name in self.due(said, decision) if name not in progress.notified],
            unsaved=self.unsaved and not self.startup_agrees,
        )
        self.keep(settled)

    def outcomes(self) -> tuple[Outcome, ...]:
        if self.said is None or self.decision is None:
            return ()
        return outcomes(self.said, self.decision, self.progress, self.before)


def _notified_by(said: Declarations, changes: Sequence[Change]) -> tuple[str, ...]:
    items = {item.address: item for item in said.items}
    return tuple(
        dict.fromkeys(
            name
            for change in changes
            if change.action in ("create", "update") and change.address in items
            for name in items[change.address].declared.notifies
        )
    )
