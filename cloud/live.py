"""Who is watching: stored messages go to every open live socket, and nobody may make the others wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from cloud.accounts.roles import Access, Permission
from cloud.arrivals import Arrival
from edge.protocol import Aggregate, Reading, Verdict

MAX_WAITING = 256
"""Messages. A watcher that is further behind than this is dropped and has to come back and ask for the list."""


class Watcher:
    """One live socket's queue of JSON messages, of which it gets what its owner may see."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self.dropped = asyncio.Event()
        """Set once the watcher was too slow; nothing more will come."""

    async def get(self) -> bytes | None:
        """Return the next message; None when the service stops."""
        return await self._queue.get()

    def may_see(self, arrival: Arrival) -> bool:
        """Say whether the owner's roles at the message's site let them see it."""
        about_people = isinstance(arrival.message, Reading | Verdict | Aggregate)
        permission = Permission.READ_READINGS if about_people else Permission.READ_DEVICES
        return self._access.may(permission, arrival.site)

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
    def watch(self, access: Access) -> Iterator[Watcher]:
        """Yield a watcher that gets everything published from now on that `access` allows to see."""
        watcher = Watcher(access)
        self._watchers.add(watcher)
        if self._closed:
            watcher.put(None)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    @property
    def watchers(self) -> int:
        """How many live sockets are open."""
        return len(self._watchers)

    def publish(self, arrival: Arrival) -> None:
        """Hand one stored message to all watchers that may see it."""
        watchers = {watcher for watcher in self._watchers if watcher.may_see(arrival)}
        if watchers:
            self._send(watchers, msgspec.json.encode(view(arrival)))

    def close(self) -> None:
        """Tell all watchers that the service stops."""
        self._closed = True
        self._send(self._watchers, None)

    def _send(self, watchers: set[Watcher], data: bytes | None) -> None:
        self._watchers -= {watcher for watcher in watchers if not watcher.put(data)}


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
