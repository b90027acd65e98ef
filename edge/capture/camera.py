"""Live cameras: the Pi's own by picamera2; USB (V4L2), RTSP and MJPEG over HTTP, and played files by OpenCV.

    with open_camera("/dev/video0", fps=5.0, width=640, height=480) as camera:
        frame = camera.read(timeout_s=1.0)

Every camera has a reader thread and keeps only its newest frame (`edge.capture.latest`). A camera that was lost stays
lost; opening it anew is its owner's part.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

import cv2
import numpy as np

from edge.capture.devices import video_devices
from edge.capture.latest import LatestFrames
from edge.capture.picamera import SETTLE_S, PiCameraOptions, PiCameraProcess
from edge.capture.playback import FileCamera
from edge.errors import CaptureError, SourceMissing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.capture.latest import Grabber

Rotation = Literal[0, 90, 180, 270]

NETWORK_TIMEOUT_MS = 5_000
"""A network camera that does not answer for this long is lost."""

URL_SCHEMES = ("http", "https", "rtsp", "rtsps")


def open_camera(
    spec: str,
    *,
    fps: float = 5.0,
    width: int = 640,
    height: int = 480,
    rotation: Rotation = 0,
    mirror: bool = False,
    flicker_hz: Literal[0, 50, 60] = 0,
    focus_m: float = 0.0,
    infrared: bool = False,
) -> LatestFrames:
    """Open the camera that `spec` names, ready to be read.

    `spec`: `picamera2` or `picamera2:1`; a V4L2 device by path (/dev/video0), number (0) or part of its name
    ("C270"); a URL (http, https, rtsp); or file:///path of a video, which is played again and again as if it were live.
    `fps` is how many frames a second are looked at. `width` and `height` are asked of the camera; wider frames are
    scaled down to `width`. `rotation` in degrees clockwise and then `mirror` turn each frame upright. For picamera2
    only: `flicker_hz` is the mains frequency, against banding (0 = as the camera does), `focus_m` the metres at which a
    focusing lens is fixed (0 = autofocus), `infrared` says that the camera sees infrared: its frames are gray. Frames
    of the first 2 s of picamera2 and V4L2 are thrown away: exposure settles.

    Raises SourceMissing if there is no such camera or picamera2 is not installed, CaptureError if it cannot be opened.
    """
    name, settle_s = spec, 0.0
    if spec.partition(":")[0] == "picamera2":
        grabber: Grabber = PiCameraProcess(
            PiCameraOptions(
                number=_number(spec),
                width=width,
                height=height,
                fps=fps,
                flicker_hz=flicker_hz,
                focus_m=focus_m,
                infrared=infrared,
            )
        )
    elif urlsplit(spec).scheme == "file":
        grabber = FileCamera(Path(unquote(urlsplit(spec).path)))
    elif urlsplit(spec).scheme in URL_SCHEMES:
        name = without_password(spec)
        grabber = _NetworkCamera(spec, name)
    else:
        path = find_video_device(spec)
        name, settle_s = str(path), SETTLE_S
        grabber = _UsbCamera(path, fps=fps, width=width, height=height)
    return LatestFrames(_Upright(grabber, width, rotation, mirror=mirror), fps=fps, name=name, settle_s=settle_s)


def find_video_device(spec: str) -> Path:
    """Return the device file of a V4L2 camera named by path, number or part of its name.

    Raises SourceMissing, naming the cameras that there are.
    """
    path = Path(f"/dev/video{spec}" if spec.isdecimal() else spec)
    if path.is_absolute() and path.exists():
        return path
    found = video_devices()
    if not path.is_absolute():
        for device in found:
            if spec.lower() in device.name.lower():
                return Path(device.id)
    known = ", ".join(f"{device.id} ({device.name})" for device in found) or "none"
    raise SourceMissing(f"there is no camera {spec}; found: {known}", fix="See `mien-edge devices`")


def without_password(url: str) -> str:
    """Return a URL fit for logs and messages: without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


class _OpenCvCamera:
    """A camera through OpenCV's VideoCapture, already open."""

    def __init__(self, capture: cv2.VideoCapture, name: str) -> None:
        self._capture = capture
        self._name = name

    def grab(self) -> float:
        if not self._capture.grab():
            raise CaptureError(f"{self._name} gives no more frames", fix="Check its cable, power and network")
        return time.monotonic()

    def retrieve(self) -> NDArray[np.uint8]:
        good, image = self._capture.retrieve()
        if not good:
            raise CaptureError(f"{self._name} sent a frame that cannot be decoded")
        return self._shaped(np.asarray(image, dtype=np.uint8))

    def _shaped(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (height, width, 3): OpenCV 4.11 gives all bytes in one row for cameras whose own format is BGR."""
        if image.ndim == 3:
            return image
        size = (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH)
        shape = (*(int(self._capture.get(each)) for each in size), 3)
        if image.size != math.prod(shape):
            raise CaptureError(f"{self._name} sent {image.size} bytes where a picture has the shape {shape}")
        return image.reshape(shape)

    def interrupt(self) -> None:
        """OpenCV's objects must not be touched from two threads: a waiting grab ends by its own timeout."""

    def release(self) -> None:
        self._capture.release()


class _UsbCamera(_OpenCvCamera):
    def __init__(self, path: Path, *, fps: float, width: int, height: int) -> None:
        capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
        if not capture.isOpened():
            capture.release()
            raise CaptureError(f"{path} cannot be opened", fix="Is another program using it? Is the user in `video`?")
        for setting, value in (
            (cv2.CAP_PROP_FRAME_WIDTH, width),
            (cv2.CAP_PROP_FRAME_HEIGHT, height),
            (cv2.CAP_PROP_FPS, max(fps, 15.0)),  # slow streams allow long exposures, and those blur faces
            (cv2.CAP_PROP_BUFFERSIZE, 1),
        ):
            capture.set(setting, value)
        super().__init__(capture, str(path))


class _NetworkCamera(_OpenCvCamera):
    def __init__(self, url: str, name: str) -> None:
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            NETWORK_TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            NETWORK_TIMEOUT_MS,
        ]
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture.release()
            raise CaptureError(
                f"{name} does not answer as a camera", fix="Check the address, the password and the network"
            )
        super().__init__(capture, name)


class _Upright:
    """A grabber whose pictures are scaled down to `width` and turned upright."""

    def __init__(self, inner: Grabber, width: int, rotation: Rotation, *, mirror: bool) -> None:
        self._inner = inner
        self._width = width
        self._turn: int | None = {
            90: cv2.ROTATE_90_CLOCKWISE,
            180: cv2.ROTATE_180,
            270: cv2.ROTATE_90_COUNTERCLOCKWISE,
        }.get(rotation)
        self._mirror = mirror
        self.grab = inner.grab
        self.interrupt = inner.interrupt
        self.release = inner.release

    def retrieve(self) -> NDArray[np.uint8]:
        image: Any = self._inner.retrieve()
        high, wide = image.shape[:2]
        if wide > self._width:
            image = cv2.resize(image, (self._width, round(high * self._width / wide)), interpolation=cv2.INTER_AREA)
        if self._turn is not None:
            image = cv2.rotate(image, self._turn)
        if self._mirror:
            image = cv2.flip(image, 1)
        return np.asarray(image, dtype=np.uint8)


def _number(spec: str) -> int:
    number = spec.partition(":")[2] or "0"
    if not number.isdecimal():
        raise SourceMissing(f"there is no camera {spec}", fix="Write picamera2, or picamera2:1 for the second camera")
    return int(number)
