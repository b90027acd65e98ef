"""Makes small media files with PyAV: a flash and a beep at known times, in any container, rate and layout."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".mkv": ("libx264", "libopus"),
    ".webm": ("libvpx", "libopus"),
    ".avi": ("mpeg4", "mp3"),
    ".ts": ("libx264", "aac"),
    ".wav": ("", "pcm_s16le"),
    ".mp3": ("", "mp3"),
    ".flac": ("", "flac"),
    ".ogg": ("", "libopus"),
}
BEEP_HZ = 1000.0
SECONDS = 2.0
EVENT_S = 1.0
EVENT_LENGTH_S = 0.2


def make_media(
    path: Path,
    *,
    seconds: float = SECONDS,
    fps: int = 30,
    times: Sequence[float] | None = None,
    size: tuple[int, int] = (160, 120),
    rotation: int = 0,
    rate: int = 48_000,
    layout: str = "mono",
    video: bool = True,
    audio: bool = True,
    sound_starts_s: float = 0.0,
    gap: tuple[float, float] | None = None,
    sound_codec: str = "",
) -> Path:
    """Write `path`: black but for a white flash, silent but for a beep, both from 1.0 s to 1.2 s.

    `times`: when each frame is shown, for a variable rate. `gap`: from when to when no sound is written.
    """
    codecs = CODECS[path.suffix]
    with av.open(path, "w") as out:
        pictures = sound = None
        if video and codecs[0]:
            pictures = out.add_stream(codecs[0], rate=fps)
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuv420p"
            pictures.time_base = Fraction(1, 1000 * fps)
            pictures.codec_context.time_base = pictures.time_base
        if audio:
            sound = out.add_stream(sound_codec or codecs[1], rate=rate, layout=layout)
        if pictures is not None:
            _write_frames(out, pictures, size, times or np.arange(round(seconds * fps)) / fps)
        if sound is not None:
            _write_sound(out, sound, beep(seconds, rate), rate, layout, sound_starts_s, gap)
    if rotation:
        _turn(path, rotation)
    return path


def _turn(path: Path, rotation: int) -> None:
    """Write the display matrix of an mp4's first track as a phone does; `rotation` in degrees clockwise."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 44
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def beep(seconds: float, rate: int) -> NDArray[np.float32]:
    """(N,): silence with the beep in it."""
    time_s = np.arange(round(seconds * rate)) / rate
    during = (time_s >= EVENT_S) & (time_s < EVENT_S + EVENT_LENGTH_S)
    return np.where(during, 0.5 * np.sin(2 * np.pi * BEEP_HZ * time_s), 0.0).astype(np.float32)


def picture(time_s: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3): white during the flash, else black with a gray patch at the top left."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[: size[1] // 4, : size[0] // 4] = 128
    if EVENT_S <= time_s < EVENT_S + EVENT_LENGTH_S:
        image[:] = 255
    return image


def _write_frames(out, stream, size, times):
    for time_s in times:
        frame = av.VideoFrame.from_ndarray(picture(time_s, size), format="bgr24")
        frame.pts = round(time_s / stream.codec_context.time_base)
        frame.time_base = stream.codec_context.time_base
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def _write_sound(out, stream, mono, rate, layout, starts_s, gap):
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout]
    for start in range(0, len(mono), 1000):
        piece = mono[start : start + 1000]
        if gap is not None and gap[0] <= start / rate < gap[1]:
            continue
        pcm = np.repeat((piece * 32767).astype(np.int16), channels)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout=layout)
        frame.sample_rate = rate
        frame.pts = start + round(starts_s * rate)
        frame.time_base = Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
