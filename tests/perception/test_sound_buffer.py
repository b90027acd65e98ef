from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.perception.speech import SoundBuffer, SpeechStage

RATE = 16_000


def ramp(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=30), st.floats(-0.01, 0.01))
def test_blocks_join_without_a_click_even_if_their_times_jitter(sizes: list[int], jitter: float) -> None:
    buffer, position = SoundBuffer(), 0
    for number, size in enumerate(sizes):
        buffer.append(ramp(position, size), 10.0 + position / RATE + (jitter if number else 0.0))
        position += size
    np.testing.assert_array_equal(buffer.take(10.0, 10.0 + position / RATE), ramp(0, position))


def test_windows_follow_each_other_without_loss() -> None:
    buffer = SoundBuffer()
    buffer.append(ramp(0, 5 * RATE), 0.0)
    first, second = buffer.take(0.0, 3.0), buffer.take(3.0, 5.0)
    np.testing.assert_array_equal(np.concatenate([first, second]), ramp(0, 5 * RATE))
    assert len(buffer.take(5.0, 8.0)) == 0


def test_a_real_gap_becomes_silence() -> None:
    buffer = SoundBuffer()
    buffer.append(np.ones(RATE, np.float32), 0.0)
    buffer.append(np.ones(RATE, np.float32), 2.0)
    window = buffer.take(0.0, 3.0)
    assert len(window) == 3 * RATE
    assert window[RATE : 2 * RATE].sum() == 0.0


def test_sound_that_begins_late_or_comes_twice_is_placed_by_its_time() -> None:
    buffer = SoundBuffer()
    buffer.append(np.ones(RATE, np.float32), 1.0)
    buffer.append(np.full(RATE, 2.0, np.float32), 1.5)
    window = buffer.take(0.0, 3.0)
    assert len(window) == RATE + RATE // 2
    assert (window[RATE:] == 2.0).all()


def test_a_scrap_of_sound_is_no_voice_in_the_window() -> None:
    """However voiced it is: the share is of the window, not of the sound in it."""
    hummed = (0.3 * np.sign(np.sin(2 * np.pi * 140 * np.arange(3 * RATE) / RATE))).astype(np.float32)
    whole, scrap = SpeechStage(None), SpeechStage(None)
    whole.hear(hummed, 0.0)
    scrap.hear(hummed[: RATE // 25], 0.0)
    assert (scrap.take(0.0, 3.0, infer=False).voiced_share or 0.0) <= 0.04 / 3.0 + 1e-6
    assert whole.take(0.0, 3.0, infer=False).voiced_share is not None
