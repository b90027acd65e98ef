"""Many devices at once: connected bit by bit, watched by one page, parted from in good order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiomqtt
import websockets
from tqdm import tqdm

from cloud.link import BrokerAddress
from edge.errors import LinkError
from edge.protocol import Evidence
from simulated_fleet.device import Device
from simulated_fleet.tally import Tally

CONNECTING = 50
"""Devices that connect, or part, at the same time."""
CONNECT_S = 90.0
"""For all that a fleet grows by."""
PART_S = 30.0


class Fleet:
    """Devices in an `async with`; `grow` to as many as wanted."""

    def __init__(
        self,
        address: BrokerAddress,
        *,
        sites: int,
        every_s: float,
        evidence: Sequence[Evidence] = (),
        share: float = 0.0,
    ) -> None:
        self._address, self._sites = address, sites
        self._every_s, self._evidence, self._share = every_s, evidence, share
        self._devices: list[Device] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.tally = Tally()
        self.lost: Counter[str] = Counter()
        """Connections that broke, by what was said."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        gate = asyncio.Semaphore(CONNECTING)

        async def part(device: Device) -> None:
            async with gate:
                await device.part()

        with contextlib.suppress(TimeoutError):  # who has not parted by then is hung up on
            async with asyncio.timeout(PART_S):
                await asyncio.gather(*(part(device) for device in self._devices))

    async def grow(self, count: int) -> None:
        """Connect devices until there are `count`. Raises LinkError if that fails, or takes longer than CONNECT_S."""
        gate = asyncio.Semaphore(CONNECTING)
        new = [self._made(number) for number in range(len(self._devices), count)]
        bar = tqdm(total=len(new), desc="connecting", unit="device", leave=False)

        async def connect(device: Device) -> None:
            async with gate:
                self._devices.append(device)  # before it is, as it has to be closed in any case
                await device.connect(self._address)
                bar.update()

        try:
            with bar:
                async with asyncio.timeout(CONNECT_S), asyncio.TaskGroup() as group:
                    for device in new:
                        group.create_task(connect(device))
        except* (aiomqtt.MqttError, TimeoutError) as errors:
            first = str(errors.exceptions[0]) or f"no more within {CONNECT_S:.0f} s"
            raise LinkError(f"{count - len(new) + bar.n} devices of {count} could be connected: {first}") from errors
        for device in new:
            task = asyncio.create_task(self._live(device))
            self._tasks.add(task)

    def begin(self) -> Tally:
        """Count anew, from the readings that come now; returns what is counted into."""
        self.tally = Tally()
        for device in self._devices:
            device.tally = self.tally
        return self.tally

    def end(self) -> None:
        """Count what comes from now on into nothing that anybody looks at."""
        for device in self._devices:
            device.tally = Tally()

    async def watch(self, web: str) -> None:
        """Follow the dashboard's socket as a page does, until cancelled: tells the tally which readings came."""
        uri = f"{web.replace('http', 'ws', 1)}/live"
        # A watcher that cannot keep up is dropped by the service; it comes back, and what it missed has no lag.
        async for socket in websockets.connect(uri, max_queue=None):
            with contextlib.suppress(websockets.ConnectionClosed):
                async for text in socket:
                    message = json.loads(text)
                    if message["kind"] == "reading":
                        self.tally.seen(message["id"])

    def _made(self, number: int) -> Device:
        site = f"fleet-{number % self._sites:03d}"
        return Device(site, f"pi-{number:05d}", every_s=self._every_s, evidence=self._evidence, share=self._share)

    async def _live(self, device: Device) -> None:
        try:
            await device.live()
        except* aiomqtt.MqttError as errors:
            self.lost[str(errors.exceptions[0])] += 1
