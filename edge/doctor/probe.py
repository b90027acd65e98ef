"""The process that opens a camera or a microphone for `mien-edge doctor`: settings in on stdin, a finding on stdout."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.capture.base import SAMPLE_RATE, FrameSource, SoundSource
from edge.capture.camera import open_camera, without_password
from edge.capture.level import CLIPPED
from edge.capture.microphone import open_microphone
from edge.doctor.report import Finding
from edge.errors import CaptureError
from edge.perception.detect import FaceDetector, open_detector, to_gray
from edge.perception.fetched import yunet_weights
from edge.perception.vad import has_speech
from edge.settings import Config

GLANCE_S = 4.0
"""A camera is watched, and a microphone listened to, for so long at least."""
OPEN_S = 8.0
"""For the first frame or block to come."""
RATE_SHARE = 0.6
"""A camera that gives less of its configured rate is slow."""
DARK = 12.0
"""Mean gray, of 255, below which a picture shows nothing: a lens cap, or night."""
QUIET_DBFS = -70.0
"""A level below this is no room but a muted or broken microphone; a quiet room's noise lies around -60."""
VOICE_S = 2.0
"""The voice is looked for in this much of the latest sound."""


class Order(msgspec.Struct):
    """What to try, and how long to wait for a face or a voice; None: not at all."""

    config: Config
    wait_s: float | None


@dataclass
class Seen:
    """What a camera showed."""

    times: list[float] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    faces: int = 0
    gray: float = 0.0
    moves: bool = False
    """Whether two pictures differed at all: a sensor's noise sees to that."""


def main(kind: str) -> None:
    """Probe, and print the finding as JSON."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        finding = probe_camera(order) if kind == "camera" else probe_microphone(order)
    except CaptureError as error:
        finding = Finding("fail", error.what, error.fix)
    sys.stdout.buffer.write(msgspec.json.encode(finding))


def probe_camera(order: Order) -> Finding:
    """Open the configured camera and judge it. Raises CaptureError."""
    camera = order.config.camera
    detector = open_detector(yunet_weights(order.config.face.detector_model))
    cv2.setNumThreads(1)
    source = open_camera(
        camera.source,
        fps=camera.fps,
        width=camera.width,
        height=camera.height,
        rotation=camera.rotation,
        mirror=camera.mirror,
        flicker_hz=camera.flicker_hz,
        focus_m=camera.focus_m,
        infrared=camera.infrared,
    )
    with source:
        seen = watch(source, detector, order.wait_s)
    return judge_camera(seen, without_password(camera.source), camera.fps, order.wait_s)


def watch(source: FrameSource, detector: FaceDetector, wait_s: float | None) -> Seen:
    """Look for GLANCE_S, or until a face is found if that takes longer and `wait_s` allows it. Raises CaptureError."""
    seen = Seen()
    before: NDArray[np.uint8] | None = None
    frame = source.read(OPEN_S)
    began = time.monotonic()
    while frame is not None:
        gray = to_gray(frame.image)
        seen.times.append(frame.time_s)
        seen.size = (gray.shape[1], gray.shape[0])
        seen.gray = float(gray.mean())
        seen.moves = seen.moves or (before is not None and not np.array_equal(before, gray))
        before = gray
        # Once found, not looked for again: detection would slow the measured rate.
        seen.faces = seen.faces or len(detector.detect(frame.image))
        passed = time.monotonic() - began
        if passed >= GLANCE_S and (seen.faces or passed >= (wait_s or 0.0)):
            break
        frame = source.read(OPEN_S)
    return seen


def judge_camera(seen: Seen, name: str, fps: float, wait_s: float | None) -> Finding:
    """Return the finding on what was seen through the camera `name`."""
    if not seen.times:
        return Finding("fail", f"{name} opens but gives no picture within {OPEN_S:g} s", "Check its cable and power.")
    span = seen.times[-1] - seen.times[0]
    rate = (len(seen.times) - 1) / span if span > 0.0 else 0.0
    wide, high = seen.size
    detail = {"fps": round(rate, 2), "width": wide, "height": high, "faces": seen.faces, "mean_gray": round(seen.gray)}
    faces = f"{seen.faces} face{'s' if seen.faces != 1 else ''} found" if seen.faces else "no face in view"
    text = f"{name}: {wide}x{high}, {rate:.1f} of {fps:g} frames a second, {faces}"
    if rate < RATE_SHARE * fps:
        fix = "Too slow: more light, a smaller camera.width, a shorter cable or another USB port."
        return Finding("warn", text, fix, detail)
    if seen.gray < DARK:
        return Finding("warn", f"{text}; the picture is dark", "Take off the lens cap, or give it light.", detail)
    if not seen.moves:
        return Finding("warn", f"{text}; the picture stands still", "Is this camera frozen, or its stream?", detail)
    if not seen.faces and wait_s is not None:
        fix = "Stand before it, or hold a photo of a face there, about half a metre away, upright and lit; then again."
        return Finding("warn", text, fix, detail)
    hint = "" if seen.faces else " (to try: --look 20, with a face or a photo of one before it)"
    return Finding("ok", text + hint, detail=detail)


def probe_microphone(order: Order) -> Finding:
    """Open the configured microphone and judge it. Raises CaptureError."""
    card = order.config.microphone.card
    microphone = open_microphone(card or "")
    with microphone:
        pcm, voice = listen(microphone, order.wait_s)
        clipped, overflows = microphone.clipped, microphone.overflows
    return judge_microphone(
        pcm, microphone.name, voice=voice, wait_s=order.wait_s, clipped=clipped, overflows=overflows
    )


def listen(source: SoundSource, wait_s: float | None) -> tuple[NDArray[np.float32], bool]:
    """Return the latest VOICE_S of sound, once a voice is heard or the time is over, and whether one was."""
    kept = round(VOICE_S * SAMPLE_RATE)
    pcm = np.zeros(0, np.float32)
    began = time.monotonic()
    sound = source.read(OPEN_S)
    voice = False
    while sound is not None:
        pcm = np.concatenate([pcm, sound.pcm])[-kept:]
        passed = time.monotonic() - began
        voice = len(pcm) == kept and has_speech(pcm)
        if voice or passed >= max(GLANCE_S, wait_s or 0.0):
            break
        sound = source.read(OPEN_S)
    return pcm, voice


def judge_microphone(
    pcm: NDArray[np.float32], name: str, *, voice: bool, wait_s: float | None, clipped: int, overflows: int
) -> Finding:
    """Return the finding on the sound `pcm`, the latest of what was heard."""
    if len(pcm) == 0:
        return Finding("fail", f"{name} opens but gives no sound within {OPEN_S:g} s", "Check its plug.")
    rms = float(np.sqrt(np.mean(np.square(pcm))))
    level = 20.0 * np.log10(rms) if rms > 0.0 else -np.inf
    detail = {
        "level_dbfs": round(float(level), 1) if rms > 0.0 else None,
        "voice": voice,
        "clipped_samples": clipped,
        "overflows": overflows,
    }
    heard = "a voice was heard" if voice else "no voice heard"
    text = f"{name}: level {level:.0f} dB of full scale, {heard}" if rms > 0.0 else f"{name}: not a sound, all zeros"
    if level < QUIET_DBFS:
        return Finding("warn", text, "It is muted or off: see alsamixer (capture, F4), its switch, its plug.", detail)
    if clipped or float(np.abs(pcm).max()) >= CLIPPED:
        return Finding(
            "warn", f"{text}; clipped", "Its gain is too high: turn it down in alsamixer (capture, F4).", detail
        )
    if not voice and wait_s is not None:
        return Finding("warn", text, "Speak for some seconds, about a metre away; or is it the wrong card?", detail)
    hint = "" if voice else " (to try: --listen 10, and speak)"
    return Finding("ok", text + hint, detail=detail)


if __name__ == "__main__":
    main(sys.argv[1])
