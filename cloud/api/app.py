"""The FastAPI application: JSON routes, health, the live socket and the page."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request, Response, WebSocket
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from sqlalchemy import Engine

from cloud import store
from cloud.api.guard import Guard
from cloud.api.live import serve_watcher
from cloud.counters import Counters
from cloud.live import Live
from edge import __version__
from edge.emotions import EMOTIONS

DASHBOARD = Path(__file__).parent.parent / "dashboard"
MAX_LIMIT = 1000
Name = Annotated[str | None, Query(pattern="^[a-z0-9-]{1,36}$")]
ReadingId = Annotated[str | None, Query(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]

Checks = Callable[[], dict[str, bool]]
"""Says of each part of the service whether it works."""


def create_app(engine: Engine, live: Live, counters: Counters, checks: Checks, *, broker: str) -> FastAPI:
    """Return the application over a store, the live messages, the counters and the service's own checks.

    `broker` is the address that the page tells those who have no device yet.
    """
    app = FastAPI(title="Mien", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Guard)
    app.mount("/static", StaticFiles(directory=DASHBOARD / "static"), name="static")
    _add_json_routes(app, engine, counters)
    _add_health_routes(app, checks)
    _add_page(app, broker)

    @app.websocket("/live")
    async def live_socket(socket: WebSocket) -> None:
        await serve_watcher(socket, live)

    return app


def _json(value: Any, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def _add_json_routes(app: FastAPI, engine: Engine, counters: Counters) -> None:
    @app.get("/api/devices")
    def devices() -> Response:
        return _json({"devices": store.devices(engine)})

    @app.get("/api/readings")
    def readings(
        site: Name = None,
        device: Name = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
        before: ReadingId = None,
    ) -> Response:
        found = store.readings(engine, site=site, device=device, limit=limit, before=before)
        return _json({"readings": found})

    @app.get("/api/counters")
    async def count() -> Response:
        return _json(counters.snapshot())


def _add_health_routes(app: FastAPI, checks: Checks) -> None:
    @app.get("/healthz")
    async def alive() -> Response:
        return _json({"status": "ok"})

    @app.get("/readyz")
    async def ready() -> Response:
        results = checks()
        good = all(results.values())
        return _json({"status": "ready" if good else "not ready", "checks": results}, 200 if good else 503)


def _add_page(app: FastAPI, broker: str) -> None:
    templates = Jinja2Templates(DASHBOARD / "templates")
    plotly_js = _plotly_js()

    @app.get("/", response_class=HTMLResponse)
    async def page(request: Request) -> Response:
        context = {"version": __version__, "emotions": EMOTIONS, "broker": broker}
        return templates.TemplateResponse(request, "live.html", context, headers={"Cache-Control": "no-cache"})

    @app.get("/vendor/plotly.min.js", include_in_schema=False)
    async def plotly() -> Response:
        headers = {"Cache-Control": "public, max-age=86400"}
        return FileResponse(plotly_js, media_type="text/javascript", headers=headers)


def _plotly_js() -> Path:
    """Return the Plotly.js that the plotly wheel carries, without importing plotly."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None, "the extra `cloud` installs plotly"
    assert spec.origin is not None, "the extra `cloud` installs plotly"
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
