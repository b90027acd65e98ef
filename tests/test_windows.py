from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.windows import WindowCutter


def cut(duration_s: float, steps: int = 50) -> list[tuple[float, float]]:
    cutter = WindowCutter(length_s=3.0, tail_s=1.0)
    windows = []
    for step in range(steps):
        windows += cutter.advance(duration_s * step / steps)
    return windows + cutter.finish(duration_s)


@pytest.mark.parametrize(
    ("duration_s", "expected"),
    [
        (2.2, [(0, 2.2)]),
        (0.1, [(0, 0.1)]),
        (3.0, [(0, 3)]),
        (3.9, [(0, 3.9)]),
        (4.0, [(0, 3), (3, 4)]),
        (6.5, [(0, 3), (3, 6.5)]),
        (7.2, [(0, 3), (3, 6), (6, 7.2)]),
        (0.0, []),
    ],
)
def test_tails_join_the_window_before_them(duration_s: float, expected: list[tuple[float, float]]) -> None:
    assert cut(duration_s) == expected


@given(st.floats(0.01, 60.0), st.integers(1, 200))
def test_windows_cover_the_clip_without_gap_or_overlap(duration_s: float, steps: int) -> None:
    windows = cut(duration_s, steps)
    assert windows[0][0] == 0.0
    assert windows[-1][1] == duration_s
    assert all(before[1] == after[0] for before, after in itertools.pairwise(windows))
    assert all(end - start < 4.0 for start, end in windows)
    if duration_s >= 1.0:
        assert all(end - start >= 1.0 - 1e-9 for start, end in windows)


def test_live_windows_close_at_once() -> None:
    cutter = WindowCutter(length_s=3.0, tail_s=0.0)
    assert cutter.advance(2.99) == []
    assert cutter.advance(6.5) == [(0.0, 3.0), (3.0, 6.0)]
