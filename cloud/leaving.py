"""Stopping in time: each part has a few seconds to end, and the whole process a few more.

Nothing is lost by leaving early: a message is acknowledged only after it was committed, so whatever is cut off here
stands in the store, or comes again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

PART_S = 1.5
"""For a part that waits for others: a webhook's answer, a locked store."""

PROCESS_S = 8.0
"""From the signal to the end of the process. systemd and Docker kill after 10 s and more."""


async def end_within(work: Coroutine[Any, Any, None] | asyncio.Task[None], what: str, seconds: float = PART_S) -> None:
    """Wait for work that ends a part, but no longer; its thread, if it has one, is left behind then."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task}, timeout=seconds)
    if not task.done():
        log.warning("%s does not end within %.1f s and is left behind", what, seconds)
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def leave_in_time() -> None:
    """From now on this process ends within PROCESS_S, whatever its threads wait for. Its exit status is 0."""
    timer = threading.Timer(PROCESS_S, _leave)
    timer.daemon = True
    timer.start()


def _leave() -> None:
    log.warning("not everything has ended within %.0f s; nothing that is not stored was acknowledged", PROCESS_S)
    logging.shutdown()
    os._exit(0)
