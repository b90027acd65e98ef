"""Evidence: what goes on the wire, what is refused when it comes off it, and what is no news."""

from __future__ import annotations

import contextlib

import cv2
import msgspec
import numpy as np
import pytest
from golden import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.clock import FakeClock, new_id
from edge.errors import BadMessage
from edge.header import Headers
from edge.health import peak_memory_mb
from edge.link.evidence import Repeats, build_evidence
from edge.perception.wire import LOG_MEL_SCALE, pack_log_mel, unpack_crops, unpack_log_mel
from edge.protocol import MAX_EVIDENCE, Evidence, decode, encode

_golden = GOLDEN["evidence"]
assert isinstance(_golden, Evidence)
GOLDEN_EVIDENCE = _golden


@given(
    log_mel=hnp.arrays(np.float32, (186, 64), elements=st.floats(-4, 4, width=32)),
    crops=st.lists(hnp.arrays(np.uint8, (48, 48)), max_size=10),
)
@settings(max_examples=20, deadline=None)
def test_evidence_survives_the_wire(log_mel: np.ndarray, crops: list[np.ndarray]) -> None:
    made = build_evidence(
        Headers(session=1, mode="research", clock=FakeClock()),
        reading_id=new_id(),
        crops=crops,
        face_quality=0.7,
        log_mel=log_mel,
        voiced_share=0.5,
    )
    assert made is not None
    packed = encode(made)
    assert len(packed) <= MAX_EVIDENCE
    there = decode(Evidence, packed)
    assert there == made
    unpacked = unpack_log_mel(there)
    assert unpacked is not None
    assert unpacked.shape == (186, 64)
    assert unpacked.dtype == np.float32
    assert np.abs(unpacked - log_mel).max() <= LOG_MEL_SCALE / 2 + 1e-6
    pixels = unpack_crops(there)
    assert pixels.shape == (len(made.crops), 48, 48)
    assert len(made.crops) <= min(8, len(crops))
    assert pixels.dtype == np.float32
    assert all(np.array_equal(np.rint(back * 255), crop) for back, crop in zip(pixels, crops, strict=False))


def test_no_evidence_is_made_of_nothing_and_no_number_is_spent() -> None:
    headers = Headers(session=1, mode="research", clock=FakeClock())
    nothing = build_evidence(headers, reading_id=new_id(), crops=[], face_quality=0.5, log_mel=None, voiced_share=None)
    assert nothing is None
    assert headers.next()["seq"] == 0


def test_a_modality_that_is_not_sent_leaves_no_trace() -> None:
    headers = Headers(session=1, mode="research", clock=FakeClock())
    log_mel = np.zeros((186, 64), dtype=np.float32)
    made = build_evidence(headers, reading_id=new_id(), crops=[], face_quality=0.5, log_mel=log_mel, voiced_share=0.5)
    assert made is not None
    assert (made.crops, made.face_quality) == ([], None)


@pytest.mark.parametrize("log_mel", [np.zeros((10, 64), dtype=np.float32), np.full((186, 64), np.nan, np.float32)])
def test_a_log_mel_of_another_shape_or_not_finite_is_refused(log_mel: np.ndarray) -> None:
    with pytest.raises(ValueError, match="log-mel"):
        build_evidence(
            Headers(session=1, mode="research", clock=FakeClock()),
            reading_id=new_id(),
            crops=[],
            face_quality=None,
            log_mel=log_mel,
            voiced_share=0.5,
        )


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    """What no codec makes smaller."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_evidence_that_would_cost_too_much_leaves_the_worst_crops_out() -> None:
    crops = list(noise(3, 48, 48))
    made = build_evidence(
        Headers(session=1, mode="research", clock=FakeClock()),
        reading_id=new_id(),
        crops=crops,
        face_quality=0.7,
        log_mel=noise(186, 64).astype(np.float32) / 32 - 4,
        voiced_share=0.5,
    )
    assert made is not None
    assert MAX_EVIDENCE - 2 * 2304 < len(encode(made)) <= MAX_EVIDENCE
    assert made.log_mel is not None
    (best,) = unpack_crops(made)
    assert np.array_equal(np.rint(best * 255), crops[0])


def test_the_cloud_gets_every_step_of_the_int8_log_mel() -> None:
    steps = np.resize(np.arange(-127, 128), (186, 64)).astype(np.float32)
    made = msgspec.structs.replace(GOLDEN_EVIDENCE, log_mel=pack_log_mel(steps * np.float32(LOG_MEL_SCALE)))
    unpacked = unpack_log_mel(made)
    assert unpacked is not None
    assert np.array_equal(np.rint(unpacked / LOG_MEL_SCALE), steps)


def test_the_golden_pictures_hold_what_their_page_says() -> None:
    rows, columns = np.indices((48, 48))
    assert np.array_equal(np.rint(unpack_crops(GOLDEN_EVIDENCE)[0] * 255), 2 * (rows + columns))
    rows, columns = np.indices((186, 64))
    unpacked = unpack_log_mel(GOLDEN_EVIDENCE)
    assert unpacked is not None
    assert np.array_equal(np.rint(unpacked / LOG_MEL_SCALE) + 128, (rows + 2 * columns) % 255 + 1)


def webp(image: np.ndarray, quality: int = 101) -> bytes:
    return cv2.imencode(".webp", image, (cv2.IMWRITE_WEBP_QUALITY, quality))[1].tobytes()


def bomb() -> bytes:
    """A kilobyte or two that would unpack into 268 million pixels."""
    small, size = bytearray(webp(np.zeros((48, 48), np.uint8))), 0x3FFF << 14 | 0x3FFF
    small[21:25] = size.to_bytes(4, "little")
    return bytes(small)


@pytest.mark.parametrize(
    "crop",
    [
        b"",
        b"RIFF",
        bytes(2304),
        bomb(),
        webp(np.zeros((48, 49), np.uint8)),
        webp(np.zeros((48, 48), np.uint8), quality=50),
        webp(np.dstack([np.zeros((48, 48), np.uint8), np.ones((48, 48, 2), np.uint8)])),
        webp(noise(48, 48))[:600],
        b"\x89PNG\r\n\x1a\n" + bytes(40),
    ],
    ids=["empty", "short", "raw", "bomb", "larger", "lossy", "coloured", "truncated", "png"],
)
def test_pictures_that_are_not_what_they_should_be_are_refused(crop: bytes) -> None:
    before = peak_memory_mb()
    with pytest.raises(BadMessage):
        unpack_crops(msgspec.structs.replace(GOLDEN_EVIDENCE, crops=[crop]))
    assert peak_memory_mb() - before < 50


@given(st.binary(max_size=300), st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_no_picture_does_more_than_be_refused(garbage: bytes, kept: int) -> None:
    packed = webp(np.zeros((48, 48), np.uint8))[:kept] + garbage
    with contextlib.suppress(BadMessage):
        unpack_crops(msgspec.structs.replace(GOLDEN_EVIDENCE, crops=[packed]))


def test_a_window_like_the_one_just_asked_about_is_a_repeat() -> None:
    repeats = Repeats(within_s=15.0, distance=0.05)
    still = {"face": np.array([0.5, 0.3, 0.2], np.float32)}
    moved = {"face": np.array([0.46, 0.3, 0.24], np.float32)}
    changed = {"face": np.array([0.44, 0.3, 0.26], np.float32)}
    assert not repeats.is_repeat(still, now=0.0)
    repeats.asked(still, now=0.0)
    assert repeats.is_repeat(moved, now=15.0)
    assert not repeats.is_repeat(moved, now=15.1)
    assert not repeats.is_repeat(changed, now=3.0)
    assert not repeats.is_repeat({**still, "speech": still["face"]}, now=3.0)
    assert not repeats.is_repeat({}, now=3.0)


def test_a_slow_drift_is_noticed() -> None:
    repeats = Repeats(within_s=60.0)
    asked = []
    for step in range(10):
        window = {"face": np.array([0.5 + 0.02 * step, 0.5 - 0.02 * step], np.float32)}
        if not repeats.is_repeat(window, now=3.0 * step):
            repeats.asked(window, now=3.0 * step)
            asked.append(step)
    assert asked == [0, 3, 6, 9]
