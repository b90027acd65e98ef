"""The live socket: one watcher per page, which only listens."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from cloud.accounts.roles import Access
from cloud.live import Live, Watcher

GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013


async def serve_watcher(socket: WebSocket, live: Live, access: Access) -> None:
    """Send what is stored from now on and may be seen, until the page leaves, falls behind, or the service stops."""
    await socket.accept()
    with live.watch(access) as watcher:
        tasks = [asyncio.create_task(way(socket, watcher)) for way in (_send, _until_left, _until_dropped)]
        # The first way to end ends the others: a send that hangs on a full connection, too.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(TRY_AGAIN_LATER if watcher.dropped.is_set() else GOING_AWAY)


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (data := await watcher.get()) is not None:
            await socket.send_text(data.decode())


async def _until_left(socket: WebSocket, _: Watcher) -> None:
    """Read and forget: what a page sends means nothing, but a page that leaves must be noticed."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()


async def _until_dropped(_: WebSocket, watcher: Watcher) -> None:
    await watcher.dropped.wait()
