"""The job that takes away, once an hour, what sites no longer keep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cloud.leaving import end_within
from cloud.store.retention import PURGE_EVERY_S, purge

log = logging.getLogger(__name__)


@asynccontextmanager
async def purging(
    engine: Engine, vital: set[asyncio.Task[None]], *, every_s: float = PURGE_EVERY_S
) -> AsyncIterator[None]:
    """Purge now and then every `every_s` seconds while inside, in a thread; what is left on leaving goes later."""
    stop = asyncio.Event()
    task = asyncio.create_task(_run(engine, every_s, stop))
    vital.add(task)
    try:
        yield
    finally:
        stop.set()
        await end_within(task, "taking away what is too old")


async def _run(engine: Engine, every_s: float, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            for site, counts in (await asyncio.to_thread(purge, engine, stopping=stop.is_set)).items():
                log.info("%s: no longer kept: %s", site, counts)
        except SQLAlchemyError as error:
            log.warning("what is too old could not be taken away, next try in %.0f s: %s", every_s, error)
        try:
            await asyncio.wait_for(stop.wait(), every_s)
        except TimeoutError:
            continue
