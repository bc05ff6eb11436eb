"""What came of runs: reports, what they verified, and where resources stand since."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa

from rackwright.model import typed
from rackwright.model.standing import Standing
from rackwright_store.kept.transactions import Transactions, replace
from rackwright_store.runs import RunSummary
from rackwright_store.schema import reports, standings, verified

REPORTS_KEPT = 100
"""Runs (and as many dry runs) kept per node; the newest stay."""


class KeptReports:
    """The runs of every node."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def put(
        self,
        summary: RunSummary,
        body: bytes,
        *,
        set_verified: Mapping[str, str],
        clear_verified: Iterable[str],
        standing: Mapping[str, Standing] | None = None,
        outrun: bool = False,
    ) -> bool:
        """Keep one report, what it verified and where its resources stand (None: as before),
        together. False when it is known already, and then nothing is changed. ``outrun``: another has
        converged the node since, so it is not the node's last run, however late it finished."""
        node = summary.node
        with self._transactions.writing() as connection:
            known = sa.select(reports.c.id).where(
                reports.c.node == node, reports.c.id == summary.id
            )
            if connection.execute(known).first() is not None:
                return False
            connection.execute(
                sa.insert(reports).values(
                    node=node,
                    id=summary.id,
                    finished=summary.finished,
                    why_run=summary.why_run,
                    outrun=outrun,
                    summary=msgspec.json.encode(summary),
                    body=zlib.compress(body, 1),
                )
            )
            unverify(connection, node, {*clear_verified, *set_verified})
            if set_verified:
                connection.execute(
                    sa.insert(verified),
                    [
                        {"node": node, "address": address, "digest": digest, "at": summary.finished}
                        for address, digest in set_verified.items()
                    ],
                )
            if standing is not None:
                stand = msgspec.json.encode(standing)
                replace(connection, standings, {"node": node}, {"body": stand})
            of_kind = (
                (reports.c.node == node)
                & (reports.c.why_run == summary.why_run)
                & (reports.c.outrun == outrun)
            )
            oldest_kept = (
                sa.select(reports.c.finished)
                .where(of_kind)
                .order_by(reports.c.finished.desc())
                .offset(REPORTS_KEPT - 1)
                .limit(1)
                .scalar_subquery()
            )
            connection.execute(sa.delete(reports).where(of_kind, reports.c.finished < oldest_kept))
            return True

    def get(self, node: str, identity: str) -> bytes | None:
        """One whole report as it came (JSON)."""
        query = sa.select(reports.c.body).where(reports.c.node == node, reports.c.id == identity)
        with self._transactions.reading() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else zlib.decompress(body)

    def runs(self, node: str, limit: int) -> list[RunSummary]:
        """The newest runs of ``node``, or of all nodes when it is empty; newest first."""
        query = sa.select(reports.c.summary).order_by(reports.c.finished.desc()).limit(limit)
        if node:
            query = query.where(reports.c.node == node)
        with self._transactions.reading() as connection:
            return [typed.decode(row.summary, RunSummary) for row in connection.execute(query)]  # fmt: skip

    def last_runs(self) -> dict[str, RunSummary]:
        """Each node's newest run that was not a dry one."""
        newest = (
            sa.select(reports.c.node, sa.func.max(reports.c.finished).label("finished"))
            .where(reports.c.why_run.is_(False), reports.c.outrun.is_(False))
            .group_by(reports.c.node)
            .subquery()
        )
        query = sa.select(reports.c.summary).join(
            newest,
            (reports.c.node == newest.c.node)
            & (reports.c.finished == newest.c.finished)
            & reports.c.why_run.is_(False)
            & reports.c.outrun.is_(False),
        )
        with self._transactions.reading() as connection:
            found = [typed.decode(row.summary, RunSummary) for row in connection.execute(query)]  # fmt: skip
        return {summary.node: summary for summary in found}

    def all_verified(self) -> dict[str, dict[str, str]]:
        """Digest last verified, by node and local address."""
        found: dict[str, dict[str, str]] = {}
        with self._transactions.reading() as connection:
            for row in connection.execute(sa.select(verified)):
                found.setdefault(row.node, {})[row.address] = row.digest
        return found

    def all_standings(self) -> dict[str, dict[str, Standing]]:
        """Where each node's resources stood after its newest run."""
        with self._transactions.reading() as connection:
            return {
                row.node: typed.decode(row.body, dict[str, Standing])
                for row in connection.execute(sa.select(standings))
            }


def unverify(connection: sa.Connection, node: str, addresses: Iterable[str]) -> None:
    """Nobody knows any more how these of ``node`` are."""
    gone = [{"n": node, "a": address} for address in addresses]
    if gone:
        connection.execute(
            sa.delete(verified).where(
                verified.c.node == sa.bindparam("n"), verified.c.address == sa.bindparam("a")
            ),
            gone,
        )
