import json
import re
import socket
import threading

import httpx
import pytest
import uvicorn
from cloud_messages import reading, verdict
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cloud.accounts.roles import LOCAL
from cloud.api import Services, create_app
from cloud.api.guard import is_own_host, is_same_origin
from cloud.arrivals import Arrival
from cloud.counters import Counters
from cloud.live import MAX_WAITING, Live, view
from cloud.store import Database, readings, save


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def checks():
    return {"store": True}


@pytest.fixture
def client(database, checks):
    """A client of a real server."""
    app = create_app(
        Services(
            engine=database.engine,
            live=Live(),
            counters=Counters(),
            checks=lambda: checks,
            broker="mqtt://127.0.0.1:4321",
            accounts=False,
        )
    )
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        with httpx.Client(base_url=f"http://{host}") as opened:
            yield opened
        server.should_exit = True
        thread.join()


def test_readings_come_with_verdict_and_final(client, database):
    sent = reading(emotion="sad")
    save(
        database.engine, [Arrival("home", "front-door", message, 1.0) for message in (sent, verdict(sent.id, "happy"))]
    )
    (found,) = client.get("/api/readings", params={"site": "home", "device": "front-door"}).json()["readings"]
    assert (found["id"], found["fused"]["emotion"], found["final"]["emotion"]) == (sent.id, "sad", "happy")
    assert client.get("/api/readings", params={"before": sent.id}).json() == {"readings": []}
    (device,) = client.get("/api/devices").json()["devices"]
    assert (device["site"], device["device"]) == ("home", "front-door")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "site=UP", "before=short", "device=a/b"])
def test_a_wrong_question_is_refused(client, query):
    assert client.get(f"/api/readings?{query}").status_code == 422


def test_ready_says_which_part_is_not(client, checks):
    assert client.get("/readyz").json() == {"status": "ready", "checks": {"store": True}}
    checks["store"] = False
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (503, {"store": False})
    assert client.get("/healthz").json() == {"status": "ok"}


def test_the_page_has_no_inline_script_and_a_policy_against_it(client):
    answer = client.get("/")
    assert "mqtt://127.0.0.1:4321" in answer.text
    assert re.findall(r"<script(?![^>]* src=)", answer.text) == []
    assert not re.search(r"\son\w+=|javascript:|style=", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


def test_everything_that_the_page_loads_is_there(client):
    page = client.get("/").text
    loaded = re.findall(r'(?:src|href)="(/[^"]+)"', page)
    modules = re.findall(
        r'from "\./([\w.]+)"', "".join(client.get(f"/static/{name}.js").text for name in ("app", "card"))
    )
    for path in {*loaded, *(f"/static/{name}" for name in modules), "/vendor/plotly.min.js"}:
        answer = client.get(path)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_not_answered(client, host):
    answer = client.get("/api/readings", headers={"host": host})
    assert answer.status_code == 421
    assert "does not answer" in answer.text


def test_hosts_that_are_ours():
    assert all(is_own_host(host) for host in ("127.0.0.1", "localhost:80", "[::1]:8080", "192.168.1.7:8080"))
    assert not any(is_own_host(host) for host in ("localhost.evil", "[::1", "a b", "1.2.3.4.5"))


def test_a_socket_from_a_foreign_page_is_refused(client):
    host = client.base_url.netloc.decode()
    with pytest.raises(InvalidStatus):
        connect(f"ws://{host}/live", origin="http://evil.example")
    with pytest.raises(InvalidStatus):
        connect(f"ws://{host}/live", additional_headers={"Host": "evil.example"})
    connect(f"ws://{host}/live", origin=f"http://{host}").close()
    connect(f"ws://{host}/live").close()
    assert not is_same_origin("null", host)


def test_no_answer_carries_evidence(client):
    schema = json.dumps(client.get("/openapi.json").json()).lower()
    assert not any(word in schema for word in ("crops", "log_mel", "evidence"))


def test_a_live_reading_has_the_form_of_a_listed_one(database):
    arrival = Arrival("home", "front-door", reading(), 1.0)
    save(database.engine, [arrival])
    (listed,) = readings(database.engine)
    live = view(arrival)
    assert live.items() >= listed.items()
    assert live.keys() - listed.keys() == {"kind", "schema", "retained"}


def test_a_watcher_that_does_not_keep_up_is_dropped():
    live = Live()
    with live.watch(LOCAL) as slow:
        for _ in range(MAX_WAITING):
            live.publish(Arrival("home", "front-door", reading(), 1.0))
        assert not slow.dropped.is_set()
        live.publish(Arrival("home", "front-door", reading(), 1.0))
        assert slow.dropped.is_set()
        live.publish(Arrival("home", "front-door", reading(), 1.0))
