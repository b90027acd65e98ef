"""The cascade's curve on answers whose outcome is known, and the command on small made-up packs."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training.answers import Answers
from training.cascade import SHARES, curve, mean_accuracy
from training.cascade_checks import comparisons, pooled_verdict
from training.cascade_packs import find_faces, find_speech
from training.errors import TrainingError

ROOT = Path(__file__).resolve().parents[2]


def answers(device: np.ndarray, cloud: np.ndarray, confidence: np.ndarray) -> Answers:
    """Return answers to examples of `angry` that are right where the masks say so."""

    def said(right: np.ndarray, sure: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((len(right), 7), np.float32)
        probabilities[np.arange(len(right)), np.where(right, 0, 1)] = sure
        probabilities[:, 6] = 1 - sure
        return probabilities

    count = len(device)
    return Answers(
        probabilities=said(device, confidence),
        labels=np.zeros(count, np.int64),
        measures={},
        asked=said(cloud, np.full(count, 0.9)),
        groups=np.arange(count),
        calibration=np.zeros(count, bool),
    )


def test_curve_of_a_device_that_knows_when_it_is_wrong():
    device = np.arange(100) >= 20  # the twenty least sure are wrong
    found = curve("face", answers(device, np.ones(100, bool), 0.6 + np.arange(100) / 300), 100.0 - np.arange(100))
    assert (found.device, found.cloud, found.n) == (0.8, 1.0, 100)
    assert found.accuracy == pytest.approx([0.85, 0.9, 0.95, *[1.0] * 7])
    assert found.gap_closed == pytest.approx(0.19)
    assert found.near_cloud == pytest.approx(0.19)
    assert found.intervals[0][0] < 0.85 < found.intervals[0][1]
    assert found.gain[0] > 0.1


def test_share_of_a_goal_is_the_one_from_which_on_it_stays_reached():
    device, cloud = np.ones(100, bool), np.ones(100, bool)
    device[[0, 60]] = cloud[5] = False  # right after one question, wrong after six, right for good after sixty-one
    found = curve("face", answers(device, cloud, np.full(100, 0.7)), 100.0 - np.arange(100))
    assert found.gap_closed == pytest.approx(0.61)


def test_random_order_wins_in_proportion_to_what_is_asked():
    rng = np.random.default_rng(0)
    some = answers(rng.random(4000) < 0.6, rng.random(4000) < 0.9, np.full(4000, 0.7))
    assert mean_accuracy(some, rng.random(4000)) == pytest.approx(0.6 + 0.3 * np.mean(SHARES), abs=0.02)


def test_a_better_order_than_confidence_is_called_better():
    rng = np.random.default_rng(0)
    device = rng.random(2000) < 0.7
    some = answers(device, rng.random(2000) < 0.97, rng.uniform(0.5, 1, 2000))  # confidence says nothing, emotion all
    order = comparisons("face", some)[0]
    assert order.better
    assert order.mean > 1


def test_verdict_pooled_with_a_surer_device_is_the_device_s():
    some = answers(np.ones(3, bool), np.zeros(3, bool), np.full(3, 0.98))
    assert not pooled_verdict(some, 0.0).cloud_correct.any()
    assert pooled_verdict(some, 2.0).cloud_correct.all()


def faces(path: Path) -> Path:
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = (np.arange(70) % 7).astype(np.int8)
    groups = np.where(np.arange(70) < 4, 0, -1).astype(np.int32)
    images = random.integers(0, 255, (70, 48, 48), np.uint8)
    np.savez(path, images=images, labels=labels, ferplus_label=labels, dup_group=groups)
    return path


def voices(path: Path, splits: tuple[str, ...]) -> Path:
    random = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    emotions = ("angry", "calm", "happy", "sad")
    rows = [
        {"clip_id": f"c{n}", "emotion": emotions[n % 4], "speaker": f"s{n % 5}", "split": splits[n % len(splits)]}
        for n in range(20)
    ]
    with path.with_suffix(".csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with zipfile.ZipFile(path, "w") as pack:
        for row in rows:
            sound = io.BytesIO()
            soundfile.write(sound, random.normal(0, 0.1, 16_000), 16_000, format="FLAC")
            pack.writestr(f"{row['clip_id']}.flac", sound.getvalue())
    return path


def test_packs_and_rows_for_training_are_never_measured(tmp_path):
    voices(tmp_path / "speech" / "more.zip", ("train",))
    faces(tmp_path / "face" / "fer2013_train.npz")
    assert find_speech(tmp_path, None, None) is None
    assert find_faces(tmp_path, None, None) is None
    spoken = voices(tmp_path / "speech" / "ravdess.zip", ("train", "val", "test"))
    found = find_speech(tmp_path, None, None)
    assert (found.pack, found.split) == (spoken, "test")


def test_unseen_packs_go_before_others_and_doubt_is_told(tmp_path):
    faces(tmp_path / "face" / "fer2013_public.npz")
    unseen = faces(tmp_path / "face" / "fer2013_private.npz")
    assert find_faces(tmp_path, None, None).pack == unseen
    faces(tmp_path / "face" / "other_test.npz")
    with pytest.raises(TrainingError, match="--face"):
        find_faces(tmp_path, None, None)


def cascade(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training.evaluate", "cascade", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )


@pytest.mark.slow
def test_json_is_one_array_with_an_object_per_modality_and_share(tmp_path):
    faces(tmp_path / "face" / "unseen_test.npz")
    voices(tmp_path / "speech" / "unseen_test.zip", ("test", "train"))
    done = cascade("--data", tmp_path, "--json", "--plot", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["modality"], row["share"]) for row in rows] == [
        (modality, share) for modality in ("face", "speech", "fused") for share in SHARES
    ]
    assert set(rows[0]) == {"modality", "share", "accuracy", "device_accuracy", "cloud_accuracy", "n"}
    assert [rows[place]["n"] for place in (0, 10)] == [70, 10]
    assert (tmp_path / "plots" / "cascade.png").stat().st_size > 10_000


def test_without_packs_it_says_what_it_looked_for(tmp_path):
    done = cascade("--data", tmp_path)
    assert done.returncode == 1
    assert "face/*.npz" in done.stderr
    assert "Traceback" not in done.stderr
