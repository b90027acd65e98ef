"""The audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.accounts.roles import Access, Permission
from cloud.api.access import needs
from cloud.api.fields import BeforeQuery
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import AuditList
from cloud.store.accounts import AuditRow

router = APIRouter(tags=["audit"])


@router.get("/api/audit", responses=answers(AuditList))
def read(
    services: Parts,
    access: Annotated[Access, needs(Permission.READ_AUDIT)],
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: BeforeQuery = None,
) -> Response:
    """What was done at your sites, newest first; with a role at all sites also what concerns none."""
    query = select(AuditRow).order_by(AuditRow.key.desc()).limit(limit)
    sites = access.sites(Permission.READ_AUDIT)
    if sites is not None:
        query = query.where(AuditRow.site.in_(sites))
    if before is not None:
        query = query.where(AuditRow.key < before)
    with Session(services.engine) as session:
        lines = [
            {name: getattr(row, name) for name in ("key", "at", "actor", "action", "site", "target", "detail")}
            for row in session.scalars(query)
        ]
    return json_reply({"audit": lines})
