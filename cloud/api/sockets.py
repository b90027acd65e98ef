"""What sockets share: why they are closed, and that they end with the login that opened them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocket, WebSocketDisconnect

from cloud.accounts.sessions import Login
from cloud.api.access import login_of

log = logging.getLogger(__name__)

CHECK_LOGIN_S = 5.0
"""For so long at most a socket outlives the login that opened it, or goes on with rights that were taken away."""


class Close(NamedTuple):
    """A close code and the reason that the page may show."""

    code: int
    reason: str


GOING_AWAY = Close(1001, "the service stops")
TRY_AGAIN_LATER = Close(1013, "try again later")
NOT_LOGGED_IN = Close(4401, "please log in")
NOT_ALLOWED = Close(4403, "not for you")
RIGHTS_CHANGED = Close(4403, "what you may see has changed")


async def login_ended(socket: WebSocket, login: Login, *, used: bool) -> Close:
    """Return once the login of an open socket no longer holds: it was logged out, has expired or lost its rights.

    `used`: whether the socket being open is use that keeps the session from expiring.
    """
    while True:
        await asyncio.sleep(CHECK_LOGIN_S)
        try:
            now = await asyncio.to_thread(login_of, socket, used=used)
        except SQLAlchemyError as error:
            log.warning("a socket ends: its login cannot be checked: %s", error)
            return TRY_AGAIN_LATER
        if now is None or now.must_change:
            return NOT_LOGGED_IN
        if frozenset(now.access.grants) != frozenset(login.access.grants):
            return RIGHTS_CHANGED


async def close(socket: WebSocket, why: Close) -> None:
    """Close a socket that may be closed already."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(*why)
