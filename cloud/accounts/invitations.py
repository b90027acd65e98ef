"""Registering: by an invitation, or by asking and being approved."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.roles import Grant
from cloud.accounts.sessions import token_hash
from cloud.accounts.users import create_user
from cloud.errors import AccountError
from cloud.store.accounts import Invitation, User

DAY_S = 86400.0
MOST_PENDING = 200
"""Accounts that wait for approval; more are refused, so that nobody can fill the database."""


def invite(session: Session, grant: Grant, *, days: int, actor: str, now: float) -> str:
    """Return the secret of a new invitation, which stands nowhere else."""
    token = secrets.token_urlsafe(24)
    session.add(
        Invitation(
            token_hash=token_hash(token),
            site=grant.site,
            role=grant.role,
            invited_by=actor,
            created_at=now,
            expires_at=now + days * DAY_S,
            used_by=None,
        )
    )
    record(session, at=now, actor=actor, action="invitation.create", site=grant.site, role=grant.role)
    return token


def register_invited(session: Session, token: str, login: str, password: str, *, now: float) -> User:
    """Make the account that an invitation is for. Raises AccountError if it is used, old or unknown."""
    found = session.get(Invitation, token_hash(token), with_for_update=True)
    if found is None or found.used_by is not None or now > found.expires_at:
        fix = "Ask for a new one."
        raise AccountError("this invitation was used already, has expired, or was withdrawn", fix=fix)
    user = create_user(session, login, password, [Grant(found.site, found.role)], actor=found.invited_by, now=now)
    found.used_by = user.login
    return user


def register_pending(session: Session, login: str, password: str, site: str, *, now: float) -> User:
    """Make an account that an admin of `site` has to approve. Raises AccountError, also if too many wait."""
    waiting = session.scalars(select(User.key).where(User.state == "pending").limit(MOST_PENDING)).all()
    if len(waiting) >= MOST_PENDING:
        raise AccountError("too many accounts wait for approval", fix="Try again later, or ask for an invitation.")
    return create_user(session, login, password, [Grant(site, "viewer")], actor=login, now=now, state="pending")


def open_invitations(session: Session, sites: frozenset[str] | None, *, now: float) -> Sequence[Invitation]:
    """Return the invitations of `sites` (None: all) that can still be used, newest first."""
    query = select(Invitation).where(Invitation.used_by.is_(None), Invitation.expires_at > now)
    if sites is not None:
        query = query.where(Invitation.site.in_(sites))
    return session.scalars(query.order_by(Invitation.created_at.desc())).all()
