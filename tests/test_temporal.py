from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.temporal import TemporalFilter

DISTRIBUTIONS = hnp.arrays(np.float32, 7, elements=st.floats(0.0009765625, 1.0, width=32)).map(lambda p: p / p.sum())


def peaked(index: int, height: float = 0.6) -> np.ndarray:
    probs = np.full(7, (1.0 - height) / 6, np.float32)
    probs[index] = height
    return probs


@given(st.lists(DISTRIBUTIONS, min_size=1, max_size=8))
def test_output_is_a_distribution(sequence: list[np.ndarray]) -> None:
    temporal = TemporalFilter(stay=0.5)
    for probs in sequence:
        filtered = temporal.update(probs)
        assert filtered is not None
        assert filtered.sum() == pytest.approx(1.0, abs=1e-4)
        assert (filtered >= 0).all()


def test_first_window_passes_unchanged() -> None:
    np.testing.assert_allclose(TemporalFilter(stay=0.9).update(peaked(3)), peaked(3), rtol=1e-6)


def test_a_short_flicker_is_held_back_and_a_lasting_change_is_followed() -> None:
    temporal = TemporalFilter(stay=0.8)
    for _ in range(4):
        temporal.update(peaked(3, 0.7))
    flicker = temporal.update(peaked(0, 0.4))
    assert flicker is not None
    assert flicker.argmax() == 3
    followed = [temporal.update(peaked(0, 0.7)) for _ in range(3)]
    assert followed[-1] is not None
    assert followed[-1].argmax() == 0


def test_uniform_transitions_do_nothing() -> None:
    temporal = TemporalFilter(stay=1 / 7)
    temporal.update(peaked(1, 0.9))
    np.testing.assert_allclose(temporal.update(peaked(2)), peaked(2), rtol=1e-5)


def test_empty_windows_let_the_past_fade() -> None:
    temporal = TemporalFilter(stay=0.9)
    temporal.update(peaked(1, 0.9))
    for _ in range(60):
        assert temporal.update(None) is None
    np.testing.assert_allclose(temporal.update(peaked(2)), peaked(2), rtol=1e-2)


def test_reset_forgets() -> None:
    temporal = TemporalFilter(stay=0.9)
    temporal.update(peaked(1, 0.9))
    temporal.reset()
    np.testing.assert_allclose(temporal.update(peaked(2)), peaked(2), rtol=1e-6)
