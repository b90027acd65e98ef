"""The pages: rendered here, filled by ES modules that talk to the same JSON routes as everybody."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from cloud.accounts.roles import ROLES, Permission
from cloud.accounts.sessions import Login
from cloud.api.access import FORBIDDEN, NOT_FOUND, login_of
from cloud.api.services import Parts, services_of
from edge import __version__
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS

DASHBOARD = Path(__file__).parent.parent / "dashboard"
OK, SEE_OTHER = 200, 303

MENU = (
    ("/", "Live", Permission.READ_READINGS),
    ("/history", "History", Permission.READ_DEVICES),
    ("/alerts", "Alerts", Permission.READ_DEVICES),
    ("/analyse", "Analyse", Permission.ANALYSE),
    ("/webcam", "Webcam", Permission.ANALYSE),
    ("/data", "Data", Permission.MANAGE_SITE),
    ("/users", "Accounts", Permission.MANAGE_USERS),
    ("/audit", "Audit log", Permission.READ_AUDIT),
)
"""Address, name and what it takes, in the order of the menu."""

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(DASHBOARD / "templates")


def page(request: Request, name: str, permission: Permission | None, **context: Any) -> Response:
    """Return the page of a template, or the way to log in, or a refusal. Without `permission` a login is enough."""
    login = login_of(request)
    if login is None:
        wanted = f"{request.url.path}?{request.url.query}".removesuffix("?")
        return RedirectResponse(f"/login?next={quote(wanted)}", SEE_OTHER)
    if login.must_change and name != "account.html":
        return RedirectResponse("/account", SEE_OTHER)
    if permission is not None and not login.access.may(permission):
        return _render(request, "forbidden.html", login, FORBIDDEN, needed=permission)
    return _render(request, name, login, **context)


def _render(request: Request, name: str, login: Login | None, status: int = 200, **context: Any) -> Response:
    inside = login is not None and not login.must_change
    menu = [entry for entry in MENU if inside and login and login.access.may(entry[2])]
    common = {
        "version": __version__,
        "login": login,
        "accounts": services_of(request).accounts,
        "menu": menu,
        "path": request.url.path,
    }
    headers = {"Cache-Control": "no-cache"}
    return templates.TemplateResponse(request, name, common | context, status_code=status, headers=headers)


def missing(request: Request) -> Response | None:
    """Return a page for a person at a wrong address; None where a program has asked for what is not there."""
    if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
        return None
    return _render(request, "missing.html", login_of(request), NOT_FOUND)


@router.get("/")
def live_page(request: Request, services: Parts) -> Response:
    """The live page; who may see no readings gets what their role is for."""
    login = login_of(request)
    if login is not None and not login.access.may(Permission.READ_READINGS):
        allowed = [address for address, _, permission in MENU if login.access.may(permission)]
        return RedirectResponse(allowed[0] if allowed else "/account", SEE_OTHER)
    return page(request, "live.html", Permission.READ_READINGS, emotions=EMOTIONS, broker=services.broker)


@router.get("/login")
def login_page(request: Request) -> Response:
    """The login form; who is logged in has no use for it."""
    login = login_of(request)
    return RedirectResponse("/", SEE_OTHER) if login is not None else _render(request, "login.html", None)


@router.get("/register")
def register_page(request: Request, services: Parts) -> Response:
    """Making one's own account."""
    invited = "invitation" in request.query_params
    return _render(request, "register.html", None, invited=invited, open_registration=services.open_registration)


@router.get("/history")
def history_page(request: Request) -> Response:
    """What was perceived, and how the devices did, over time."""
    login = login_of(request)
    readings = login is not None and login.access.may(Permission.READ_READINGS)
    held = frozenset() if login is None else login.access.sites(Permission.COMMAND_DEVICES)
    shown = {"emotions": EMOTIONS, "readings": readings, "commanding": "*" if held is None else " ".join(sorted(held))}
    return page(request, "history.html", Permission.READ_DEVICES, **shown)


@router.get("/alerts")
def alerts_page(request: Request) -> Response:
    """Alerts, their rules, and who is told."""
    login = login_of(request)
    may = frozenset() if login is None else frozenset(one for one in Permission if login.access.may(one))
    return page(request, "alerts.html", Permission.READ_DEVICES, emotions=SPEECH_EMOTIONS, may=may)


@router.get("/data")
def data_page(request: Request) -> Response:
    """How long what is kept, and erasing."""
    return page(request, "data.html", Permission.MANAGE_SITE)


@router.get("/analyse")
def analyse_page(request: Request, services: Parts) -> Response:
    """Analysing pictures, sound, video and text of one's own."""
    if services.analyses is None:
        return page(request, "no_analysis.html", Permission.ANALYSE)
    login = login_of(request)
    sites = login.access.sites(Permission.ANALYSE) if login is not None else None
    filled = {"limits": services.analyses.limits, "sites": sorted(sites or ()), "emotions": SPEECH_EMOTIONS}
    return page(request, "analyse.html", Permission.ANALYSE, **filled)


@router.get("/webcam")
def webcam_page(request: Request, services: Parts) -> Response:
    """Boxes over what the browser's webcam sees."""
    if services.analyses is None:
        return page(request, "no_analysis.html", Permission.ANALYSE)
    answer = page(request, "webcam.html", Permission.ANALYSE)
    if answer.status_code == OK:
        services.analyses.nursery.prepare()
    return answer


@router.get("/users")
def users_page(request: Request) -> Response:
    """Accounts and invitations."""
    login = login_of(request)
    held = login.access.sites(Permission.MANAGE_USERS) if login is not None else None
    one_site = next(iter(held)) if held is not None and len(held) == 1 else ""
    return page(request, "users.html", Permission.MANAGE_USERS, roles=ROLES, one_site=one_site)


@router.get("/audit")
def audit_page(request: Request) -> Response:
    """The audit log."""
    return page(request, "audit.html", Permission.READ_AUDIT)


@router.get("/account")
def account_page(request: Request) -> Response:
    """Who I am, and my password."""
    return page(request, "account.html", None)


@router.get("/api/docs")
def interface_page(request: Request) -> Response:
    """The REST interface for people, made from what /openapi.json says to programs."""
    return page(request, "interface.html", None, schema=request.app.openapi())


@router.get("/vendor/plotly.min.js")
def plotly() -> Response:
    """The Plotly.js that the plotly wheel carries."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return FileResponse(_plotly_js(), media_type="text/javascript", headers=headers)


def _plotly_js() -> Path:
    """Return its place without importing plotly, which takes a second."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None, "the extra `cloud` installs plotly"
    assert spec.origin is not None, "the extra `cloud` installs plotly"
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"
