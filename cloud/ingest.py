"""Messages into the store: in batches, once each, and acknowledged only when committed.

Whoever hands a message in gets a future that is done when the message is committed (or refused: a refusal is final, so
it is acknowledged, too). The MQTT acknowledgement hangs on that future: `cloud.link` for a real broker, `cloud.broker`
for the embedded one. So a device never believes delivered what a `kill -9` could take away.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from cloud.arrivals import Arrival, Refused, read
from cloud.counters import Counters
from cloud.store import save

log = logging.getLogger(__name__)

MAX_BATCH = 500
"""Messages in one transaction."""

MAX_UNPROMISED = 5_000
"""Waiting messages beyond which QoS 0 is dropped; QoS 1 is bounded by the senders' own windows."""

RETRY_S = 1.0
_OF_THE_MESSAGE = (DataError, IntegrityError, ValueError, OverflowError)
"""What the database says if it will never take a message: a number too large, a text without UTF-8."""


class _Pending(NamedTuple):
    arrival: Arrival | None
    """None: refused or of no interest; it only keeps its place, because MQTT wants acknowledgements in order."""
    done: asyncio.Future[None]


class Ingest:
    """The one writer of the store. Belongs to the event loop; commits in a thread of its own.

    `on_stored` is called in the event loop with every message that was new, after its commit.
    """

    def __init__(self, engine: Engine, counters: Counters, *, on_stored: Callable[[Arrival], None]) -> None:
        self._engine = engine
        self._counters = counters
        self._on_stored = on_stored
        self._queue: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self.healthy = True
        """False while the store refuses to be written."""

    def submit(self, topic: str, payload: bytes, *, retained: bool = False) -> asyncio.Future[None]:
        """Take a message in; the future is done when it is committed or finally refused."""
        self._counters.add("ingest.received")
        try:
            arrival = read(topic, payload, received_at=time.time(), retained=retained)
        except Refused as refusal:
            self._counters.warn(f"ingest.refused.{refusal.code}", str(refusal))
            arrival = None
        return self.submit_arrival(arrival)

    def submit_arrival(self, arrival: Arrival | None) -> asyncio.Future[None]:
        """Take in what is decoded already; the future as in `submit`."""
        pending = _Pending(arrival, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(pending)
        return pending.done

    def offer(self, topic: str, payload: bytes) -> None:
        """Take in a QoS 0 message: nothing is promised, and it is dropped when too much is waiting."""
        if self._queue.qsize() >= MAX_UNPROMISED:
            self._counters.warn("ingest.dropped", "QoS 0 messages come faster than they can be stored")
            return
        self.submit(topic, payload)

    async def run(self) -> None:
        """Commit what is submitted until `stop`."""
        while (first := await self._queue.get()) is not None:
            batch = [first]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                following = self._queue.get_nowait()
                if following is None:
                    self._queue.put_nowait(None)
                    break
                batch.append(following)
            await self._commit(batch)

    def stop(self) -> None:
        """Let `run` end after what has been submitted so far."""
        self._queue.put_nowait(None)

    def close(self) -> None:
        """Let the writing thread go, after `run` has ended: if that was cut off, a commit may still be under way."""
        self._writer.shutdown(wait=False, cancel_futures=True)

    async def _commit(self, batch: Sequence[_Pending]) -> None:
        arrivals = [pending.arrival for pending in batch if pending.arrival is not None]
        for arrival in await self._save(arrivals):
            self._on_stored(arrival)
        for pending in batch:
            if not pending.done.done():
                pending.done.set_result(None)

    async def _save(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        """Store a batch and return what was new; retry for as long as the store cannot be written."""
        if not arrivals:
            return []
        while True:
            try:
                fresh = await asyncio.get_running_loop().run_in_executor(self._writer, save, self._engine, arrivals)
            except _OF_THE_MESSAGE as error:
                return await self._save_one_by_one(arrivals, error)
            except DBAPIError as error:
                # A full disk, a locked file, a server that is away or may only be read from: all that passes, and
                # until then nothing is acknowledged, so the devices keep it.
                self.healthy = False
                self._counters.warn("ingest.store-unavailable", str(error.orig))
                await asyncio.sleep(RETRY_S)
            except SQLAlchemyError as error:
                return await self._save_one_by_one(arrivals, error)
            else:
                self.healthy = True
                self._counters.add("ingest.stored", sum(fresh))
                self._counters.add("ingest.duplicates", len(fresh) - sum(fresh))
                return [arrival for arrival, is_new in zip(arrivals, fresh, strict=True) if is_new]

    async def _save_one_by_one(self, arrivals: Sequence[Arrival], error: Exception) -> list[Arrival]:
        """Find the message that the database will not take, so that it cannot hold up the others."""
        if len(arrivals) == 1:
            self._counters.warn("ingest.refused.unstorable", f"{arrivals[0].site}/{arrivals[0].device}: {error}")
            return []
        return [stored for arrival in arrivals for stored in await self._save([arrival])]
