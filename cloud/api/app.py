"""The FastAPI application: the routes put together behind the guard."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from cloud.api import (
    alert_routes,
    analyse_routes,
    audit_routes,
    command_routes,
    health_routes,
    history_routes,
    metrics_routes,
    pages,
    privacy_routes,
    reading_routes,
    registration_routes,
    session_routes,
    token_routes,
    user_routes,
    webcam_routes,
)
from cloud.api.guard import Guard
from cloud.api.openapi import complete
from cloud.api.replies import json_reply
from cloud.api.services import Services
from cloud.errors import AccountError, AlertError, AnalysisError, HistoryError, PrivacyError, TextError
from edge import __version__

log = logging.getLogger(__name__)

ROUTERS = (
    health_routes.router,
    metrics_routes.router,
    session_routes.router,
    registration_routes.router,
    token_routes.router,
    user_routes.router,
    audit_routes.router,
    reading_routes.router,
    analyse_routes.router,
    history_routes.router,
    privacy_routes.router,
    webcam_routes.router,
    alert_routes.router,
    command_routes.router,
    pages.router,
)


def create_app(services: Services) -> FastAPI:
    """Return the application over the parts of a service."""
    app = FastAPI(title="Mien", version=__version__, docs_url=None, redoc_url=None)
    app.state.services = services
    app.add_middleware(Guard, names=services.names)
    app.mount("/static", StaticFiles(directory=pages.DASHBOARD / "static"), name="static")
    for router in ROUTERS:
        app.include_router(router)

    @app.exception_handler(AnalysisError)
    async def not_analysed(_request: Request, error: AnalysisError) -> Response:
        return analyse_routes.refusal(error)

    @app.exception_handler(TextError)
    async def no_text(_request: Request, error: TextError) -> Response:
        return json_reply({"detail": str(error), "code": error.code}, 422)

    @app.exception_handler(404)
    async def missing(request: Request, error: HTTPException) -> Response:
        return await run_in_threadpool(pages.missing, request) or await http_exception_handler(request, error)

    @app.exception_handler(AccountError)
    @app.exception_handler(AlertError)
    @app.exception_handler(HistoryError)
    @app.exception_handler(PrivacyError)
    async def unacceptable(_request: Request, error: Exception) -> Response:
        return json_reply({"detail": str(error)}, 422)

    @app.exception_handler(RequestValidationError)
    async def not_valid(_request: Request, error: RequestValidationError) -> Response:
        # What was sent is not said again: it may be a password, or no text at all.
        said = (f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in error.errors())
        return json_reply({"detail": "; ".join(said)}, 422)

    @app.exception_handler(405)
    async def no_method(request: Request, _error: Exception) -> Response:
        # Starlette names only the methods of the first route of this address.
        routes = (route for router in ROUTERS for route in router.routes)
        matching = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
        methods = {method for route in matching if isinstance(route, APIRoute) for method in route.methods or ()}
        reply = json_reply({"detail": "Method Not Allowed"}, 405)
        reply.headers["Allow"] = ", ".join(sorted(methods))
        return reply

    @app.exception_handler(OperationalError)
    async def no_store(_request: Request, error: OperationalError) -> Response:
        log.warning("the store cannot be used: %s", error.orig)
        return json_reply({"detail": "The store cannot be used at the moment. Please try again."}, 503)

    app.openapi = complete(app)  # type: ignore[method-assign]  # FastAPI's own way of changing it
    return app
