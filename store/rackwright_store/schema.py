"""The tables, and how a file that an older store wrote comes to have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sa

from rackwright.model.errors import Permanent

metadata = sa.MetaData()
schema_version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, nullable=False))  # fmt: skip
facts = sa.Table(
    "facts",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
ledgers = sa.Table(
    "ledgers",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("finished", sa.Float, nullable=False),
    sa.Column("why_run", sa.Boolean, nullable=False),
    sa.Column("outrun", sa.Boolean, nullable=False),
    sa.Column("summary", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("reports_by_node", "node", "why_run", "finished"),
    sa.Index("reports_by_time", "finished"),
)
verified = sa.Table(
    "verified",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("address", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
standings = sa.Table(
    "standings",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
retired = sa.Table(
    "retired",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
grants = sa.Table(
    "grants",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("epoch", sa.BigInteger, primary_key=True),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)
drains = sa.Table(
    "drains",
    metadata,
    sa.Column("host", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("hash", sa.String, nullable=False, unique=True),
    sa.Column("at", sa.Float, nullable=False),
)
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Column("used", sa.Float),
)
revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("commit", sa.String, nullable=False),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.Column("problems", sa.LargeBinary, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

Migration = Callable[[sa.Connection], None]


def _first_schema(connection: sa.Connection) -> None:
    metadata.create_all(connection)


MIGRATIONS: tuple[Migration, ...] = (_first_schema,)
"""Each takes the schema one version forward; the last one's place is the version that we speak.
A step that has been released is never edited."""


def migrate(connection: sa.Connection, migrations: Sequence[Migration], path: Path) -> None:
    """Take the file's schema to the version that we speak. Raises Permanent when it is beyond that."""
    found = 0
    if sa.inspect(connection).has_table("schema_version"):
        found = connection.execute(sa.select(sa.func.max(schema_version.c.version))).scalar() or 0
    if found > len(migrations):
        raise Permanent(
            f"{path} was written by a newer Rackwright (schema {found}, this one speaks "
            f"{len(migrations)}); upgrade, or restore a backup"
        )
    for version, step in enumerate(migrations[found:], start=found + 1):
        step(connection)
        connection.execute(sa.delete(schema_version))
        connection.execute(sa.insert(schema_version).values(version=version))
