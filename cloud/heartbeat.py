"""The workers' heartbeat: devices that heard none for 45 s stop asking, so every site must hear it, and soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from cloud.arrivals import Arrival
from edge.protocol import CLOUD, CLOUD_HEARTBEAT_S, Availability, Birth, CloudAvailability, encode, topic

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes a payload on a topic with QoS 1."""

MIN_GAP_S = 0.2
"""At most five extra rounds a second, however many devices are born at once."""


class Heartbeat:
    """Knows the sites and says `online` to each every 15 s, and at once to one where a device has just come up."""

    def __init__(self, sites: list[str], *, interval_s: float = CLOUD_HEARTBEAT_S) -> None:
        self._sites = set(sites)
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._interval_s = interval_s

    def notice(self, arrival: Arrival) -> None:
        """Learn of a site from a message; a new site, a birth or `online` is answered at once."""
        message = arrival.message
        came_up = isinstance(message, Birth) or (isinstance(message, Availability) and message.state == "online")
        if came_up or arrival.site not in self._sites:
            self._sites.add(arrival.site)
            self._due.add(arrival.site)
            self._wake.set()

    async def run(self, publish: Publish) -> None:
        """Beat until cancelled. Begins with a beat for every known site."""
        while True:
            await self._beat(publish, self._sites)
            beaten_at = time.monotonic()
            while (left_s := self._interval_s - (time.monotonic() - beaten_at)) > 0:
                try:
                    await asyncio.wait_for(self._wake.wait(), left_s)
                except TimeoutError:
                    break
                self._wake.clear()
                due, self._due = self._due, set()  # before the await: sites may come up meanwhile
                await self._beat(publish, due)
                await asyncio.sleep(MIN_GAP_S)

    async def stop(self, publish: Publish) -> None:
        """Say `stopped` to every site."""
        await self._beat(publish, self._sites, state="stopped")

    @staticmethod
    async def _beat(publish: Publish, sites: set[str], *, state: str = "online") -> None:
        online = state == "online"
        message = CloudAvailability(state="online" if online else "stopped", workers=1 if online else 0, ts=time.time())
        for site in sorted(sites):
            await publish(topic(site, CLOUD, "availability"), encode(message))
