"""The tables of accounts: who may do what at which site, and what was done."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from cloud.store.models import COUNTED, NAME_LENGTH, Base, Json

HASH_LENGTH = 64
"""Hex digits of SHA-256."""

LOGIN_LENGTH = 100


class User(Base):
    """One person."""

    __tablename__ = "users"

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    login: Mapped[str] = mapped_column(String(LOGIN_LENGTH), unique=True)
    """Lower case; an e-mail address or a plain name."""
    password: Mapped[str] = mapped_column(String(100))
    """bcrypt hash."""
    state: Mapped[str] = mapped_column(String(16))
    """`pending` until an admin approves, `active`, or `disabled`."""
    must_change: Mapped[bool]
    """The password was set by an admin: nothing works before it is changed."""
    created_at: Mapped[float]
    memberships: Mapped[list[Membership]] = relationship(cascade="all, delete-orphan", order_by="Membership.site")


class Membership(Base):
    """A role at one site, or at all of them."""

    __tablename__ = "memberships"

    user_key: Mapped[int] = mapped_column(ForeignKey("users.key", ondelete="CASCADE"), primary_key=True)
    site: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    """`*` is every site."""
    role: Mapped[str] = mapped_column(String(16))


class LoginSession(Base):
    """A browser that is logged in. The cookie's secret stands here only as a hash."""

    __tablename__ = "login_sessions"

    token_hash: Mapped[str] = mapped_column(String(HASH_LENGTH), primary_key=True)
    user_key: Mapped[int] = mapped_column(ForeignKey("users.key", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]
    used_at: Mapped[float]


class AccessToken(Base):
    """A program's key to the REST interface, with its owner's rights."""

    __tablename__ = "access_tokens"

    token_hash: Mapped[str] = mapped_column(String(HASH_LENGTH), primary_key=True)
    user_key: Mapped[int] = mapped_column(ForeignKey("users.key", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class Invitation(Base):
    """A link by which one person may register for one role."""

    __tablename__ = "invitations"

    token_hash: Mapped[str] = mapped_column(String(HASH_LENGTH), primary_key=True)
    site: Mapped[str] = mapped_column(String(NAME_LENGTH))
    role: Mapped[str] = mapped_column(String(16))
    invited_by: Mapped[str] = mapped_column(String(LOGIN_LENGTH))
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_by: Mapped[str | None] = mapped_column(String(LOGIN_LENGTH))


class AuditRow(Base):
    """Something that somebody did or was refused. Never changed; names, not keys, so that it outlives accounts."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_at", "at", "key"),)

    key: Mapped[int] = mapped_column(COUNTED, primary_key=True)
    at: Mapped[float]
    actor: Mapped[str] = mapped_column(String(LOGIN_LENGTH))
    """A login, `console` for the command line, or the login that was tried."""
    action: Mapped[str] = mapped_column(String(40))
    """Dotted, e.g. `login.failed` or `user.role`."""
    site: Mapped[str | None] = mapped_column(String(NAME_LENGTH))
    target: Mapped[str] = mapped_column(String(200))
    detail: Mapped[Json]
