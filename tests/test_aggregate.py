from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.aggregate import Aggregator, protected
from edge.clock import FakeClock
from edge.config import build_config
from edge.emotions import EMOTIONS
from edge.errors import ConfigError
from edge.header import Headers
from edge.perception.face import FaceWindow
from edge.perception.speech import SpeechWindow
from edge.protocol import Aggregate

HAPPY, SAD, NEUTRAL = (EMOTIONS.index(name) for name in ("happy", "sad", "neutral"))


def face(*emotions: int) -> FaceWindow:
    everyone = [np.eye(7, dtype=np.float32)[emotion] for emotion in emotions]
    return FaceWindow(count=len(emotions), everyone=everyone, shares=[1.0] * len(emotions))


def voice(tone: int = 4) -> SpeechWindow:
    return SpeechWindow(probs=np.eye(8, dtype=np.float32)[tone], voiced_share=0.5)


def aggregator(*, k: int = 3, length_s: float = 60.0) -> Aggregator:
    headers = Headers(session=1, mode="classroom", clock=FakeClock())
    return Aggregator(headers, window_s=3.0, k=k, length_s=length_s)


def run(windows: list[FaceWindow], *, k: int = 3, first: int = 0, inferred: bool = True) -> list[Aggregate]:
    counting = aggregator(k=k)
    made = [
        counting.add(3.0 * n, 3.0 * n + 3.0, window, voice(), inferred=inferred)
        for n, window in enumerate(windows, start=first)
    ]
    return [each for each in made if each is not None]


def test_one_aggregate_a_minute_of_the_mean_number_of_faces() -> None:
    made = run([face(*[HAPPY] * 7, *[NEUTRAL] * 12)] * 45)
    assert [(each.start_s, each.end_s, each.windows) for each in made] == [(0.0, 60.0, 20), (60.0, 120.0, 20)]
    assert made[0].expressions == {"happy": 6, "neutral": 12}
    assert made[0].tones == {"sad": 18}
    assert (made[0].faces, made[0].voiced) == (None, None), "a total beside the cells would give hidden ones away"


def test_one_person_for_a_whole_minute_is_not_a_count_of_twenty() -> None:
    (made,) = run([face(SAD, *[NEUTRAL] * 5)] * 20)
    assert made.expressions == {"neutral": 3}


def test_windows_with_fewer_than_k_faces_are_not_counted() -> None:
    (made,) = run([face(HAPPY, HAPPY)] * 19 + [face(HAPPY, HAPPY, HAPPY)])
    assert (made.windows, made.expressions, made.tones) == (0, None, None)
    (made,) = run([face(HAPPY, HAPPY)] * 10 + [face(*[HAPPY] * 6)] * 10)
    assert made.expressions == {"happy": 3}


def test_a_face_lost_and_found_again_is_one_person() -> None:
    twice = FaceWindow(
        count=3, everyone=face(*[HAPPY] * 6).everyone, shares=[0.5] * 6
    )  # three people, each in two tracks of half the window
    (made,) = run([twice] * 20)
    assert made.expressions == {"happy": 3}


def test_an_empty_classroom_publishes_no_counts() -> None:
    (made,) = run([face()] * 20)
    assert (made.windows, made.expressions, made.tones) == (0, None, None)


def test_without_inference_presence_is_counted_instead() -> None:
    seen = FaceWindow(count=5)
    (made,) = run([seen] * 20, inferred=False)
    assert (made.windows, made.faces, made.voiced) == (20, 3, 18)
    assert (made.expressions, made.tones) == (None, None)
    (alone,) = run([FaceWindow(count=2)] * 20, inferred=False)
    assert (alone.windows, alone.faces, alone.voiced) == (0, None, None)


def test_a_period_begins_on_its_grid_and_never_overlaps_another() -> None:
    made = run([face(*[HAPPY] * 3)] * 60, first=7)
    assert [(each.start_s, each.end_s) for each in made] == [(60.0, 120.0), (120.0, 180.0)]


def test_a_period_with_a_gap_is_dropped_whole() -> None:
    counting = aggregator()
    numbers = [*range(10), *range(13, 50)]  # muted for three windows
    made = [counting.add(3.0 * n, 3.0 * n + 3.0, face(*[HAPPY] * 4), voice(), inferred=True) for n in numbers]
    assert [each.start_s for each in made if each is not None] == [60.0]


def test_what_was_discarded_does_not_come_back() -> None:
    counting = aggregator()
    for n in range(10):
        counting.add(3.0 * n, 3.0 * n + 3.0, face(*[HAPPY] * 4), voice(), inferred=True)
    counting.discard()
    for n in range(10, 20):
        assert counting.add(3.0 * n, 3.0 * n + 3.0, face(*[HAPPY] * 4), voice(), inferred=True) is None


def test_bounds_of_the_policy_cannot_be_configured_away() -> None:
    with pytest.raises(ValueError, match="k >= 3"):
        aggregator(k=2)
    with pytest.raises(ValueError, match="60 s"):
        aggregator(length_s=59.0)
    values = {
        "site": {"name": "a", "mode": "classroom", "setting": "private", "jurisdiction": "US"},
        "privacy": {"offload": "never"},
        "device": {"name": "a"},
    }
    for name, value in (("k", 2), ("aggregate_s", 30.0)):
        with pytest.raises(ConfigError, match=str(value)):
            build_config(values | {"privacy": {"offload": "never", name: value}}, environment={})


PEOPLE = st.lists(st.sampled_from([HAPPY, SAD, NEUTRAL, 0]), max_size=12)
K = st.integers(3, 5)


@given(PEOPLE, K)
@settings(max_examples=60)
def test_every_published_count_is_made_of_k_people_or_more(people: list[int], k: int) -> None:
    (made,) = run([face(*people)] * 20, k=k)
    for label, value in (made.expressions or {}).items():
        assert value % k == 0
        assert k <= value <= people.count(EMOTIONS.index(label)) < value + k


@given(PEOPLE, st.sampled_from([HAPPY, SAD, NEUTRAL, 0]), K)
@settings(max_examples=60)
def test_one_person_more_in_a_hidden_count_changes_nothing(people: list[int], joins: int, k: int) -> None:
    (before,) = run([face(*people)] * 20, k=k)
    (after,) = run([face(*people, joins)] * 20, k=k)
    if people.count(joins) + 1 < k:
        assert after.expressions == before.expressions


@given(PEOPLE, st.sampled_from([HAPPY, SAD, NEUTRAL, 0]), K)
@settings(max_examples=60)
def test_one_person_more_changes_at_most_a_step_of_k(people: list[int], joins: int, k: int) -> None:
    """Two neighbouring crowds: only that person's own count may differ, by k, and what is hidden because of it."""
    counts = {label: people.count(EMOTIONS.index(label)) for label in EMOTIONS}
    more = counts | {EMOTIONS[joins]: counts[EMOTIONS[joins]] + 1}
    before, after = protected(counts, k) or {}, protected(more, k) or {}
    for label in before.keys() & after.keys():
        step = after[label] - before[label]
        assert step == 0 or (step == k and label == EMOTIONS[joins])


@pytest.mark.parametrize("k", [3, 4])
def test_no_hidden_count_can_be_told_from_the_message(k: int) -> None:
    """All crowds of four labels: whatever is published, each hidden count may be anything from 0 to k - 1."""
    labels = "abcd"
    possible: dict[tuple[tuple[str, int], ...], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for counts in itertools.product(range(2 * k + 2), repeat=len(labels)):
        crowd = dict(zip(labels, counts, strict=True))
        shown = protected(crowd, k) or {}
        assert len(labels) - len(shown) != 1
        for label in labels:
            possible[tuple(sorted(shown.items()))][label].add(crowd[label])
    for message, values in possible.items():
        for label in labels:
            shown_value = dict(message).get(label)
            if shown_value is None:
                assert values[label] >= set(range(k))
            else:
                assert values[label] >= set(range(shown_value, min(shown_value + k, 2 * k + 2)))


def test_who_counts_the_heads_cannot_tell_which_hidden_count_a_lone_person_is_in() -> None:
    """The total is known, one person is in hidden counts: there is a crowd like it where this count is empty.

    The exception, which docs/privacy.md names: every other count had lost as much by rounding as it can.
    """
    k, labels = 3, "abcd"
    same: dict[tuple[int, str], list[tuple[int, ...]]] = defaultdict(list)
    for counts in itertools.product(range(3 * k), repeat=len(labels)):
        shown = protected(dict(zip(labels, counts, strict=True)), k)
        same[sum(counts), str(shown)].append(counts)
    checked = 0
    for alike in same.values():
        for counts in alike:
            small = [n for n in range(len(labels)) if 0 < counts[n] < k]
            if len(small) == 1 and counts[small[0]] == 1:
                told = not any(other[small[0]] == 0 for other in alike)
                others = [count for n, count in enumerate(counts) if n != small[0]]
                assert not told or all(count % k == k - 1 for count in others), counts
                checked += 1
    assert checked > 100
