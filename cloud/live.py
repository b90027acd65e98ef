"""Who is watching: stored messages go to every open live socket, and nobody may make the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from cloud.arrivals import Arrival
from edge.protocol import Reading

MAX_WAITING = 256
"""Messages. A watcher that is further behind than this is dropped and has to come back and ask for the list."""


class Watcher:
    """One live socket's queue of JSON messages."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self.dropped = asyncio.Event()
        """Set once the watcher was too slow; nothing more will come."""

    async def get(self) -> bytes | None:
        """Return the next message; None when the service stops."""
        return await self._queue.get()

    def put(self, data: bytes | None) -> bool:
        """Queue a message (None: the end); return False and drop the watcher if its queue is full."""
        try:
            self._queue.put_nowait(data)
        except asyncio.QueueFull:
            self.dropped.set()
            return False
        return True


class Live:
    """The one place where stored messages are handed to the live sockets. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()
        self._closed = False

    @contextmanager
    def watch(self) -> Iterator[Watcher]:
        """Yield a watcher that gets everything published from now on."""
        watcher = Watcher()
        self._watchers.add(watcher)
        if self._closed:
            watcher.put(None)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def publish(self, arrival: Arrival) -> None:
        """Hand one stored message to all watchers."""
        if self._watchers:
            self._send(msgspec.json.encode(view(arrival)))

    def close(self) -> None:
        """Tell all watchers that the service stops."""
        self._closed = True
        self._send(None)

    def _send(self, data: bytes | None) -> None:
        self._watchers = {watcher for watcher in self._watchers if watcher.put(data)}


def view(arrival: Arrival) -> dict[str, Any]:
    """Return the JSON form of a stored message: its fields, its kind, where and when it came from.

    A reading has the same form as in /api/readings: `verdict` and `final` are there.
    """
    message = arrival.message
    fields: dict[str, Any] = msgspec.to_builtins(message)
    if isinstance(message, Reading):
        fields |= {"verdict": None, "final": fields["fused"]}
    return fields | {
        "kind": type(message).__name__.lower(),
        "site": arrival.site,
        "device": arrival.device,
        "at": arrival.at,
        "received_at": arrival.received_at,
        "retained": arrival.retained,
    }
