"""Accounts from the command line, by whoever may write to the database: the first admin, and the way back in."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.accounts.roles import ALL_SITES, Grant
from cloud.accounts.users import create_user, set_password
from cloud.errors import AccountError
from cloud.store.accounts import User
from cloud.store.database import Database

CONSOLE = "console"
"""Stands in the audit log for the command line."""


def create_admin(data: Path, url: str | None, login: str, password: str) -> str:
    """Add an admin of all sites; return what to say. The service may be running. Raises MienError."""
    with contextlib.closing(Database(data, url, exclusive=False)) as database, Session(database.engine) as session:
        user = create_user(session, login, password, [Grant(ALL_SITES, "admin")], actor=CONSOLE, now=time.time())
        session.commit()
        return f"{user.login} is an admin of all sites."


def reset_password(data: Path, url: str | None, login: str, password: str) -> str:
    """Set a password and end the account's sessions; return what to say. Raises MienError."""
    with contextlib.closing(Database(data, url, exclusive=False)) as database, Session(database.engine) as session:
        user = session.scalar(select(User).where(User.login == login.strip().lower()))
        if user is None:
            raise AccountError(f"there is no account {login!r}", fix="Make it with mien-cloud admin create.")
        set_password(session, user, password, actor=CONSOLE, now=time.time(), must_change=False)
        session.commit()
        return f"{user.login} has a new password; all sessions of the account have ended."
