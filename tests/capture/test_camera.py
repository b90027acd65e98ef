"""Live cameras: OpenCV against a real MJPEG server, files, the newest frame kept, loss and hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture import camera as camera_module
from edge.capture.camera import find_video_device, open_camera, without_password
from edge.capture.devices import video_devices
from edge.capture.latest import LatestFrames
from edge.errors import CaptureError, SourceMissing, Undecodable
from edge.perception.detect import HaarDetector
from edge.perception.face import FaceStage

FPS = 25


class MjpegServer(ThreadingHTTPServer):
    """A network camera: gray pictures whose brightness counts up, 25 a second, until told to stop, hang, or change."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MjpegHandler)
        self.ending, self.hanging = threading.Event(), threading.Event()
        self.size = (120, 160)
        self.damaged = False
        self.url = f"http://user:secret@127.0.0.1:{self.server_port}/video.mjpg?token=hidden"


class MjpegHandler(BaseHTTPRequestHandler):
    server: MjpegServer

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = 0
        try:
            while not self.server.ending.wait(1 / FPS):
                if self.server.hanging.is_set():
                    continue
                jpeg = cv2.imencode(".jpg", np.full((*self.server.size, 3), number % 250, np.uint8))[1].tobytes()
                if self.server.damaged:
                    jpeg = jpeg[: len(jpeg) // 2]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
                number += 1
        except OSError:
            pass  # the camera was closed

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    with MjpegServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.ending.set()
        running.shutdown()
        thread.join()


def read_frames(camera, count):
    frames = [camera.read(10.0) for _ in range(count)]
    assert None not in frames
    return frames


def test_a_network_camera_gives_frames_at_the_rate_asked_for(server):
    with open_camera(server.url, fps=5.0) as camera:
        frames = read_frames(camera, 8)
    steps = np.diff([frame.time_s for frame in frames])
    assert frames[0].image.shape == (120, 160, 3)
    assert frames[0].image.dtype == np.uint8
    assert steps.min() > 0.0
    assert np.median(steps) == pytest.approx(0.2, abs=0.05)
    assert abs(frames[-1].time_s - time.monotonic()) < 5.0


def test_a_slow_reader_gets_the_newest_frame_and_the_others_are_counted(server):
    with open_camera(server.url, fps=20.0) as camera:
        first = read_frames(camera, 1)[0]
        dropped = camera.dropped
        time.sleep(1.0)
        newest = read_frames(camera, 1)[0]
        assert newest.time_s - first.time_s > 0.7
        assert time.monotonic() - newest.time_s < 0.5
        assert newest.image.mean() > first.image.mean() + 10
        assert camera.dropped - dropped >= 8


def test_a_camera_that_dies_raises_and_can_be_opened_anew(server):
    with open_camera(server.url, fps=20.0) as camera:
        read_frames(camera, 2)
        server.ending.set()
        with pytest.raises(CaptureError, match="no more frames") as caught:
            read_frames(camera, 1000)
        assert "secret" not in str(caught.value)
        assert "hidden" not in str(caught.value)
    server.ending.clear()
    with open_camera(server.url, fps=20.0) as again:
        read_frames(again, 2)


def test_a_camera_that_hangs_is_lost_and_can_be_opened_anew(server, monkeypatch):
    monkeypatch.setattr(camera_module, "NETWORK_TIMEOUT_MS", 700)
    with open_camera(server.url, fps=20.0) as camera:
        read_frames(camera, 2)
        server.hanging.set()
        with pytest.raises(CaptureError, match="no more frames"):
            read_frames(camera, 1000)
    server.hanging.clear()
    with open_camera(server.url, fps=20.0) as again:
        read_frames(again, 2)


def test_a_camera_may_change_its_resolution(server):
    # OpenCV scales what comes to the size that it began with.
    stage = FaceStage(HaarDetector(), None, timer=time.thread_time, detect_every=2)
    with open_camera(server.url, fps=20.0) as camera:
        before = read_frames(camera, 1)[0]
        for size in ((480, 640), (90, 120)):
            server.size = size
            for frame in read_frames(camera, 12):
                assert frame.image.shape == before.image.shape
                stage.see(frame.image, frame.time_s, infer=False)
        assert frame.image.mean() > before.image.mean() + 20, "it stood still"
    with open_camera(server.url, fps=20.0) as again:
        assert read_frames(again, 1)[0].image.shape == (90, 120, 3)


def test_damaged_frames_cost_no_more_than_the_connection(server):
    with open_camera(server.url, fps=20.0) as camera:
        read_frames(camera, 2)
        server.damaged = True
        time.sleep(0.5)
        server.damaged = False
        try:
            last = [camera.read(10.0) for _ in range(20)][-1]
        except CaptureError:
            return  # the owner opens it anew, as in the test above
    assert last is not None
    assert last.image.shape == (120, 160, 3)


@pytest.fixture
def film(tmp_path):
    """Ten pictures, each brighter than the one before, at 20 a second."""
    path = tmp_path / "a film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (160, 120))
    for number in range(10):
        writer.write(np.full((120, 160, 3), 20 * number, np.uint8))
    writer.release()
    return path


def test_a_file_plays_again_and_again_at_its_own_pace(film):
    with open_camera(film.as_uri(), fps=30.0) as camera:
        frames = read_frames(camera, 25)
    levels = [round(frame.image.mean() / 20) for frame in frames]
    steps = np.diff(levels) % 10
    assert set(levels) == set(range(10))
    assert np.median(steps) == 1, "pictures are left out, or not in their order"
    assert frames[-1].time_s - frames[0].time_s > 0.9 * 0.05 * steps.sum(), "faster than life"


def test_a_file_that_is_not_there_or_no_video(tmp_path):
    (tmp_path / "page.txt").write_text("no video")
    with pytest.raises(SourceMissing, match="no file"):
        open_camera((tmp_path / "none.mp4").as_uri())
    with pytest.raises(Undecodable, match="as a video"):
        open_camera((tmp_path / "page.txt").as_uri())


def test_close_is_prompt_and_reading_afterwards_raises(server):
    camera = open_camera(server.url)
    read_frames(camera, 1)
    start = time.monotonic()
    camera.close()
    camera.close()
    assert time.monotonic() - start < 1.0
    with pytest.raises(CaptureError, match="closed"):
        read_frames(camera, 2)


def test_no_camera_at_the_address():
    with pytest.raises(CaptureError, match="does not answer") as caught:
        open_camera("http://user:secret@127.0.0.1:9/video")
    assert "secret" not in str(caught.value)


def test_turning_mirroring_and_scaling(server):
    with open_camera(server.url, width=80, rotation=90, mirror=True) as camera:
        assert read_frames(camera, 1)[0].image.shape == (80, 60, 3)


def test_without_password():
    assert without_password("rtsp://me:pw@10.0.0.7:554/live?key=1") == "rtsp://10.0.0.7:554/live"


class Scripted:
    """A grabber under the test's control."""

    def __init__(self) -> None:
        self.number = 0
        self.hang = threading.Event()
        self.released = threading.Event()

    def grab(self) -> float:
        time.sleep(0.01)
        if self.hang.is_set():
            self.released.wait(20.0)
            raise CaptureError("interrupted")
        self.number += 1
        return time.monotonic()

    def retrieve(self):
        return np.full((2, 2), self.number, np.uint8)

    def interrupt(self) -> None:
        self.released.set()

    def release(self) -> None:
        self.released.set()


def test_a_hanging_camera_gives_none_and_is_closed_promptly():
    grabber = Scripted()
    with LatestFrames(grabber, fps=50.0, name="scripted") as camera:
        read_frames(camera, 3)
        grabber.hang.set()
        time.sleep(0.1)
        camera.read(0.0)
        assert camera.read(0.2) is None
        start = time.monotonic()
    assert time.monotonic() - start < 1.0
    assert grabber.released.is_set()


def test_frames_of_an_exposure_that_settles_are_thrown_away():
    start = time.monotonic()
    with LatestFrames(Scripted(), fps=50.0, name="scripted", settle_s=0.4) as camera:
        frame = read_frames(camera, 1)[0]
        assert frame.time_s - start >= 0.4
        assert camera.dropped == 0


def test_a_camera_at_exactly_the_rate_loses_no_frame_to_jitter():
    grabber = Scripted()
    with LatestFrames(grabber, fps=90.0, name="scripted") as camera:
        numbers = [int(frame.image[0, 0]) for frame in read_frames(camera, 30)]
    assert numbers[-1] - numbers[0] <= 34


@pytest.mark.parametrize("spec", ["/dev/video97", "97", "No such camera"])
def test_a_missing_device_is_named_with_those_that_there_are(spec):
    with pytest.raises(SourceMissing, match=r"there is no camera .*found: "):
        open_camera(spec)


def test_a_device_file_that_is_no_camera(tmp_path):
    (tmp_path / "video0").touch()
    with pytest.raises(CaptureError, match="cannot be opened"):
        open_camera(str(tmp_path / "video0"))


class FlatCapture:
    """cv2.VideoCapture 4.11 on a camera whose own format is BGR: all bytes in one row (seen with Linux' vivid)."""

    def __init__(self, missing: int) -> None:
        self._missing = missing

    def isOpened(self) -> bool:  # noqa: N802  # as OpenCV calls it
        return True

    def set(self, *_: object) -> bool:
        return True

    def get(self, setting: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: 4.0, cv2.CAP_PROP_FRAME_HEIGHT: 2.0}[setting]

    def grab(self) -> bool:
        time.sleep(0.01)
        return True

    def retrieve(self):
        return True, np.arange(24 - self._missing, dtype=np.uint8)[np.newaxis]

    def release(self) -> None:
        """Nothing to release."""


def test_a_picture_in_one_row_is_put_into_shape(tmp_path, monkeypatch):
    (tmp_path / "video0").touch()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FlatCapture(0))
    with open_camera(str(tmp_path / "video0")) as camera:
        assert np.array_equal(read_frames(camera, 1)[0].image, np.arange(24).reshape(2, 4, 3))
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: FlatCapture(1))
    with open_camera(str(tmp_path / "video0")) as camera, pytest.raises(CaptureError, match=r"23 bytes.*\(2, 4, 3\)"):
        read_frames(camera, 1)


def test_a_failure_of_the_driver_is_told_to_who_reads(monkeypatch):
    def fail(_: object) -> float:
        raise cv2.error("no such ioctl")

    monkeypatch.setattr(Scripted, "grab", fail)
    failed = pytest.raises(CaptureError, match="scripted failed: no such ioctl")
    with LatestFrames(Scripted(), fps=50.0, name="scripted") as camera, failed:
        camera.read(5.0)


def test_video_devices_are_listed_by_name(tmp_path, monkeypatch):
    names = [("video0", "Logitech C270", "0"), ("video1", "Logitech C270", "1"), ("video10", "bcm2835-codec", "0")]
    for node, name, index in names:
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(name + "\n")
        (tmp_path / node / "index").write_text(index + "\n")
    found = video_devices(tmp_path)
    assert [(device.name, device.id) for device in found] == [("Logitech C270", "/dev/video0")]
    monkeypatch.setattr("edge.capture.camera.video_devices", lambda: found)
    assert find_video_device("c270") == Path("/dev/video0")
