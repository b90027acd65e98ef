from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from edge.errors import ModelError
from edge.perception.crop import CROP, crop_face, crop_quality
from edge.perception.detect import Face, HaarDetector, YunetDetector, open_detector, to_gray
from edge.perception.face import FaceStage, Observation, best_crops, steady_count, summarise
from edge.perception.tracking import Tracker, overlap

PORTRAIT = cv2.cvtColor(skimage.data.astronaut()[:300, 60:460], cv2.COLOR_RGB2BGR)
FACE_CENTRE = (166, 110)
"""Where the face is in PORTRAIT, by eye, in pixels."""


def moved(dx: int, dy: int = 0) -> np.ndarray:
    return cv2.warpAffine(PORTRAIT, np.float32([[1, 0, dx], [0, 1, dy]]), (400, 300), borderMode=cv2.BORDER_REFLECT)


def centre(face: Face) -> tuple[float, float]:
    return face.x + face.width / 2, face.y + face.height / 2


def test_haar_finds_the_portrait_in_colour_and_gray() -> None:
    for image in (PORTRAIT, to_gray(PORTRAIT)):
        (face,) = HaarDetector().detect(image)
        assert np.hypot(*np.subtract(centre(face), FACE_CENTRE)) < 20


def test_haar_sees_no_face_in_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    assert HaarDetector().detect(noise) == []


def test_yunet_finds_the_portrait_at_any_size(yunet: Path) -> None:
    detector = YunetDetector(yunet)
    for scale in (0.5, 1.0, 3.0):
        (face,) = detector.detect(cv2.resize(PORTRAIT, None, fx=scale, fy=scale))
        assert np.hypot(*np.subtract(centre(face), np.multiply(FACE_CENTRE, scale))) < 20 * scale
        assert face.points is not None


def test_yunet_finds_all_of_several_faces(yunet: Path) -> None:
    both = np.hstack([PORTRAIT, PORTRAIT[:, ::-1]])
    assert len(YunetDetector(yunet).detect(both)) == 2


def test_other_files_are_not_taken_for_yunet(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"x")
    for name in ("x.onnx", "missing.onnx"):
        with pytest.raises(ModelError, match="models fetch"):
            open_detector(tmp_path / name)


def test_without_weights_haar_is_used() -> None:
    assert open_detector(None).name == "haar-alt2"


@pytest.mark.parametrize("degrees", [-25, -10, 10, 25])
def test_crop_levels_tilted_eyes(degrees: float) -> None:
    points = np.float32([[145, 104], [186, 103], [163, 127], [146, 143], [181, 144]])
    face = Face(126, 65, 80, 100, 1.0, points)
    turn = cv2.getRotationMatrix2D(FACE_CENTRE, degrees, 1.0)
    image = cv2.warpAffine(PORTRAIT, turn, (400, 300), borderMode=cv2.BORDER_REFLECT)
    turned_points = (points @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    straight = crop_face(to_gray(PORTRAIT), face).astype(float)
    tilted = crop_face(to_gray(image), Face(126, 65, 80, 100, 1.0, turned_points)).astype(float)
    assert np.corrcoef(straight[4:-4, 4:-4].ravel(), tilted[4:-4, 4:-4].ravel())[0, 1] > 0.97


def test_crop_at_the_border_is_whole() -> None:
    crop = crop_face(to_gray(PORTRAIT), Face(-40, -40, 100, 100, 1.0, None))
    assert crop.shape == (CROP, CROP)
    assert crop.dtype == np.uint8


def test_crop_of_a_large_face_does_not_alias() -> None:
    """A fine checkerboard shrunk 10 times is gray, not a pattern."""
    board = (np.indices((600, 600)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert crop_face(board, Face(50, 50, 500, 500, 1.0, None)).std() < 10


def test_quality_falls_with_blur_size_and_turned_heads() -> None:
    points = np.float32([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]])
    face = Face(10, 10, 80, 80, 1.0, points)
    sharp = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    good = crop_quality(sharp, face)
    assert good == pytest.approx(1.0)
    assert crop_quality(cv2.GaussianBlur(sharp, (0, 0), 6), face) < 0.5 * good
    assert crop_quality(sharp, Face(10, 10, 12, 12, 1.0, points)) < 0.5 * good
    turned = points.copy()
    turned[2, 0] = 32
    assert crop_quality(sharp, Face(10, 10, 80, 80, 1.0, turned)) < 0.5 * good
    assert crop_quality(np.full((48, 48), 128, np.uint8), face) == 0.0


def test_track_follows_a_face_between_detections() -> None:
    detector, tracker = HaarDetector(), Tracker()
    (track,) = tracker.detected(to_gray(moved(0)), detector.detect(moved(0)), 0.0)
    for step in range(1, 5):
        (followed,) = tracker.followed(to_gray(moved(6 * step)), 0.2 * step)
        assert followed.id == track.id
    assert centre(followed.face)[0] - FACE_CENTRE[0] == pytest.approx(24, abs=12)


def test_track_ids_survive_movement_and_die_with_absence() -> None:
    tracker = Tracker()
    blank = np.zeros((240, 320), np.uint8)
    near, far = Face(50, 50, 60, 60, 1, None), Face(200, 50, 60, 60, 1, None)
    first, second = tracker.detected(blank, [near, far], 0.0)
    again = tracker.detected(blank, [far.moved(5, 0), near.moved(8, 2)], 0.2)
    assert [track.id for track in again] == [second.id, first.id]
    (later,) = tracker.detected(blank, [near], 5.0)
    assert later.id not in (first.id, second.id)


def test_overlap() -> None:
    face = Face(0, 0, 10, 10, 1, None)
    assert overlap(face, face) == 1.0
    assert overlap(face, face.moved(5, 0)) == pytest.approx(1 / 3)
    assert overlap(face, face.moved(20, 0)) == 0.0


def observation(time_s: float, track: str, area: float, quality: float, emotion: int) -> Observation:
    probs = np.full(7, 0.05, np.float32)
    probs[emotion] = 0.7
    return Observation(time_s, track, area, quality, np.full((48, 48), int(10 * time_s), np.uint8), probs)


def test_the_largest_face_over_the_window_is_the_primary_one() -> None:
    seen = [observation(t, "driver", 100, 0.9, 3) for t in (0.0, 0.2, 0.4)] + [observation(0.2, "child", 120, 0.9, 0)]
    window = summarise(seen, 2, frames=3)
    assert window.primary is not None
    assert window.primary.argmax() == 3
    assert window.count == 2
    assert len(window.everyone) == 2
    assert window.shares == pytest.approx([1.0, 1 / 3])


def test_a_face_that_was_lost_and_found_again_counts_once() -> None:
    seen = [observation(t, "before" if t < 2 else "after", 100, 0.9, 3) for t in (0.0, 1.0, 2.0)]
    window = summarise(seen, 1, frames=4)
    assert sum(window.shares) == pytest.approx(3 / 4)


def test_blurred_frames_count_less() -> None:
    window = summarise(
        [observation(0, "a", 1, 0.9, 3), observation(1, "a", 1, 0.05, 0), observation(2, "a", 1, 0.05, 0)], 1, frames=3
    )
    assert window.primary is not None
    assert window.primary.argmax() == 3


def test_best_crops_come_from_different_stretches() -> None:
    seen = [observation(float(t), "a", 1, quality, 3) for t, quality in enumerate([0.9, 0.8, 0.1, 0.2, 0.5, 0.4])]
    assert [int(crop[0, 0]) // 10 for crop in best_crops(seen)] == [0, 4, 3]
    assert len(best_crops(seen[:1])) == 1


@pytest.mark.parametrize(
    ("counts", "expected"), [([], 0), ([1], 1), ([1] * 14 + [2], 1), ([1] * 12 + [2] * 3, 2), ([0] * 9 + [1] * 6, 1)]
)
def test_one_odd_detection_is_no_person(counts: list[int], expected: int) -> None:
    assert steady_count(counts) == expected


def test_faces_are_only_counted_where_nothing_may_be_inferred() -> None:
    stage = FaceStage(HaarDetector(), None, timer=lambda: 0.0)
    stage.see(PORTRAIT, 0.0, infer=False)
    window = stage.take(0.0, 3.0)
    assert (window.count, window.primary, window.crops) == (1, None, [])


def test_taking_a_window_leaves_the_next_one() -> None:
    stage = FaceStage(HaarDetector(), None, timer=lambda: 0.0)
    for time_s in (0.0, 2.9, 3.1):
        stage.see(PORTRAIT, time_s, infer=False)
    assert stage.take(0.0, 3.0).count == 1
    assert stage.take(3.0, 6.0).count == 1
    assert stage.take(6.0, 9.0).count == 0


def test_slow_detection_skips_frames_but_keeps_the_faces() -> None:
    """Detection takes 60 ms of each 200 ms: it may take 10 %, so it runs on every third frame."""
    clock = itertools.count(step=0.06)

    class Counting(HaarDetector):
        calls = 0

        def detect(self, image: np.ndarray) -> list[Face]:
            self.calls += 1
            return super().detect(image)

    detector = Counting()
    stage = FaceStage(detector, None, timer=lambda: next(clock), detect_every=0)
    for frame in range(20):
        stage.see(PORTRAIT, 0.2 * frame, infer=False)
    assert 6 <= detector.calls <= 9
    assert stage.take(3.0, 4.0).count == 1
