"""Render the changes that may go ahead, and send them: what the device refuses fails alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from rackwright.engine.decide import Decision, Held, unmet
from rackwright.engine.declared import Declarations
from rackwright.engine.outcomes import Progress
from rackwright.model.address import Address
from rackwright.model.change import Change, Step
from rackwright.model.errors import Permanent, RackwrightError, Rejected, Unreachable
from rackwright.model.resource import Resource
from rackwright.model.secret import Masker
from rackwright.provider import AnyProvider, Session, trials


class Sending:
    """The changes of one run on their way. What comes of each is noted in ``progress``.

    ``on_trial`` is what goes under `rackwright.provider.Trials`. When ``stop`` is set, what is in hand
    is finished and the rest not sent. ``tell`` hears how many steps of how many are sent, and which
    resource is next.
    """

    def __init__(
        self,
        provider: AnyProvider,
        session: Session,
        said: Declarations,
        decision: Decision,
        observed: Mapping[Address, Resource],
        progress: Progress,
        masker: Masker,
        *,
        on_trial: Collection[Address],
        stop: threading.Event,
        tell: Callable[[int, int, str], None],
    ) -> None:
        self._provider, self._session = provider, session
        self._said, self._decision, self._observed = said, decision, observed
        self._progress, self._masker = progress, masker
        self._on_trial, self._stop, self._tell = frozenset(on_trial), stop, tell
        self.lost = ""
        """Why the session broke, when it did."""

    def render(self) -> list[Step]:
        """The steps of what may go ahead; what cannot be rendered fails by itself."""
        changes = [change for change in self._decision.allowed if change.action != "release"]
        try:
            steps = list(self._provider.render(changes, self._observed))
        except Permanent:
            steps = []
            for change in changes:
                waits = self._unmet(change)
                if waits:
                    self._progress.held[change.address] = Held("blocked", "", waits)
                    continue
                try:
                    steps.extend(self._provider.render([change], self._observed))
                except Permanent as error:
                    self._progress.held[change.address] = Held("failed", str(error))
        reached = {address for step in steps for address in step.addresses}
        for change in changes:
            if change.address not in reached:
                # Nobody would read it back, so it must not pass for done.
                self._progress.hold(
                    [change.address], Held("failed", "this platform has no way to change it")
                )
        for step in steps:
            for address in step.addresses:
                known = self._progress.commands.get(address, ())
                self._progress.commands[address] = (*known, self._masker.text(step.text))
        return steps

    def send(self, steps: Sequence[Step]) -> None:
        """Send the steps, one by one or, where the platform can, as one."""
        changes = {change.address: change for change in self._decision.allowed}
        batches = [list(steps)] if self._provider.atomic else [[step] for step in steps]
        for number, batch in enumerate(batches):
            addresses = list(dict.fromkeys(a for step in batch for a in step.addresses))
            self._tell(number, len(batches), str(addresses[0]))
            waits = {need for address in addresses for need in self._unmet(changes[address])}
            if self.lost or self._stop.is_set():
                self._progress.hold(addresses, Held("blocked", self._unsent()))
                continue
            if waits and not self._provider.atomic:
                if len(addresses) > 1:
                    # Of many that go together, only those that wait are left out.
                    self._send_apart([changes[address] for address in addresses])
                else:
                    self._progress.hold(addresses, Held("blocked", "", tuple(sorted(waits))))
                continue
            refusal = self._commit(addresses, batch)
            if refusal and len(addresses) == 1:
                self._progress.hold(addresses, Held("failed", str(refusal)))
            elif refusal:
                self._send_apart([changes[address] for address in addresses])
        self._tell(len(batches), len(batches), "")

    def _commit(self, addresses: Sequence[Address], steps: Sequence[Step]) -> Rejected | None:
        """Commit ``steps``. What the device refuses is returned, everything else that goes wrong is
        held against ``addresses``."""
        began = time.monotonic()
        refusal = None
        trying = trials(self._provider) if self._on_trial.intersection(addresses) else None
        try:
            if trying is not None:
                trying.commit_on_trial(self._session, steps)
            else:
                self._provider.commit(self._session, steps)
        except Unreachable as error:
            self.lost = str(error)
            self._progress.hold(addresses, Held("failed", f"the session was lost: {error}"))
        except Rejected as error:
            refusal = error
        except RackwrightError as error:
            self._progress.hold(addresses, Held("failed", str(error)))
        took = (time.monotonic() - began) / len(addresses)
        sent = self._progress.seconds
        for address in addresses:
            sent[address] = sent.get(address, 0.0) + took
        return refusal

    def _send_apart(self, changes: Sequence[Change]) -> None:
        """``changes`` were refused together: by halves, down to those that the device will not have,
        so that only these fail."""
        middle = len(changes) // 2
        for half in (changes[:middle], changes[middle:]):
            ready = []
            for change in half:
                waits = self._unmet(change)
                if self.lost or self._stop.is_set():
                    self._progress.hold([change.address], Held("blocked", self._unsent()))
                elif waits:
                    self._progress.hold([change.address], Held("blocked", "", tuple(sorted(waits))))
                else:
                    ready.append(change)
            if not ready:
                continue
            addresses = [change.address for change in ready]
            refusal = self._commit(addresses, self._provider.render(ready, self._observed))
            if refusal and len(ready) == 1:
                self._progress.hold(addresses, Held("failed", str(refusal)))
            elif refusal:
                self._send_apart(ready)

    def _unsent(self) -> str:
        """Why nothing more is sent in this run."""
        if self.lost:
            return f"not sent: {self.lost}"
        return "the agent was told to leave; the next run goes on here"

    def _unmet(self, change: Change) -> tuple[str, ...]:
        """What of this node ``change`` rests on and that has been held until now."""
        return unmet(change, self._decision.plan, self._said, self._progress.held)
