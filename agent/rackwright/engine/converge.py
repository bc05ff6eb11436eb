"""One converge: observe, plan, guard, gate, commit, verify, report.

The same for a server and for a switch. What can be decided is decided by pure functions of this
package; this module does the I/O between them, through the provider, the session and the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from rackwright.engine import guard
from rackwright.engine import ledger as ledgers
from rackwright.engine.decide import Decision, Held, decide
from rackwright.engine.declared import Declarations, prepare
from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.engine.masking import masked
from rackwright.engine.outcomes import Progress, outcomes
from rackwright.engine.plan import differences, make_plan
from rackwright.engine.ports import Ports, leading_to, ports_of
from rackwright.engine.sending import Sending
from rackwright.engine.spool import new_id
from rackwright.model.address import Address
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.change import Change, Plan, Wanted
from rackwright.model.errors import (
    NotAsked,
    Permanent,
    RackwrightError,
    Temporary,
    Unreachable,
)
from rackwright.model.report import Outcome, Report
from rackwright.model.resource import Resource
from rackwright.model.secret import Masker
from rackwright.provider import AnyProvider, Session, trials


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
    """Sends the ledger where it survives this host. Called before the first write of a run and after
    the last. Where it raises Temporary before, nothing is sent; after, that is no matter of this run."""
    progress: Callable[[int, int, str], None] = lambda _sent, _of, _next: None
    """Hears how many steps of how many are sent, and which resource is next."""


def converge(job: Job, provider: AnyProvider, session: Session, file: LedgerFile) -> Report:
    """Converge one node over ``session``. What goes wrong is in the report; nothing is raised for it.

    With ``job.why_run`` the session must be one that cannot write, and the ledger is not written.
    """
    started = time.time()
    run = _Run(job, provider, session, file)
    error, kind, asked = "", "", True
    try:
        run.go()
        if run.lost:
            error, kind = run.lost, "unreachable"
    except Temporary as problem:
        error, kind, asked = str(problem), "unreachable", not isinstance(problem, NotAsked)
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
        asked=asked,
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
        self.decision: Decision | None = None
        self.progress = Progress()
        self.on_trial: frozenset[Address] = frozenset()
        """What cuts our path, and the device takes back unless it is confirmed; see `rackwright.provider.Trials`."""
        self.lost = ""
        """Why the session broke, when it did."""
        self.saved = False
        self.startup_agrees = False

    def go(self) -> None:
        job, provider = self.job, self.provider
        self.before = self.ledger = self.file.load()
        self.said = said = prepare(job.bundle, provider, self.ledger, job.secrets)
        observed = self.observe(said)
        self.decision = decision = self.decide(said, observed)
        self.progress.held.update(decision.held)
        sending = Sending(
            provider,
            self.session,
            said,
            decision,
            observed,
            self.progress,
            self.masker,
            on_trial=self.on_trial,
            stop=job.stop,
            tell=job.progress,
        )
        steps = sending.render()
        if job.why_run:
            return
        if steps:
            self.intend(said, decision.allowed)
            sending.send(steps)
            self.lost = sending.lost
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
        carriers = self.carriers(observed) if cuts else {}
        refused = self.provider.refuse(plan.changes, observed) if acts else {}
        undoes = self.provider.undoes or trials(self.provider) is not None
        return decide(
            plan,
            said,
            observed,
            self.ledger,
            self.job.gates,
            carriers=carriers,
            undoes=undoes,
            refused={**refused, **self.irrevocable(plan, carriers, observed)},
            ports=ports_of(self.job.gates, self.provider) if acts else Ports(),
            node=self.job.bundle.node.name,
        )

    def irrevocable(
        self, plan: Plan, carriers: Mapping[Address, str], observed: Mapping[Address, Resource]
    ) -> Mapping[Address, str]:
        """What cuts our path and this device, whose platform can, would not take back, and why. The
        rest goes on trial."""
        trying = trials(self.provider)
        if not carriers or trying is None:
            return {}
        path = guard.with_foundations(carriers, observed)
        cutting = [c for c in plan.changes if c.address in path and guard.severs(c)]
        found = trying.irrevocable(self.session, cutting) if cutting else {}
        self.on_trial = frozenset(c.address for c in cutting if c.address not in found)
        return found

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

    def carriers(self, observed: Mapping[Address, Resource]) -> Mapping[Address, str]:
        """What carries our path, and from which host: by the links and paths, and as the device can
        tell."""
        job, provider = self.job, self.provider
        found: dict[Address, str] = leading_to(job.here, job.bundle.node, job.gates, provider)
        for address in provider.carriers(self.session, observed):
            found.setdefault(address, "")
        return found

    def intend(self, said: Declarations, allowed: Sequence[Change]) -> None:
        entries = {item.address: item.entry for item in said.items}
        self.keep(ledgers.intend(self.ledger, allowed, entries, _notified_by(said, allowed)))
        try:
            self.job.mirror(self.ledger)
        except Temporary:
            self.keep(self.before)  # nothing was sent, so nothing was begun
            raise

    def keep(self, ledger: Ledger) -> bool:
        """Whether there was anything to write."""
        # Read back from disk a tuple is a list: what is written the same is the same.
        same = ledger == self.ledger or ledgers.encode(ledger) == ledgers.encode(self.ledger)
        if same and self.file.exists():
            return False
        self.file.store(ledger)
        self.ledger = ledger
        return True

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
            self.progress.hold(list(resources), Held("failed", why))
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
        changes = decision.plan.changes
        removed = {c.address for c in changes if c.action == "remove"} & progress.verified
        released = {c.address for c in changes if c.action == "release"} - progress.held.keys()
        unsaved = self.unsaved and not self.startup_agrees
        if unsaved:
            # After a reboot it would be there again, and nobody's.
            made = {entry.address for entry in self.before.entries.values() if entry.made}
            removed, released = removed - made, released - made
        settled = ledgers.settle(
            self.ledger,
            verified={a: items[a].entry for a in seen if items[a].resource.ensure == "present"},
            gone=[
                *removed,
                *(a for a in seen if items[a].resource.ensure == "absent"),
                *(progress.absent if not self.lost else ()),
                *released,
            ],
            unsent={
                c.address: self.before.get(c.address)
                for c in decision.allowed
                if c.action != "release" and c.address not in progress.seconds
            },
            due=[name for name in self.due(said, decision) if name not in progress.notified],
            unsaved=unsaved,
            purged=self.purged(said, decision),
        )
        if self.keep(settled):
            with suppress(Temporary):
                self.job.mirror(settled)

    def purged(self, said: Declarations, decision: Decision) -> set[str]:
        """The types of `Bundle.purge` of which nothing undeclared is left, or was once."""
        declared = {item.address for item in said.items}
        rest = {
            change.address.type
            for change in decision.plan.changes
            if change.action == "remove"
            and change.address not in declared
            and self.before.get(change.address) is None
            and change.address not in self.progress.verified
        }
        return {
            kind for kind in self.job.bundle.purge if kind not in rest or kind in self.before.purged
        }

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
