"""Who may converge which node: leases, those before them, and hosts that are to hold nothing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from rackwright.model import typed
from rackwright_store.kept.transactions import Transactions, replace
from rackwright_store.leases import Lease
from rackwright_store.records import Drain
from rackwright_store.schema import drains, grants, leases

GRANTS_KEPT = 100
"""Leases kept per node, so that a report which comes late is known to be its host's."""


class KeptLeases:
    """Leases and drains."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def put(self, found: Iterable[Lease]) -> None:
        """Replace leases, and note their epochs."""
        with self._transactions.writing() as connection:
            for lease in found:
                body = {"body": msgspec.json.encode(lease)}
                replace(connection, leases, {"node": lease.node}, body)
                tenure = {"node": lease.node, "epoch": lease.epoch}
                values = {"subject": lease.subject, "at": lease.since}
                replace(connection, grants, tenure, values)
                oldest_kept = (
                    sa.select(grants.c.epoch)
                    .where(grants.c.node == lease.node)
                    .order_by(grants.c.epoch.desc())
                    .offset(GRANTS_KEPT - 1)
                    .limit(1)
                    .scalar_subquery()
                )
                old = (grants.c.node == lease.node) & (grants.c.epoch < oldest_kept)
                connection.execute(sa.delete(grants).where(old))

    def all(self) -> list[Lease]:
        """The newest lease of every node."""
        with self._transactions.reading() as connection:
            return [typed.decode(row.body, Lease) for row in connection.execute(sa.select(leases))]

    def granted(self, node: str, epoch: int) -> str:
        """Whose ``node`` was under this epoch; empty when that is not known (any more)."""
        of_it = (grants.c.node == node) & (grants.c.epoch == epoch)
        with self._transactions.reading() as connection:
            found = connection.execute(sa.select(grants.c.subject).where(of_it)).scalar()
        return str(found) if found is not None else ""

    def put_drain(self, host: str, drain: Drain | None) -> None:
        """``host`` is to hold nothing, from now on; or (None) may again."""
        with self._transactions.writing() as connection:
            connection.execute(sa.delete(drains).where(drains.c.host == host))
            if drain is not None:
                connection.execute(
                    sa.insert(drains).values(host=host, body=msgspec.json.encode(drain))
                )

    def all_drains(self) -> dict[str, Drain]:
        """The hosts that are to hold nothing."""
        with self._transactions.reading() as connection:
            return {
                row.host: typed.decode(row.body, Drain)
                for row in connection.execute(sa.select(drains))
            }
