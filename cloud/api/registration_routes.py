"""Invitations, and registering with or without one."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.invitations import invite, open_invitations, register_invited, register_pending
from cloud.accounts.roles import Access, Grant, Permission
from cloud.api.access import FORBIDDEN, NOT_FOUND, needs
from cloud.api.fields import HashPath, Line, RoleName, Sent, Site, SiteOrAll, Whole
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.session_routes import TOO_MANY, too_many
from cloud.api.user_routes import Password
from cloud.api.views import InvitationList, InvitationMade, Nothing, Registered
from cloud.store.accounts import Invitation

router = APIRouter(tags=["registration"])
Admin = Annotated[Access, needs(Permission.MANAGE_USERS)]
ID_LENGTH = 16
"""Hex digits of a secret's hash by which an invitation is called."""


class NewInvitation(Sent):
    """For one person."""

    site: SiteOrAll
    role: RoleName
    days: Whole = Field(7, ge=1, le=90)


class Registration(Sent):
    """With the secret of an invitation, or with the site at which an admin shall approve."""

    login: Line = Field(max_length=100, examples=["ada@school.example"])
    password: Password
    invitation: str | None = Field(None, max_length=100, examples=["c2VjcmV0IG9mIGFuIGludml0YXRpb24"])
    site: Site | None = None


@router.get("/api/invitations", responses=answers(InvitationList))
def read(services: Parts, access: Admin) -> Response:
    """The invitations to your sites that can still be used; their secrets are not kept."""
    with Session(services.engine) as session:
        found = open_invitations(session, access.sites(Permission.MANAGE_USERS), now=time.time())
        views = [
            {
                "id": one.token_hash[:ID_LENGTH],
                "site": one.site,
                "role": one.role,
                "invited_by": one.invited_by,
                "expires_at": one.expires_at,
            }
            for one in found
        ]
        return json_reply({"invitations": views})


@router.post("/api/invitations", status_code=201, responses=answers(InvitationMade, status=201))
def create(services: Parts, access: Admin, new: NewInvitation) -> Response:
    """Invite one person. The answer has the secret for /register?invitation=..., once."""
    if not access.may(Permission.MANAGE_USERS, new.site):
        raise HTTPException(FORBIDDEN, f"You are no admin of {new.site}.")
    with Session(services.engine) as session, session.begin():
        token = invite(session, Grant(new.site, new.role), days=new.days, actor=access.login, now=time.time())
    return json_reply({"invitation": token}, 201)


@router.delete("/api/invitations/{identifier}", responses=answers(Nothing, NOT_FOUND))
def withdraw(services: Parts, access: Admin, identifier: HashPath) -> Response:
    """Withdraw an invitation that nobody has used."""
    now = time.time()
    with Session(services.engine) as session, session.begin():
        for one in open_invitations(session, access.sites(Permission.MANAGE_USERS), now=now):
            if one.token_hash[:ID_LENGTH] == identifier:
                session.delete(session.get_one(Invitation, one.token_hash))
                record(session, at=now, actor=access.login, action="invitation.withdraw", site=one.site)
                return json_reply({})
    raise HTTPException(NOT_FOUND, "There is no such invitation, or not for you.")


@router.post("/api/registration", status_code=201, responses=answers(Registered, FORBIDDEN, TOO_MANY, status=201))
def register(services: Parts, request: Request, wanted: Registration) -> Response:
    """Make one's own account: active with an invitation; else waiting for an admin, where the service allows it."""
    address = request.client.host if request.client is not None else ""
    too_many(services, "", address)
    services.limiter.failed("", address, time.monotonic())  # making accounts counts like guessing passwords
    with Session(services.engine) as session, session.begin():
        if wanted.invitation is not None:
            user = register_invited(session, wanted.invitation, wanted.login, wanted.password, now=time.time())
        elif services.open_registration and wanted.site is not None:
            user = register_pending(session, wanted.login, wanted.password, wanted.site, now=time.time())
        else:
            raise HTTPException(FORBIDDEN, "Registering takes an invitation from an admin of your site.")
        return json_reply({"login": user.login, "state": user.state}, 201)
