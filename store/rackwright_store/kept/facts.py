"""The facts that agents sent of their nodes."""

from __future__ import annotations

import sqlalchemy as sa

from rackwright_store.kept.transactions import Transactions, replace
from rackwright_store.schema import facts


class KeptFacts:
    """The newest facts of every node."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> dict[str, bytes]:
        """Facts as they came (JSON), by node."""
        with self._transactions.reading() as connection:
            return {row.node: row.body for row in connection.execute(sa.select(facts))}

    def put(self, node: str, body: bytes, at: float) -> None:
        """Replace a node's facts."""
        with self._transactions.writing() as connection:
            replace(connection, facts, {"node": node}, {"body": body, "at": at})

    def found_at(self) -> dict[str, float]:
        """When each node's facts were last found to be so."""
        with self._transactions.reading() as connection:
            return {row.node: row.at for row in connection.execute(sa.select(facts.c.node, facts.c.at))}  # fmt: skip

    def confirm(self, node: str, at: float) -> None:
        """A node's facts were found again, as they are kept."""
        with self._transactions.writing() as connection:
            connection.execute(sa.update(facts).where(facts.c.node == node).values(at=at))
