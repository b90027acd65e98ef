"""Files that are damaged, lie, or mean harm: a clear 4xx, and nothing of them is left. And jobs that end early."""

import errno
import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from analysing import analysing, huge_png, png, wait_for
from cloud_models import write_models
from cloud_service import CloudProcess
from fastapi.testclient import TestClient
from media_maker import make_media

from cloud.analyse.process import Child
from cloud.api import Services, create_app
from cloud.counters import Counters
from cloud.errors import AnalysisError
from cloud.live import Live
from cloud.store import Database


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    data = tmp_path_factory.mktemp("hostile")
    database = Database(data)
    with analysing(database.engine, data, max_bytes=2_000_000, max_duration_s=20.0) as analyses:
        common = {"engine": database.engine, "live": Live(), "counters": Counters(), "checks": dict, "broker": ""}
        yield Services(**common, accounts=False, analyses=analyses)
    database.close()


@pytest.fixture
def client(service):
    yield TestClient(create_app(service), base_url="http://127.0.0.1")
    analyses = service.analyses
    wait_for(lambda: analyses._slots._taken.total() == 0)
    wait_for(lambda: len(children()) <= 2)  # the spare one, and that of the module
    assert list(analyses.files._passing.iterdir()) == []
    assert list(analyses.files._kept.iterdir()) == []
    with TestClient(create_app(service), base_url="http://127.0.0.1") as same:
        for view in same.get("/api/analyses").json()["analyses"]:
            same.delete(f"/api/analyses/{view['id']}")


def children() -> list[str]:
    """Return the command lines of decoding children of this process, zombies included."""
    found = subprocess.run(
        ["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True
    ).stdout.splitlines()
    return [line for line in found if "cloud.analyse" in line or "defunct" in line]


def cut(path: Path, share: float) -> bytes:
    content = path.read_bytes()
    return content[: int(len(content) * share)]


def zip_bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("holiday.mp4", bytes(100_000_000))
    return packed.getvalue()


def jpeg(cut_off: int = 0) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    content = cv2.imencode(".jpg", noise)[1].tobytes()
    return content[: len(content) - cut_off]


def lying_png() -> bytes:
    """100,000 x 100,000 pixels, says its header; there is next to nothing behind it."""
    content = bytearray(png())
    content[16:24] = struct.pack(">II", 100_000, 100_000)
    return bytes(content)


HOSTILE = {
    "a text that says it is a picture": (lambda _: b"I am a picture, believe me.\n" * 50, "not a media file"),
    "a page with a script": (
        lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
        "not a media",
    ),
    "an empty file": (lambda _: b" ", "not a media file"),
    "a zip bomb": (lambda _: zip_bomb(), "not a media file"),
    "a gzip bomb": (lambda _: gzip.compress(bytes(50_000_000)), "not a media file"),
    "a play list that names another file": (lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a media file"),
    "a script that joins other files": (lambda _: b"ffconcat version 1.0\nfile /etc/passwd\n", "not a media file"),
    "a picture with too many pixels": (lambda _: huge_png(20_000), "more than 50 million pixels"),
    "a picture that lies about its size": (lambda _: lying_png(), "more than 50 million pixels"),
    "a photo that breaks off": (lambda _: jpeg(2_000), "breaks off"),
    "a png that breaks off": (lambda _: png()[:-20], "breaks off"),
    "a png with rubbish inside": (lambda _: png()[:60] + b"rubbish!" * 3 + png()[84:], "damaged"),
    "a film that breaks off": (lambda p: cut(make_media(p / "a.mp4"), 0.5), "damaged or not a media file"),
    "a film without its head": (lambda p: make_media(p / "a.webm").read_bytes()[900:], "damaged or not a media"),
    "subtitles alone": (lambda _: b"1\n00:00:01,000 --> 00:00:02,000\nHello\n\n", "neither frames nor sound"),
    "a song that is too long": (lambda p: make_media(p / "a.mp3", seconds=25.0, rate=16_000).read_bytes(), "minutes"),
}


@pytest.fixture(scope="module")
def child(service):
    """One child for all that it has to refuse; the service starts a new one for every upload."""
    with Child(service.analyses._models, None, service.analyses.limits) as running:
        yield running


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bad_file_is_refused_with_the_reason(child, tmp_path, kind):
    make, said = HOSTILE[kind]
    path = tmp_path / "file"
    path.write_bytes(make(tmp_path))
    with path.open("rb") as file, pytest.raises(AnalysisError) as refused:
        child.ask({"do": "open", "name": "holiday.png"}, fd=file.fileno())
    assert said in str(refused.value)
    assert "/proc/" not in str(refused.value)
    assert refused.value.status == 422


@pytest.mark.parametrize("kind", ["a zip bomb", "a picture with too many pixels", "a film that breaks off"])
def test_nothing_is_left_of_a_refused_file(client, tmp_path, kind):
    make, said = HOSTILE[kind]
    answer = client.post("/api/analyses", files={"file": ("holiday.png", make(tmp_path), "image/png")})
    assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text
    assert answer.json()["code"] == "analysis"
    assert client.get("/api/analyses").json()["analyses"] == []


@pytest.mark.slow
def test_one_bad_file_among_good_ones_is_named(client):
    files = [("file", ("good.png", png())), ("file", ("bad.png", b"not at all"))]
    answer = client.post("/api/analyses", files=files)
    assert (answer.status_code, answer.json()["detail"].startswith("bad.png: ")) == (422, True)


def test_a_decoder_that_crashes_is_a_refusal(client, service):
    nursery = service.analyses.nursery
    nursery.prepare()
    os.kill(nursery._spare.pid, signal.SIGSEGV)
    answer = client.post("/api/analyses", files={"file": ("a.png", png())})
    assert (answer.status_code, "gave up" in answer.json()["detail"]) == (422, True)
    assert client.post("/api/analyses?wait=60", files={"file": ("a.png", png())}).status_code == 201


@pytest.mark.slow
def test_a_child_gets_no_more_memory_and_time_than_it_may_have(service, tmp_path):
    large, film = tmp_path / "large.png", make_media(tmp_path / "film.mp4", seconds=200.0)
    large.write_bytes(huge_png(7_000))

    def refusal(path: Path, **other: float) -> str:
        limits = replace(service.analyses.limits, max_duration_s=300.0, **other)
        with Child(service.analyses._models, None, limits) as child, path.open("rb") as file:
            with pytest.raises(AnalysisError) as error:
                analyse(child, file)
            return str(error.value)

    def analyse(child: Child, file) -> None:
        child.ask({"do": "open", "name": "file"}, fd=file.fileno())
        child.ask({"do": "run", "number": 0})  # takes over 2 s: the kernel counts whole seconds, and by its ticks

    assert refusal(large, memory_bytes=50_000_000)
    assert "gave up" in refusal(film, least_cpu_s=0, cpu_per_second=0.0)
    assert "not come to an end" in refusal(film, silence_s=0.01)


def test_a_child_cannot_write_to_disk(tmp_path):
    script = (
        "import sys; from cloud.analyse.child import confine; confine(10**9)\n"
        "try:\n    open(sys.argv[1], 'wb', buffering=0).write(b'x')\n"
        "except OSError as error:\n    sys.exit(error.errno)\n"
    )
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", script, path], cwd=Path(__file__).parents[2])
    assert (done.returncode, path.read_bytes()) == (errno.EFBIG, b"")


def test_a_running_analysis_is_cancelled(client, service, tmp_path):
    film = make_media(tmp_path / "film.mp4", seconds=19.0, rate=16_000).read_bytes()
    wait = threading.Event()
    service.analyses._lanes["long"].submit(wait.wait)
    try:
        answer = client.post("/api/analyses", files={"file": ("film.mp4", film)}, data={"keep_days": "2"})
        assert answer.status_code == 202
        place = answer.headers["location"]
        (job,) = service.analyses._jobs.values()
    finally:
        wait.set()
    wait_for(lambda: job.progress > 0.0, every_s=0.001)
    os.kill(job.child._process.pid, signal.SIGSTOP)  # or a fast machine would be done before it is asked
    view = client.get(place).json()
    assert (view["state"], 0.0 < view["progress"] < 1.0) == ("running", True)
    assert client.delete(place).status_code == 200
    assert client.get(place).status_code == 404


@pytest.mark.slow
def test_nobody_fills_the_queue(client, service, tmp_path):
    film = make_media(tmp_path / "film.mp4", seconds=19.0, rate=16_000).read_bytes()
    busy = threading.Event()
    service.analyses._lanes["long"].submit(busy.wait)  # else the first film may be over when the last one comes
    try:
        places = [client.post("/api/analyses", files={"file": ("a", film)}).headers["location"] for _ in range(3)]
        refused = client.post("/api/analyses", files={"file": ("a", film)})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        for place in places:
            assert client.delete(place).status_code == 200
    finally:
        busy.set()


@pytest.mark.slow
def test_a_service_that_is_killed_leaves_no_file_and_says_so_when_it_is_back(tmp_path):
    models = write_models(tmp_path / "models")
    film = make_media(tmp_path / "film.mp4", seconds=60.0, rate=16_000).read_bytes()
    with CloudProcess(tmp_path / "cloud", "--models", str(models)) as cloud:
        sent = httpx.post(f"{cloud.web}/api/analyses", files={"file": film}, data={"keep_days": "5"}, timeout=60)
        assert sent.status_code == 202
        cloud.stop(signal.SIGKILL)
    data = tmp_path / "cloud" / "data"
    assert [path for name in ("uploads", "kept") for path in (data / name).iterdir()] == []
    with CloudProcess(tmp_path / "cloud", "--models", str(models)) as cloud:
        view = cloud.get(sent.headers["location"])
        assert (view["state"], "restarted" in view["error"]) == ("failed", True)
