"""The store's database: its file, and what is in it by subject."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rackwright_store.kept.enrolments import KeptEnrolments
from rackwright_store.kept.facts import KeptFacts
from rackwright_store.kept.leases import KeptLeases
from rackwright_store.kept.ledgers import KeptLedgers
from rackwright_store.kept.reports import KeptReports
from rackwright_store.kept.revisions import KeptRevisions
from rackwright_store.kept.transactions import Transactions
from rackwright_store.schema import MIGRATIONS, Migration


class Database(Transactions):
    """What must outlive the store's process. Methods block, those of its parts too; those that write must
    come from one thread."""

    def __init__(self, path: Path, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        super().__init__(path, migrations)
        self.facts = KeptFacts(self)
        self.ledgers = KeptLedgers(self)
        self.reports = KeptReports(self)
        self.leases = KeptLeases(self)
        self.enrolments = KeptEnrolments(self)
        self.revisions = KeptRevisions(self)
