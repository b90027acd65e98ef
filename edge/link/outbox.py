"""Store and forward: what the broker has not acknowledged, in SQLite, until it has.

WAL with synchronous=FULL: a commit survives a power cut, and a cut in the middle of one leaves the database as it was
before. The outbox is bounded in bytes and in age; beyond either the oldest readings and aggregates go first, events
last, and every drop is counted. Nothing that happens to the disk is fatal: a damaged database is put aside and a new
one begun, and what a full or dead disk does not take is handed back to the caller.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from edge.clock import Clock
from edge.errors import OutboxError
from edge.link.database import (
    DAMAGED,
    allow_growth,
    error_code,
    limit_growth,
    next_session,
    open_database,
    set_reserve,
    use_reserve,
)
from edge.link.rows import Row, with_true_time

log = logging.getLogger(__name__)

MAX_BYTES = 50_000_000
MAX_AGE_S = 7 * 86_400.0
EXPIRE_EVERY_S = 60.0
ROOM = 128
"""Rows given up at once when the disk is full."""

INSERT = """INSERT OR IGNORE INTO outbox
    (id, session, seq, kind, topic, payload, boot, monotonic, ts, clock_synced, precious, size)
    VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"""
OLDEST = """SELECT id, session, seq, kind, topic, payload, boot, monotonic, ts, clock_synced
    FROM outbox ORDER BY session, seq LIMIT ?"""
DELETE = "DELETE FROM outbox WHERE id = ? RETURNING size"
LEAST = "SELECT id, kind, size FROM outbox ORDER BY precious, session, seq LIMIT ?"
LEAST_READINGS = "SELECT id, kind, size FROM outbox WHERE NOT precious ORDER BY session, seq LIMIT ?"
EXPIRED = """SELECT id, kind, size FROM outbox
    WHERE (boot = :boot AND monotonic < :monotonic) OR (boot <> :boot AND clock_synced AND ts < :ts)"""


class Outbox:
    """The messages that wait for the broker. Safe to share between threads.

    `path` is the database file, whose folder is made if it is missing; None keeps everything in memory, as does a disk
    that is full or broken at the start (see `persistent`). `max_bytes` bounds payloads and topics together,
    `max_age_s` is in seconds. Raises OutboxError if the folder cannot be used by this process at all.

        outbox = Outbox(Path("/var/lib/mien/outbox.sqlite"), clock=SystemClock())
        session = outbox.next_session()
        outbox.put(rows)
        for row in outbox.oldest(20): ...
        outbox.delete([row.id])
        outbox.close()
    """

    def __init__(
        self, path: Path | None, *, clock: Clock, max_bytes: int = MAX_BYTES, max_age_s: float = MAX_AGE_S
    ) -> None:
        self._path, self._clock = path, clock
        self._max_bytes, self._max_age_s = max_bytes, max_age_s
        self._lock = threading.Lock()
        self._full = False
        self._expired_at = clock.monotonic()
        self.dropped_by_kind: Counter[str] = Counter()
        self.quarantined = 0
        """Databases that were found damaged and put aside."""
        self._rows = self._bytes = 0
        self._open()

    @property
    def rows(self) -> int:
        """Messages in the outbox."""
        return self._rows

    @property
    def bytes(self) -> int:
        """Bytes of their payloads and topics, as they count against the bound."""
        return self._bytes

    @property
    def dropped(self) -> int:
        """Messages dropped since the start for want of space or for their age."""
        return self.dropped_by_kind.total()

    @property
    def persistent(self) -> bool:
        """Whether the outbox survives the end of the process."""
        return self._persistent

    def next_session(self) -> int:
        """Return the number of this start of the daemon: larger than that of every start before.

        Without a file that is the Unix time in seconds, which grows from start to start as well.
        """
        wall_s = int(self._clock.wall())
        if self._path is None:
            return wall_s
        with self._lock:
            (newest,) = self._db.execute("SELECT coalesce(max(session), 0) FROM outbox").fetchone()
        return next_session(self._path, at_least=newest + 1, otherwise=wall_s)

    def put(self, rows: Sequence[Row]) -> list[Row]:
        """Store rows in one transaction and return those that the disk did not take; one stored already is ignored.

        What is over the bounds afterwards is dropped and counted. Never raises for the state of the disk.
        """
        with self._lock:
            if self._insert(rows):
                return []
            if self._full:
                self._make_room()
            return [] if self._insert(rows) else list(rows)

    def oldest(self, limit: int, *, skip: Collection[str] = ()) -> list[Row]:
        """Return up to `limit` rows in the order of (session, seq), without those whose id is in `skip`.

        Rows made in this boot before its clock was set right are returned with the right time.
        """
        with self._lock:
            try:
                self._expire()
                found = self._db.execute(OLDEST, (limit + len(skip),)).fetchall()
            except sqlite3.DatabaseError as error:
                self._failed(error)
                return []
        rows = [Row(*fields) for fields in found]
        return [self._timed(row) for row in rows if row.id not in skip][:limit]

    def delete(self, ids: Iterable[str]) -> bool:
        """Forget messages that the broker has; False if the disk did not take that."""
        with self._lock:
            try:
                with self._db:
                    gone = [size for each in ids for (size,) in self._db.execute(DELETE, (each,)).fetchall()]
                self._count(-len(gone), -sum(gone))
            except sqlite3.DatabaseError as error:
                self._failed(error)
                return False
            return True

    def close(self) -> None:
        """Close the database; the outbox must not be used afterwards."""
        with self._lock:
            self._db.close()

    def _open(self) -> None:
        self._db, self._persistent, damaged = open_database(self._path)
        self.quarantined += damaged
        self._recount()
        self._take_room()

    def _take_room(self) -> None:
        if self._path is not None and self._persistent and set_reserve(self._path):
            allow_growth(self._db)

    def _count(self, rows: int, size: int) -> None:
        """Keep count: asking SQLite would read through a whole index each time."""
        self._rows += rows
        self._bytes += size

    def _recount(self) -> None:
        (self._rows, self._bytes) = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM outbox").fetchone()

    def _insert(self, rows: Sequence[Row]) -> bool:
        try:
            with self._db:
                taken = [row.size for row in rows if self._db.execute(INSERT, _fields(row)).rowcount]
            self._count(len(taken), sum(taken))
            self._expire()
            self._trim()
        except sqlite3.DatabaseError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: sqlite3.DatabaseError) -> None:
        with suppress(sqlite3.Error):
            self._db.rollback()
        self._full = error_code(error) == sqlite3.SQLITE_FULL
        if error_code(error) in DAMAGED:
            log.error("the outbox was damaged while in use (%s)", error)
            self._db.close()
            self._reopen()
        else:
            log.warning("the outbox cannot be written: %s", error)

    def _reopen(self) -> None:
        try:
            self._open()
        except OutboxError as unusable:
            log.warning("from now on it is in memory only: %s", unusable)
            self._path = None
            self._open()

    def _make_room(self) -> None:
        """On a full disk give up the oldest readings, and live in the room that this frees until there is more.

        SQLite needs some room even for that. Its log, once as long as it must be, stays so and is used again.
        """
        try:
            if self._path is not None:
                use_reserve(self._path)
            self._db.execute("PRAGMA wal_checkpoint(RESTART)")
            limit_growth(self._db)
            self._drop(self._db.execute(LEAST_READINGS, (ROOM,)).fetchall())
        except sqlite3.DatabaseError as error:
            self._failed(error)

    def _trim(self) -> None:
        while self._bytes > self._max_bytes:
            victims = []
            excess = self._bytes - self._max_bytes
            for victim in self._db.execute(LEAST, (ROOM,)).fetchall():
                if excess > 0:
                    victims.append(victim)
                    excess -= victim[2]
            self._drop(victims)

    def _expire(self) -> None:
        """Drop what is too old. The age of a row of another boot is known only if both clocks were right."""
        now = self._clock.monotonic()
        if now - self._expired_at < min(EXPIRE_EVERY_S, self._max_age_s):
            return
        self._expired_at = now
        self._take_room()
        oldest_ts = self._clock.wall() - self._max_age_s if self._clock.synced() else 0.0
        limits = {"boot": self._clock.boot_id(), "monotonic": now - self._max_age_s, "ts": oldest_ts}
        self._drop(self._db.execute(EXPIRED, limits).fetchall())

    def _drop(self, victims: list[tuple[str, str, int]]) -> None:
        with self._db:
            self._db.executemany("DELETE FROM outbox WHERE id = ?", [victim[:1] for victim in victims])
        self.dropped_by_kind.update(kind for _, kind, _ in victims)
        self._count(-len(victims), -sum(size for _, _, size in victims))

    def _timed(self, row: Row) -> Row:
        if row.clock_synced or not self._clock.synced():
            return row
        clock = self._clock
        return with_true_time(row, boot=clock.boot_id(), monotonic=clock.monotonic(), wall=clock.wall())


def _fields(row: Row) -> tuple[object, ...]:
    return (
        row.id,
        row.session,
        row.seq,
        row.kind,
        row.topic,
        row.payload,
        row.boot,
        row.monotonic,
        row.ts,
        row.clock_synced,
        row.precious,
        row.size,
    )
