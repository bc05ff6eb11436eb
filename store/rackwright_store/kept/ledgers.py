"""The copies of the ledgers that agents keep of what they made."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from rackwright_store.kept.reports import unverify
from rackwright_store.kept.transactions import Transactions, replace
from rackwright_store.schema import ledgers


class KeptLedgers:
    """The newest ledger of every node."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all(self) -> dict[str, bytes]:
        """Mirrored ledgers as they came (JSON), by node."""
        with self._transactions.reading() as connection:
            return {row.node: row.body for row in connection.execute(sa.select(ledgers))}

    def put(self, node: str, body: bytes, at: float, clear_verified: Iterable[str] = ()) -> None:
        """Replace a node's mirrored ledger, by which nobody knows any more how ``clear_verified`` are."""
        with self._transactions.writing() as connection:
            replace(connection, ledgers, {"node": node}, {"body": body, "at": at})
            unverify(connection, node, clear_verified)
