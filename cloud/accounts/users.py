"""Making and changing accounts. Every function writes the audit log in the same transaction."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.passwords import hash_password
from cloud.accounts.roles import ALL_SITES, ROLES, Grant
from cloud.errors import AccountError
from cloud.store.accounts import LoginSession, Membership, User
from edge.protocol import NAME

LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,98}\Z")


def create_user(
    session: Session,
    login: str,
    password: str,
    grants: Iterable[Grant],
    *,
    actor: str,
    now: float,
    state: str = "active",
    must_change: bool = False,
) -> User:
    """Add an account. Raises AccountError for a bad or taken login, a bad password, site or role."""
    login = login.strip().lower()
    if not LOGIN.match(login):
        raise AccountError(f"{login!r} is no login", fix="Use 2 to 99 of a-z 0-9 . _ @ + - and begin with a letter.")
    if session.scalar(select(User.key).where(User.login == login)) is not None:
        raise AccountError(f"there is an account {login!r} already", fix="Choose another login.")
    user = User(login=login, password=hash_password(password), state=state, must_change=must_change, created_at=now)
    user.memberships = _memberships(grants)
    session.add(user)
    session.flush()
    record(session, at=now, actor=actor, action="user.create", target=login, state=state)
    _record_roles(session, user, actor=actor, now=now)
    return user


def set_password(session: Session, user: User, password: str, *, actor: str, now: float, must_change: bool) -> None:
    """Replace a password and end all sessions of the account. Raises AccountError for a bad password."""
    user.password, user.must_change = hash_password(password), must_change
    session.execute(delete(LoginSession).where(LoginSession.user_key == user.key))
    record(session, at=now, actor=actor, action="user.password", target=user.login)


def set_grants(session: Session, user: User, grants: Iterable[Grant], *, actor: str, now: float) -> None:
    """Replace the roles of an account. Raises AccountError for a bad site or role."""
    wanted = _memberships(grants)
    for gone in {membership.site for membership in user.memberships} - {membership.site for membership in wanted}:
        record(session, at=now, actor=actor, action="user.role", target=user.login, site=gone, role=None)
    user.memberships.clear()
    session.flush()  # the old rows go first: the new ones may have their keys
    user.memberships.extend(wanted)
    _record_roles(session, user, actor=actor, now=now)


def set_state(session: Session, user: User, state: str, *, actor: str, now: float) -> None:
    """Approve or disable an account; disabling ends its sessions."""
    user.state = state
    if state != "active":
        session.execute(delete(LoginSession).where(LoginSession.user_key == user.key))
    record(session, at=now, actor=actor, action=f"user.{state}", target=user.login)


def _record_roles(session: Session, user: User, *, actor: str, now: float) -> None:
    """One line per site, so that the auditors of a site see what concerns it."""
    for membership in user.memberships:
        at = {"site": membership.site, "role": membership.role}
        record(session, at=now, actor=actor, action="user.role", target=user.login, **at)


def _memberships(grants: Iterable[Grant]) -> list[Membership]:
    made: dict[str, Membership] = {}
    for grant in grants:
        if grant.role not in ROLES:
            raise AccountError(f"there is no role {grant.role!r}", fix=f"Roles are {', '.join(ROLES)}.")
        if grant.site != ALL_SITES and not NAME.match(grant.site):
            raise AccountError(f"{grant.site!r} is no site", fix="Sites are 1 to 36 of a-z 0-9 -, or * for all.")
        if grant.site in made:
            raise AccountError(f"two roles at {grant.site}", fix="Give one role per site.")
        made[grant.site] = Membership(site=grant.site, role=grant.role)
    return list(made.values())
