"""The Pi's own camera: its child process against a stand-in for picamera2 with the surprises of the real one."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from brokers import eventually

from edge.capture import camera as camera_module
from edge.capture import picamera
from edge.capture.camera import open_camera
from edge.capture.devices import Listing, list_cameras
from edge.capture.fakes import FakeMicrophone
from edge.clock import SystemClock
from edge.errors import CaptureError, SourceMissing
from edge.supervise import SourceWorker


def read_frames(camera, count):
    frames = [camera.read(10.0) for _ in range(count)]
    assert None not in frames
    return frames


@pytest.fixture
def picamera2(tmp_path, monkeypatch):
    """A stand-in for the library, for this process and its children."""
    shutil.copy(Path(__file__).with_name("fake_picamera2.py"), tmp_path / "picamera2.py")
    monkeypatch.setenv("FAKE_LOCK", str(tmp_path / "camera.lock"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(picamera.__file__).parents[2]}")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "camera.log"
    sys.modules.pop("picamera2", None)


@pytest.fixture
def quick(monkeypatch):
    """Exposure settles in a moment, so that tests need not wait 2 s each."""
    options = partial(picamera.PiCameraOptions, settle_s=0.7)
    monkeypatch.setattr(camera_module, "PiCameraOptions", options)


def test_picamera2_frames_come_from_the_child_in_bgr_once_exposure_has_settled(picamera2, quick):
    with open_camera("picamera2", fps=10.0, width=160, height=120, flicker_hz=50) as camera:
        frames = read_frames(camera, 4)
        child = camera._grabber._inner._child
    assert child.returncode is not None
    for frame in frames:
        assert frame.image.shape == (120, 160, 3)
        assert frame.image[10, 80].tolist() == pytest.approx([214] * 3, abs=6), "dark, or not its own pixels"
        assert frame.image[110, 159].tolist() == pytest.approx([86] * 3, abs=6)
    assert np.diff([frame.time_s for frame in frames]).min() > 0.05
    assert abs(frames[-1].time_s - time.monotonic()) < 5.0
    settings = {"tuning": None, "AfMode": 2, "AeFlickerMode": 1, "AeFlickerPeriod": 10000}
    assert ast.literal_eval(picamera2.read_text()) == settings


def test_picamera2_by_night_with_a_fixed_focus(picamera2, quick):
    with open_camera("picamera2", fps=30.0, width=160, height=120, infrared=True, focus_m=2.0) as camera:
        frame = read_frames(camera, 1)[0]
    assert frame.image.shape == (120, 160)
    assert (frame.image[10, 159], frame.image[110, 159]) == (200, 90)
    settings = {"tuning": {"tuning": "imx219_noir.json"}, "AfMode": 0, "LensPosition": 0.5}
    assert ast.literal_eval(picamera2.read_text()) == settings


@pytest.mark.parametrize("surprise", ["aligned", "blind"])
def test_picamera2_may_change_the_size_and_keep_its_time_to_itself(picamera2, quick, monkeypatch, surprise):
    monkeypatch.setenv("FAKE", surprise)
    with open_camera("picamera2", fps=30.0, width=170, height=120) as camera:
        frame = read_frames(camera, 6)[-1]
    assert frame.image.shape == ((120, 128, 3) if surprise == "aligned" else (120, 170, 3))
    assert 0.0 <= time.monotonic() - frame.time_s < 5.0


@pytest.mark.parametrize(
    ("trouble", "spec", "error", "says"),
    [
        ("hang", "picamera2", CaptureError, "gave nothing"),
        ("timeout", "picamera2", CaptureError, "no frame in time"),
        ("busy", "picamera2", CaptureError, "did not complete"),
        ("", "picamera2:3", SourceMissing, "connector 3"),
    ],
)
def test_picamera2_in_trouble(picamera2, quick, monkeypatch, trouble, spec, error, says):
    monkeypatch.setenv("FAKE", trouble)
    monkeypatch.setattr(picamera, "HANG_S", 0.7)
    with open_camera(spec, fps=30.0, width=160, height=120, flicker_hz=50) as camera, pytest.raises(error, match=says):
        read_frames(camera, 100)


def test_a_camera_in_use_is_busy_and_free_once_its_process_is_killed(picamera2, quick):
    with open_camera("picamera2", fps=30.0, width=160, height=120) as first:
        read_frames(first, 1)
        with open_camera("picamera2") as second, pytest.raises(CaptureError, match="busy"):
            read_frames(second, 1)
    with open_camera("picamera2", fps=30.0, width=160, height=120) as third:
        read_frames(third, 1)


def test_the_camera_does_not_outlive_a_killed_daemon(picamera2, monkeypatch):
    monkeypatch.setenv("FAKE", "hang")
    code = (
        "import time; from functools import partial; from edge.capture import camera as module; "
        "module.PiCameraOptions = partial(module.PiCameraOptions, settle_s=0.2); "
        "camera = module.open_camera('picamera2', fps=30.0, width=160, height=120); "
        "print(camera._grabber._inner._child.pid, camera.read(20.0) is None, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as daemon:
        pid, missing = daemon.stdout.readline().split()
        assert missing == "False"
        time.sleep(1.5)  # the child hangs by now
        daemon.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text())


def test_a_hanging_libcamera_is_killed_and_restarted_while_sound_goes_on(picamera2, quick, monkeypatch):
    monkeypatch.setenv("FAKE", "hang")
    monkeypatch.setattr(picamera, "HANG_S", 0.5)
    states, sound = [], []
    workers = [
        SourceWorker(
            name,
            opener,
            keep=1000,
            allowed=lambda: True,
            on_change=lambda name, state, error: states.append((name, state)),
            clock=SystemClock(),
            ready=threading.Event(),
        )
        for name, opener in (
            ("camera", partial(open_camera, "picamera2", fps=30.0, width=160, height=120)),
            ("microphone", partial(FakeMicrophone, np.zeros(16_000, np.float32), realtime=True)),
        )
    ]
    for worker in workers:
        worker.start()
    camera_states = lambda: [state for name, state in states if name == "camera"]  # noqa: E731
    eventually(lambda: camera_states()[:4] == ["ok", "down", "ok", "down"], within_s=40.0)
    sound = workers[1].take()
    for worker in workers:
        worker.stop(5.0)
    assert [state for name, state in states if name == "microphone"] == ["ok"]
    assert np.diff([block.time_s for block in sound]).max() < 0.15, "sound was held up"
    assert len(sound) > 20


def test_picamera2_is_listed_and_its_absence_noted(request):
    absent = list_cameras()
    assert any("picamera2 is not installed" in note for note in absent.notes)
    with pytest.raises(SourceMissing, match="not installed"):
        open_camera("picamera2")
    request.getfixturevalue("picamera2")
    present = list_cameras()
    assert isinstance(present, Listing)
    assert next((device.name, device.id) for device in present.devices) == ("imx219", "picamera2:0")


def test_picamera2_takes_a_number():
    with pytest.raises(SourceMissing, match="picamera2:1"):
        open_camera("picamera2:front")
