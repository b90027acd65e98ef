"""Accounts of others: what admins do. An admin of some sites sees and changes only what concerns these."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Response
from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from cloud.accounts.passwords import LONGEST_BYTES, SHORTEST
from cloud.accounts.roles import ALL_SITES, Access, Grant, Permission
from cloud.accounts.users import create_user, set_grants, set_password, set_state
from cloud.api.access import FORBIDDEN, NOT_FOUND, needs
from cloud.api.fields import Line, LoginPath, RoleName, Sent, SiteOrAll
from cloud.api.openapi import answers
from cloud.api.replies import json_reply
from cloud.api.services import Parts
from cloud.api.views import Account, AccountList
from cloud.store.accounts import User

router = APIRouter(prefix="/api/users", tags=["users"])
Admin = Annotated[Access, needs(Permission.MANAGE_USERS)]
Roles = Annotated[dict[SiteOrAll, RoleName], Field(max_length=100, examples=[{"school-1": "viewer"}])]
"""Site (or * for all) -> role."""

Password = Annotated[str, Field(min_length=SHORTEST, max_length=LONGEST_BYTES, examples=["correct horse battery"])]


class NewUser(Sent):
    """An account that an admin makes; its owner has to change the password first."""

    login: Line = Field(max_length=100, examples=["ada@school.example"])
    password: Password
    roles: Roles


class RolesChange(Sent):
    """The roles at the sites of the admin who sends it; those at other sites stay."""

    roles: Roles


class StateChange(Sent):
    """`active` also approves who waits."""

    state: Literal["active", "disabled"]


class PasswordReset(Sent):
    """Its owner has to change it again."""

    password: Password


@router.get("", responses=answers(AccountList))
def read(services: Parts, access: Admin) -> Response:
    """The accounts that have a role at your sites."""
    with Session(services.engine) as session:
        users = session.scalars(select(User).options(selectinload(User.memberships)).order_by(User.login))
        return json_reply({"users": [_view(user, access) for user in users if _concerns(user, access)]})


@router.post("", status_code=201, responses=answers(Account, status=201))
def create(services: Parts, access: Admin, new: NewUser) -> Response:
    """Make an account."""
    grants = _grants(new.roles, access)
    with Session(services.engine) as session, session.begin():
        user = create_user(
            session, new.login, new.password, grants, actor=access.login, now=time.time(), must_change=True
        )
        return json_reply(_view(user, access), 201)


@router.put("/{login}/roles", responses=answers(Account, NOT_FOUND))
def change_roles(services: Parts, access: Admin, login: LoginPath, change: RolesChange) -> Response:
    """Replace an account's roles at your sites."""
    grants = _grants(change.roles, access)
    with Session(services.engine) as session, session.begin():
        user = _find(session, login, access)
        others = [Grant(m.site, m.role) for m in user.memberships if not access.may(Permission.MANAGE_USERS, m.site)]
        if user.key == access.user_key and not any(grant.role == "admin" for grant in grants):
            raise HTTPException(FORBIDDEN, "You cannot take your own admin role away; another admin can.")
        set_grants(session, user, [*others, *grants], actor=access.login, now=time.time())
        return json_reply(_view(user, access))


@router.put("/{login}/state", responses=answers(Account, NOT_FOUND))
def change_state(services: Parts, access: Admin, login: LoginPath, change: StateChange) -> Response:
    """Approve, disable or enable an account, all of whose sites must be yours."""
    with Session(services.engine) as session, session.begin():
        user = _find(session, login, access, wholly=True)
        if user.key == access.user_key:
            raise HTTPException(FORBIDDEN, "You cannot disable your own account.")
        set_state(session, user, change.state, actor=access.login, now=time.time())
        return json_reply(_view(user, access))


@router.put("/{login}/password", responses=answers(Account, NOT_FOUND))
def reset_password(services: Parts, access: Admin, login: LoginPath, reset: PasswordReset) -> Response:
    """Give an account, all of whose sites must be yours, a password that its owner has to change at once."""
    with Session(services.engine) as session, session.begin():
        user = _find(session, login, access, wholly=True)
        if user.key == access.user_key:
            raise HTTPException(FORBIDDEN, "Your own password you change under /account, with the present one.")
        set_password(session, user, reset.password, actor=access.login, now=time.time(), must_change=True)
        return json_reply(_view(user, access))


def _grants(roles: Roles, access: Access) -> list[Grant]:
    for site in roles:
        if not access.may(Permission.MANAGE_USERS, site):
            raise HTTPException(FORBIDDEN, f"You are no admin of {'all sites' if site == ALL_SITES else site}.")
    return [Grant(site, role) for site, role in roles.items()]


def _find(session: Session, login: str, access: Access, *, wholly: bool = False) -> User:
    user = session.scalar(select(User).where(User.login == login))
    if user is None or not _concerns(user, access):
        raise HTTPException(NOT_FOUND, f"There is no account {login!r}, or not for you.")
    if wholly and not all(access.may(Permission.MANAGE_USERS, m.site) for m in user.memberships):
        raise HTTPException(FORBIDDEN, "The account has roles at sites that are not yours; you may change its roles.")
    return user


def _concerns(user: User, access: Access) -> bool:
    """Whether an admin may know of an account: one of its sites is theirs, or all sites are."""
    held = access.sites(Permission.MANAGE_USERS)
    return held is None or any(membership.site in held for membership in user.memberships)


def _view(user: User, access: Access) -> dict[str, Any]:
    mine = {m.site: m.role for m in user.memberships if access.may(Permission.MANAGE_USERS, m.site)}
    return {
        "login": user.login,
        "state": user.state,
        "must_change_password": user.must_change,
        "created_at": user.created_at,
        "roles": mine,
        "has_other_sites": len(mine) < len(user.memberships),
    }
