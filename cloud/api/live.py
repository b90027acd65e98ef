"""The live socket: one watcher per page, which only listens."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.websockets import WebSocket, WebSocketDisconnect

from cloud.accounts.sessions import Login
from cloud.api.sockets import GOING_AWAY, TRY_AGAIN_LATER, Close, close, login_ended
from cloud.live import Live, Watcher


async def serve_watcher(socket: WebSocket, live: Live, login: Login) -> None:
    """Send what is stored from now on and may be seen.

    Until the page leaves or falls behind, its login ends, or the service stops.
    """
    await socket.accept()
    with live.watch(login.access) as watcher:
        # A page that only listens is no sign that somebody still sits before it.
        ways = (
            _send(socket, watcher),
            _until_left(socket),
            _until_dropped(watcher),
            login_ended(socket, login, used=False),
        )
        tasks = [asyncio.create_task(way) for way in ways]
        # The first way to end ends the others: a send that hangs on a full connection, too.
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await close(socket, done.pop().result())


async def _send(socket: WebSocket, watcher: Watcher) -> Close:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while (data := await watcher.get()) is not None:
            await socket.send_text(data.decode())
    return GOING_AWAY


async def _until_left(socket: WebSocket) -> Close:
    """Read and forget: what a page sends means nothing, but a page that leaves must be noticed."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()
    return GOING_AWAY


async def _until_dropped(watcher: Watcher) -> Close:
    await watcher.dropped.wait()
    return TRY_AGAIN_LATER
