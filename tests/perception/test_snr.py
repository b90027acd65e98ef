"""The signal-to-noise ratio of a window."""

from __future__ import annotations

import numpy as np
import pytest

from edge.perception.snr import HIGHEST_DB, LOWEST_DB, snr_db

RATE, FRAMES = 16_000, 149


def window(ratio_db: float, *, gain: float = 0.1, share: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Return 3 s of noise with a buzz over it in the first `share`, and what voice activity would say of it."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=3 * RATE)
    buzz = np.sign(np.sin(2 * np.pi * 150 * np.arange(3 * RATE) / RATE)) * 10 ** (ratio_db / 20)
    buzz[int(share * 3 * RATE) :] = 0.0
    probability = np.where(np.arange(FRAMES) < share * FRAMES - 1, 0.95, 0.1).astype(np.float32)
    return (gain * (noise + buzz)).astype(np.float32), probability


@pytest.mark.parametrize("ratio_db", [20.0, 10.0, 5.0, 0.0])
def test_the_ratio_is_found_at_any_level(ratio_db: float) -> None:
    for gain in (0.5, 0.001):
        assert snr_db(*window(ratio_db, gain=gain)) == pytest.approx(ratio_db, abs=0.7)


def test_a_voice_without_pauses_is_measured_against_its_quietest_frames() -> None:
    pcm, _ = window(20.0)
    found = snr_db(pcm, np.ones(FRAMES, np.float32))
    assert found == pytest.approx(17.0, abs=1.5)  # half of the frames that are taken for a voice have none


def test_no_voice_no_ratio_and_silence_is_no_infinity() -> None:
    pcm, probability = window(10.0)
    assert snr_db(pcm, np.zeros(FRAMES, np.float32)) is None
    pcm[RATE + RATE // 2 :] = 0.0
    assert snr_db(pcm, probability) == HIGHEST_DB
    assert snr_db(np.zeros(3 * RATE, np.float32), probability) == LOWEST_DB


@pytest.mark.parametrize("frames", range(1, 12))
def test_a_scrap_of_sound_is_measured_as_well(frames: int) -> None:
    pcm, _ = window(10.0)
    scrap = pcm[: 320 * (frames + 1)]
    for voiced in range(frames):
        probability = np.where(np.arange(frames) == voiced, 0.95, 0.1).astype(np.float32)
        found = snr_db(scrap, probability)
        assert found is not None
        assert LOWEST_DB <= found <= HIGHEST_DB
