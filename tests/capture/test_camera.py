"""Live cameras: OpenCV against a real MJPEG server, the newest frame kept, loss and hang; picamera2 by a stand-in."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.capture import picamera
from edge.capture.camera import find_video_device, open_camera, without_password
from edge.capture.devices import Listing, list_cameras, video_devices
from edge.capture.latest import LatestFrames
from edge.errors import CaptureError, SourceMissing

FPS = 25


class MjpegServer(ThreadingHTTPServer):
    """A network camera: gray pictures whose brightness counts up, 25 a second, until told to stop."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), MjpegHandler)
        self.ending = threading.Event()
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
                jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), number % 250, np.uint8))[1].tobytes()
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


FAKE_PICAMERA2 = """
import os, time
import numpy as np

print("libcamera says hello")  # must not land among the frames

class Picamera2:
    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708", "Num": 0}]

    def __init__(self, number):
        if os.environ.get("FAKE") == "busy":
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.camera_controls = {"AfMode": (0, 2, 0), "AeFlickerPeriod": (0, 1, 0)}
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def create_video_configuration(self, main, lores, controls):
        assert lores["format"] == "YUV420" and controls["FrameRate"] >= 15
        return lores["size"]

    def configure(self, size):
        self.size = size

    def set_controls(self, controls):
        assert controls == {"AfMode": 2, "AeFlickerMode": 1, "AeFlickerPeriod": 10000}, controls

    def start(self):
        pass

    def capture_array(self, name, wait):
        assert name == "lores" and wait == 2.0
        time.sleep(0.03)
        self.count += 1
        if os.environ.get("FAKE") == "hang" and self.count > 30:
            time.sleep(60)
        if os.environ.get("FAKE") == "timeout" and self.count > 30:
            raise TimeoutError
        width, height = self.size
        planes = np.full((height * 3 // 2, width + 32), 128, np.uint8)
        planes[:height, :width] = 90
        planes[:height // 2, :width] = 200
        return planes
"""


@pytest.fixture
def picamera2(tmp_path, monkeypatch):
    """A stand-in for the library, for this process and its children; settling takes no time."""
    (tmp_path / "picamera2.py").write_text(FAKE_PICAMERA2)
    monkeypatch.setattr(picamera, "SETTLE_S", 0.2)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(picamera.__file__).parents[2]}")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("picamera2", None)


def test_picamera2_frames_come_from_the_child_in_bgr(picamera2):
    with open_camera("picamera2", fps=10.0, width=160, height=120, flicker_hz=50) as camera:
        frames = read_frames(camera, 4)
        child = camera._grabber._inner._child
    assert child.returncode is not None
    assert frames[0].image.shape == (120, 160, 3)
    assert frames[0].image[10, 80].tolist() == pytest.approx([214] * 3, abs=6)
    assert frames[0].image[110, 150].tolist() == pytest.approx([86] * 3, abs=6)
    assert np.diff([frame.time_s for frame in frames]).min() > 0.05
    assert abs(frames[-1].time_s - time.monotonic()) < 5.0


@pytest.mark.parametrize(
    ("trouble", "spec", "error", "says"),
    [
        ("hang", "picamera2", CaptureError, "gave nothing"),
        ("timeout", "picamera2", CaptureError, "no frame in time"),
        ("busy", "picamera2", CaptureError, "did not complete"),
        ("", "picamera2:3", SourceMissing, "connector 3"),
    ],
)
def test_picamera2_in_trouble(picamera2, monkeypatch, trouble, spec, error, says):
    monkeypatch.setenv("FAKE", trouble)
    monkeypatch.setattr(picamera, "HANG_S", 0.7)
    with open_camera(spec, fps=30.0, width=160, height=120, flicker_hz=50) as camera, pytest.raises(error, match=says):
        read_frames(camera, 100)


def test_picamera2_is_listed_and_its_absence_noted(request):
    absent = list_cameras()
    assert any("picamera2 is not installed" in note for note in absent.notes)
    with pytest.raises(SourceMissing, match="not installed"):
        open_camera("picamera2")
    request.getfixturevalue("picamera2")
    present = list_cameras()
    assert isinstance(present, Listing)
    assert next((device.name, device.id) for device in present.devices) == ("imx708", "picamera2:0")


def test_picamera2_takes_a_number():
    with pytest.raises(SourceMissing, match="picamera2:1"):
        open_camera("picamera2:front")
