"""What came of each resource, as the report says it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from rackwright.engine import guard
from rackwright.engine.decide import Decision, Held
from rackwright.engine.declared import Declarations
from rackwright.engine.ledger import Ledger
from rackwright.engine.plan import Item
from rackwright.model.address import Address
from rackwright.model.change import Change
from rackwright.model.report import Outcome


class Progress(msgspec.Struct):
    """What a run has done so far, by canonical address."""

    held: dict[Address, Held] = {}
    """What was decided against, or went wrong on the way."""
    seconds: dict[Address, float] = {}
    """How long each change took to send; a key says that it was sent."""
    commands: dict[Address, tuple[str, ...]] = {}
    verified: set[Address] = msgspec.field(default_factory=set)
    """Sent, and seen as meant when read back."""
    absent: set[Address] = msgspec.field(default_factory=set)
    """Meant to be made, and seen not to be there."""
    notified: set[str] = msgspec.field(default_factory=set)

    def hold(self, addresses: Iterable[Address], held: Held) -> None:
        """Note ``held`` against those of ``addresses`` that nothing is held against yet."""
        for address in addresses:
            self.held.setdefault(address, held)


def outcomes(
    said: Declarations, decision: Decision, progress: Progress, ledger: Ledger
) -> tuple[Outcome, ...]:
    """One outcome a resource: the changes in their order, then the rest as declared."""
    items = {item.address: item for item in said.items}
    found = [
        _of_change(change, items.get(change.address), progress, ledger)
        for change in decision.plan.changes
    ]
    changed = {change.address for change in decision.plan.changes}
    for item in said.items:
        if item.address in changed:
            continue
        held = progress.held.get(item.address)
        found.append(
            Outcome(
                address=str(item.declared.address),
                state=held.state if held else "in_sync",
                action="notify" if str(item.address) in progress.notified else "",
                digest=item.declared.digest,
                why=_why(held),
                waits_for=held.waits_for if held else (),
                origin=str(item.declared.origin),
            )
        )
    found.extend(
        Outcome(address=name, state="refused", why=why) for name, why in said.unusable.items()
    )
    return tuple(found)


def _of_change(change: Change, item: Item | None, progress: Progress, ledger: Ledger) -> Outcome:
    held = progress.held.get(change.address)
    entry = ledger.get(change.address)
    if held:
        state = held.state
    elif change.action == "remove":
        state = "removed"
    elif change.action == "release":
        state = "released"
    else:
        state = "changed"
    return Outcome(
        address=str(item.declared.address)
        if item
        else (entry and entry.called) or str(change.address),
        state=state,
        action=change.action,
        digest=item.declared.digest if item else entry.digest if entry else "",
        changes=change.fields,
        commands=progress.commands.get(change.address, ()),
        why=_why(held),
        waits_for=held.waits_for if held else (),
        origin=str(item.declared.origin) if item else "",
        severs=change.before is not None and guard.severs(change),
        seconds=round(progress.seconds.get(change.address, 0.0), 3),
    )


def _why(held: Held | None) -> str:
    if held is None:
        return ""
    return held.why or f"waits for {', '.join(held.waits_for)}"
