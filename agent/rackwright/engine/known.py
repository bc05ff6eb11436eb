"""What is known of nodes without asking them."""

from __future__ import annotations

from typing import Literal

import msgspec

from rackwright.engine.ledger import Ledger
from rackwright.model.bundle import Bundle
from rackwright.model.facts import Facts
from rackwright.model.standing import RUN, Standing


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one node: by the store, or from its ledger on this host."""

    by: Literal["report", "ledger"] = "report"
    bundle: Bundle | None = None
    """The one in force; None when it is not in the site in force, or that is not known."""
    verified: dict[str, str] = {}
    """``type/name`` as the site writes it → digest at which it was verified last."""
    standing: dict[str, Standing] = {}
    """``type/name`` → what was reported of it last; `RUN` → why the last run could not be done."""
    removed: tuple[str, ...] = ()
    """What its last run took away."""
    ledger: Ledger | None = None
    facts: Facts | None = None
    facts_at: float | None = None
    last_run: float | None = None
    """When its last run ended, in Unix seconds."""
    kind: str = ""
    """Why that run as a whole could not be done: ``unreachable``, …"""
    heard: float | None = None
    """When its agent gave its last sign of life, in Unix seconds."""
    retired: bool = False
    """Somebody said that it is gone for good."""

    @property
    def seen(self) -> bool:
        """Whether the node has ever said a word of its resources."""
        return bool(self.verified or (self.ledger and self.ledger.entries) or self.last_run)

    @property
    def trouble(self) -> str:
        """Why its last run could not be done; empty when it could, or was only cut short."""
        run = self.standing.get(RUN)
        if run is not None:
            return (
                ""
                if run.action == "interrupted"
                else run.why or f"its last run ended: {run.action}"
            )
        return f"its last run ended: {self.kind}" if self.kind not in ("", "interrupted") else ""


def of_ledger(ledger: Ledger, at: float) -> Known:
    """What the ledger says that was written ``at``."""
    entries = ledger.entries.values()
    verified = {
        entry.called or str(entry.address): entry.digest for entry in entries if not entry.intent
    }
    return Known(by="ledger", verified=verified, ledger=ledger, last_run=at)
