"""Every route, walked as every role: what is open, what is refused, and that no site sees another's data."""

import re
import time

import pytest
from analysing import analysing
from cloud_messages import availability, birth, event, health, reading, verdict
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session
from starlette.websockets import WebSocketDisconnect

from cloud.accounts import passwords
from cloud.accounts.roles import ROLES, Grant
from cloud.accounts.sessions import log_in
from cloud.accounts.users import create_user
from cloud.analyse.records import Owner
from cloud.api import Services, create_app
from cloud.api.access import COOKIE, OPEN_PATHS, authenticated
from cloud.api.app import ROUTERS
from cloud.arrivals import Arrival
from cloud.counters import Counters
from cloud.live import Live
from cloud.store import Database, save

OWN = {"Host": "127.0.0.1"}
PASSWORD = "correct horse battery"
SECRET_SITE, SECRET_DEVICE = "secret-site", "secret-device"
FILLED = {"login": "root", "identifier": "0" * 16, "site": SECRET_SITE, "device": SECRET_DEVICE}
"""What stands for the parameters of a path: names of things that the caller must not get at."""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "ROUNDS", 4)
    database = Database(tmp_path_factory.mktemp("routes"))
    with Session(database.engine) as session, session.begin():
        create_user(session, "root", PASSWORD, [Grant(SECRET_SITE, "admin")], actor=SECRET_SITE, now=0.0)
        for role in ROLES:
            create_user(session, role, PASSWORD, [Grant("school-1", role)], actor="test", now=0.0)
    secret = reading()
    messages = (secret, verdict(secret.id), availability(), birth(), event(), health())
    save(database.engine, [Arrival(SECRET_SITE, SECRET_DEVICE, message, 1.0) for message in messages])
    common = {"engine": database.engine, "live": Live(), "counters": Counters(), "checks": dict, "broker": ""}
    with analysing(database.engine, database.folder) as analyses:
        secret_text = analyses.begin(
            analyses.admit(Owner("root", 1)), site=SECRET_SITE, uploads=[], text=SECRET_DEVICE, keep_days=None
        )
        app = create_app(Services(**common, accounts=True, analyses=analyses))
        app.state.secret_text = secret_text
        yield app
    database.close()
    patch.undo()


def routes():
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(found) > 20
    return found


def client_of(app, role):
    client = TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)
    if role is not None:
        client.cookies.set(COOKIE, log_in(app.state.services.engine, role, PASSWORD, now=time.time()))
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
    return client


def wait_until(condition, within_s=5.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def address_of(app, route):
    if route.path.startswith("/api/analyses/{"):
        return route.path.replace("{identifier}", app.state.secret_text).replace("{number}", "0")
    return re.sub(r"{(\w+)(:\w+)?}", lambda match: FILLED[match[1]], route.path)


def test_every_json_route_asks_who_it_is_or_is_named_as_open():
    def asks(dependant):
        return dependant.call is authenticated or any(asks(below) for below in dependant.dependencies)

    for route in routes():
        if route.include_in_schema and not route.path.startswith(OPEN_PATHS):
            assert asks(route.dependant), f"{route.path} asks nobody who they are"


def test_without_a_login_nothing_is_told(app):
    client = client_of(app, None)
    for route in routes():
        if route.path.startswith(OPEN_PATHS) and route.path != "/api/session":
            continue
        for method in route.methods:
            answer = client.request(method, address_of(app, route), json={})
            wanted = (401, 422) if route.path == "/api/session" else (401,)
            if route.include_in_schema:
                assert answer.status_code in wanted, f"{method} {route.path}: {answer.status_code}"
            else:
                assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login"), route.path


@pytest.mark.parametrize("role", ROLES)
def test_no_role_at_one_site_gets_at_another(app, role):
    client = client_of(app, role)
    for route in routes():
        if route.path == "/api/session":
            continue
        for method in route.methods:
            answer = client.request(method, address_of(app, route), json={})
            assert answer.status_code < 500, f"{method} {route.path}"
            for name in (SECRET_SITE, SECRET_DEVICE):
                told = answer.text.replace(f"There is no site '{name}'", "").replace(f"There is no device '{name}'", "")
                assert name not in told, f"{method} {route.path} tells a {role} of another site"
        query = client.get(address_of(app, route), params={"site": SECRET_SITE, "device": SECRET_DEVICE})
        assert query.status_code < 500
        if query.status_code == 200 and route.include_in_schema:
            assert SECRET_DEVICE not in query.text, f"{route.path}?site= tells a {role} of another site"


@pytest.mark.parametrize(("role", "hears"), [("viewer", {"reading", "health"}), ("technician", {"health"})])
def test_a_live_socket_hears_its_own_site_as_its_role_allows(app, role, hears):
    live = app.state.services.live
    with client_of(app, role) as client, client.websocket_connect("/live", headers=OWN) as socket:
        wait_until(lambda: live._watchers)
        for site in (SECRET_SITE, "school-1"):
            for message in (reading(), health()):
                client.portal.call(live.publish, Arrival(site, "door", message, 1.0))
        client.portal.call(live.publish, Arrival("school-1", "door", health(uptime_s=9999.0), 1.0))
        heard = []
        while not heard or heard[-1].get("uptime_s") != 9999.0:
            heard.append(socket.receive_json())
        socket.close()
        wait_until(lambda: not live._watchers)
    assert {message["site"] for message in heard} == {"school-1"}
    assert {message["kind"] for message in heard} == hears


def test_without_a_login_there_is_no_live_socket(app):
    with pytest.raises(WebSocketDisconnect) as refused, client_of(app, None).websocket_connect("/live", headers=OWN):
        pass
    assert refused.value.code == 4401


def test_the_roles_differ(app):
    seen = {
        role: {route.path for route in routes() if client_of(app, role).get(address_of(app, route)).status_code == 200}
        for role in ("viewer", "technician", "auditor", "admin")
    }
    assert "/api/readings" in seen["viewer"]
    assert "/api/readings" not in seen["technician"] | seen["auditor"]
    assert "/api/audit" in seen["auditor"]
    assert "/api/users" in seen["admin"]
    assert "/api/users" not in seen["viewer"] | seen["technician"] | seen["auditor"]
