"""Logging in and out, and who a cookie or a token belongs to. Times are Unix seconds and passed in."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.passwords import matches
from cloud.accounts.roles import Access, Grant
from cloud.store.accounts import AccessToken, LoginSession, User

IDLE_S = 8 * 3600.0
"""A session that was not used for so long has ended."""

LONGEST_S = 7 * 86400.0
TOUCH_S = 60.0
"""How often the use of a session is written down."""

TOKEN_PREFIX = "mien_"  # noqa: S105 - by which secret scanners know a leaked token


@dataclass(frozen=True)
class Login:
    """Who is asking, and what protects the session against other pages."""

    access: Access
    must_change: bool
    csrf: str | None
    """None for a token: no browser sends it by itself."""


def token_hash(token: str) -> str:
    """Return what the database keeps of a secret. Tokens are random, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def log_in(engine: Engine, login: str, password: str, *, now: float) -> str | None:
    """Return the secret for the cookie of a new session; None if name, password or state of the account are wrong."""
    login = login.strip().lower()
    with Session(engine) as session, session.begin():
        user = session.scalar(select(User).where(User.login == login))
        right = matches(password, user.password if user is not None else None)
        if user is None or not right or user.state != "active":
            record(session, at=now, actor=login, action="login.failed")
            return None
        token = secrets.token_urlsafe(32)
        csrf = secrets.token_urlsafe(24)
        session.add(
            LoginSession(token_hash=token_hash(token), user_key=user.key, csrf=csrf, created_at=now, used_at=now)
        )
        session.execute(delete(LoginSession).where(LoginSession.created_at < now - LONGEST_S))
        record(session, at=now, actor=login, action="login")
        return token


def log_out(engine: Engine, token: str, *, now: float) -> None:
    """End a session."""
    with Session(engine) as session, session.begin():
        found = session.get(LoginSession, token_hash(token))
        if found is not None:
            user = session.get_one(User, found.user_key)
            session.delete(found)
            record(session, at=now, actor=user.login, action="logout")


def by_cookie(engine: Engine, token: str, *, now: float, used: bool = True) -> Login | None:
    """Return who a session belongs to; None if it has ended or never was. `used` False: asking does not prolong it."""
    with Session(engine) as session:
        found = session.get(LoginSession, token_hash(token))
        if found is None or now - found.used_at > IDLE_S or now - found.created_at > LONGEST_S:
            return None
        if used and now - found.used_at > TOUCH_S:
            found.used_at = now
            session.commit()
        return _login(session, found.user_key, found.csrf)


def by_token(engine: Engine, token: str, *, now: float) -> Login | None:
    """Return whose access token it is; None if it has expired or never was."""
    with Session(engine) as session:
        found = session.get(AccessToken, token_hash(token))
        if found is None or now > found.expires_at:
            return None
        if found.used_at is None or now - found.used_at > TOUCH_S:
            found.used_at = now
            session.commit()
        return _login(session, found.user_key, None)


def _login(session: Session, user_key: int, csrf: str | None) -> Login | None:
    user = session.get(User, user_key)
    if user is None or user.state != "active":
        return None
    grants = tuple(Grant(membership.site, membership.role) for membership in user.memberships)
    return Login(Access(user.login, grants, user.key), user.must_change, csrf)
