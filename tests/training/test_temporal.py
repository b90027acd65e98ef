"""Sequences, what is compared with the filter, and the figures of it."""

import numpy as np
import pytest
from training.fusion_data import CLEAN, FACES, VOICES, Measured, Side
from training.sequences import LONGEST, SHORTEST, Walk, simulate, true_emotions
from training.temporal_fit import fit_filter
from training.temporal_gate import REPEATS, compare_confidences
from training.temporal_rules import Lstm, alone, change_delays, figures, majority, sticky

from edge.fusion import Fusion

FUSION = Fusion("product", {}, None)


def walk(labels: str, said: str) -> Walk:
    """Return a sequence of emotions 0 to 6, a digit a window, and what each window says; `-` perceives nothing."""
    pooled = np.full((len(said), 7), 0.05, np.float32)
    for row, answer in zip(pooled, said, strict=True):
        row[:] = np.nan if answer == "-" else row
        if answer != "-":
            row[int(answer)] = 0.7
    sets = tuple("" if answer == "-" else "face" for answer in said)
    return Walk(np.array([int(label) for label in labels]), pooled, sets)


def half(sharpness: float, seed: int = 0) -> Side:
    rng = np.random.default_rng(seed)

    def judged(measures: dict[str, float]) -> Measured:
        labels = np.arange(210) % 7
        logits = rng.normal(size=(210, 7)) + sharpness * np.eye(7)[labels]
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return Measured(probabilities.astype(np.float32), labels, {k: np.full(210, v) for k, v in measures.items()})

    faces = {name: judged({"quality": 0.9}) for name in (CLEAN, *FACES)}
    return Side(faces, {name: judged({"voiced_share": 0.5, "snr_db": 20.0}) for name in (CLEAN, *VOICES)})


def test_true_emotions_last_and_change():
    labels = true_emotions(np.arange(7), 5000, np.random.default_rng(0))
    changes = np.flatnonzero(np.diff(labels)) + 1
    holds = np.diff(changes)
    assert (holds.min(), holds.max()) == (SHORTEST, LONGEST)
    assert len(set(labels)) == 7


def test_simulated_windows_repeat_as_often_as_asked():
    for repeat, low, high in ((0.0, 0.0, 0.05), (0.9, 0.75, 0.95)):
        walks = simulate(half(2.0), FUSION, 20, seed=1, repeat=repeat)
        same = [(one.pooled[1:] == one.pooled[:-1]).all(axis=1)[one.labels[1:] == one.labels[:-1]] for one in walks]
        assert low <= np.concatenate(same).mean() <= high


def test_delay_counts_from_the_change_and_a_change_never_seen_is_missed():
    one = walk("0001112222", "0000113333")
    assert change_delays(one, one.pooled) == [1, None]
    row = figures("alone", alone, [one])
    assert (row.delay_windows, row.delay_s, row.followed) == (1.0, 3.0, 0.5)
    assert row.flicker_per_minute == pytest.approx(2 / 0.5)
    assert row.accuracy == pytest.approx(0.5)


def test_majority_outlasts_a_flicker_and_gives_a_tie_to_the_latest():
    answers = majority(walk("000000", "000100"))
    assert answers.argmax(axis=1).tolist() == [0] * 6
    tied = majority(walk("0011", "0011"))
    assert tied[3].argmax() == 1
    gap = majority(walk("000", "0-0"))
    assert np.isnan(gap[1]).all()


def test_filter_flickers_less_than_windows_alone_and_is_chosen_by_likelihood():
    walks = simulate(half(1.0), FUSION, 30, seed=2, repeat=0.0)
    still, restless = figures("", sticky(0.9), walks), figures("", alone, walks)
    assert still.flicker_per_minute < 0.8 * restless.flicker_per_minute
    assert still.accuracy > restless.accuracy
    chosen = fit_filter(half(1.0), FUSION)
    assert chosen == fit_filter(half(1.0), FUSION)
    assert chosen.stay > 1 / 7


def test_gate_that_judges_the_window_errs_as_single_windows_do_however_alike_neighbours_are():
    rows = {(row.judged, row.repeat): row for row in compare_confidences(half(1.5), FUSION, stay=0.8, sequences=80)}
    for repeat in REPEATS:
        single = rows["the window's, its own label published", repeat]
        ships = rows["the window's, of the published emotion (ships)", repeat]
        assert ships.wrong <= single.wrong + 0.01
        assert 0.2 < ships.kept <= single.kept
    assert rows["the filter's", 0.9].wrong > rows["the window's, of the published emotion (ships)", 0.9].wrong + 0.03


def test_lstm_learns_and_runs_without_torch_as_with_it(tmp_path):
    torch = pytest.importorskip("torch")
    from training import temporal_lstm
    from training.fusion_data import models_digest
    from training.models import FOLDERS
    from training.temporal_rules import lstm_inputs

    from edge.perception.manifest import load_manifest

    path = tmp_path / "runs" / "lstm.npz"
    loss = temporal_lstm.train(half(2.0), path, sequences=40, epochs=8)
    assert loss < np.log(7) - 0.3
    digest = models_digest(load_manifest(FOLDERS["edge"]))
    net = Lstm.load(path, digest)
    assert net is not None
    assert Lstm.load(path, "another") is None
    one = simulate(half(2.0), FUSION, 1, seed=4)[0]
    reader = temporal_lstm.Reader()
    state = {
        name: torch.tensor(net.arrays[key])
        for name, key in (
            ("memory.weight_ih_l0", "input_weight"),
            ("memory.weight_hh_l0", "hidden_weight"),
            ("memory.bias_ih_l0", "bias"),
            ("out.weight", "out_weight"),
            ("out.bias", "out_bias"),
        )
    }
    state["memory.bias_hh_l0"] = torch.zeros_like(state["memory.bias_ih_l0"])
    reader.load_state_dict(state)
    with torch.no_grad():
        expected = reader(torch.tensor(lstm_inputs(one), dtype=torch.float32)[None]).softmax(dim=2)[0].numpy()
    np.testing.assert_allclose(net(one)[one.seen], expected[one.seen], atol=1e-5)
