"""The webcam page's socket: a picture in, boxes out, in turns. Nothing is stored."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from cloud.accounts.roles import Permission
from cloud.accounts.sessions import Login
from cloud.analyse.jobs import Analyses
from cloud.analyse.process import Child
from cloud.api.access import login_of
from cloud.api.services import services_of
from cloud.api.sockets import NOT_ALLOWED, NOT_LOGGED_IN, TRY_AGAIN_LATER, Close, close, login_ended
from cloud.errors import AnalysisError

UNSUPPORTED = 1003
IDLE_S = 60.0
"""Without a picture for so long the page sleeps, and its child process is let go."""

router = APIRouter()


@router.websocket("/webcam/live")
async def live(socket: WebSocket) -> None:
    """Answer each picture (JPEG or PNG, one message each) with its faces and the running expression, as JSON."""
    analyses = services_of(socket).analyses
    login = await asyncio.to_thread(login_of, socket)
    if login is None or login.must_change:
        await close(socket, NOT_LOGGED_IN)
    elif analyses is None or not login.access.may(Permission.ANALYSE):
        await close(socket, NOT_ALLOWED)
    elif not analyses.live_places.acquire(blocking=False):
        await close(socket, TRY_AGAIN_LATER._replace(reason="too many webcam pages are open; try again later"))
    else:
        await _serve(socket, analyses, login)


async def _serve(socket: WebSocket, analyses: Analyses, login: Login) -> None:
    child: Child | None = None
    ended = asyncio.create_task(login_ended(socket, login, used=True))
    try:
        await socket.accept()
        child = await asyncio.to_thread(analyses.nursery.take)
        await close(socket, await _answer(socket, child, analyses.limits.live_bytes, ended))
    except WebSocketDisconnect:
        pass
    finally:
        ended.cancel()
        analyses.live_places.release()
        if child is not None:
            await asyncio.to_thread(child.close)


async def _answer(socket: WebSocket, child: Child, most_bytes: int, ended: asyncio.Task[Close]) -> Close:
    """Answer pictures until none comes any more or the login has ended; return why."""
    while True:
        receiving = asyncio.create_task(socket.receive_bytes())
        await asyncio.wait({receiving, ended}, timeout=IDLE_S, return_when=asyncio.FIRST_COMPLETED)
        if ended.done() or not receiving.done():
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)
            return ended.result() if ended.done() else Close(UNSUPPORTED, "no picture came")
        try:
            picture = receiving.result()
        except KeyError:  # a text message
            return Close(UNSUPPORTED, "that is no picture")
        if not picture or len(picture) > most_bytes:
            return Close(UNSUPPORTED, f"no picture of at most {most_bytes} bytes")
        request: dict[str, Any] = {"do": "see", "picture": picture, "time_s": time.monotonic()}
        try:
            seen = await asyncio.to_thread(child.ask, request)
        except AnalysisError as error:
            return Close(UNSUPPORTED, error.what)
        await socket.send_text(msgspec.json.encode(seen).decode())
