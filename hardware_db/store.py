"""What grows on a user's machine or in a team: price snapshots, measurements, machine profiles, own devices.

One database through SQLAlchemy Core: SQLite in the user's data folder with nothing to set up, or whatever
`FLOPCAST_DB` names (postgresql://user@host/name, sqlite:///path). Published tables are never in it. Every change is one
transaction, so a process killed half way leaves what was there before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from hardware_db.errors import StoreError
from hardware_db.records import Measurement, Offer
from hardware_db.store_place import POSTGRESQL_PORT, check_reachable, store_url
from hardware_db.store_schema import (
    MIGRATIONS,
    machine_profiles,
    measurements,
    own_devices,
    prices,
    snapshots,
    versions,
)

#: Seconds that a writer waits for another one before it gives up.
LOCK_WAIT_S = 5
#: Seconds that a server has to answer, its name looked up included; libpq waits for no less than 2.
CONNECT_WAIT_S = 3
#: Words of a driver to what they mean for the user.
_CAUSES: Mapping[str, str] = {
    "locked": "is busy: another process is writing",
    "malformed": "is damaged: bring a backup back, or move the file away",
    "not a database": "is no SQLite database",
    "disk": "cannot be written: is its disk full",
    "readonly": "cannot be written: it is read-only",
}
#: Tables in the order that foreign keys allow to fill them.
TABLES = (snapshots, prices, measurements, machine_profiles, own_devices)


@dataclass(frozen=True)
class Snapshot:
    """One set of prices taken at one time: from a refresh, an import or a quote.

    `added` is False where saving found that these are the newest prices of their providers already.
    """

    id: int
    taken_at: datetime
    source: str
    offers: int
    added: bool = field(default=True, compare=False)


@dataclass(frozen=True)
class Store:
    """An open database of the current schema; open one with `open_store`."""

    engine: Engine

    def save_offers(self, offers: Iterable[Offer], source: str, *, complete: bool = False) -> Snapshot:
        """Add a snapshot of prices, all rows or none.

        `complete` says that these are all prices of their providers (a catalogue): a machine that is missing has none
        any more. Otherwise (a price list, a quote) each counts beside what is known. Where all of them count already,
        nothing is added and the snapshot that has them is returned: to import a list twice is to import it once.
        """
        found = tuple(offers)
        taken_at = datetime.now(UTC).replace(tzinfo=None)
        with self.transaction() as connection:
            same = _snapshot_of(connection, found, complete=complete)
            if same is not None:
                return same
            row = {"taken_at": taken_at, "source": source, "complete": complete}
            key = _inserted(connection.execute(snapshots.insert().values(row)))
            if found:
                connection.execute(prices.insert(), [{"snapshot_id": key, **asdict(offer)} for offer in found])
        return Snapshot(key, taken_at, source, len(found))

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return all snapshots, oldest first."""
        count = sa.func.count(prices.c.id)
        question = (
            sa.select(snapshots.c.id, snapshots.c.taken_at, snapshots.c.source, count)
            .join_from(snapshots, prices, isouter=True)
            .group_by(snapshots.c.id, snapshots.c.taken_at, snapshots.c.source)
            .order_by(snapshots.c.taken_at, snapshots.c.id)
        )
        with self.transaction(writes=False) as connection:
            return tuple(Snapshot(*row) for row in connection.execute(question))

    def offers(self) -> tuple[Offer, ...]:
        """Return the prices that count: own lists, and of each provider its last catalogue for all other machines.

        The last is the one that was taken last, whenever it came into this database.
        """
        own = self._read_offers(_newest(*_OFFER_COLUMNS, complete=False))
        named = {_machine(offer) for offer in own}
        return (*(offer for offer in self.catalogues() if _machine(offer) not in named), *own)

    def catalogues(self) -> tuple[Offer, ...]:
        """Return the last catalogue of each provider."""
        return self._read_offers(_newest(*_OFFER_COLUMNS, complete=True))

    def history(self, device: str) -> tuple[Offer, ...]:
        """Return every price of a device (its id) in every snapshot, oldest first."""
        question = sa.select(*_OFFER_COLUMNS).join_from(prices, snapshots).where(prices.c.device == device)
        return self._read_offers(question.order_by(prices.c.as_of, snapshots.c.taken_at, prices.c.id))

    def save_measurements(self, records: Iterable[Measurement]) -> int:
        """Add measurements; return how many."""
        rows = [asdict(record) for record in records]
        with self.transaction() as connection:
            if rows:
                connection.execute(measurements.insert(), rows)
        return len(rows)

    def measurements(self, device: str | None = None) -> tuple[Measurement, ...]:
        """Return the measurements of a device (its id), or all."""
        columns = [column for column in measurements.c if column.name != "id"]
        question = sa.select(*columns).order_by(measurements.c.id)
        if device is not None:
            question = question.where(measurements.c.device == device)
        with self.transaction(writes=False) as connection:
            return tuple(Measurement(**row) for row in connection.execute(question).mappings())

    def counts(self) -> Mapping[str, int]:
        """Return how many rows each table has."""
        with self.transaction(writes=False) as connection:
            return {
                table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                for table in TABLES
            }

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[Connection]:
        """Give a connection whose changes all happen at the end, or none of them; a reader never waits for a writer."""
        with _faults_named(self.engine), self.engine.connect() as plain:
            connection = plain.execution_options(writes=writes)
            with connection.begin():
                yield connection

    def _read_offers(self, question: sa.Select[Any]) -> tuple[Offer, ...]:
        with self.transaction(writes=False) as connection:
            return tuple(Offer(**row) for row in connection.execute(question).mappings())


def open_store(url: str | None = None) -> Store:
    """Open the database, creating it or bringing its schema up to date.

    Raises
    ------
    StoreError
        It is unreachable, locked, broken, or was written by a newer flopcast.
    """
    address = url or store_url()
    try:
        engine = _engine(address)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        shown = re.sub(r"(?<=:)[^:@/]*(?=@)", "***", address)
        raise StoreError(
            f"FLOPCAST_DB={shown} is no usable database address ({str(error).splitlines()[0]}).\n"
            "Try sqlite:///PATH or postgresql://USER@HOST/NAME; published tables answer without it"
        ) from error
    with _faults_named(engine), engine.begin() as connection:
        migrate(connection)
    return Store(engine)


def migrate(connection: Connection, steps: Mapping[int, Callable[[Connection], None]] = MIGRATIONS) -> int:
    """Bring the schema to the newest version, step by step in the caller's transaction; return the version.

    Raises
    ------
    StoreError
        The database is newer than this flopcast.
    """
    versions.create(connection, checkfirst=True)
    known = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar() or 0
    newest = max(steps)
    if known > newest:
        raise StoreError(
            f"The database {_shown(connection.engine)} has schema {known}, this flopcast knows {newest}.\n"
            "Update flopcast, or set FLOPCAST_DB to another database; published tables answer without it"
        )
    for version in range(known + 1, newest + 1):
        steps[version](connection)
        applied = datetime.now(UTC).replace(tzinfo=None)
        connection.execute(versions.insert().values(version=version, applied_at=applied))
    return newest


#: What tells one price of a machine from another.
_MACHINE = ("provider", "instance", "region", "device", "device_count", "pricing")
_OFFER_COLUMNS = [column for column in prices.c if column.name not in ("id", "snapshot_id")]


def _newest(*columns: sa.ColumnElement[Any], complete: bool) -> sa.Select[Any]:
    """Return the question for the newest prices: of a provider's catalogues the last, of own lists that of a machine.

    Newest by the time it was taken, not by its key: a backup that is imported later holds older prices.
    """
    same = [prices.c.provider] if complete else [prices.c[name] for name in _MACHINE]
    latest_first = (snapshots.c.taken_at.desc(), snapshots.c.id.desc())
    place = sa.func.rank().over(partition_by=same, order_by=latest_first).label("place")
    of_kind = sa.select(prices.c.id, place).join_from(prices, snapshots).where(snapshots.c.complete == complete)
    ranked = of_kind.subquery()
    joined = sa.select(*columns).join_from(prices, ranked, prices.c.id == ranked.c.id)
    return joined.where(ranked.c.place == 1).order_by(prices.c.id)


def _machine(offer: Offer) -> tuple[object, ...]:
    return tuple(getattr(offer, name) for name in _MACHINE)


def _snapshot_of(connection: Connection, offers: tuple[Offer, ...], *, complete: bool) -> Snapshot | None:
    """Return the last snapshot with one of these prices if all of them count already; a catalogue has no others."""
    providers = {offer.provider for offer in offers}
    question = _newest(prices.c.snapshot_id, *_OFFER_COLUMNS, complete=complete).where(prices.c.provider.in_(providers))
    rows = [dict(row) for row in connection.execute(question).mappings()]
    keys = {row.pop("snapshot_id") for row in rows}
    known, wanted = Counter(Offer(**row) for row in rows), Counter(offers)
    if not wanted or not (known == wanted if complete else wanted <= known):
        return None
    latest = sa.select(snapshots.c.id, snapshots.c.taken_at, snapshots.c.source).where(snapshots.c.id.in_(keys))
    newest = connection.execute(latest.order_by(snapshots.c.taken_at.desc()).limit(1)).one()
    return Snapshot(*newest, len(offers), added=False)


def _engine(address: str) -> Engine:
    url = make_url(address)
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(f"{url.get_backend_name()} is not supported")
    if url.get_backend_name() == "postgresql":
        settings = {"connect_timeout": CONNECT_WAIT_S, "client_encoding": "utf8"}
        served = sa.create_engine(url, pool_pre_ping=True, connect_args=settings)
        check_reachable(url.host, url.port or POSTGRESQL_PORT, CONNECT_WAIT_S)
        return served
    if url.database:
        with _folder_faults_named(Path(url.database)):
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": LOCK_WAIT_S})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Leave transactions to SQLAlchemy and let readers go on while one process writes."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start, so that two writers queue instead of failing half way."""
    writes = connection.get_execution_options().get("writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _folder_faults_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"The database folder {path.parent} cannot be made: {error.strerror}") from error


@contextmanager
def _faults_named(engine: Engine) -> Iterator[None]:
    """Turn what a driver reports into one sentence with the address and a way out."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0]
        said = next((text for sign, text in _CAUSES.items() if sign in cause), "does not answer as it should")
        raise StoreError(
            f"The database {_shown(engine)} {said} ({cause}).\n"
            "Published tables answer without it; FLOPCAST_DB names another"
        ) from error


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _inserted(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise StoreError("The database did not return the key of the new row")
    return int(key[0])
