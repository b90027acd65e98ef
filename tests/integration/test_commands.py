"""Commands from the cloud: a real device carries them out, and nobody else is asked, may ask, or may answer."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import get_args

import httpx
import pytest
from brokers import eventually
from cloud_messages import availability, birth, head
from cloud_service import CloudProcess, Device, mosquitto
from network_camera import camera
from sqlalchemy.orm import Session
from test_run import edge, stop

from cloud.accounts import passwords
from cloud.accounts.roles import ROLES, Grant, Permission
from cloud.accounts.sessions import log_in
from cloud.accounts.users import create_user
from cloud.api.access import COOKIE
from cloud.commands import Verb
from cloud.store import Database
from edge.protocol import PREFIX, Command, Reply, decode, topic

ADDRESS = "/api/sites/school/devices/{}/commands"
MAY = {role for role, held in ROLES.items() if Permission.COMMAND_DEVICES in held}


@contextmanager
def serving(folder, *arguments):
    """Run a service with an account of each role at `school`; yield it, and what makes clients by role."""
    database = Database(folder / "data")
    with pytest.MonkeyPatch.context() as patch, Session(database.engine) as session, session.begin():
        patch.setattr(passwords, "ROUNDS", 4)
        for role in ROLES:
            create_user(session, role, "correct horse battery", [Grant("school", role)], actor="test", now=time.time())
    database.close()
    with CloudProcess(folder, "--no-worker", *arguments, accounts=True) as cloud, ExitStack() as stack:
        database = Database(cloud.data, exclusive=False)
        cookies = {role: log_in(database.engine, role, "correct horse battery", now=time.time()) for role in ROLES}
        database.close()

        def client_of(role):
            client = httpx.Client(base_url=cloud.web, cookies={COOKIE: cookies[role]}, timeout=60)
            stack.enter_context(client)
            client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
            return client

        yield cloud, client_of


@pytest.fixture(params=["embedded", "mosquitto"])
def either(request, tmp_path):
    """The service over its own broker, and over a Mosquitto."""
    if request.param == "embedded":
        with serving(tmp_path / "cloud") as made:
            yield made
    else:
        with (
            mosquitto(tmp_path / "broker") as port,
            serving(tmp_path / "cloud", "--broker", f"mqtt://127.0.0.1:{port}") as made,
        ):
            yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("commands")) as made:
        yield made


def state_of(client, name):
    return {each["device"]: each for each in client.get("/api/devices").json()["devices"]}.get(name, {})


def is_online(client, name):
    return state_of(client, name).get("availability") == "online"


@contextmanager
def online(service, name, site="school"):
    """A device that hears commands and answers none by itself."""
    cloud, client_of = service
    with Device(cloud.broker_port, site, name) as device:
        device.subscribe(f"{PREFIX}/{site}/{name}/command/+")
        device.publish("availability", availability(), retain=True)
        device.publish("birth", birth(), retain=True)
        if site == "school":
            eventually(lambda: is_online(client_of("technician"), name))
        yield device


def reply(command, **changes):
    fields = head() | {"command_id": command.id, "verb": command.verb, "ok": True, "text": "published"}
    return Reply(**fields | changes)


@pytest.mark.slow
def test_a_real_device_does_what_an_operator_and_a_technician_ask(either, tmp_path):
    cloud, client_of = either
    technician, operator = client_of("technician"), client_of("operator")

    def ask(client, verb):
        answer = client.post(ADDRESS.format("room"), json={"verb": verb})
        assert answer.status_code == 200, answer.text
        return answer.json()

    with camera() as port, edge(tmp_path, f"mqtt://127.0.0.1:{cloud.broker_port}", port) as process:
        eventually(lambda: is_online(technician, "room"), within_s=60)
        eventually(lambda: ask(technician, "selftest")["ok"], within_s=60)
        assert "camera ok" in ask(operator, "selftest")["text"]
        before = state_of(technician, "room")["birth"]["id"]
        assert ask(operator, "rebirth") == {"ok": True, "text": "published"}
        eventually(lambda: state_of(technician, "room")["birth"]["id"] != before)
        assert ask(technician, "mute") == {"ok": True, "text": "devices closed until unmuted at the device"}
        eventually(lambda: "camera down (closed by the policy)" in ask(technician, "selftest")["text"])
        muted = ask(operator, "selftest")
        assert (muted["ok"], "muted by a command" in muted["text"]) == (True, True)
        for verb in get_args(Verb):
            assert "does not do" not in ask(technician, verb)["text"]
        stop(process)
    lines = client_of("auditor").get("/api/audit").json()["audit"]
    done = {
        (one["actor"], one["site"], one["target"], one["detail"]["verb"], one["detail"]["outcome"])
        for one in lines
        if one["action"] == "device.command"
    }
    assert ("technician", "school", "room", "mute", "done") in done
    assert ("operator", "school", "room", "rebirth", "done") in done


@pytest.mark.parametrize("role", ROLES)
def test_only_some_roles_may_ask_and_only_at_their_site(service, role):
    _, client_of = service
    client = client_of(role)
    with online(service, "door") as device, online(service, "secret", "elsewhere"), ThreadPoolExecutor(1) as pool:
        coming = pool.submit(client.post, ADDRESS.format("door"), json={"verb": "rebirth"})
        if role in MAY:
            device.publish("reply", reply(decode(Command, device.hear("rebirth", within_s=30))), "rebirth")
            assert (coming.result().status_code, coming.result().json()["text"]) == (200, "published")
        else:
            assert coming.result().status_code == 403
        there = client.post("/api/sites/elsewhere/devices/secret/commands", json={"verb": "rebirth"})
        assert there.status_code == (404 if role in MAY else 403)
        del client.headers["X-CSRF-Token"]
        assert client.post(ADDRESS.format("door"), json={"verb": "rebirth"}).status_code == 403
        assert device.count("rebirth") == 0


def test_who_cannot_be_asked_is_not_and_what_no_device_does_is_refused(service):
    _, client_of = service
    client = client_of("operator")
    with online(service, "door") as device:
        assert client.post(ADDRESS.format("nobody"), json={"verb": "rebirth"}).status_code == 404
        for body in ({"verb": "unmute"}, {"verb": "update"}, {"verb": "mute", "args": {"on": "false"}}, {}):
            assert client.post(ADDRESS.format("door"), json=body).status_code == 422, body
        assert client.post(ADDRESS.format("door"), json={"verb": "mute", "wait_s": 600.0}).status_code == 422
        device.publish("availability", availability("stopped"), retain=True)
        eventually(lambda: not is_online(client, "door"))
        answer = client.post(ADDRESS.format("door"), json={"verb": "rebirth"})
        assert (answer.status_code, "not online" in answer.json()["detail"]) == (409, True)
        assert device.count("rebirth") == device.count("mute") == 0


def test_an_answer_comes_from_the_device_that_was_asked_and_in_time_or_not_at_all(service):
    _, client_of = service
    client = client_of("operator")
    short = {"verb": "selftest", "wait_s": 1.0}
    with online(service, "door") as door, online(service, "window") as window, ThreadPoolExecutor(1) as pool:
        coming = pool.submit(client.post, ADDRESS.format("door"), json=short)
        late = decode(Command, door.hear("selftest", within_s=30))
        assert late.ttl_ms == 1000
        window.publish("reply", reply(late, text="I am the door"), "selftest")
        window.publish_raw(topic("school", "window", "reply", "selftest"), b"no reply")
        assert (coming.result().status_code, "1 s" in coming.result().json()["detail"]) == (504, True)

        coming = pool.submit(client.post, ADDRESS.format("door"), json={"verb": "selftest"})
        command = decode(Command, door.hear("selftest", within_s=30))
        door.publish("reply", reply(late), "selftest")
        door.publish("reply", reply(command, ok=False, text="camera down"), "selftest")
        assert coming.result().json() == {"ok": False, "text": "camera down"}
    lines = client_of("auditor").get("/api/audit").json()["audit"]
    outcomes = [one["detail"]["outcome"] for one in lines if one["detail"].get("verb") == "selftest"]
    assert sorted(outcomes) == ["no answer", "not done"]
