"""Opening the outbox's SQLite file, putting a damaged one aside, and counting the daemon's starts."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from edge.errors import OutboxError

log = logging.getLogger(__name__)

SESSION_SUFFIX = ".session"
QUARANTINE_SUFFIX = ".corrupt"
MAX_PAGES = 0x3FFFFFFE
"""SQLite's own default limit."""
BUSY_S = 5.0
RESERVE_SUFFIX = ".reserve"
RESERVE_BYTES = 1_000_000
CHECKPOINT_PAGES = 100
"""Of 4 KB: SQLite's log is taken over into the database before it grows past that, well below the reserve."""

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# The payload stands last: columns behind a long one are reached only by reading through it.
SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    id TEXT PRIMARY KEY, session INTEGER NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, topic TEXT NOT NULL,
    boot TEXT NOT NULL, monotonic REAL NOT NULL, ts REAL NOT NULL, clock_synced INTEGER NOT NULL,
    precious INTEGER NOT NULL, size INTEGER NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS replay_order ON outbox (session, seq);
CREATE INDEX IF NOT EXISTS drop_order ON outbox (precious, session, seq, size, kind, id);
CREATE INDEX IF NOT EXISTS ages ON outbox (boot, monotonic, clock_synced, ts, kind, size, id);
"""


class Opened(NamedTuple):
    """A database that can be used."""

    db: sqlite3.Connection
    persistent: bool
    damaged: bool
    """Whether another was found damaged in its place, and put aside."""


def error_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code of an error, 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def open_database(path: Path | None) -> Opened:
    """Open or create the database at `path`; None, or a disk that is full or broken, gives one in memory.

    Raises OutboxError if `path` lies in no folder that this process may write to.
    """
    if path is None:
        return Opened(_connect(":memory:"), persistent=False, damaged=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _open_or_replace(path)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise _misplaced(path, error) from error
    except (sqlite3.DatabaseError, OSError) as error:
        if isinstance(error, sqlite3.Error) and error_code(error) == sqlite3.SQLITE_CANTOPEN:
            raise _misplaced(path, error) from error
        log.warning("the outbox %s cannot be used (%s); until the next start it is in memory only", path, error)
        return Opened(_connect(":memory:"), persistent=False, damaged=False)


def _open_or_replace(path: Path) -> Opened:
    try:
        return Opened(_connect(str(path)), persistent=True, damaged=False)
    except sqlite3.DatabaseError as error:
        if error_code(error) not in DAMAGED:
            raise
        log.warning("the outbox %s is damaged (%s); it is put aside and a new one begun", path, error)
        quarantine(path)
        return Opened(_connect(str(path)), persistent=True, damaged=True)


def _misplaced(path: Path, error: Exception) -> OutboxError:
    fix = "Set outbox.folder to a folder that the service may write to."
    return OutboxError(f"the outbox {path} cannot be created: {error}", fix=fix)


def quarantine(path: Path) -> None:
    """Rename a damaged database and its log. Only the newest is kept: these must not fill the card. Raises OSError."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file = path.with_name(path.name + suffix)
            file.replace(path.with_name(path.name + QUARANTINE_SUFFIX + suffix))


def set_reserve(database: Path) -> bool:
    """Hold some room beside the database, False if there is none: on a full disk SQLite cannot even delete without."""
    path = database.with_name(database.name + RESERVE_SUFFIX)
    try:
        if path.exists() and path.stat().st_size >= RESERVE_BYTES:
            return True
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
    except OSError:
        use_reserve(database)
        return False
    return True


def use_reserve(database: Path) -> None:
    """Give that room back to SQLite."""
    with suppress(OSError):
        database.with_name(database.name + RESERVE_SUFFIX).unlink(missing_ok=True)


def limit_growth(db: sqlite3.Connection) -> None:
    """Let the database file become no longer than it is: it then lives in the pages that deleting frees."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages}")


def allow_growth(db: sqlite3.Connection) -> None:
    """Lift that limit."""
    db.execute(f"PRAGMA max_page_count = {MAX_PAGES}")


def next_session(database: Path, *, at_least: int, otherwise: int) -> int:
    """Return the number after the one in the file beside the database, not below `at_least`, and store it there.

    The file is not the database, so that the count outlives a damaged one. `otherwise` stands in where the file is
    damaged or cannot be written: it must be larger than any count of starts.
    """
    path = database.with_suffix(SESSION_SUFFIX)
    try:
        session = max(int(path.read_text()) + 1, at_least)
    except FileNotFoundError:
        session = at_least
    except (OSError, ValueError):
        session = max(otherwise, at_least)
    try:
        _write_durably(path, f"{session}\n")
    except OSError as error:
        log.warning("the session number cannot be stored in %s (%s); this start is numbered by its time", path, error)
        session = max(otherwise, at_least)
    return session


def _connect(name: str) -> sqlite3.Connection:
    db = sqlite3.connect(name, timeout=BUSY_S, check_same_thread=False)
    try:
        # WAL: one fsync per commit, and a reader such as `mien-edge doctor` does not block. FULL: no commit skips it.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        _check(db)
        db.executescript(SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _check(db: sqlite3.Connection) -> None:
    with closing(db.execute("PRAGMA quick_check(1)")) as check:
        verdict = check.fetchone()[0]
    if verdict != "ok":
        damage = sqlite3.DatabaseError(verdict)
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage


def _write_durably(path: Path, text: str) -> None:
    # A new file renamed over the old one, both forced to the card: a power cut leaves the old number or the new one.
    new = path.with_suffix(".new")
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
