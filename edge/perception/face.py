"""The face stage: frames in, one window's worth of faces out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.crop import crop_face, crop_quality
from edge.perception.detect import FaceDetector, to_gray
from edge.perception.manifest import Manifest, verified_file
from edge.perception.runtime import RuntimeName, TfliteModel
from edge.perception.tracking import Track, Tracker

EVIDENCE_CROPS = 3
DETECT_SHARE = 0.1
"""Detection may take this share of the time between two frames; where it takes more, frames are skipped."""
MAX_DETECT_EVERY = 5
MIN_QUALITY = 1e-3
STEADY_SHARE = 0.2


class FaceModel:
    """The device's face model: 48x48 crops to calibrated distributions."""

    def __init__(self, folder: Path, manifest: Manifest, *, runtime: RuntimeName | None = None) -> None:
        self.entry = manifest.model("face")
        self._model = TfliteModel(verified_file(folder, self.entry), runtime=runtime)
        self.runtime = self._model.runtime

    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities over the 7 emotions, shape (N, 7), for crops of shape (N, 48, 48)."""
        logits = self._model(crops.astype(np.float32) / 255.0)
        output = self.entry.outputs[0]
        return output.calibrate(logits[:, : len(output.labels)])


@dataclass(frozen=True)
class Observation:
    """One face in one frame."""

    time_s: float
    track: str
    area: float
    quality: float
    crop: NDArray[np.uint8]
    probs: NDArray[np.float32] | None
    """(7,); None where inference is not permitted."""


@dataclass(frozen=True)
class FaceWindow:
    """What the camera saw in one window."""

    count: int = 0
    """Largest number of faces seen at once, in a fifth of the frames at least."""
    primary: NDArray[np.float32] | None = None
    """(7,): distribution of the primary face, the largest over the window."""
    quality: float | None = None
    """Of the primary face, in [0, 1]."""
    crops: list[NDArray[np.uint8]] = field(default_factory=list)
    """Of the primary face, the best of each stretch of the window, best first."""
    everyone: list[NDArray[np.float32]] = field(default_factory=list)
    """(7,) each: one distribution per face seen, in no order that means anything. For aggregates."""
    shares: list[float] = field(default_factory=list)
    """Share of the window's frames that each of `everyone` was seen in: a face that was lost and found again counts
    twice in `everyone`, but its shares add up to 1 at most."""


class FaceStage:
    """Detects, follows, crops and classifies faces as frames come.

    `model` None: faces are only counted. `detect_every` 0 chooses how many frames to skip between detections from what
    detection costs here, by `timer`; a fixed number makes results repeatable, as in replays.
    """

    def __init__(
        self,
        detector: FaceDetector,
        model: FaceModel | None,
        *,
        timer: Callable[[], float],
        detect_every: int = 1,
    ) -> None:
        self._detector = detector
        self.model = model
        self._timer = timer
        self._fixed_every = detect_every
        self._every = max(1, detect_every)
        self._tracker = Tracker()
        self._frame = 0
        self._last_s: float | None = None
        self._observations: list[Observation] = []
        self._counts: list[tuple[float, int]] = []

    def reset(self) -> None:
        """Forget everything seen so far."""
        self._tracker.reset()
        self._frame, self._last_s = 0, None
        self._observations, self._counts = [], []

    def see(self, image: NDArray[np.uint8], time_s: float, *, infer: bool) -> None:
        """Take one frame, (H, W, 3) BGR or (H, W) gray; `infer` False only counts faces."""
        gray = to_gray(image)
        if self._frame % self._every == 0:
            tracks = self._detect(image, gray, time_s)
        else:
            tracks = self._tracker.followed(gray, time_s)
        self._frame += 1
        self._counts.append((time_s, len(tracks)))
        if infer and self.model is not None and tracks:
            self._observations += self._classify(self.model, gray, tracks, time_s)

    def take(self, start_s: float, end_s: float) -> FaceWindow:
        """Return what was seen in [start_s, end_s) and forget everything before `end_s`."""
        counts = [count for time_s, count in self._counts if start_s <= time_s < end_s]
        observations = [each for each in self._observations if start_s <= each.time_s < end_s]
        self._counts = [each for each in self._counts if each[0] >= end_s]
        self._observations = [each for each in self._observations if each.time_s >= end_s]
        return summarise(observations, steady_count(counts), frames=len(counts))

    def _detect(self, image: NDArray[np.uint8], gray: NDArray[np.uint8], time_s: float) -> list[Track]:
        started = self._timer()
        faces = self._detector.detect(image)
        cost_s = self._timer() - started
        if self._fixed_every == 0 and self._last_s is not None and time_s > self._last_s:
            interval_s = (time_s - self._last_s) / self._every
            self._every = min(MAX_DETECT_EVERY, max(1, math.ceil(cost_s / (DETECT_SHARE * interval_s))))
        self._last_s = time_s
        return self._tracker.detected(gray, faces, time_s)

    @staticmethod
    def _classify(model: FaceModel, gray: NDArray[np.uint8], tracks: list[Track], time_s: float) -> list[Observation]:
        crops = [crop_face(gray, track.face) for track in tracks]
        probs = model(np.stack(crops))
        return [
            Observation(time_s, track.id, track.face.area, crop_quality(crop, track.face), crop, row)
            for track, crop, row in zip(tracks, crops, probs, strict=True)
        ]


def steady_count(counts: list[int]) -> int:
    """Return the largest number of faces that a fifth of the frames show: one odd detection is no person."""
    return sorted(counts, reverse=True)[math.ceil(STEADY_SHARE * len(counts)) - 1] if counts else 0


def summarise(observations: list[Observation], count: int, *, frames: int) -> FaceWindow:
    """Return the window of these observations in `frames` frames, in which at most `count` faces were seen at once."""
    tracks: dict[str, list[Observation]] = defaultdict(list)
    for each in observations:
        tracks[each.track].append(each)
    if not tracks:
        return FaceWindow(count=count)
    primary = max(tracks.values(), key=lambda seen: sum(each.area for each in seen))
    means = [(mean, len(seen) / frames) for seen in tracks.values() if (mean := _mean(seen)) is not None]
    return FaceWindow(
        count=count,
        primary=_mean(primary),
        quality=float(np.mean([each.quality for each in primary])),
        crops=best_crops(primary),
        everyone=[mean for mean, _ in means],
        shares=[share for _, share in means],
    )


def best_crops(observations: list[Observation], limit: int = EVIDENCE_CROPS) -> list[NDArray[np.uint8]]:
    """Return up to `limit` crops: the best of each of `limit` equal stretches, so that they differ, best first."""
    size = math.ceil(len(observations) / limit)
    stretches = [observations[index : index + size] for index in range(0, len(observations), size)]
    best = [max(stretch, key=lambda each: each.quality) for stretch in stretches]
    return [each.crop for each in sorted(best, key=lambda each: each.quality, reverse=True)]


def _mean(observations: list[Observation]) -> NDArray[np.float32] | None:
    """Return the mean distribution, each frame weighted by its quality; None where nothing was inferred.

    Frames of one face are far from independent, so their probabilities are averaged, not multiplied.
    """
    pairs = [(each.probs, max(each.quality, MIN_QUALITY)) for each in observations if each.probs is not None]
    if not pairs:
        return None
    weights = np.array([weight for _, weight in pairs], np.float32)
    return np.asarray(np.average([probs for probs, _ in pairs], axis=0, weights=weights), np.float32)
