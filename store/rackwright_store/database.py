"""What must outlive the store's process, in SQLite.

One process writes, from one thread. ``synchronous=FULL``: a commit is on the disk before a report
is acknowledged, so neither a killed process nor a power cut takes it back. What comes at the same
time is committed together (`Database.together`), so that it waits for one fsync, not for one each.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from rackwright.model import typed
from rackwright.model.errors import Permanent, Problem
from rackwright_store.leases import Lease
from rackwright_store.records import Drain, Retirement, Revision
from rackwright_store.runs import RunSummary
from rackwright_store.schema import (
    MIGRATIONS,
    Migration,
    credentials,
    drains,
    facts,
    grants,
    leases,
    ledgers,
    migrate,
    reports,
    retired,
    revisions,
    standings,
    tokens,
    verified,
)
from rackwright_store.standing import Standing

REPORTS_KEPT = 100
"""Runs (and as many dry runs) kept per node; the newest stay."""
REVISIONS_KEPT = 200
GRANTS_KEPT = 100
"""Leases kept per node, so that a report which comes late is known to be its host's."""


class Database:
    """What is in the store's tables. Methods block; those that write must come from one thread."""

    def __init__(self, path: Path, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        try:
            # SQLite gives its other files the mode of this one: facts are nobody else's business.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise Permanent(f"{path} cannot be used as the store's database: {error.strerror}") from error  # fmt: skip
        self._engine = sa.create_engine(f"sqlite:///{path}")
        self._batch: sa.Connection | None = None
        sa.event.listen(self._engine, "connect", _on_connect)
        sa.event.listen(self._engine, "begin", _on_begin)
        try:
            with self._write() as connection:
                migrate(connection, migrations, path)
        except sa.exc.DatabaseError as error:
            raise Permanent(
                f"{path} cannot be used as the store's database: {error.orig}"
            ) from error

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def together(self, works: Sequence[Callable[[], Any]]) -> list[tuple[Any, Exception | None]]:
        """Do all of ``works``, which call methods that write, in one transaction, so that many wait
        for one fsync. One that fails undoes itself alone. Returns each one's result or error."""
        done: list[tuple[Any, Exception | None]] = []
        try:
            with self._write() as self._batch:
                for work in works:
                    try:
                        done.append((work(), None))
                    except Exception as error:  # noqa: BLE001 - it is its caller's
                        done.append((None, error))
        except Exception as error:  # noqa: BLE001 - nothing of it was written
            return [(None, error)] * len(works)
        finally:
            self._batch = None
        return done

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        if self._batch is not None:
            with self._batch.begin_nested():
                yield self._batch
            return
        with self._engine.execution_options(rackwright_writes=True).begin() as connection:
            yield connection

    def all_facts(self) -> dict[str, bytes]:
        """Facts as they came (JSON), by node."""
        with self._engine.connect() as connection:
            return {row.node: row.body for row in connection.execute(sa.select(facts))}

    def put_facts(self, node: str, body: bytes, at: float) -> None:
        """Replace a node's facts."""
        with self._write() as connection:
            _replace(connection, facts, {"node": node}, {"body": body, "at": at})

    def facts_at(self) -> dict[str, float]:
        """When each node's facts were last found to be so."""
        with self._engine.connect() as connection:
            return {row.node: row.at for row in connection.execute(sa.select(facts.c.node, facts.c.at))}  # fmt: skip

    def confirm_facts(self, node: str, at: float) -> None:
        """A node's facts were found again, as they are kept."""
        with self._write() as connection:
            connection.execute(sa.update(facts).where(facts.c.node == node).values(at=at))

    def all_ledgers(self) -> dict[str, bytes]:
        """Mirrored ledgers as they came (JSON), by node."""
        with self._engine.connect() as connection:
            return {row.node: row.body for row in connection.execute(sa.select(ledgers))}

    def put_ledger(
        self, node: str, body: bytes, at: float, clear_verified: Iterable[str] = ()
    ) -> None:
        """Replace a node's mirrored ledger, by which nobody knows any more how ``clear_verified`` are."""
        with self._write() as connection:
            _replace(connection, ledgers, {"node": node}, {"body": body, "at": at})
            _unverify(connection, node, clear_verified)

    def all_verified(self) -> dict[str, dict[str, str]]:
        """Digest last verified, by node and local address."""
        found: dict[str, dict[str, str]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(verified)):
                found.setdefault(row.node, {})[row.address] = row.digest
        return found

    def put_report(
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
        with self._write() as connection:
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
            _unverify(connection, node, {*clear_verified, *set_verified})
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
                _replace(connection, standings, {"node": node}, {"body": stand})
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

    def all_standings(self) -> dict[str, dict[str, Standing]]:
        """Where each node's resources stood after its newest run."""
        with self._engine.connect() as connection:
            return {
                row.node: typed.decode(row.body, dict[str, Standing])
                for row in connection.execute(sa.select(standings))
            }

    def retire(self, retirement: Retirement) -> None:
        """Note a retirement, and forget what opened doors for the node and what it held."""
        node = retirement.node
        with self._write() as connection:
            for table in (credentials, tokens, ledgers, verified, standings):
                connection.execute(sa.delete(table).where(table.c.node == node))
            _replace(connection, retired, {"node": node}, {"body": msgspec.json.encode(retirement)})

    def all_retired(self) -> dict[str, Retirement]:
        """The nodes that are retired."""
        with self._engine.connect() as connection:
            found = [
                typed.decode(row.body, Retirement) for row in connection.execute(sa.select(retired))
            ]
        return {retirement.node: retirement for retirement in found}

    def has_report(self, node: str, identity: str) -> bool:
        """Whether this report was kept already."""
        with self._engine.connect() as connection:
            known = sa.select(reports.c.id).where(reports.c.node == node, reports.c.id == identity)
            return connection.execute(known).first() is not None

    def report(self, node: str, identity: str) -> bytes | None:
        """One whole report as it came (JSON)."""
        query = sa.select(reports.c.body).where(reports.c.node == node, reports.c.id == identity)
        with self._engine.connect() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else zlib.decompress(body)

    def runs(self, node: str, limit: int) -> list[RunSummary]:
        """The newest runs of ``node``, or of all nodes when it is empty; newest first."""
        query = sa.select(reports.c.summary).order_by(reports.c.finished.desc()).limit(limit)
        if node:
            query = query.where(reports.c.node == node)
        with self._engine.connect() as connection:
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
        with self._engine.connect() as connection:
            found = [typed.decode(row.summary, RunSummary) for row in connection.execute(query)]  # fmt: skip
        return {summary.node: summary for summary in found}

    def put_leases(self, found: Iterable[Lease]) -> None:
        """Replace leases, and note their epochs."""
        with self._write() as connection:
            for lease in found:
                body = {"body": msgspec.json.encode(lease)}
                _replace(connection, leases, {"node": lease.node}, body)
                tenure = {"node": lease.node, "epoch": lease.epoch}
                values = {"subject": lease.subject, "at": lease.since}
                _replace(connection, grants, tenure, values)
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

    def all_leases(self) -> list[Lease]:
        """The newest lease of every node."""
        with self._engine.connect() as connection:
            return [typed.decode(row.body, Lease) for row in connection.execute(sa.select(leases))]

    def granted(self, node: str, epoch: int) -> str:
        """Whose ``node`` was under this epoch; empty when that is not known (any more)."""
        of_it = (grants.c.node == node) & (grants.c.epoch == epoch)
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(grants.c.subject).where(of_it)).scalar()
        return str(found) if found is not None else ""

    def put_drain(self, host: str, drain: Drain | None) -> None:
        """``host`` is to hold nothing, from now on; or (None) may again."""
        with self._write() as connection:
            connection.execute(sa.delete(drains).where(drains.c.host == host))
            if drain is not None:
                connection.execute(
                    sa.insert(drains).values(host=host, body=msgspec.json.encode(drain))
                )

    def all_drains(self) -> dict[str, Drain]:
        """The hosts that are to hold nothing."""
        with self._engine.connect() as connection:
            return {
                row.host: typed.decode(row.body, Drain)
                for row in connection.execute(sa.select(drains))
            }

    def all_credentials(self) -> dict[str, str]:
        """Hash of each node's credential."""
        with self._engine.connect() as connection:
            return {row.node: row.hash for row in connection.execute(sa.select(credentials))}

    def add_tokens(self, token_hash: str, nodes: Iterable[str], expires: float, now: float) -> None:
        """One enrolment token, good once for each of ``nodes``. Expired ones are dropped."""
        with self._write() as connection:
            connection.execute(sa.delete(tokens).where(tokens.c.expires < now))
            connection.execute(
                sa.insert(tokens),
                [{"hash": token_hash, "node": node, "expires": expires} for node in nodes],
            )

    def enrol(self, token_hash: str, node: str, credential_hash: str, now: float) -> bool:
        """Use the token for ``node`` and replace the node's credential, both or neither. False when
        the token is unknown, expired, used, or not for this node."""
        with self._write() as connection:
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
            _replace(connection, credentials, {"node": node}, {"hash": credential_hash, "at": now})
            connection.execute(sa.delete(retired).where(retired.c.node == node))
            return True

    def add_revision(self, revision: Revision) -> None:
        """Note what came of a commit, unless the last note says the same."""
        body = msgspec.json.encode(revision.problems)
        with self._write() as connection:
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
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _revision(row)

    def revisions(self, limit: int) -> list[Revision]:
        """What came of the newest commits; newest first."""
        query = sa.select(revisions).order_by(revisions.c.number.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [_revision(row) for row in connection.execute(query)]


def _revision(row: sa.Row[Any]) -> Revision:
    problems = typed.decode(row.problems, tuple[Problem, ...])
    return Revision(commit=row.commit, accepted=row.accepted, problems=problems, at=row.at)


def _unverify(connection: sa.Connection, node: str, addresses: Iterable[str]) -> None:
    gone = [{"n": node, "a": address} for address in addresses]
    if gone:
        connection.execute(
            sa.delete(verified).where(
                verified.c.node == sa.bindparam("n"), verified.c.address == sa.bindparam("a")
            ),
            gone,
        )


def _replace(
    connection: sa.Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    connection.execute(sa.delete(table).where(*(table.c[name] == value for name, value in key.items())))  # fmt: skip
    connection.execute(sa.insert(table).values(**key, **values))


def _on_connect(connection: Any, record: Any) -> None:
    # The driver's own idea of when a transaction begins leaves DDL outside of it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("rackwright_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
