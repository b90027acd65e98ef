"""The frames of one video stream: sampled at a fixed rate, upright, small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import av.error
import numpy as np
from av.buffer import Buffer

from edge.capture.base import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.stream import Stream
    from numpy.typing import NDArray

    from edge.capture.decode import Clock, Track

TICK_SLACK_S = 0.001
"""Matroska and WebM round time stamps to milliseconds: a frame this little before a tick is the tick's."""

DEFAULT_FRAME_S = 0.04
"""How long a frame lasts where neither it nor its stream says so."""

MOST_ASPECT = 4.0
"""Stored pixels that are said to be more oblong than this are taken for square: the file errs."""

Matrix = tuple[int, int, int, int]


class FrameSampler:
    """Picks, for each tick k / fps, the first frame at or after it; a frame that serves several ticks comes once.

    So a variable frame rate gives at most `fps` frames a second, and a slower one gives every frame it has.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._tick = 0

    def wants(self, time_s: float) -> bool:
        """Say whether the frame at `time_s` is to be kept. Times must not decrease."""
        if time_s + TICK_SLACK_S < self._tick / self._fps:
            return False
        self._tick = int((time_s + TICK_SLACK_S) * self._fps) + 1
        return True


class FrameTrack:
    """The frames of one track, in time order."""

    def __init__(self, track: Track, clock: Clock, *, fps: float, max_width: int) -> None:
        self._track = track
        self._clock = clock
        self._sampler = FrameSampler(fps)
        self._max_width = max_width
        self._frame_s = usual_frame_s(track.stream)
        self._aspect = pixel_aspect(track.stream)
        self._matrix: Matrix | None = None

    @property
    def bad_packets(self) -> int:
        """Damaged packets left out so far."""
        return self._track.bad_packets

    def __iter__(self) -> Iterator[Frame]:
        last_s, first = 0.0, True
        for frame in self._track.decoded():
            if not isinstance(frame, av.VideoFrame):
                continue
            if first:
                # Once, not for each frame: a frame whose side data was read stays in memory, picture and all, until
                # the cycle collector comes by (av 18).
                self._matrix, first = display_matrix(frame), False
            placed_s = self._clock.place(stamp_s(frame), self._frame_s)
            if placed_s < last_s:
                continue  # out of order, or before time 0: there is a later picture
            last_s = placed_s
            if not self._sampler.wants(last_s):
                continue
            try:
                image = self._picture(frame)
            except (av.error.FFmpegError, ValueError):
                self._track.bad_packets += 1
                continue
            yield Frame(last_s, image)

    def _picture(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """Return the picture as it is meant to be seen: (H, W, 3) BGR, upright, W even and at most `max_width`.

        Phones store every picture as the sensor saw it and note how the phone was held (the display matrix).
        """
        turned = self._matrix is not None and self._matrix[0] == 0
        wide, high = max(1, round(frame.width * self._aspect)), frame.height
        if turned:
            wide, high = high, wide
        width = max(2, min(wide, self._max_width) // 2 * 2)
        height = max(1, round(high * width / wide))
        stored = (height, width) if turned else (width, height)
        small = frame.reformat(width=stored[0], height=stored[1], format="bgr24")
        image = np.asarray(small.to_ndarray(), dtype=np.uint8)
        return image if self._matrix is None else np.ascontiguousarray(upright(image, self._matrix))


def stamp_s(item: av.VideoFrame | av.AudioFrame) -> float | None:
    """Return the presentation time that a decoded frame carries, in seconds, or None."""
    if item.pts is None or item.time_base is None:
        return None
    return float(item.pts * item.time_base)


def usual_frame_s(stream: Stream) -> float:
    """Return how long a frame of this stream usually lasts, in seconds."""
    rate = stream.average_rate or stream.guessed_rate
    return float(1 / rate) if rate else DEFAULT_FRAME_S


def pixel_aspect(stream: Stream) -> float:
    """Return how much wider than high one stored pixel is meant to be shown."""
    ratio = float(stream.sample_aspect_ratio or 1) if isinstance(stream, av.VideoStream) else 1.0
    return ratio if 1 / MOST_ASPECT <= ratio <= MOST_ASPECT else 1.0


def display_matrix(frame: av.VideoFrame) -> Matrix | None:
    """Return the signs (a, b, c, d) of the display matrix, or None without one: x' = a x + c y, y' = b x + d y.

    Layout from FFmpeg's libavutil/display.h: nine int32 (a, b, u, c, d, v, x, y, w).
    Angles between the quarter turns do not occur in practice and are taken for the nearest.
    """
    try:
        side = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # side data that PyAV (18.1) has no name for, such as the Exif of a phone's JPEG
        return None
    if not isinstance(side, Buffer):
        return None
    values = np.frombuffer(bytes(side), dtype=np.int32)[:9].astype(np.float64)
    a, b, c, d = values[0], values[1], values[3], values[4]
    if abs(a) >= abs(b):
        return (int(np.sign(a)) or 1, 0, 0, int(np.sign(d)) or 1)
    return (0, int(np.sign(b)) or 1, int(np.sign(c)) or 1, 0)


def upright(image: NDArray[np.uint8], matrix: Matrix) -> NDArray[np.uint8]:
    """Turn and mirror a picture (H, W, 3) by the signs of its display matrix."""
    a, b, c, d = matrix
    if a == 0:
        image = image.transpose(1, 0, 2)  # x' comes from y by c, y' from x by b
        flip_x, flip_y = c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return image[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
