"""Opening the database: address, pragmas, the lock, migrations to the newest schema."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.orm import Session

from cloud.errors import StoreError
from cloud.store import rollups
from cloud.store.migrate import upgrade
from cloud.store.models import Meta

FILE_NAME = "mien.sqlite"
LOCK_NAME = "mien.lock"
"""Held for as long as the service runs: two services would each believe to be the only writer."""

ADVISORY_LOCK = 0x6D69656E
"""The same lock on PostgreSQL: "mien" as a number."""

BUSY_TIMEOUT_MS = 10_000


class Database:
    """The database of one service: the engine and what hangs on it.

        database = Database(Path("mien-data"))
        save(database.engine, arrivals)
        database.close()

    SQLite in `folder` unless `url` names a PostgreSQL database (postgresql://user:password@host/name). `folder` also
    holds files of uploads that a user keeps. With `exclusive` False nothing is locked: for commands that run beside
    the service. Raises StoreError if it cannot be opened, is damaged, or was made by a newer version.
    """

    def __init__(self, folder: Path, url: str | None = None, *, exclusive: bool = True) -> None:
        self.folder = folder
        self._held: contextlib.ExitStack = contextlib.ExitStack()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # readings are nobody else's business
            if exclusive:
                self._lock(self._held.enter_context((folder / LOCK_NAME).open("w")))
        except OSError as error:
            self._held.close()
            fix = "Name a folder that you may write to with --data."
            raise StoreError(f"{folder} cannot be used: {error.strerror}", fix=fix) from error
        try:
            address = _address(folder, url)
            self.name = address.render_as_string(hide_password=True) if url else str(folder / FILE_NAME)
            self.engine: Engine = _engine(address)
            self._held.callback(self.engine.dispose)
            self._open(exclusive)
        except DatabaseError as error:
            self.close()
            fix = "Move it away, or name another folder with --data." if url is None else "Check --database."
            raise StoreError(f"{self.name} cannot be opened: {error.orig}", fix=fix) from error
        except StoreError:
            self.close()
            raise

    def close(self) -> None:
        """Close all connections and leave the folder; the last connection folds the write-ahead log into the file."""
        self._held.close()

    def _open(self, exclusive: bool) -> None:
        if self.engine.dialect.name == "postgresql" and exclusive:
            self._lock_postgresql(self._held.enter_context(self.engine.connect()))
        upgrade(self.engine)
        with self.engine.begin() as connection:
            if exclusive and rollups.is_stale(connection):
                rollups.remake_all(connection)
        self.starts = self._count_start() if exclusive else 0

    def _lock(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._held.close()
            fix = "Stop it, or name another folder with --data."
            raise StoreError(f"another mien-cloud works in {self.folder}", fix=fix) from error

    def _lock_postgresql(self, connection: Connection) -> None:
        """Hold a lock for as long as this connection lives, so for as long as the service does."""
        held = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.commit()
        if not held:
            raise StoreError(f"another mien-cloud works on {self.name}", fix="Stop it, or name another --database.")

    def _count_start(self) -> int:
        """Return how often the service was started on this database, this start included."""
        with Session(self.engine) as session, session.begin():
            starts = session.get(Meta, "starts")
            if starts is None:
                starts = Meta(key="starts", value="0")
                session.add(starts)
            starts.value = str(int(starts.value) + 1)
            return int(starts.value)


def _address(folder: Path, url: str | None) -> URL:
    if url is None:
        return URL.create("sqlite", database=str(folder / FILE_NAME))
    try:
        address = make_url(url)
    except ArgumentError as error:
        fix = "Give it as postgresql://user:password@host/name."
        raise StoreError("--database is no database address", fix=fix) from error
    if address.get_backend_name() != "postgresql":
        fix = "Give a postgresql:// address, or leave it out: SQLite then lies in --data."
        raise StoreError(f"--database names {address.get_backend_name()}, not PostgreSQL", fix=fix)
    return address.set(drivername="postgresql+psycopg")


def _engine(address: URL) -> Engine:
    if address.get_backend_name() == "sqlite":
        engine = create_engine(address, json_deserializer=msgspec.json.decode)
        event.listen(engine, "connect", _set_pragmas)
        return engine
    # A connection that the server has closed in the meantime is replaced, not used.
    engine = create_engine(address, pool_pre_ping=True, json_deserializer=msgspec.json.decode)
    try:
        engine.connect().close()
    except OperationalError as error:
        name = address.render_as_string(hide_password=True)
        fix = "Start it, and check host, name, user and password of --database."
        raise StoreError(f"{name} cannot be reached: {str(error.orig).strip()}", fix=fix) from error
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # What was acknowledged to a device must outlive a power cut, not only this process; batches make it cheap.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    # What is erased is to be gone from the file, not only from its index.
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()
