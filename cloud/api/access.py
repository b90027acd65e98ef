"""Who is asking, and whether they may: dependencies for routes, pages and sockets.

Every route names what it needs, e.g. `access: Annotated[Access, needs(Permission.READ_DEVICES)]`; what has no such
parameter is in `OPEN_PATHS` (a test walks all routes). A site that somebody may not see answers like one that is not.
"""

from __future__ import annotations

import secrets
import time
from typing import Annotated, Any

from fastapi import Depends, HTTPException, Security
from fastapi.security import APIKeyCookie, HTTPBearer
from starlette.requests import HTTPConnection

from cloud.accounts.roles import LOCAL, Access, Permission
from cloud.accounts.sessions import TOKEN_PREFIX, Login, by_cookie, by_token
from cloud.api.services import services_of

COOKIE = "mien_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OPEN_PATHS = ("/healthz", "/readyz", "/login", "/register", "/api/session", "/api/registration", "/static", "/vendor")
"""Reached without logging in."""

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404


def login_of(connection: HTTPConnection, *, used: bool = True) -> Login | None:
    """Return who is asking, by token or cookie; None if nobody is logged in.

    `used` False: to ask does not prolong the session.
    """
    services = services_of(connection)
    if not services.accounts:
        return Login(LOCAL, must_change=False, csrf=None)
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.startswith(TOKEN_PREFIX):
        return by_token(services.engine, token, now=time.time())
    cookie = connection.cookies.get(COOKIE)
    return by_cookie(services.engine, cookie, now=time.time(), used=used) if cookie else None


BEARER = HTTPBearer(auto_error=False, scheme_name="token", description="An access token, made under /account.")
SESSION = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="session",
    description=f"What POST /api/session sets. What changes something needs the header {CSRF_HEADER} as well, with the "
    "`csrf` that GET /api/session tells.",
)


def authenticated(
    connection: HTTPConnection,
    _token: Annotated[object, Security(BEARER)],
    _cookie: Annotated[object, Security(SESSION)],
) -> Login:
    """Return who is asking. Raises HTTPException 401 if nobody is, 403 if another page may be behind it."""
    login = login_of(connection)
    if login is None:
        raise HTTPException(UNAUTHORIZED, "Please log in.")
    method = connection.scope.get("method", "GET")
    if login.csrf is not None and method not in SAFE_METHODS:
        sent = connection.headers.get(CSRF_HEADER, "")
        if not secrets.compare_digest(sent.encode(), login.csrf.encode()):
            raise HTTPException(FORBIDDEN, f"The header {CSRF_HEADER} is missing or old; reload the page.")
    return login


LoggedIn = Annotated[Login, Depends(authenticated)]
"""A route's parameter of this type: anybody with an account, also one whose password must be changed first."""


def needs(permission: Permission) -> Any:
    """Return the dependency that lets in who holds `permission` at any site, and yields their Access."""

    def check(login: LoggedIn) -> Access:
        if login.must_change:
            raise HTTPException(FORBIDDEN, "Please change your password first.")
        if not login.access.may(permission):
            raise HTTPException(FORBIDDEN, f"Your account may not {permission.replace('-', ' ')}.")
        return login.access

    return Depends(check)


def check_site(access: Access, permission: Permission, site: str) -> None:
    """Raise HTTPException 404 if `permission` is not held at `site`: who may not see it need not know that it is."""
    if not access.may(permission, site):
        raise HTTPException(NOT_FOUND, f"There is no site {site!r}, or not for you.")
