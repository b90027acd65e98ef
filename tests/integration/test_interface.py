"""The REST interface as /openapi.json describes it: complete, with examples, and what the service really does."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import httpx
import jsonschema_rs
import pytest
from brokers import eventually
from cloud_messages import availability, birth, event, evidence, head, health, reading
from cloud_models import write_models
from cloud_service import CloudProcess, Device
from fastapi import FastAPI

from cloud.accounts.roles import ROLES
from cloud.api.app import ROUTERS
from cloud.api.fields import EmotionName, RoleName
from cloud.api.openapi import TAGS, complete
from edge.emotions import SPEECH_EMOTIONS
from edge.protocol import Aggregate

LOGIN, PASSWORD = "ada", "a password that no example has"
SETTINGS = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = "10"
"""Of each operation in the fuzzing phase; what lies at the bounds of the schema is tried in any case."""


@pytest.fixture(scope="module")
def schema():
    app = FastAPI(title="Mien")
    for router in ROUTERS:
        app.include_router(router)
    return json.loads(json.dumps(complete(app)()))


def operations(schema):
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def resolved(schema, part):
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def test_every_operation_says_what_it_is_and_how_it_refuses(schema):
    assert len(operations(schema)) > 40
    for name, operation in operations(schema):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= set(TAGS), name
        codes = set(operation["responses"])
        if "security" in operation:
            assert {"401", "403"} <= codes, name
            assert [list(way) for way in operation["security"]] == [["token"], ["session"]], name
        if "{" in name:
            assert codes & {"404"}, name
        for code, answer in operation["responses"].items():
            if int(code) >= 400 and "503" not in code:
                assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Problem"), (name, code)
    ids = [operation["operationId"] for _, operation in operations(schema)]
    assert len(set(ids)) == len(ids)


def test_every_body_and_answer_has_an_example_that_is_one(schema):
    for name, operation in operations(schema):
        contents = [answer["content"] for code, answer in operation["responses"].items() if code < "3"]
        contents.append(operation.get("requestBody", {}).get("content", {}))
        for kind, content in ((kind, content) for each in contents for kind, content in each.items()):
            if kind == "application/json":
                examples = examples_of(schema, content)
                assert examples, f"{name} has no example"
                whole = content["schema"] | {"components": schema["components"]}
                for example in examples:
                    jsonschema_rs.validate(whole, example)
            else:
                assert (
                    content.get("example")
                    or content["schema"] == {"type": "string", "format": "binary"}
                    or (kind == "multipart/form-data")
                ), (name, kind)


def examples_of(schema, content):
    """Return the examples of a body, made from those of its fields where it has none itself."""
    if "example" in content:
        return [content["example"]]
    whole = resolved(schema, content["schema"])
    if "examples" in whole:
        return whole["examples"]
    fields = {name: resolved(schema, field) for name, field in whole["properties"].items()}
    examples = {name: field.get("examples", field.get("enum")) for name, field in fields.items()}
    missing = [name for name in whole.get("required", ()) if not examples[name]]
    assert not missing, f"{whole['title']} has no example of {missing}"
    return [{name: one[0] for name, one in examples.items() if one}]


def test_names_in_the_schema_are_those_of_the_code():
    assert get_args(RoleName) == tuple(ROLES)
    assert get_args(EmotionName) == SPEECH_EMOTIONS


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A service with accounts, an admin, and something of everything to tell."""
    folder = tmp_path_factory.mktemp("served")
    with CloudProcess(folder, "--models", str(write_models(folder / "models")), accounts=True) as cloud:
        cloud.add_admin(LOGIN, PASSWORD)
        with logged_in(cloud) as client:
            rule = {"site": "school-1", "name": "hot", "kind": "temperature", "threshold": 60.0, "duration_s": 0.0}
            client.post("/api/alert-rules", json=rule).raise_for_status()
            with Device(cloud.broker_port, "school-1", "front-door") as device:
                device.publish("availability", availability(), retain=True)
                device.publish("birth", birth(), retain=True)
                for number in range(20):
                    device.publish("reading", said := reading(number, ts=time.time() - 60 + number))
                device.publish("evidence", evidence(said.id))
                device.hear("verdict", within_s=60)
                counts = {
                    "start_s": 0.0,
                    "end_s": 60.0,
                    "windows": 20,
                    "k": 3,
                    "tones": None,
                    "expressions": {"sad": 4},
                }
                device.publish("aggregate", Aggregate(**head(ts=time.time(), mode="classroom"), **counts))
                device.publish("health", health(ts=time.time(), temperature_c=80.0))
                device.publish("event", event(), "camera-lost")
                # Whoever is asked for something would be waited for: this one has gone before schemathesis looks.
                device.publish("availability", availability("stopped"), retain=True)
            eventually(lambda: client.get("/api/alerts").json()["alerts"], within_s=60)
        yield cloud


@contextmanager
def logged_in(cloud):
    with httpx.Client(base_url=cloud.web, timeout=60) as client:
        client.post("/api/session", json={"login": LOGIN, "password": PASSWORD}).raise_for_status()
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        yield client


@pytest.fixture
def admin(served):
    with logged_in(served) as client:
        yield client


def test_a_method_that_there_is_not_is_answered_with_those_that_there_are(admin):
    answer = admin.request("PATCH", "/api/session")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, POST")


def test_what_was_wrong_is_said_and_what_was_sent_is_not(admin):
    answer = admin.post("/api/session", json={"login": "ada", "password": ["s3cret"]})
    assert (answer.status_code, answer.json()) == (422, {"detail": "password: Input should be a valid string"})
    surrogate = admin.post("/api/tokens", content=rb'{"name": "\ud800"}', headers={"Content-Type": "application/json"})
    assert (surrogate.status_code, "name: " in surrogate.json()["detail"]) == (422, True)


def test_nobody_resets_their_own_password_without_the_present_one(admin):
    answer = admin.put(f"/api/users/{LOGIN}/password", json={"password": "something longer"})
    assert (answer.status_code, "present one" in answer.json()["detail"]) == (403, True)


# The last one: afterwards too many wrong passwords have come from here for another login.
@pytest.mark.slow
def test_schemathesis_finds_nothing(served, admin, tmp_path):
    cookie = ("-H", f"Cookie: mien_session={admin.cookies['mien_session']}")
    csrf = ("-H", f"X-CSRF-Token: {admin.headers['X-CSRF-Token']}")
    command = [Path(sys.executable).with_name("st"), "--config-file", SETTINGS, "run", f"{served.web}/openapi.json"]
    options = ["--max-examples", EXAMPLES, "--workers", "2", "--continue-on-failure", "--no-color"]
    found = subprocess.run([*command, *cookie, *csrf, *options], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    # It was let in until the end, so it has tried what it was to try.
    assert admin.get("/api/session").json()["login"] == LOGIN
    assert "Traceback" not in served.log.read_text()
