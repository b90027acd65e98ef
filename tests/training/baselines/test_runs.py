"""Protocols divide as they say; a run keeps to its time and goes on to the same weights."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.baselines.examples import divide, make_examples  # noqa: E402  (imports torch)
from training.baselines.run import BaselineOrder, Sources, stored_order, train_baseline, trained_net  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.speech_data import Clip  # noqa: E402


@pytest.fixture(scope="module")
def examples():
    """Three copies of 80 tones: six speakers trained with, two held out."""
    rng = np.random.default_rng(4)
    clips = []
    for number in range(80):
        hertz = 150 + 100 * (number % 8)
        pcm = np.sin(2 * np.pi * hertz * np.arange(4000) / 16_000) * 0.1 + rng.normal(size=4000) * 0.01
        corpus = "tess" if number < 20 else "ravdess"
        clips.append(Clip(pcm.astype(np.float32), number % 8, f"{corpus}_{number // 10:02}", "F", corpus))
    return make_examples(clips, 60, 0)


@pytest.fixture
def sources(examples, tmp_path):
    made = Sources(tmp_path, tmp_path)
    made.sound = examples
    return made


def test_independent_split_shares_no_speaker(examples):
    training, tested = divide(examples, "independent", 0)
    assert not set(examples.speakers[training]) & set(examples.speakers[tested])
    assert set(examples.copies[tested]) == {0}


def test_random_split_mixes_speakers_but_no_clips(examples):
    training, tested = divide(examples, "random", 0)
    assert set(examples.speakers[training]) & set(examples.speakers[tested])
    assert not set(examples.clips[training]) & set(examples.clips[tested])
    assert set(examples.copies[tested]) == {0}
    assert len(tested) == 16


def test_leak_split_has_copies_of_tested_clips_in_training(examples):
    training, tested = divide(examples, "leak", 0)
    assert set(examples.clips[training]) & set(examples.clips[tested])
    assert not set(training) & set(tested)
    assert len(training) + len(tested) == len(examples)


def order(runs, **changes) -> BaselineOrder:
    return replace(BaselineOrder(name="mlp", runs=runs, epochs=3), **changes)


def weights(order: BaselineOrder) -> "torch.Tensor":
    return torch.cat([value.flatten() for value in trained_net(order.folder, order.name).state_dict().values()])


def test_time_budget_stops_and_resuming_ends_with_the_same_weights(sources, tmp_path):
    whole = order(tmp_path / "whole")
    assert train_baseline(whole, sources).epoch == 3
    short = order(tmp_path / "short", minutes=1e-9)
    assert train_baseline(short, sources).epoch == 1
    assert train_baseline(stored_order(short), sources).epoch == 1
    resumed = train_baseline(replace(short, minutes=10, resume=True), sources)
    assert [entry["epoch"] for entry in resumed.history] == [1, 2, 3]
    assert torch.equal(weights(whole), weights(short))


def test_run_that_is_there_is_not_overwritten(sources, tmp_path):
    train_baseline(order(tmp_path, epochs=1), sources)
    with pytest.raises(TrainingError, match="--resume"):
        train_baseline(order(tmp_path, epochs=1), sources)


def test_weights_for_a_net_that_takes_none_are_refused(sources, tmp_path):
    with pytest.raises(TrainingError, match="takes no --weights"):
        train_baseline(order(tmp_path, weights=tmp_path / "any.pth"), sources)
