"""The Pi's own camera: picamera2 in a child process, because libcamera can hang for good and only a kill helps then.

The child (`python -m edge.capture.picamera OPTIONS`) writes records to its standard output: a header (`HEADER`: time,
width, height, row length, size), then the low-resolution stream as I420. A record of width 0 carries an error message
instead. Time stamps are CLOCK_MONOTONIC, which all processes share. The child ends when its standard input does: it
must not keep the camera from the next daemon after this one was killed.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np

from edge.errors import CaptureError, SourceMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER = struct.Struct("<dHHHI")

CAPTURE_WAIT_S = 2.0
"""How long one capture may take before the child gives up."""

HANG_S = 5.0
"""The child is killed if it writes nothing for this long,"""
START_S = 15.0
"""or for this long at the start: slow boards take seconds to import picamera2, and exposure has to settle."""

SETTLE_S = 2.0
"""Frames of the first seconds are thrown away: exposure and white balance are still finding their values."""

SENSOR_FPS = 15.0
"""The sensor runs at least this fast: slower would allow long exposures, and those blur faces."""

AF_MANUAL, AF_CONTINUOUS = 0, 2
FLICKER_MANUAL = 1
"""Values of libcamera's AfModeEnum.Manual and .Continuous, and of AeFlickerModeEnum.FlickerManual."""


@dataclass(frozen=True, kw_only=True)
class PiCameraOptions:
    """What is asked of the camera; sizes in pixels."""

    number: int
    """Of the connector."""
    width: int
    height: int
    fps: float
    """How many frames a second are looked at; the sensor may run faster."""
    flicker_hz: int = 0
    """Mains frequency, 0 = as the camera does."""
    focus_m: float = 0.0
    """Metres at which a focusing lens is fixed, 0 = autofocus all the time."""
    infrared: bool = False
    """Whether the camera sees infrared: with the tuning for that, where libcamera has one, and in gray."""
    settle_s: float = SETTLE_S


class PiCameraProcess:
    """A Grabber over the child process. `grab` raises what the child reports: SourceMissing or CaptureError.

    Raises SourceMissing at once if picamera2 is not installed.
    """

    def __init__(self, options: PiCameraOptions) -> None:
        if importlib.util.find_spec("picamera2") is None:
            raise SourceMissing("picamera2 is not installed", fix="apt install python3-picamera2, on a Raspberry Pi")
        self._gray = options.infrared
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(asdict(options))],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
        )
        assert self._child.stdout is not None
        self._pipe = self._child.stdout.fileno()
        self._patience_s = START_S
        self._size = (0, 0, 0)
        self._data = b""

    def grab(self) -> float:
        """Wait for the next frame and return its time; a child that hangs is killed."""
        time_s, width, height, stride, size = HEADER.unpack(self._receive(HEADER.size))
        self._data = self._receive(size)
        self._patience_s = HANG_S
        if width == 0:
            missing, _, what = self._data.decode("utf-8").partition(" ")
            error = SourceMissing if missing == "missing" else CaptureError
            raise error(what, fix="See `mien-edge devices` and `mien-edge doctor`")
        self._size = (width, height, stride)
        return float(time_s)

    def retrieve(self) -> NDArray[np.uint8]:
        """Return the frame grabbed last, (H, W, 3) BGR, or (H, W) gray of an infrared camera."""
        width, height, stride = self._size
        planes = np.frombuffer(self._data, np.uint8).reshape(height * 3 // 2, stride)
        if self._gray:
            return np.array(planes[:height, :width])
        return np.ascontiguousarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)[:, :width], dtype=np.uint8)

    def interrupt(self) -> None:
        """Kill the child: the waiting `grab` then finds the pipe at its end."""
        self._child.kill()

    def release(self) -> None:
        """Kill the child, which holds nothing that would have to be saved."""
        self._child.kill()
        with self._child:
            pass  # closes the pipes and reaps it

    def _receive(self, count: int) -> bytes:
        parts = []
        while count:
            if not select.select([self._pipe], [], [], self._patience_s)[0]:
                raise CaptureError(
                    f"the camera gave nothing for {self._patience_s:.0f} s", fix="Check its ribbon cable"
                )
            part = os.read(self._pipe, min(count, 1 << 16))
            if not part:
                raise CaptureError("the camera process ended", fix="See the journal for what libcamera said")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def main(arguments: list[str]) -> int:
    """Run the child: capture until the parent goes away or the camera fails."""
    options = PiCameraOptions(**json.loads(arguments[0]))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not land among the frames
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        picamera2 = importlib.import_module("picamera2")
    except ImportError as error:
        _write(out, b"missing picamera2 cannot be imported: %s" % str(error).encode())
        return 1
    try:
        _stream(picamera2.Picamera2, options, out)
    except BrokenPipeError:
        return 0
    except (RuntimeError, OSError, IndexError, TimeoutError) as error:  # what picamera2 raises
        _write(out, f"lost {type(error).__name__}: {str(error) or 'no frame in time'}".encode())
        return 1
    return 0


def _end_with_the_parent() -> None:
    # Even where the main thread hangs in libcamera: only a call to the kernel that takes no lock helps then.
    while os.read(0, 1):
        pass
    os._exit(0)


def _stream(camera_class: Any, options: PiCameraOptions, out: BinaryIO) -> None:
    cameras = camera_class.global_camera_info()
    if options.number >= len(cameras):
        _write(out, b"missing there is no camera on connector %d" % options.number)
        return
    tuning = _infrared_tuning(camera_class, str(cameras[options.number].get("Model", ""))) if options.infrared else None
    size = (options.width, options.height)
    with camera_class(options.number, tuning=tuning) as camera:
        camera.configure(
            camera.create_video_configuration(
                main={"size": size},
                lores={"size": size, "format": "YUV420"},
                controls={"FrameRate": max(SENSOR_FPS, options.fps)},
            )
        )
        camera.set_controls(_controls(camera.camera_controls, options))
        camera.start()
        settled_s = time.monotonic() + options.settle_s
        due_s = 0.0
        while True:
            request = camera.capture_request(wait=CAPTURE_WAIT_S)
            try:
                time_s = _taken_s(request.get_metadata())
                if time_s < max(settled_s, due_s):
                    continue
                planes = request.make_array("lores")
                given = request.config["lores"]["size"]  # libcamera may have changed what was asked for
            finally:
                request.release()  # there are only a handful: without them the camera stands still
            due_s = max(due_s + 1.0 / options.fps, time_s + 0.5 / options.fps)
            _write(out, planes.tobytes(), time_s, (*given, planes.shape[1]))


def _taken_s(metadata: dict[str, Any]) -> float:
    """Return when a frame was exposed, seconds of the monotonic clock; now, if what the camera says is absurd."""
    now_s = time.monotonic()
    stamp_s = metadata.get("SensorTimestamp", 0) / 1e9
    return stamp_s if now_s - CAPTURE_WAIT_S <= stamp_s <= now_s else now_s


def _infrared_tuning(camera_class: Any, model: str) -> Any:
    """Return libcamera's tuning for a sensor without its infrared filter, None where there is none."""
    try:
        return camera_class.load_tuning_file(f"{model.removesuffix('_noir')}_noir.json")
    except RuntimeError:
        return None


def _controls(known: dict[str, Any], options: PiCameraOptions) -> dict[str, float]:
    """Return the settings that this camera has: focus, and exposures that fit the mains frequency."""
    controls: dict[str, float] = {}
    if "AfMode" in known:
        controls["AfMode"] = AF_MANUAL if options.focus_m else AF_CONTINUOUS
    if options.focus_m and "LensPosition" in known:
        controls["LensPosition"] = 1.0 / options.focus_m  # dioptres
    if options.flicker_hz and "AeFlickerPeriod" in known:
        controls |= {"AeFlickerMode": FLICKER_MANUAL, "AeFlickerPeriod": 1_000_000 // (2 * options.flicker_hz)}
    return controls


def _write(out: BinaryIO, data: bytes, time_s: float = 0.0, size: tuple[int, int, int] = (0, 0, 0)) -> None:
    out.write(HEADER.pack(time_s, *size, len(data)) + data)
    out.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
