"""Figures per group, and how sure they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training.fairness import (
    FEW_NOTE,
    cluster_interval,
    group_figures,
    groups_json,
    groups_markdown,
    groups_table,
    largest_gap,
    quality_groups,
    wilson,
)


def probabilities(chosen: list[int], labels: int = 3) -> np.ndarray:
    return np.eye(labels, dtype=np.float32)[chosen]


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    # statsmodels.stats.proportion.proportion_confint(method="wilson"); 81 of 263 also Newcombe 1998, table I
    [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718), (10, 10, 0.7225, 1.0)],
)
def test_wilson_gives_the_published_values(right, n, low, high):
    assert wilson(right, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_groups_by_hand():
    figures = group_figures(probabilities([0, 1, 1, 2, 0]), np.array([0, 1, 0, 2, 2]), ["b", "b", "b", "a", "a"])
    assert [(each.group, each.n) for each in figures] == [("a", 2), ("b", 3)]
    assert figures[0].accuracy == 0.5
    assert figures[1].uar == pytest.approx((1 / 2 + 1) / 2)
    assert figures[1].clusters is None
    gap = largest_gap(figures)
    assert gap is not None
    assert (gap.best, gap.worst, gap.accuracy) == ("b", "a", pytest.approx(2 / 3 - 1 / 2))
    assert gap.low < 0 < gap.high


def test_a_group_with_one_member_has_a_wide_interval():
    (one, _) = group_figures(probabilities([0, 1, 1]), np.array([0, 1, 1]), ["a", "b", "b"])
    assert (one.n, one.accuracy, one.uar, one.high) == (1, 1.0, 1.0, 1.0)
    assert one.low == pytest.approx(0.2065, abs=1e-4)
    assert largest_gap([one]) is None


def test_newcombes_interval_of_a_gap():
    # Newcombe 1998, table II, method 10: 56/70 less 48/80
    chosen = [0] * 56 + [1] * 14 + [0] * 48 + [1] * 32
    gap = largest_gap(group_figures(probabilities(chosen), np.zeros(150, np.int64), ["x"] * 70 + ["y"] * 80))
    assert gap is not None
    assert (gap.low, gap.high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_intervals_widen_where_clips_hang_together_by_speaker():
    chosen = [0] * 60 + [1] * 60
    truth, speakers = np.zeros(120, np.int64), ["s1"] * 30 + ["s2"] * 30 + ["s3"] * 30 + ["s4"] * 30
    (alone,) = group_figures(probabilities(chosen), truth, ["all"] * 120)
    (clustered,) = group_figures(probabilities(chosen), truth, ["all"] * 120, speakers)
    assert clustered.clusters == 4
    assert clustered.accuracy == alone.accuracy == 0.5
    assert (clustered.low, clustered.high) == (0.0, 1.0)
    assert alone.low > 0.4


def test_one_speaker_never_looks_surer_than_independent_clips():
    right = np.array([True] * 9 + [False])
    assert cluster_interval(right, np.array(["s"] * 10)) == (0.9, 0.9)
    (only,) = group_figures(probabilities([0] * 9 + [1]), np.zeros(10, np.int64), ["F"] * 10, ["s"] * 10)
    assert (only.low, only.high) == wilson(9, 10)


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="one entry per example"):
        group_figures(probabilities([0, 1]), np.array([0, 1]), ["a"])


def test_terciles_of_quality():
    faces = np.random.default_rng(0).random((30, 48, 48), dtype=np.float32)
    faces *= np.linspace(0.1, 1.0, 30, dtype=np.float32)[:, None, None]
    groups = quality_groups(faces)
    assert groups == dict.fromkeys(
        ("sharpness", "brightness", "contrast"), ["low"] * 10 + ["middle"] * 10 + ["high"] * 10
    )
    same = quality_groups(np.full((4, 48, 48), 0.5, np.float32))
    assert set(same["contrast"]) == {"low"}
    figures = group_figures(probabilities([0] * 30), np.zeros(30, np.int64), groups["contrast"])
    assert [each.group for each in figures] == ["low", "middle", "high"]


def test_tables_and_json_have_every_group():
    truth = np.array([0, 1, 1, 1])
    figures = {"sex": group_figures(probabilities([0, 1, 0, 1]), truth, list("FFMM"), ["s1", "s1", "s2", "s3"])}
    text = groups_table(figures)
    assert "2 of 1 speaker " in text
    assert "F over M by 50.0 points" in text
    page = groups_markdown(figures)
    assert "| sex: M | 2 of 2 speakers |" in page
    assert page.endswith(FEW_NOTE)
    found = json.loads(json.dumps(groups_json(figures)))
    assert set(found["sex"]["groups"][0]) == {"group", "n", "accuracy", "uar", "low", "high", "clusters"}
    assert set(found["sex"]["largest_gap"]) == {"best", "worst", "accuracy", "low", "high"}
    assert groups_json({"sex": figures["sex"][:1]})["sex"]["largest_gap"] is None
