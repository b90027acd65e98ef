"""Fusion where emotions are otherwise frequent than in the pairs that it was fitted on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from training import evaluate_places
from training.evaluate_places import CALM_PLACE, NAMES, PLACES, TRIED, WAYS, draw, measure
from training.fusion_data import CLEAN, FACES, VOICES, Measured, Side
from training.rules_fit import PAIRS

from edge.emotions import EMOTIONS

FREQUENCY = np.array([9, 2, 2, 25, 12, 12, 38]) / 100


def leaning_side() -> Side:
    """Return a half whose faces and voices both multiply what they see by how frequent emotions are."""
    rng = np.random.default_rng(5)

    def judged(labels: np.ndarray, sharpness: float) -> Measured:
        logits = rng.normal(size=(len(labels), 7))
        logits[np.arange(len(labels)), labels] += sharpness
        weights = np.exp(logits) * FREQUENCY
        measures = {name: rng.uniform(0.5, 1.0, len(labels)) for name in ("quality", "voiced_share", "snr_db")}
        return Measured((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32), labels, measures)

    faces, voices = np.repeat(np.arange(7), (600 * FREQUENCY).astype(int)), np.repeat(np.arange(7), 40)

    def only(one: Measured, *names: str) -> Measured:
        return Measured(one.probabilities, one.labels, {name: one.measures[name] for name in names})

    return Side(
        {name: only(judged(faces, 1.5), "quality") for name in (CLEAN, *FACES)},
        {name: only(judged(voices, 1.0), "voiced_share", "snr_db") for name in (CLEAN, *VOICES)},
    )


@pytest.fixture(scope="module")
def side() -> Side:
    return leaning_side()


def test_counting_once_helps_where_emotions_are_equally_frequent(side):
    before, _, _, ships, _, equal = WAYS
    rows = {(row.way, row.place, row.condition): row for row in measure("device", side, (before, ships, equal))}
    assert len(rows) == 3 * len(PLACES) * 2
    assert {row.n for row in rows.values()} == {3 * TRIED}
    at = {way: rows[way.name, "equal", CLEAN] for way in (before, ships, equal)}
    assert at[before].twice == 0
    assert 0 < at[ships].twice < at[equal].twice
    assert at[equal].accuracy > at[before].accuracy + 0.02
    assert rows[ships.name, "calm", CLEAN].accuracy > rows[equal.name, "calm", CLEAN].accuracy


def test_a_calm_place_has_emotions_as_often_as_it_says(side):
    assert sum(CALM_PLACE.values()) == 100
    faces, voices = draw(side, "calm", np.random.default_rng(1))
    labels = side.faces[CLEAN].labels[faces]
    assert (labels == side.voices[CLEAN].labels[voices]).all()
    assert (labels == EMOTIONS.index("neutral")).mean() == pytest.approx(0.8, abs=0.03)


def test_what_ships_is_among_the_ways():
    assert [way.equally for way in WAYS if "ships" in way.name] == [evaluate_places.EQUALLY_FREQUENT]
    assert all(0 <= way.equally <= PAIRS for way in WAYS)


def test_table_and_json(side, monkeypatch, tmp_path):
    one = measure("device", side, WAYS[:1])
    rows = [replace(row, model=name) for name in NAMES.values() for row in one]
    monkeypatch.setattr(evaluate_places, "WAYS", WAYS[:1])
    monkeypatch.setattr(evaluate_places, "shipped_side", lambda *_: side)
    monkeypatch.setattr(evaluate_places, "measure", lambda name, *_: [row for row in rows if row.model == name])
    text = evaluate_places.main(["--data", str(tmp_path)])
    assert text.count(WAYS[0].name) == 2
    assert "device, fitted on" in text
    found = json.loads(evaluate_places.main(["--data", str(tmp_path), "--json"]))
    assert found[0].keys() == {"model", "way", "twice", "place", "condition", "n", "accuracy"}
    assert len(found) == 2 * len(PLACES) * 2
