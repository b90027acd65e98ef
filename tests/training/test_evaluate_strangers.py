"""The figures on strangers: calibrated without the fold that is judged, and known by whole speakers."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")

from training import crossfit, evaluate_strangers
from training.calibrate import negative_log_likelihood, softmax
from training.errors import TrainingError
from training.evaluate_strangers import cross_calibrated, figures
from training.models import FOLDERS
from training.splits import FOLDS, fold_speakers

from edge.perception.manifest import load_manifest, verified_file

DATA = Path(os.environ.get("MIEN_DATA_DIR") or Path(__file__).resolve().parents[3] / "shared" / "data")
SPEAKERS = [name for fold in range(1, FOLDS + 1) for name in sorted(fold_speakers(fold)) for _ in range(60)]


def test_each_fold_gets_the_temperature_of_the_others():
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(len(SPEAKERS), 8)) * 2
    truth = np.array([rng.choice(8, p=row) for row in softmax(honest)])
    logits = (honest * 3).astype(np.float32)  # three times too sure
    probabilities = cross_calibrated(logits, truth, SPEAKERS)
    assert negative_log_likelihood(probabilities, truth) < negative_log_likelihood(softmax(logits), truth) - 0.3
    mine = np.isin(SPEAKERS, list(fold_speakers(2)))
    other = truth.copy()
    other[mine] = (truth[mine] + 1) % 8  # what is true of the fold itself must not count
    np.testing.assert_array_equal(cross_calibrated(logits, other, SPEAKERS)[mine], probabilities[mine])
    assert not np.array_equal(cross_calibrated(logits, other, SPEAKERS)[~mine], probabilities[~mine])


def test_intervals_grow_where_speakers_differ():
    truth = np.arange(len(SPEAKERS)) % 8
    sure = np.eye(8)
    by_clip = np.where(np.arange(len(SPEAKERS)) % 2 == 0, truth, (truth + 1) % 8)
    by_speaker = np.where(np.isin(SPEAKERS, SPEAKERS[: len(SPEAKERS) // 2]), truth, (truth + 1) % 8)
    alike, unlike = (figures("any", sure[said], truth, SPEAKERS) for said in (by_clip, by_speaker))
    assert alike.accuracy == unlike.accuracy == 0.5
    assert alike.interval == (0.5, 0.5)
    assert unlike.interval[1] - unlike.interval[0] > 0.3
    assert sorted(set(unlike.speakers.values())) == [0.0, 1.0]


@pytest.mark.parametrize("folder", FOLDERS.values())
def test_what_ships_has_its_strangers(folder):
    model = verified_file(folder, load_manifest(folder).model("speech"))
    assert crossfit.strangers_of(model).speakers == frozenset(SPEAKERS)


def test_without_stand_ins_it_says_what_to_train(tmp_path, monkeypatch):
    monkeypatch.setattr(crossfit, "FOLDER", tmp_path)
    with pytest.raises(TrainingError, match=r"no nets stand in for speech-edge\.tflite: .*--arch edge --fold 1"):
        evaluate_strangers._strangers("edge")


def test_without_data_it_says_so(tmp_path):
    with pytest.raises(TrainingError, match=r"no speech data: .*ravdess\.zip is missing"):
        evaluate_strangers.main(["--data", str(tmp_path)])


@pytest.mark.slow  # twenty seconds
@pytest.mark.skipif(not (DATA / "speech").is_dir(), reason=f"no speech data in {DATA}")
def test_what_ships_knows_more_than_half_of_what_sixteen_strangers_say():
    found = json.loads(evaluate_strangers.main(["--data", str(DATA), "--json"]))
    for row in found["models"]:
        assert row["n"] == 960
        assert sorted(row["speakers"]) == sorted(set(SPEAKERS))
        assert row["uar"] > 0.6
        assert row["interval"][0] < row["accuracy"] < row["interval"][1]
    device, cloud = (row["accuracy"] for row in found["models"])
    assert found["cloud_gain"]["gain"] == pytest.approx(cloud - device)
    assert found["nets"] > 1
    assert found["nets_gain"]["gain"] > 0
    assert all(cost > 0 for cost in found["biases_cost"].values())  # why speech has none
