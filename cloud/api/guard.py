"""Nobody whom a foreign page has sent here, whoever they are.

A web page anywhere can make a visitor's browser talk to this service: by a name that resolves to its address (DNS
rebinding, stopped by the Host check), by a WebSocket, which browsers allow across origins, or by a form (both stopped
by the Origin check; sessions have a CSRF token as well).
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.api.replies import json_reply

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Plotly sets styles from script; no style comes from data.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        # A film that the page has just sent, played from the visitor's own disk.
        "media-src 'self' blob:",
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
CAPTURE_PATHS = ("/analyse", "/webcam")
"""Pages that may ask for webcam and microphone."""

CAPTURE_HEADERS = SECURITY_HEADERS | {"Permissions-Policy": "camera=(self), microphone=(self), geolocation=()"}
_WS_FORBIDDEN = 4403
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def is_own_host(host: str, names: frozenset[str] = frozenset()) -> bool:
    """Say whether a Host header names this machine: by an address, its own name, or one of `names`."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    own = socket.gethostname().lower()
    if name in ("localhost", own, f"{own}.local") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str | None, host: str, *, https: bool = False) -> bool:
    """Say whether a page of this service (or a program, which sends no Origin) asks; over https only one of https."""
    if origin is None:
        return True
    page = urlsplit(origin)
    return page.netloc.lower() == host.lower() and (page.scheme == "https" or not https)


class Guard:
    """ASGI middleware: checks Host and Origin, sets the security headers."""

    def __init__(self, app: ASGIApp, names: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        own_page = is_same_origin(headers.get("origin"), host, https=scope["scheme"] in ("https", "wss"))
        if scope["type"] == "websocket":
            if is_own_host(host, self._names) and own_page:
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": _WS_FORBIDDEN, "reason": "foreign origin"})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                capture = scope["path"] in CAPTURE_PATHS
                MutableHeaders(scope=message).update(CAPTURE_HEADERS if capture else SECURITY_HEADERS)
            await send(message)

        application: ASGIApp = self._app
        if not is_own_host(host, self._names):
            application = json_reply({"detail": f"This service does not answer to the name {host!r}."}, 421)
        elif scope["method"] not in _SAFE_METHODS and not own_page:
            application = json_reply({"detail": "Another page may not change anything here."}, 403)
        await application(scope, receive, send_with_headers)
