"""Analyses over the REST interface, as programs use it: files and text in, one result out, nothing left behind."""

import asyncio
import csv
import io
import json
import time

import pytest
from analysing import analysing, png, wait_for
from fastapi.testclient import TestClient
from media_maker import make_media
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.accounts import passwords
from cloud.accounts.roles import Grant
from cloud.accounts.sessions import log_in
from cloud.accounts.users import create_user
from cloud.analyse.records import Owner
from cloud.analyse.results import SCHEMA
from cloud.api import Services, create_app
from cloud.api.access import COOKIE
from cloud.counters import Counters
from cloud.live import Live
from cloud.store import Database
from cloud.store.accounts import AuditRow
from edge.emotions import EMOTIONS

PASSWORD = "correct horse battery"
LOCAL = Owner("local", None)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The parts of one service with the accounts of several people."""
    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "ROUNDS", 4)
    data = tmp_path_factory.mktemp("analyse")
    database = Database(data)
    with Session(database.engine) as session, session.begin():
        for name, role in (("vera", "viewer"), ("victor", "viewer"), ("audrey", "auditor")):
            create_user(session, name, PASSWORD, [Grant("school-1", role)], actor="test", now=0.0)
        both = [Grant("school-1", "viewer"), Grant("school-2", "operator"), Grant("depot", "technician")]
        create_user(session, "twain", PASSWORD, both, actor="test", now=0.0)
    with analysing(database.engine, data, max_bytes=300_000, max_duration_s=20.0) as analyses:
        common = {"engine": database.engine, "live": Live(), "counters": Counters(), "checks": dict, "broker": ""}
        yield Services(**common, accounts=True, analyses=analyses)
    database.close()
    patch.undo()


@pytest.fixture
def client_of(service):
    def make(login):
        client = TestClient(create_app(service), base_url="http://127.0.0.1")
        client.cookies.set(COOKIE, log_in(service.engine, login, PASSWORD, now=time.time()))
        client.headers["X-CSRF-Token"] = client.get("/api/session").json()["csrf"]
        return client

    return make


@pytest.fixture
def vera(client_of, service):
    yield client_of("vera")
    wait_for(lambda: service.analyses._slots._taken.total() == 0)
    assert list((service.analyses.files._passing).iterdir()) == []


def done(client, answer):
    """Return a finished analysis."""
    assert answer.status_code in (201, 202), answer.text

    def finished():
        view = client.get(answer.headers["location"]).json()
        assert view["state"] != "failed", view["error"]
        return view if view["state"] == "done" else None

    return wait_for(finished)


def test_a_text_is_judged_at_once(vera):
    answer = vera.post("/api/analyses", json={"text": "What a wonderful day, I am so happy!"})
    assert answer.status_code == 201
    view = vera.get(answer.headers["location"]).json()
    assert view["result"]["parts"][0]["text"]["label"] == "happy"
    overall = view["result"]["overall"]
    assert (overall["majority_vote"], overall["weighted_average"]["emotion"]) == ("happy", "happy")
    assert view["expires_at"] - view["created_at"] == 86_400


def test_a_picture_without_a_face_says_so_and_waiting_gives_the_result(vera):
    answer = vera.post("/api/analyses?wait=60", files={"file": ("../../holiday.mp4", png())})
    assert answer.status_code == 201
    result = answer.json()["result"]
    (part,) = result["parts"]
    assert (result["schema"], result["overall"]) == (SCHEMA, None)
    assert (part["kind"], part["name"], part["notes"]) == ("image", "holiday.mp4", ["No face was found."])
    assert (part["width"], part["height"]) == (64, 48)


def test_who_leaves_while_a_file_is_looked_at_leaves_nothing(vera, service):
    made = vera.build_request("POST", "/api/analyses", files={"file": ("a.png", png())})
    headers = [(name.lower().encode(), value.encode()) for name, value in made.headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/api/analyses", "query_string": b"", "headers": headers}
    arriving = iter([{"type": "http.request", "body": made.read(), "more_body": False}])
    sent = []

    async def receive():
        return next(arriving, {"type": "http.disconnect"})

    async def send(message):
        sent.append(message)

    def lines():
        with Session(service.engine) as session:
            return [(line.action, line.target) for line in session.scalars(select(AuditRow)) if line.actor == "vera"]

    before = len(lines())
    asyncio.run(create_app(service)(scope | {"server": ("127.0.0.1", 80), "scheme": "http"}, receive, send))
    assert sent[0]["status"] == 409
    (created, identifier), (deleted, same) = lines()[before:]
    assert (created, deleted, same) == ("analysis.create", "analysis.delete", identifier)


def test_video_sound_and_text_together(vera, clips):
    files = [("file", ("talk.mp4", clips[3].read_bytes()))]
    view = done(vera, vera.post("/api/analyses", files=files, data={"text": "I am so happy. This is great!"}))
    video, text = view["result"]["parts"]
    assert (video["kind"], text["kind"], view["kinds"]) == ("video", "text", ["video", "text"])
    assert len(video["frames"]) > 8
    face = video["frames"][4]["faces"][0]
    assert 0.1 < face["box"]["x"] < face["box"]["x"] + face["box"]["width"] < 0.9
    assert list(face["expression"]["probs"]) == list(EMOTIONS)
    (window,) = video["windows"]
    assert window["face"] is not None
    assert window["speech"] is not None
    assert window["fused"] is not None
    overall = view["result"]["overall"]
    assert [share["modality"] for share in overall["modalities"]] == ["face", "speech", "text"]
    assert sum(overall["votes"].values()) == 1 + 1 + len(text["text"]["parts"])

    place = f"/api/analyses/{view['id']}"
    assert json.loads(vera.get(f"{place}/result.json").content) == view["result"]
    rows = list(csv.DictReader(io.StringIO(vera.get(f"{place}/result.csv").text)))
    assert {row["row"] for row in rows} >= {"frame", "window face", "window fused", "sentence", "majority vote"}
    assert sum(row["row"] == "frame" for row in rows) == sum(len(frame["faces"]) for frame in video["frames"])


@pytest.mark.parametrize(
    ("kind", "endings"), [("audio", (".wav", ".mp3", ".flac", ".ogg")), ("video", (".mp4", ".avi", ".mov", ".webm"))]
)
def test_every_kind_of_file_is_known_by_what_is_in_it(vera, tmp_path, kind, endings):
    clips = [make_media(tmp_path / f"clip{ending}", seconds=1.5, fps=5, rate=16_000) for ending in endings]
    view = done(vera, vera.post("/api/analyses", files=[("file", ("nameless", one.read_bytes())) for one in clips]))
    for part in view["result"]["parts"]:
        assert (part["kind"], part["name"]) == (kind, "nameless")
        assert part["duration_s"] == pytest.approx(1.5, abs=0.3)
        assert part["windows"][0]["voiced_share"] is not None


def test_nobody_else_sees_it_and_the_auditor_sees_that_it_exists(vera, client_of):
    identifier = done(vera, vera.post("/api/analyses", json={"text": "My secret sorrow"}))["id"]
    victor, audrey = client_of("victor"), client_of("audrey")
    assert victor.get("/api/analyses").json()["analyses"] == []
    for path in ("", "/result.json", "/result.csv", "/files/0"):
        assert victor.get(f"/api/analyses/{identifier}{path}").status_code == 404
    assert victor.delete(f"/api/analyses/{identifier}").status_code == 404
    assert audrey.get(f"/api/analyses/{identifier}").status_code == 403
    lines = audrey.get("/api/audit").json()["audit"]
    (line,) = [line for line in lines if line["target"] == identifier]
    assert (line["actor"], line["action"], line["site"]) == ("vera", "analysis.create", "school-1")
    assert "sorrow" not in json.dumps(lines)


def test_a_site_has_to_be_named_where_there_are_several(client_of):
    twain = client_of("twain")
    asked = twain.post("/api/analyses", json={"text": "hello there"})
    assert (asked.status_code, asked.json()["detail"]) == (422, "Say for which `site`: school-1, school-2.")
    assert twain.post("/api/analyses", json={"text": "hello there", "site": "depot"}).status_code == 404
    view = done(twain, twain.post("/api/analyses", json={"text": "hello there", "site": "school-2"}))
    assert view["site"] == "school-2"


def test_a_file_is_kept_only_if_the_user_says_so_and_until_it_expires(vera, service):
    analyses = service.analyses
    kept = analyses.files._kept
    done(vera, vera.post("/api/analyses", files={"file": ("a.png", png())}))
    assert list(kept.iterdir()) == []
    picture = png(level=17)
    view = done(vera, vera.post("/api/analyses", files={"file": ("a.png", picture)}, data={"keep_days": "3"}))
    assert view["expires_at"] - view["created_at"] == 3 * 86_400
    assert vera.get(f"/api/analyses/{view['id']}/files/0").content == picture
    assert vera.get(f"/api/analyses/{view['id']}/files/1").status_code == 404
    clock, analyses._clock = analyses._clock, lambda: view["expires_at"] + 1
    analyses.purge()
    analyses._clock = clock
    assert vera.get(f"/api/analyses/{view['id']}").status_code == 404
    assert list(kept.iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"json": {}}, 422, "neither a file nor a text"),
        ({"json": {"text": "..."}}, 422, "no word"),
        ({"json": {"text": "word " * 4500}}, 422, "20000 are the most"),
        ({"json": {"text": "hello", "keep_days": 91}}, 422, "90 are the most"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "JSON"),
        ({"content": b"hello", "headers": {"Content-Type": "text/plain"}}, 415, "multipart/form-data"),
        ({"content": b"--x\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422, "breaks off"),
        ({"files": {"picture": ("a.png", b"1")}}, 422, "into `file`"),
        ({"files": [("file", (f"{n}.png", b"1")) for n in range(5)]}, 422, "4 files are the most"),
        ({"files": {"file": ("a.png", b"0" * 1_400_000)}}, 413, "larger than 0 MB"),
        ({"data": {"text": "x" * 100_001}, "files": {"file": ("a.png", b"1")}}, 413, "longer than 100000"),
        ({"data": {"text": "hello", "keep_days": "-1"}, "files": {"file": ("", b"")}}, 422, "keep_days"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(vera, service, body, status, said):
    answer = vera.post("/api/analyses", **body)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert list(service.analyses.files._passing.iterdir()) == []
