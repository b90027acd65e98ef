"""The audit log: who did what to whom, and who was refused."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from cloud.store.accounts import AuditRow


def record(
    session: Session, *, at: float, actor: str, action: str, target: str = "", site: str | None = None, **detail: Any
) -> None:
    """Add a line, which is committed with the session. `at` is in Unix seconds; `detail` holds no secrets.

    `site` decides who may read it: auditors of that site; without one only those of all sites.
    """
    session.add(AuditRow(at=at, actor=actor[:100], action=action, site=site, target=target[:200], detail=detail))
