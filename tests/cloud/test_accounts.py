"""Logging in, what roles allow, and what protects both: over a real server."""

import socket
import threading

import bcrypt
import httpx
import pytest
import uvicorn
from cloud_messages import reading
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.accounts import passwords
from cloud.accounts.limiter import FAILURES, LONGEST_WAIT_S, LoginLimiter
from cloud.accounts.roles import ALL_SITES, ROLES, Access, Grant, Permission
from cloud.accounts.sessions import IDLE_S, LONGEST_S, by_cookie, log_in
from cloud.accounts.users import create_user, set_state
from cloud.api import Services, create_app
from cloud.arrivals import Arrival
from cloud.counters import Counters
from cloud.errors import AccountError
from cloud.live import Live
from cloud.store import save
from cloud.store.accounts import AuditRow, User
from cloud.store.models import Base

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def cheap_bcrypt(monkeypatch):
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    passwords._nobody.cache_clear()


@pytest.fixture
def add(database):
    """Make an account of a role at a site."""

    def make(login, role, site=ALL_SITES, **more):
        with Session(database.engine) as session, session.begin():
            create_user(session, login, PASSWORD, [Grant(site, role)], actor="test", now=0.0, **more)

    return make


@pytest.fixture
def client(database):
    """A client of a real server with accounts."""
    services = Services(engine=database.engine, live=Live(), counters=Counters(), checks=dict, broker="", accounts=True)
    server = uvicorn.Server(uvicorn.Config(create_app(services), log_config=None, lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}") as opened:
            yield opened
        server.should_exit = True
        thread.join()


def enter(client, login, password=PASSWORD):
    answer = client.post("/api/session", json={"login": login, "password": password})
    if answer.status_code == 200:
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
    return answer


def test_nothing_is_shown_before_logging_in(client):
    assert client.get("/api/readings").status_code == 401
    answer = client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/")


def test_a_session_from_login_to_logout(client, add, database):
    add("ada", "viewer")
    answer = enter(client, "  ADA ")
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert client.get("/api/session").json()["roles"] == {"*": "viewer"}
    assert client.delete("/api/session").status_code == 200
    assert client.get("/api/readings").status_code == 401
    with Session(database.engine) as session:
        actions = list(session.scalars(select(AuditRow.action).order_by(AuditRow.key)))
    assert actions == ["user.create", "user.role", "login", "logout"]


def test_a_change_needs_the_token_and_the_own_origin(client, add):
    add("ada", "viewer")
    enter(client, "ada")
    del client.headers["X-CSRF-Token"]
    assert client.delete("/api/session").status_code == 403
    assert client.get("/api/readings").status_code == 200
    foreign = client.post("/api/session", json={}, headers={"Origin": "http://evil.example"})
    assert (foreign.status_code, "Another page" in foreign.text) == (403, True)


def test_a_site_sees_its_own(client, add, database):
    add("ada", "viewer", "school-1")
    save(database.engine, [Arrival(site, "door", reading(), 1.0) for site in ("school-1", "school-2")])
    enter(client, "ada")
    assert {found["site"] for found in client.get("/api/readings").json()["readings"]} == {"school-1"}
    assert {found["site"] for found in client.get("/api/devices").json()["devices"]} == {"school-1"}
    assert client.get("/api/readings", params={"site": "school-2"}).json() == {"readings": []}


@pytest.mark.parametrize("state", ["pending", "disabled"])
def test_only_active_accounts_get_in(client, add, state):
    add("ada", "viewer", state=state)
    assert enter(client, "ada").status_code == 401


def test_disabling_ends_sessions(client, add, database):
    add("ada", "viewer")
    enter(client, "ada")
    with Session(database.engine) as session, session.begin():
        set_state(session, session.scalars(select(User)).one(), "disabled", actor="test", now=1.0)
    assert client.get("/api/readings").status_code == 401


def test_a_password_set_by_an_admin_must_be_changed_first(client, add):
    add("ada", "viewer", must_change=True)
    enter(client, "ada")
    assert client.get("/api/readings").status_code == 403
    assert client.get("/").headers["location"] == "/account"
    chosen = {"old": PASSWORD, "new": "something longer"}
    assert client.put("/api/session/password", json=chosen).status_code == 200
    assert client.get("/api/session").status_code == 401  # all sessions have ended
    enter(client, "ada", "something longer")
    assert client.get("/api/readings").status_code == 200


def test_guessing_is_slowed_down(client, add):
    add("ada", "viewer")
    for _ in range(FAILURES):
        assert enter(client, "ada", "wrong password").status_code == 401
    refused = enter(client, "ada")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_the_wait_grows_and_ends():
    limiter = LoginLimiter()
    waits = []
    for _ in range(FAILURES + 12):
        limiter.failed("ada", "1.2.3.4", 100.0)
        waits.append(limiter.wait_s("ada", "5.6.7.8", 100.0))
    assert waits[FAILURES - 2] == 0
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
    assert limiter.wait_s("ada", "5.6.7.8", 100.0 + LONGEST_WAIT_S) == 0


def test_sessions_end_by_themselves(database, add):
    add("ada", "viewer")
    token = log_in(database.engine, "ada", PASSWORD, now=1000.0)
    assert by_cookie(database.engine, token, now=1000.0 + IDLE_S) is not None
    assert by_cookie(database.engine, token, now=1001.0 + 2 * IDLE_S) is None
    token = log_in(database.engine, "ada", PASSWORD, now=1000.0)
    now = 1000.0
    while now < 1000.0 + LONGEST_S:
        assert by_cookie(database.engine, token, now=now) is not None
        now += IDLE_S / 2
    assert by_cookie(database.engine, token, now=now + 1) is None


def test_secrets_are_kept_as_hashes(database, add):
    add("ada", "viewer")
    token = log_in(database.engine, "ada", PASSWORD, now=1000.0)
    with database.engine.connect() as connection:
        stored = str([connection.execute(select(table)).all() for table in Base.metadata.sorted_tables])
    assert "ada" in stored
    assert token not in stored
    assert PASSWORD not in stored


@pytest.mark.parametrize(
    ("login", "password", "role", "site"),
    [
        ("Ada Lovelace", PASSWORD, "viewer", "a"),
        ("ada", "short", "viewer", "a"),
        ("ada", "é" * 40, "viewer", "a"),
        ("ada", PASSWORD, "king", "a"),
        ("ada", PASSWORD, "viewer", "Not A Site"),
    ],
)
def test_a_bad_account_is_refused(database, login, password, role, site):
    with Session(database.engine) as session, pytest.raises(AccountError):
        create_user(session, login, password, [Grant(site, role)], actor="test", now=0.0)


def test_roles_are_bound_to_their_sites():
    access = Access("ada", (Grant("a", "viewer"), Grant("b", "technician")))
    assert access.may(Permission.READ_READINGS, "a")
    assert not access.may(Permission.READ_READINGS, "b")
    assert access.may(Permission.COMMAND_DEVICES, "b")
    assert access.sites(Permission.READ_DEVICES) == {"a", "b"}
    assert Access("root", (Grant(ALL_SITES, "admin"),)).sites(Permission.READ_READINGS) is None
    assert set(ROLES) == {"viewer", "operator", "technician", "admin", "auditor"}


def test_bcrypt_is_what_is_stored(add, database):
    add("ada", "viewer")
    with Session(database.engine) as session:
        assert bcrypt.checkpw(PASSWORD.encode(), session.scalars(select(User.password)).one().encode())
