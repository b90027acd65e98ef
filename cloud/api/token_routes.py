"""Access tokens: how programs use the REST interface with their owner's rights."""

from __future__ import annotations

import secrets
import time

from fastapi import APIRouter, HTTPException, Response
from pydantic import Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud.accounts.audit import record
from cloud.accounts.sessions import TOKEN_PREFIX, token_hash
from cloud.api.access import FORBIDDEN, NOT_FOUND, LoggedIn
from cloud.api.fields import HashPath, Line, Sent, Whole
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import Nothing, TokenList, TokenMade
from cloud.store.accounts import AccessToken

router = APIRouter(prefix="/api/tokens", tags=["tokens"])
DAY_S = 86400.0
MOST = 20
ID_LENGTH = 16


class NewToken(Sent):
    """What a token is for, and for how long."""

    name: Line = Field(min_length=1, max_length=64, examples=["nightly report"])
    days: Whole = Field(90, ge=1, le=365)


@router.get("", responses=answers(TokenList))
def read(services: Parts, login: LoggedIn) -> Response:
    """Your tokens; their secrets are not kept."""
    with Session(services.engine) as session:
        own = select(AccessToken).where(AccessToken.user_key == login.access.user_key).order_by(AccessToken.created_at)
        views = [
            {
                "id": token.token_hash[:ID_LENGTH],
                "name": token.name,
                "created_at": token.created_at,
                "expires_at": token.expires_at,
                "used_at": token.used_at,
            }
            for token in session.scalars(own)
        ]
        return json_reply({"tokens": views})


@router.post("", status_code=201, responses=answers(TokenMade, status=201))
def create(services: Parts, login: LoggedIn, new: NewToken) -> Response:
    """Make a token, to be sent as `Authorization: Bearer TOKEN`. The answer has it, once."""
    if login.csrf is None:
        raise HTTPException(FORBIDDEN, "Tokens are made by people who are logged in, not by tokens.")
    token, now = TOKEN_PREFIX + secrets.token_urlsafe(32), time.time()
    with Session(services.engine) as session, session.begin():
        own = select(func.count()).where(AccessToken.user_key == login.access.user_key)
        if (session.scalar(own) or 0) >= MOST:
            raise HTTPException(FORBIDDEN, f"You have {MOST} tokens already; delete one first.")
        session.add(
            AccessToken(
                token_hash=token_hash(token),
                user_key=login.access.user_key,
                name=new.name,
                created_at=now,
                expires_at=now + new.days * DAY_S,
                used_at=None,
            )
        )
        record(session, at=now, actor=login.access.login, action="token.create", target=new.name)
    return json_reply({"token": token}, 201)


@router.delete("/{identifier}", responses=answers(Nothing, NOT_FOUND))
def delete(services: Parts, login: LoggedIn, identifier: HashPath) -> Response:
    """Delete one of your tokens."""
    with Session(services.engine) as session, session.begin():
        for token in session.scalars(select(AccessToken).where(AccessToken.user_key == login.access.user_key)):
            if token.token_hash[:ID_LENGTH] == identifier:
                session.delete(token)
                record(session, at=time.time(), actor=login.access.login, action="token.delete", target=token.name)
                return json_reply({})
    raise HTTPException(NOT_FOUND, "You have no such token.")
