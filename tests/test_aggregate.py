from __future__ import annotations

import numpy as np
import pytest

from edge.aggregate import Aggregator
from edge.clock import FakeClock
from edge.header import Headers
from edge.perception.face import FaceWindow
from edge.perception.speech import SpeechWindow
from edge.protocol import Aggregate


def face(count: int, emotion: int = 3) -> FaceWindow:
    probs = np.full(7, 0.05, np.float32)
    probs[emotion] = 0.7
    return FaceWindow(count=count, primary=probs, quality=1.0, everyone=[probs] * count)


def voice() -> SpeechWindow:
    return SpeechWindow(probs=np.eye(8, dtype=np.float32)[4], voiced_share=0.5)


def run(windows: list[tuple[FaceWindow, SpeechWindow]]) -> list[Aggregate]:
    aggregator = Aggregator(Headers(session=1, mode="classroom", clock=FakeClock()))
    made = [aggregator.add(3.0 * i, 3.0 * i + 3.0, *window) for i, window in enumerate(windows)]
    return [each for each in made if each is not None]


def test_one_aggregate_a_minute() -> None:
    made = run([(face(4), voice())] * 45)
    assert [(each.start_s, each.end_s) for each in made] == [(0.0, 60.0), (60.0, 120.0)]
    assert made[0].expressions is not None
    assert made[0].expressions["happy"] == 80
    assert made[0].tones is not None
    assert made[0].tones["sad"] == 20


def test_windows_with_fewer_than_k_faces_are_not_counted() -> None:
    (made,) = run([(face(2), voice())] * 19 + [(face(3), voice())])
    assert made.windows == 1
    assert made.expressions is not None
    assert sum(made.expressions.values()) == 3


def test_an_empty_classroom_publishes_no_counts() -> None:
    (made,) = run([(face(2), voice())] * 20)
    assert made.windows == 0
    assert made.expressions is None
    assert made.tones is None


def test_bounds_of_the_policy_cannot_be_configured_away() -> None:
    headers = Headers(session=1, mode="classroom", clock=FakeClock())
    with pytest.raises(ValueError, match="k >= 3"):
        Aggregator(headers, k=1)
    with pytest.raises(ValueError, match="60 s"):
        Aggregator(headers, length_s=10.0)
