"""Reading FER2013 and FER+: what votes become targets, and how duplicates are kept together."""

import numpy as np
import pytest
from training.errors import TrainingError
from training.faces import VOTE_NAMES, load_faces, vote_majority, vote_targets
from training.splits import calibration_half

from edge.emotions import EMOTIONS


def votes(**counts: int) -> np.ndarray:
    return np.array([[counts.get(name, 0) for name in VOTE_NAMES]])


def test_vote_targets_are_shares_in_the_order_of_emotions():
    (row,) = vote_targets(votes(anger=6, neutral=4))
    assert row[EMOTIONS.index("angry")] == pytest.approx(0.6)
    assert row[EMOTIONS.index("neutral")] == pytest.approx(0.4)
    assert row.sum() == pytest.approx(1)


def test_vote_targets_drop_single_votes_contempt_and_unknown():
    (row,) = vote_targets(votes(happiness=5, sadness=1, contempt=2, unknown=2))
    assert row[EMOTIONS.index("happy")] == 1


def test_vote_targets_too_few_votes_left_weigh_nothing():
    assert vote_targets(votes(happiness=4, unknown=6)).sum() == 0
    assert vote_targets(votes(NF=10)).sum() == 0


def test_vote_majority_needs_over_half_of_all_votes():
    assert vote_majority(votes(fear=6, surprise=4)) == [EMOTIONS.index("fear")]
    assert vote_majority(votes(fear=5, surprise=5)) == [-1]
    assert vote_majority(votes(contempt=8, neutral=2)) == [-1]
    assert vote_majority(votes(fear=4, surprise=3, unknown=3)) == [-1]


def test_load_faces_keeps_images_without_duplicates_apart(tmp_path):
    (tmp_path / "face").mkdir()
    count = 5
    np.savez(
        tmp_path / "face" / "fer2013_train.npz",
        images=np.zeros((count, 48, 48), np.uint8),
        labels=np.zeros(count, np.int8),
        ferplus_votes=np.repeat(votes(anger=10), count, axis=0).astype(np.uint8),
        dup_group=np.array([-1, 3, 3, -1, -1]),
    )
    faces = load_faces(tmp_path, "train")
    assert len(set(faces.groups.tolist())) == 4
    assert faces.groups[1] == faces.groups[2]


def test_load_faces_missing_names_the_place(tmp_path):
    with pytest.raises(TrainingError, match="scripts/train prepare fer2013 FOLDER"):
        load_faces(tmp_path, "train")


def test_load_faces_leaves_out_rows_without_one_of_the_seven_labels(tmp_path):
    (tmp_path / "face").mkdir()
    np.savez(
        tmp_path / "face" / "fer2013_train.npz",
        images=np.zeros((3, 48, 48), np.uint8),
        labels=np.array([0, -1, 6], np.int8),
        ferplus_votes=np.repeat(votes(anger=10), 3, axis=0).astype(np.uint8),
        dup_group=np.full(3, -1),
    )
    assert load_faces(tmp_path, "train").labels.tolist() == [0, 6]


def test_load_faces_damaged_pack_is_named(tmp_path):
    (tmp_path / "face").mkdir()
    (tmp_path / "face" / "fer2013_train.npz").write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"fer2013_train\.npz is no pack"):
        load_faces(tmp_path, "train")


def test_calibration_half_never_parts_a_group():
    groups = np.random.default_rng(0).integers(0, 300, size=1000)
    half = calibration_half(groups)
    assert 0.4 < half.mean() < 0.6
    assert not set(groups[half]) & set(groups[~half])
    assert (half == calibration_half(groups)).all()
