"""The webcam page's socket: a picture in, boxes out, in turns. Nothing is stored."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import msgspec
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from cloud.accounts.roles import Permission
from cloud.analyse.jobs import Analyses
from cloud.analyse.process import Child
from cloud.api.access import login_of
from cloud.api.services import services_of
from cloud.errors import AnalysisError

UNSUPPORTED, TRY_AGAIN_LATER = 1003, 1013
NOT_LOGGED_IN, NOT_ALLOWED = 4401, 4403
IDLE_S = 60.0
"""Without a picture for so long the page sleeps, and its child process is let go."""

CHECK_LOGIN_S = 30.0

router = APIRouter()


@router.websocket("/webcam/live")
async def live(socket: WebSocket) -> None:
    """Answer each picture (JPEG or PNG, one message each) with its faces and the running expression, as JSON."""
    analyses = services_of(socket).analyses
    login = await asyncio.to_thread(login_of, socket)
    if login is None or login.must_change:
        await socket.close(NOT_LOGGED_IN, "please log in")
    elif analyses is None or not login.access.may(Permission.ANALYSE):
        await socket.close(NOT_ALLOWED, "not for you")
    elif not analyses.live_places.acquire(blocking=False):
        await socket.close(TRY_AGAIN_LATER, "too many webcam pages are open; try again later")
    else:
        await _serve(socket, analyses)


async def _serve(socket: WebSocket, analyses: Analyses) -> None:
    child: Child | None = None
    try:
        await socket.accept()
        child = await asyncio.to_thread(analyses.nursery.take)
        await _answer(socket, child, analyses.limits.live_bytes)
    except WebSocketDisconnect:
        pass
    finally:
        analyses.live_places.release()
        if child is not None:
            await asyncio.to_thread(child.close)


async def _answer(socket: WebSocket, child: Child, most_bytes: int) -> None:
    checked_s = time.monotonic()
    while True:
        try:
            picture = await asyncio.wait_for(socket.receive_bytes(), IDLE_S)
        except (TimeoutError, KeyError):  # KeyError: a text message
            await _close(socket, UNSUPPORTED, "no picture came")
            return
        if not picture or len(picture) > most_bytes:
            await _close(socket, UNSUPPORTED, f"no picture of at most {most_bytes} bytes")
            return
        if time.monotonic() - checked_s > CHECK_LOGIN_S:
            checked_s = time.monotonic()
            if await asyncio.to_thread(login_of, socket) is None:
                await _close(socket, NOT_LOGGED_IN, "please log in again")
                return
        request: dict[str, Any] = {"do": "see", "picture": picture, "time_s": time.monotonic()}
        try:
            seen = await asyncio.to_thread(child.ask, request)
        except AnalysisError as error:
            await _close(socket, UNSUPPORTED, error.what)
            return
        await socket.send_text(msgspec.json.encode(seen).decode())


async def _close(socket: WebSocket, code: int, why: str) -> None:
    with contextlib.suppress(RuntimeError):
        await socket.close(code, why)
