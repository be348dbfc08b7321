"""The tables of the store and the steps that lead from each version of its schema to the next.

A step never changes once it was released: a new version is a new step at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

metadata = sa.MetaData()

versions = sa.Table(
    "flopcast_schema",
    sa.MetaData(),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied_at", sa.DateTime, nullable=False),
)

snapshots = sa.Table(
    "price_snapshots",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("taken_at", sa.DateTime, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False, server_default=sa.false()),
)

prices = sa.Table(
    "prices",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("snapshot_id", sa.ForeignKey("price_snapshots.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("provider", sa.String, nullable=False),
    sa.Column("instance", sa.String, nullable=False),
    sa.Column("region", sa.String, nullable=False),
    sa.Column("device", sa.String, nullable=False, index=True),
    sa.Column("device_count", sa.Integer, nullable=False),
    sa.Column("vcpus", sa.Float),
    sa.Column("cores", sa.Float),
    sa.Column("memory_bytes", sa.BigInteger),
    sa.Column("pricing", sa.String, nullable=False),
    sa.Column("usd_per_hour", sa.Float, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("basis", sa.String, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.CheckConstraint("usd_per_hour >= 0", name="price_not_negative"),
)

measurements = sa.Table(
    "measurements",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device", sa.String, nullable=False, index=True),
    sa.Column("quantity", sa.String, nullable=False),
    sa.Column("precision", sa.String, nullable=False),
    sa.Column("shape", sa.String, nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("unit", sa.String, nullable=False),
    sa.Column("software", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("as_of", sa.Date, nullable=False),
    sa.Column("note", sa.String, nullable=False),
)

machine_profiles = sa.Table(
    "machine_profiles",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("device", sa.String, nullable=False),
    sa.Column("recorded_at", sa.DateTime, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)

own_devices = sa.Table(
    "own_devices",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("added_at", sa.DateTime, nullable=False),
    sa.Column("toml", sa.Text, nullable=False),
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection)


#: Version of the schema to the step that leads there from the version before.
MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {1: _first}
