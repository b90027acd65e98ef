"""Opening the database: pragmas, tables, the check of the schema version."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from cloud.errors import StoreError
from cloud.store.models import SCHEMA_VERSION, Base, Meta

FILE_NAME = "mien.sqlite"
LOCK_NAME = "mien.lock"
"""Held for as long as the service runs: two services would each believe to be the only writer."""

BUSY_TIMEOUT_MS = 10_000


class Database:
    """The database of one service: the engine and what hangs on it.

        database = Database(Path("mien-data"))
        save(database.engine, arrivals)
        database.close()

    Raises StoreError if it cannot be opened, is damaged, or was made by another version.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # readings are nobody else's business
            self._lock = (folder / LOCK_NAME).open("w")
        except OSError as error:
            fix = "Name a folder that you may write to with --data."
            raise StoreError(f"{folder} cannot be used: {error.strerror}", fix=fix) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            fix = "Stop it, or name another folder with --data."
            raise StoreError(f"another mien-cloud works in {folder}", fix=fix) from error
        self.engine: Engine = create_engine(URL.create("sqlite", database=str(self.path)))
        event.listen(self.engine, "connect", _set_pragmas)
        try:
            Base.metadata.create_all(self.engine)
            self.starts = self._check_version()
        except DatabaseError as error:
            self.close()
            fix = "Move it away, or name another folder with --data."
            raise StoreError(f"{self.path} cannot be opened: {error.orig}", fix=fix) from error
        except StoreError:
            self.close()
            raise

    def _check_version(self) -> int:
        """Return how often the service was started on this database, this start included."""
        with Session(self.engine) as session, session.begin():
            version = session.get(Meta, "schema")
            if version is None:
                session.add(Meta(key="schema", value=SCHEMA_VERSION))
            elif version.value != SCHEMA_VERSION:
                fix = "Use the version of Mien that made it, or name another folder with --data."
                raise StoreError(f"{self.path} has schema {version.value}, not {SCHEMA_VERSION}", fix=fix)
            starts = session.scalar(select(Meta).where(Meta.key == "starts"))
            if starts is None:
                starts = Meta(key="starts", value="0")
                session.add(starts)
            starts.value = str(int(starts.value) + 1)
            return int(starts.value)

    def close(self) -> None:
        """Close all connections and leave the folder; the last connection folds the write-ahead log into the file."""
        self.engine.dispose()
        self._lock.close()


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # What was acknowledged to a device must outlive a power cut, not only this process; batches make it cheap.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()
