"""What came of the commits that were looked at."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from rackwright.model import typed
from rackwright.model.errors import Problem
from rackwright_store.kept.transactions import Transactions
from rackwright_store.records import Revision
from rackwright_store.schema import revisions

REVISIONS_KEPT = 200
"""The newest stay, and the one in force."""


class KeptRevisions:
    """Revisions that were accepted or refused."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, revision: Revision) -> None:
        """Note what came of a commit, unless the last note says the same."""
        body = msgspec.json.encode(revision.problems)
        with self._transactions.writing() as connection:
            last = connection.execute(
                sa.select(revisions).order_by(revisions.c.number.desc()).limit(1)
            ).first()
            if last is not None and (last.commit, last.accepted, last.problems) == (
                revision.commit,
                revision.accepted,
                body,
            ):
                return
            added = connection.execute(
                sa.insert(revisions).values(
                    commit=revision.commit,
                    accepted=revision.accepted,
                    problems=body,
                    at=revision.at,
                )
            )
            number = added.inserted_primary_key[0] if added.inserted_primary_key else 0
            in_force = (
                sa.select(sa.func.max(revisions.c.number))
                .where(revisions.c.accepted.is_(True))
                .scalar_subquery()
            )
            connection.execute(
                sa.delete(revisions).where(
                    revisions.c.number <= number - REVISIONS_KEPT,
                    revisions.c.number != sa.func.coalesce(in_force, 0),
                )
            )

    def last_accepted(self) -> Revision | None:
        """The revision that was in force last."""
        query = (
            sa.select(revisions)
            .where(revisions.c.accepted.is_(True))
            .order_by(revisions.c.number.desc())
            .limit(1)
        )
        with self._transactions.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else _revision(row)

    def newest(self, limit: int) -> list[Revision]:
        """What came of the newest commits; newest first."""
        query = sa.select(revisions).order_by(revisions.c.number.desc()).limit(limit)
        with self._transactions.reading() as connection:
            return [_revision(row) for row in connection.execute(query)]


def _revision(row: sa.Row[Any]) -> Revision:
    problems = typed.decode(row.problems, tuple[Problem, ...])
    return Revision(commit=row.commit, accepted=row.accepted, problems=problems, at=row.at)
