"""Who may talk to the web side while there are no accounts: nobody whom a foreign page has sent here.

Without accounts the loopback interface is the only protection, and a web page anywhere can make a visitor's browser
talk to it: by a name that resolves to 127.0.0.1 (DNS rebinding, stopped by the Host check) or by a WebSocket, which
browsers allow across origins (stopped by the Origin check).
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Plotly sets styles from script; no style comes from data.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_WS_FORBIDDEN = 4403


def is_own_host(host: str) -> bool:
    """Say whether a Host header names this machine in a way no foreign DNS entry can: an address or its own name."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    own = socket.gethostname().lower()
    if name in ("localhost", own, f"{own}.local"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str | None, host: str) -> bool:
    """Say whether a page of this service (or a program, which sends no Origin) opens the socket."""
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


class Guard:
    """ASGI middleware: checks Host and Origin, sets the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if scope["type"] == "websocket":
            if is_own_host(host) and is_same_origin(headers.get("origin"), host):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": _WS_FORBIDDEN, "reason": "foreign origin"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        if is_own_host(host):
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = PlainTextResponse(f"This service does not answer to the name {host!r}.\n", status_code=421)
            await refusal(scope, receive, send_with_headers)
