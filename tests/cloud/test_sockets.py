"""A socket ends with the login that opened it: over a real server, with real sockets."""

import socket
import threading
import time

import pytest
import uvicorn
from analysing import analysing, wait_for
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cloud.accounts import passwords
from cloud.accounts.roles import Grant
from cloud.accounts.sessions import IDLE_S, TOUCH_S, by_cookie, log_in, log_out
from cloud.accounts.users import create_user, set_grants, set_password, set_state
from cloud.api import Services, create_app, sockets
from cloud.api.access import COOKIE
from cloud.counters import Counters
from cloud.live import Live
from cloud.store import Database
from cloud.store.accounts import LoginSession, User

LOGIN, PASSWORD = "ada", "correct horse battery"


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch):
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(sockets, "CHECK_LOGIN_S", 0.05)


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path)
    with Session(opened.engine) as session, session.begin():
        create_user(session, LOGIN, PASSWORD, [Grant("school-1", "viewer")], actor="test", now=0.0)
    yield opened
    opened.close()


@pytest.fixture
def cookie(database):
    return log_in(database.engine, LOGIN, PASSWORD, now=time.time())


@pytest.fixture
def address(database):
    """Where a service listens that has one place for a webcam page."""
    with analysing(database.engine, database.folder, max_live=1) as analyses:
        common = {"engine": database.engine, "live": Live(), "counters": Counters(), "checks": dict, "broker": ""}
        app = create_app(Services(**common, accounts=True, analyses=analyses))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio"))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}"
            server.should_exit = True
            thread.join()


def opened(address, path, cookie):
    return connect(address + path, additional_headers={"Cookie": f"{COOKIE}={cookie}"})


def logged_out(engine, cookie):
    log_out(engine, cookie, now=time.time())


def expired(engine, _):
    with engine.begin() as connection:
        connection.execute(update(LoginSession).values(used_at=time.time() - IDLE_S - 1))


def disabled(engine, _):
    with Session(engine) as session, session.begin():
        set_state(session, session.scalars(select(User)).one(), "disabled", actor="test", now=1.0)


def password_reset(engine, _):
    with Session(engine) as session, session.begin():
        user = session.scalars(select(User)).one()
        set_password(session, user, "something longer", actor="test", now=1.0, must_change=True)


def moved_to_another_site(engine, _):
    with Session(engine) as session, session.begin():
        user = session.scalars(select(User)).one()
        set_grants(session, user, [Grant("school-2", "viewer")], actor="test", now=1.0)


def given_another_role(engine, _):
    with Session(engine) as session, session.begin():
        user = session.scalars(select(User)).one()
        set_grants(session, user, [Grant("school-1", "technician")], actor="test", now=1.0)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (logged_out, 4401),
        (expired, 4401),
        (disabled, 4401),
        (password_reset, 4401),
        (moved_to_another_site, 4403),
        (given_another_role, 4403),
    ],
)
@pytest.mark.parametrize("path", ["/live", "/webcam/live"])
def test_a_socket_ends_when_its_login_does(address, database, cookie, path, end, code):
    with opened(address, path, cookie) as page:
        with pytest.raises(TimeoutError):
            page.recv(timeout=0.5)  # it goes on for as long as the login holds
        end(database.engine, cookie)
        with pytest.raises(ConnectionClosed) as closed:
            page.recv(timeout=30)
    assert closed.value.rcvd.code == code


def test_the_place_of_a_webcam_page_that_was_logged_out_is_free_again(address, database, cookie):
    with opened(address, "/webcam/live", cookie) as page:
        log_out(database.engine, cookie, now=time.time())
        with pytest.raises(ConnectionClosed):
            page.recv(timeout=30)
    again = log_in(database.engine, LOGIN, PASSWORD, now=time.time())

    def is_let_in():
        with opened(address, "/webcam/live", again) as page:
            try:
                page.recv(timeout=0.3)
            except TimeoutError:
                return True
            except ConnectionClosed:
                return False

    wait_for(is_let_in)


def test_listening_alone_does_not_keep_a_session_from_expiring(database, cookie):
    later = time.time() + TOUCH_S + 1
    by_cookie(database.engine, cookie, now=later, used=False)
    assert by_cookie(database.engine, cookie, now=time.time() + IDLE_S + 10) is None
    by_cookie(database.engine, cookie, now=later)
    assert by_cookie(database.engine, cookie, now=time.time() + IDLE_S + 10) is not None
