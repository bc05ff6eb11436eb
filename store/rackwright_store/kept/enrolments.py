"""Who may speak for a node: credentials, enrolment tokens, and nodes that are gone for good."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import sqlalchemy as sa

from rackwright.model import typed
from rackwright_store.kept.transactions import Transactions, replace
from rackwright_store.records import Retirement
from rackwright_store.schema import (
    credentials,
    ledgers,
    retired,
    standings,
    tokens,
    verified,
)


class KeptEnrolments:
    """Hashes of credentials and tokens, and retirements."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def all_credentials(self) -> dict[str, str]:
        """Hash of each node's credential."""
        with self._transactions.reading() as connection:
            return {row.node: row.hash for row in connection.execute(sa.select(credentials))}

    def add_tokens(self, token_hash: str, nodes: Iterable[str], expires: float, now: float) -> None:
        """One enrolment token, good once for each of ``nodes``. Expired ones are dropped."""
        with self._transactions.writing() as connection:
            connection.execute(sa.delete(tokens).where(tokens.c.expires < now))
            connection.execute(
                sa.insert(tokens),
                [{"hash": token_hash, "node": node, "expires": expires} for node in nodes],
            )

    def enrol(self, token_hash: str, node: str, credential_hash: str, now: float) -> bool:
        """Use the token for ``node`` and replace the node's credential, both or neither. False when
        the token is unknown, expired, used, or not for this node."""
        with self._transactions.writing() as connection:
            used = connection.execute(
                sa.update(tokens)
                .where(
                    tokens.c.hash == token_hash,
                    tokens.c.node == node,
                    tokens.c.used.is_(None),
                    tokens.c.expires >= now,
                )
                .values(used=now)
            )
            if used.rowcount != 1:
                return False
            replace(connection, credentials, {"node": node}, {"hash": credential_hash, "at": now})
            connection.execute(sa.delete(retired).where(retired.c.node == node))
            return True

    def retire(self, retirement: Retirement) -> None:
        """Note a retirement, and forget what opened doors for the node and what it held."""
        node = retirement.node
        with self._transactions.writing() as connection:
            for table in (credentials, tokens, ledgers, verified, standings):
                connection.execute(sa.delete(table).where(table.c.node == node))
            replace(connection, retired, {"node": node}, {"body": msgspec.json.encode(retirement)})

    def all_retired(self) -> dict[str, Retirement]:
        """The nodes that are retired."""
        with self._transactions.reading() as connection:
            found = [
                typed.decode(row.body, Retirement) for row in connection.execute(sa.select(retired))
            ]
        return {retirement.node: retirement for retirement in found}
