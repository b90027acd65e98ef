"""The web server: uvicorn on a socket that was bound, and found free, before."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn

from cloud.errors import ServeError
from cloud.live import Live
from cloud.tls import TlsFiles

WS_MAX_BYTES = 256 * 1024
"""A picture of the webcam page; all other sockets only listen."""


@asynccontextmanager
async def web(
    app: object,
    listening: socket.socket,
    live: Live,
    vital: set[asyncio.Task[None]],
    *,
    tls: TlsFiles | None,
    behind_proxy: bool,
) -> AsyncIterator[None]:
    """Serve an application on a bound socket while inside; on leaving end the live sockets first, then the server."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's own type of an ASGI application is narrower than starlette's
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=WS_MAX_BYTES,
        server_header=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=None if tls is None else tls.certificate,
        ssl_keyfile=None if tls is None else tls.key,
        proxy_headers=behind_proxy,
        # Whoever can reach the port is the proxy: that is what --behind-proxy says.
        forwarded_allow_ips="*" if behind_proxy else None,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    vital.add(task)
    try:
        # uvicorn has no event for it; with a bound socket there is nothing left that could fail or take long.
        while not server.started and not task.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        yield
    finally:
        live.close()
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


@contextlib.contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a bound socket. Raises ServeError if the port is taken or the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            fix = "Choose another with --port, or 0 for a free one."
            raise ServeError(f"the web page cannot listen on {host}:{port}: {error.strerror}", fix=fix) from error
        yield listening


def url_of(listening: socket.socket, *, https: bool) -> str:
    """Return the address at which a bound socket is reached."""
    host, port = listening.getsockname()[:2]
    scheme = "https" if https else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
