"""The workers' heartbeat: devices that heard none for 45 s stop asking, so every site must hear it, and soon."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable

from cloud.arrivals import Arrival
from edge.protocol import CLOUD, CLOUD_HEARTBEAT_S, Availability, Birth, CloudAvailability, encode, topic

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes a payload on a topic with QoS 1."""

SITE_GAP_S = 1.0
"""Between two extra beats of one site. All its devices hear each, so a whole site that comes back, as after its broker
was away, would hear itself coming: at five beats a second each of 3,000 devices makes 15,000 deliveries a second."""
POLL_S = 0.2
"""How often it looks whether a site may hear its next extra beat, while one is due."""


class Heartbeat:
    """Knows the sites and says `online` to each every 15 s, and at once to one where a device has just come up."""

    def __init__(self, sites: list[str], *, interval_s: float = CLOUD_HEARTBEAT_S) -> None:
        self._sites = set(sites)
        self._due: set[str] = set()
        self._answered: dict[str, float] = {}
        """Monotonic seconds of each site's last extra beat."""
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
            until = time.monotonic() + self._interval_s
            while (left_s := until - time.monotonic()) > 0:
                await self._beat(publish, self._take_ready())
                if self._due:
                    await asyncio.sleep(min(left_s, POLL_S))
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(left_s):
                            await self._wake.wait()
                self._wake.clear()

    def _take_ready(self) -> set[str]:
        """Take the due sites out that had no extra beat within SITE_GAP_S."""
        now = time.monotonic()
        ready = {site for site in self._due if now - self._answered.get(site, -math.inf) >= SITE_GAP_S}
        self._due -= ready
        self._answered |= dict.fromkeys(ready, now)
        return ready

    async def stop(self, publish: Publish) -> None:
        """Say `stopped` to every site."""
        await self._beat(publish, self._sites, state="stopped")

    @staticmethod
    async def _beat(publish: Publish, sites: set[str], *, state: str = "online") -> None:
        online = state == "online"
        message = CloudAvailability(state="online" if online else "stopped", workers=1 if online else 0, ts=time.time())
        for site in sorted(sites):
            await publish(topic(site, CLOUD, "availability"), encode(message))
