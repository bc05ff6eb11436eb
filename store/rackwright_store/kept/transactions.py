"""Transactions on one SQLite file.

One process writes, from one thread. ``synchronous=FULL``: a commit is on the disk before a report
is acknowledged, so neither a killed process nor a power cut takes it back. What comes at the same
time is committed together (`Transactions.together`), so that it waits for one fsync, not for one each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rackwright.model.errors import Permanent
from rackwright_store.schema import Migration, migrate


class Transactions:
    """One file, brought to the schema that we speak. Raises Permanent when it cannot be used."""

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
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
            with self.writing() as connection:
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
            with self.writing() as self._batch:
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
    def reading(self) -> Iterator[sa.Connection]:
        """What is committed, for any thread."""
        with self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction, or a part of the one that `together` has begun."""
        if self._batch is not None:
            with self._batch.begin_nested():
                yield self._batch
            return
        with self._engine.execution_options(rackwright_writes=True).begin() as connection:
            yield connection


def replace(
    connection: sa.Connection, table: sa.Table, key: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Have one row of ``table`` with this ``key``, whether there was one or not."""
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
