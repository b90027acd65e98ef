"""A stand-in for picamera2 with the surprises of the real one; copied to `picamera2.py` on a test's path.

$FAKE says which: `busy`, `hang` (the capture ignores its own time limit), `timeout`, `aligned` (other sizes than were
asked for), `blind` (no SensorTimestamp). One process at a time has the camera, as with libcamera: $FAKE_LOCK is its
lock.
"""

import fcntl
import os
import pathlib
import time

import numpy as np

print("libcamera says hello")  # must not land among the frames

FAKE = os.environ.get("FAKE", "")
DARK_S = 0.5
"""How long exposure takes to settle."""
BUFFERS = 4
HEALTHY_FRAMES = 30


class Request:
    def __init__(self, camera):
        self._camera, self.config = camera, camera.config
        self._released = False

    def get_metadata(self):
        if FAKE == "blind":
            return {"Lux": 3.0}
        return {"SensorTimestamp": time.monotonic_ns() - 20_000_000, "ExposureTime": 33_000}

    def make_array(self, name):
        assert name == "lores"
        width, height = self.config["lores"]["size"]
        planes = np.full((height * 3 // 2, self.config["lores"]["stride"]), 128, np.uint8)
        planes[:height, :width] = 90
        planes[: height // 2, :width] = 200
        planes[:height, width:] = 0  # padding
        if time.monotonic() - self._camera.started_s < DARK_S:
            planes[:height] = 3
        return planes

    def release(self):
        assert not self._released, "released twice"
        self._released = True
        self._camera.free += 1


class Picamera2:
    @staticmethod
    def global_camera_info():
        return [{"Model": "imx219", "Num": 0}]

    @staticmethod
    def load_tuning_file(name):
        if name != "imx219_noir.json":
            raise RuntimeError("Tuning file not found")
        return {"tuning": name}

    def __init__(self, number, tuning=None):
        self._lock = pathlib.Path(os.environ["FAKE_LOCK"]).open("w")  # noqa: SIM115 - held until closed
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError("Failed to acquire camera: Device or resource busy") from error
        if FAKE == "busy":
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.camera_controls = {"AfMode": (0, 2, 0), "LensPosition": (0.0, 32.0, 1.0), "AeFlickerPeriod": (0, 1, 0)}
        self.free, self.count, self.started_s = BUFFERS, 0, None
        self._log = {"tuning": tuning}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._lock.close()

    def create_video_configuration(self, main, lores, controls):
        assert lores["format"] == "YUV420"
        assert controls["FrameRate"] >= 15
        return {"main": main, "lores": dict(lores)}

    def configure(self, config):
        width, height = config["lores"]["size"]
        if FAKE == "aligned":
            width, height = width // 64 * 64, height // 2 * 2
        config["lores"] |= {"size": (width, height), "stride": width + 32}
        self.config = config

    def set_controls(self, controls):
        self._log |= controls
        pathlib.Path(os.environ["FAKE_LOCK"]).with_suffix(".log").write_text(repr(self._log))

    def start(self):
        self.started_s = time.monotonic()

    def capture_request(self, wait):
        assert wait == 2.0
        time.sleep(0.03)
        self.count += 1
        if FAKE == "hang" and self.count > HEALTHY_FRAMES:
            time.sleep(60)
        if self.free == 0 or (FAKE == "timeout" and self.count > HEALTHY_FRAMES):
            raise TimeoutError
        self.free -= 1
        return Request(self)
