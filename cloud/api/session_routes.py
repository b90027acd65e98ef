"""Logging in and out, and who I am: /api/session."""

from __future__ import annotations

import math
import time

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from cloud.accounts.passwords import LONGEST_BYTES, SHORTEST, matches
from cloud.accounts.roles import ROLES
from cloud.accounts.sessions import LONGEST_S, log_in, log_out
from cloud.accounts.users import set_password
from cloud.api import access
from cloud.api.access import COOKIE, FORBIDDEN, UNAUTHORIZED
from cloud.api.fields import Line, Sent
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts, Services
from cloud.api.views import LoggedIn, Nothing, SessionView
from cloud.store.accounts import User

TOO_MANY = 429
router = APIRouter(tags=["session"])


class Credentials(Sent):
    """What the login page sends."""

    login: Line = Field(max_length=100, examples=["ada@school.example"])
    password: str = Field(max_length=200, examples=["correct horse battery"])


@router.post("/api/session", responses=answers(LoggedIn, UNAUTHORIZED, TOO_MANY))
def create(services: Parts, request: Request, credentials: Credentials) -> Response:
    """Log in: sets the session cookie. Slow on purpose; 429 after too many wrong passwords."""
    address = request.client.host if request.client is not None else ""
    login = credentials.login.strip().lower()
    too_many(services, login, address)
    token = log_in(services.engine, login, credentials.password, now=time.time())
    if token is None:
        services.limiter.failed(login, address, time.monotonic())
        raise HTTPException(UNAUTHORIZED, "Login or password is wrong, or the account is not active.")
    services.limiter.succeeded(login)
    reply = json_reply({"login": login})
    reply.set_cookie(
        COOKIE, token, max_age=int(LONGEST_S), httponly=True, samesite="lax", secure=services.secure, path="/"
    )
    return reply


@router.get("/api/session", responses=answers(SessionView))
def read(login: access.LoggedIn) -> Response:
    """Who is logged in, what they may do where, and the token that changes need in the header X-CSRF-Token."""
    roles = {grant.site: grant.role for grant in login.access.grants}
    may = sorted({permission for role in roles.values() for permission in ROLES[role]})
    return json_reply(
        {
            "login": login.access.login,
            "roles": roles,
            "permissions": may,
            "csrf": login.csrf,
            "must_change_password": login.must_change,
        }
    )


@router.delete("/api/session", responses=answers(Nothing))
def delete(services: Parts, request: Request, _login: access.LoggedIn) -> Response:
    """Log out."""
    token = request.cookies.get(COOKIE)
    if token:
        log_out(services.engine, token, now=time.time())
    reply = json_reply({})
    reply.delete_cookie(COOKIE, path="/")
    return reply


def too_many(services: Services, login: str, address: str) -> None:
    """Raise HTTPException 429 if there were too many failures for a login or from an address."""
    wait = services.limiter.wait_s(login, address, time.monotonic())
    if wait > 0:
        seconds = math.ceil(wait)
        message = f"Too many tries. Please wait {seconds} s."
        raise HTTPException(TOO_MANY, message, {"Retry-After": str(seconds)})


class NewPassword(Sent):
    """What the account page sends."""

    old: str = Field(max_length=200, examples=["correct horse battery"])
    new: str = Field(min_length=SHORTEST, max_length=LONGEST_BYTES, examples=["incorrect donkey battery"])


@router.put("/api/session/password", responses=answers(Nothing, TOO_MANY))
def change_password(services: Parts, login: access.LoggedIn, passwords: NewPassword) -> Response:
    """Change one's own password; ends all of one's sessions."""
    now = time.time()
    too_many(services, login.access.login, "")
    with Session(services.engine) as session, session.begin():
        user = session.get(User, login.access.user_key) if login.csrf is not None else None
        if user is None or not matches(passwords.old, user.password):
            services.limiter.failed(login.access.login, "", time.monotonic())
            raise HTTPException(FORBIDDEN, "The present password is wrong.")
        set_password(session, user, passwords.new, actor=user.login, now=now, must_change=False)
    return json_reply({})
