"""One run of one node: facts, bundle, session, converge, report. Agent and delegate are the same."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rackwright.engine.converge import Job, converge
from rackwright.engine.files import Busy, looking_lock, run_lock, sweep
from rackwright.engine.ledger import Ledger, LedgerFile
from rackwright.engine.spool import Spool, new_id
from rackwright.facts_file import FactsFile, FoundFacts, found_now
from rackwright.leasing import Lease, NoLease
from rackwright.ledger_mirror import LedgerMirror, take_over
from rackwright.model.bundle import Bundle, Gates
from rackwright.model.errors import (
    InputError,
    NotAsked,
    Permanent,
    RackwrightError,
    Temporary,
    Unreachable,
)
from rackwright.model.facts import Facts
from rackwright.model.report import Report
from rackwright.model.secret import Masker
from rackwright.model.site import Node
from rackwright.provider import AnyProvider, Registry, Surroundings
from rackwright.reach import Reach
from rackwright.source import Source, Superseded
from rackwright.vault import read_secrets

if TYPE_CHECKING:
    from rackwright.keeper import Claim

log = logging.getLogger(__name__)


@dataclass(slots=True)
class NodeRunner:
    """Runs one node again and again: keeps its session, its facts and its spool between runs."""

    node: str
    source: Source
    registry: Registry
    state: Path
    """The node's own state directory."""
    secrets: Path | None = None
    here: str = ""
    root: Path = Path("/")
    stop: threading.Event = field(default_factory=threading.Event)
    claim: Claim | None = None
    """On the node's lease: nothing is sent to the node without it. None: none is needed."""
    progress: Callable[[str, int, int, str], None] = lambda _node, _sent, _of, _next: None
    _reach: Reach | None = None
    _provider: AnyProvider | None = None
    _swept: bool = False
    _dry: bool = False
    """This run is a dry one: nothing is kept of it."""
    _copy: LedgerMirror = field(default_factory=LedgerMirror)
    _lease: Lease | None = None
    """Of the tenure for which the state directory was made ready last."""
    _delivering: threading.Lock = field(default_factory=threading.Lock)
    _undelivered: bool = False
    """Reports wait."""
    _unsent: bool = False
    """Facts wait."""
    _unvouched: bool = False
    """The last run was held back, because reports of earlier ones had not been delivered."""

    def run(self, *, why_run: bool = False, fresh_facts: bool = False) -> Report:
        """Converge once and report. Never raises a RackwrightError."""
        started = time.time()
        masker = Masker()
        lease: Lease | None = None
        try:
            if self.claim is not None and not why_run:
                lease = self.claim.current()
            self._dry = why_run
            lock = looking_lock if why_run else run_lock
            with lock(self.state / "run.lock"):
                if not (self._swept or why_run):
                    sweep(self.state)
                    sweep(self.state / "reports")
                    self._swept = True
                secrets = read_secrets(self.secrets)
                masker = Masker(secrets.values())
                report = self._run(secrets, lease, why_run=why_run, fresh_facts=fresh_facts)
                report = msgspec.structs.replace(report, started=started)
        except (Busy, NoLease) as error:
            # Who has the lock or the lease reports; this one would only call the node unreachable.
            return self._failed(started, error, masker, why_run)
        except RackwrightError as error:
            report = self._failed(started, error, masker, why_run)
        except OSError as error:
            # Transports map what devices do: this is of our own state directory.
            what = f"{error.filename or self.state}: {error.strerror or error}"
            report = self._failed(started, Permanent(what), masker, why_run)
        except Exception as error:  # noqa: BLE001 - logged with its trace, masked
            # A bug of one provider: it must end neither this node's loop nor anyone else's, and it
            # must be seen where people look.
            trace = masker.text("".join(traceback.format_exception(error)))
            log.error("%s: the run failed in a way it should not\n%s", self.node, trace)
            bug = Permanent(f"a fault in Rackwright, see its log: {type(error).__name__}: {error}")
            report = self._failed(started, bug, masker, why_run)
            self.close()
        if lease is not None:
            report = msgspec.structs.replace(report, epoch=lease.epoch)
            if self.claim and self.claim.lease is not lease and not report.outcomes:
                return report  # it says nothing of the node, and somebody else may have it by now
        if not why_run:
            self._tell(report)
        return report

    def _tell(self, report: Report) -> None:
        if not self.source.collects:
            try:
                self.source.deliver(report)
            except OSError as error:
                log.error("%s: what came of its run cannot be kept: %s", self.node, error)
            return
        try:
            Spool(self.state / "reports").add(report)
        except OSError as error:
            # A full disk must not end the loop, and while the store is there it loses no report.
            log.error("%s: its report cannot be kept on disk: %s", self.node, error)
            with suppress(RackwrightError):
                self.source.deliver(report)
        self.deliver()

    def deliver(self) -> bool:
        """Send the reports that wait, and say whether none waits any more. Any thread may call it; never
        raises."""
        try:
            with self._delivering:
                trouble = Spool(self.state / "reports").deliver(self.source.deliver)
        except OSError as error:
            trouble = str(error)
        if trouble:
            log.warning("%s: reports are kept for later: %s", self.node, trouble)
        self._undelivered = bool(trouble)
        return not trouble

    @property
    def behind(self) -> bool:
        """Whether the source has yet to hear something that can be told without the device, or a run is
        to follow now that it has heard it."""
        waits = self._undelivered or self._unsent or self._unvouched
        return self.source.collects and (waits or (self._copy.behind and self._settled))

    @property
    def _settled(self) -> bool:
        """Whether the ledger here is the one that counts."""
        return self.claim is None or (self._lease is not None and self.claim.lease is self._lease)

    def catch_up(self) -> bool:
        """Tell the source what it could not be told in the last run: facts, the ledger, reports. Says
        whether a run is to follow, since the last was held back by that. For the thread that runs the
        node. Never raises."""
        try:
            with run_lock(self.state / "run.lock"):
                if self._unsent:
                    self._send_facts(FactsFile(self.state).load())
                file = LedgerFile(self.state / "ledger.json")
                if self._copy.behind and self._settled:
                    if file.exists():
                        self._mirror(file.load())
                    else:
                        self._copy.behind = False  # nothing was ever made from here
        except (RackwrightError, OSError) as error:
            log.debug("%s: the store is told later: %s", self.node, error)
        return self.deliver() and self._unvouched

    @contextmanager
    def between_runs(self) -> Iterator[tuple[AnyProvider, Any]]:
        """The node's provider and its session, kept or opened, for what somebody asks for once: under
        the run lock and the lease, as a run has them. Raises RackwrightError, and OSError when the
        state directory cannot be used."""
        lease = self.claim.current() if self.claim is not None else None
        with run_lock(self.state / "run.lock"):
            if lease is not None and lease is not self._lease:
                self._begin_tenure(lease, LedgerFile(self.state / "ledger.json"))
            node = self.source.bundle().node
            if not node.reach:
                raise Permanent(f"{node.name} has no `reach`: it is no managed node")
            provider, reach = self._reach_of(node.platform, why_run=False)
            around = Surroundings(
                state=self.state, root=self.root, writable=True, stop=self.stop, lease=lease
            )
            try:
                session = reach.session(node, read_secrets(self.secrets), around)
                yield getattr(provider, "chosen", provider), session  # of `platform: auto`
            except Unreachable:
                reach.close()
                raise

    def lost(self) -> bool:
        """Whether the kept session is gone, as far as it can tell without asking the device anything
        that it would note. Used between two runs. Never raises."""
        return self._reach is not None and self._reach.lost()

    def close(self) -> None:
        """Leave the device."""
        if self._reach is not None:
            self._reach.close()

    def _run(
        self, secrets: dict[str, str], lease: Lease | None, *, why_run: bool, fresh_facts: bool
    ) -> Report:
        self._unvouched = False
        file = LedgerFile(self.state / "ledger.json")
        if lease is not None and lease is not self._lease:
            self._begin_tenure(lease, file)
        if not file.exists():
            file = take_over(self.source, file, why_run=why_run)
        known = FactsFile(self.state).load()
        if self.source.collects:
            self._send_facts(known)
        bundle = self.source.bundle()
        provider, reach = self._reach_of(bundle.node.platform, why_run=why_run)
        around = Surroundings(
            state=self.state, root=self.root, writable=not why_run, stop=self.stop, lease=lease
        )
        try:
            kept = reach.kept
            if known is None or not known.fresh or fresh_facts or bundle.deferred:
                session, facts = self._discover(provider, reach, bundle.node, secrets, around)
                bundle = self._with_facts(facts, bundle, known)
            else:
                session = reach.session(bundle.node, secrets, around)
            # A report that came in the middle of this run would be taken for that of this run, and what
            # this one is cutting for done.
            told = why_run or not self.source.collects or self.deliver()
            self._unvouched = not told
            bundle, gates = self._gates(bundle)
            if not told:
                gates = gates.unasked
            self._copy.tried = False
            job = Job(
                bundle=bundle,
                gates=gates,
                secrets=secrets,
                here=self.here,
                why_run=why_run,
                stop=self.stop,
                mirror=self._mirror,
                progress=lambda sent, of, what: self.progress(self.node, sent, of, what),
            )
            report = converge(job, provider, session, file)
            if report.kind == "unreachable" and not report.outcomes and kept:
                # The kept session was dead and did not know it. Nothing was sent: once more.
                reach.close()
                session = reach.session(bundle.node, secrets, around)
                report = converge(job, provider, session, file)
            if report.kind == "unreachable":
                reach.close()
        finally:
            if why_run:
                reach.close()
        if reach.note and not report.error:
            note = Masker(secrets.values()).text(reach.note)
            report = msgspec.structs.replace(report, via=f"{report.via} ({note})")
        if self.source.collects and not why_run:
            now = FactsFile(self.state).load()
            if now is not None and now.sent:
                report = msgspec.structs.replace(report, facts_at=now.at)
        if self._copy.behind and not self._copy.tried and self.source.collects and not why_run:
            with suppress(Temporary):
                self._mirror(file.load())
        return report

    def _begin_tenure(self, lease: Lease, file: LedgerFile) -> None:
        """Make the state directory what it must be under ``lease``. When somebody else held the node
        since it was last written, what they left at the store counts, and nothing here is fresh."""
        assert self.claim is not None  # noqa: S101 - it is where the lease is from
        self.source.epoch = lease.epoch
        self._copy.begin()
        if not self.claim.follows(lease):
            take_over(self.source, file, why_run=False)
            self.source.forget()
            FactsFile(self.state).forget()
        self.claim.adopt(lease)
        self._lease = lease

    def _mirror(self, ledger: Ledger) -> None:
        error = self._copy.send(ledger, self.source, leased=self._lease is not None)
        if error is not None:
            log.warning("%s: the ledger is mirrored later: %s", self.node, error)

    def _gates(self, bundle: Bundle) -> tuple[Bundle, Gates]:
        """The gates, and the bundle that they go with."""
        for _ in range(3):
            try:
                return bundle, self.source.gates()
            except Superseded:
                bundle = self.source.bundle()
        return bundle, self.source.gates()

    def _reach_of(self, platform: str, *, why_run: bool) -> tuple[AnyProvider, Reach]:
        if self._provider is None or self._provider.platform != platform:
            self.close()
            self._provider, self._reach = self.registry.provider(platform), None
        if why_run:
            return self._provider, Reach(self._provider, self.here)
        if self._reach is None:
            self._reach = Reach(self._provider, self.here)
        return self._provider, self._reach

    def _discover(
        self,
        provider: AnyProvider,
        reach: Reach,
        node: Node,
        secrets: dict[str, str],
        around: Surroundings,
    ) -> tuple[Any, Facts]:
        """Ask the device for its facts; once more when the session was an old one that had died."""
        for kept in (reach.kept, False):
            session = reach.session(node, secrets, around)
            try:
                return session, provider.discover(session)
            except Temporary:
                reach.close()
                if not kept:
                    raise
        raise AssertionError("the second session is never a kept one")

    def _with_facts(self, facts: Facts, bundle: Bundle, known: FoundFacts | None) -> Bundle:
        """Keep ``facts``; when they changed, have the bundle rendered with them."""
        found, changed = found_now(facts, known)
        self._keep_facts(found)
        if not changed:
            return bundle
        self._send_facts(found)
        return self.source.bundle()

    def _send_facts(self, found: FoundFacts | None) -> None:
        if found is None or found.sent:
            self._unsent = False
            return
        try:
            self.source.send_facts(found.facts)
        except (Unreachable, Permanent) as error:
            # What is refused now is asked for again too: facts must not keep a node from its roles.
            log.warning("%s: its facts are kept for later: %s", self.node, error)
            self._unsent = isinstance(error, Unreachable)
            return
        self._unsent = False
        # A site's tree is told of them for this process; a store that comes later has yet to hear.
        self._keep_facts(msgspec.structs.replace(found, sent=self.source.collects))

    def _keep_facts(self, found: FoundFacts) -> None:
        if not self._dry:
            FactsFile(self.state).store(found)

    def _failed(
        self, started: float, error: RackwrightError, masker: Masker, why_run: bool
    ) -> Report:
        kind = "device"
        if isinstance(error, InputError):
            kind = "input"
        elif isinstance(error, Temporary):
            kind = "unreachable"
        return Report(
            id=new_id(started),
            node=self.node,
            started=started,
            finished=time.time(),
            why_run=why_run,
            error=masker.text(str(error)),
            kind=kind,  # type: ignore[arg-type]
            asked=not isinstance(error, NotAsked),
        )
