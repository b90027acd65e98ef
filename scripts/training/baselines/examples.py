"""The speech examples of the baselines: features of three copies of every clip, cached, and how they are divided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.baselines import sound_changes, sound_features
from training.baselines.sound_features import CHROMA, MEL, MFCC, RMS, ZCR
from training.speech_data import Clip, load_clips, present

TEST_SHARE = 0.2

MEANS_162 = np.r_[ZCR, CHROMA, MFCC.start : MFCC.start + 20, RMS, MEL]
MEANS_180 = np.r_[MFCC, CHROMA, MEL]

MAKERS: dict[str, Callable[[sound_features.Sound], NDArray[np.float32]]] = {
    "mfcc_means": lambda pcm: sound_features.mfcc_means(pcm)[np.newaxis],
    "means": lambda pcm: sound_features.means(pcm)[np.newaxis, MEANS_162],
    "matched_means": lambda pcm: sound_features.means(sound_changes.match_reference(pcm))[np.newaxis, MEANS_180],
    "mfcc_frames": lambda pcm: sound_features.cepstrum(sound_features.log_mel(pcm)).astype(np.float32),
    "log_mel": sound_features.log_mel,
}
"""Kind of features -> what makes one example (frames, values) of a clip."""


@dataclass(frozen=True, kw_only=True)
class SoundExamples:
    """N examples: COPIES of every clip, copies of one clip next to each other."""

    means: NDArray[np.float32]
    """(N, 182), see `sound_features.means`."""
    matched_means: NDArray[np.float32]
    """(N, 182), of the sound matched to the clean reference."""
    log_mel: NDArray[np.float16]
    """(N, 94, 64) in dB."""
    emotions: NDArray[np.int64]
    """(N,) index into SPEECH_EMOTIONS."""
    speakers: NDArray[np.str_]
    """(N,), `tess_...` or `ravdess_...`."""
    clips: NDArray[np.int64]
    """(N,) number of the clip."""
    copies: NDArray[np.int64]
    """(N,) 0 for the clip itself."""
    held_out: NDArray[np.bool_]
    """(N,) True for the validation speakers, actors 18 to 21."""

    def __len__(self) -> int:
        return len(self.emotions)

    def inputs(self, kind: str, which: NDArray[np.int64]) -> NDArray[np.floating]:
        """Return features of some examples as the nets take them, (n, 1, frames, values); `kind` as in MAKERS."""
        if kind == "mfcc_means":
            return self.means[which][:, np.newaxis, np.newaxis, MFCC]
        if kind == "means":
            return self.means[which][:, np.newaxis, np.newaxis, MEANS_162]
        if kind == "matched_means":
            return self.matched_means[which][:, np.newaxis, np.newaxis, MEANS_180]
        if kind == "log_mel":
            return self.log_mel[which][:, np.newaxis]
        parts = [sound_features.cepstrum(one.astype(np.float64)).astype(np.float16) for one in self.log_mel[which]]
        return np.stack(parts)[:, np.newaxis]


def divide(examples: SoundExamples, protocol: str, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of training and test examples under `protocol` (see `catalogue.PROTOCOLS`).

    Tests hold unchanged clips only, except under `leak`, where copies fall on either side as chance wills.
    """
    rng = np.random.default_rng((seed, 80_20))
    if protocol == "independent":
        tested = examples.held_out
    elif protocol == "random":
        clips = rng.permutation(np.unique(examples.clips))
        tested = np.isin(examples.clips, clips[: round(TEST_SHARE * len(clips))])
    else:
        chosen = rng.permutation(len(examples))[: round(TEST_SHARE * len(examples))]
        return np.setdiff1d(np.arange(len(examples)), chosen), np.sort(chosen)
    return np.flatnonzero(~tested), np.flatnonzero(tested & (examples.copies == 0))


def load_sound(data: Path, cache: Path, seed: int) -> SoundExamples:
    """Return the examples, from the file in `cache` if one was made with the same data folder and settings.

    Raises TrainingError if the data are not there.
    """
    path = cache / f"baselines-{_fingerprint(data, seed)}.npz"
    if path.exists():
        with np.load(path) as stored:
            return SoundExamples(**stored)
    training, held_out = load_clips(data, "train"), load_clips(data, "validation")
    made = make_examples([*training, *held_out], len(training), seed)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **{field.name: getattr(made, field.name) for field in fields(made)})
    partial.replace(path)
    return made


def make_examples(clips: Sequence[Clip], training: int, seed: int) -> SoundExamples:
    """Compute the features of all copies; the clips after the first `training` are of the held-out speakers."""
    rows: dict[str, list[NDArray[np.float32]]] = {"means": [], "matched_means": [], "log_mel": []}
    for number, clip in enumerate(tqdm(clips, desc="features for the baselines", unit="clip", mininterval=1.0)):
        for copy in range(sound_changes.COPIES):
            pcm = sound_changes.copy_of(clip.pcm, copy, np.random.default_rng((seed, number, copy)))
            rows["means"].append(sound_features.means(pcm))
            rows["matched_means"].append(sound_features.means(sound_changes.match_reference(pcm)))
            rows["log_mel"].append(sound_features.log_mel(pcm).astype(np.float16))
    numbers = np.repeat(np.arange(len(clips)), sound_changes.COPIES)
    return SoundExamples(
        means=np.stack(rows["means"]),
        matched_means=np.stack(rows["matched_means"]),
        log_mel=np.stack(rows["log_mel"]),
        emotions=np.array([clip.emotion for clip in clips])[numbers],
        speakers=np.array([clip.speaker for clip in clips])[numbers],
        clips=numbers,
        copies=np.tile(np.arange(sound_changes.COPIES), len(clips)),
        held_out=numbers >= training,
    )


def _fingerprint(data: Path, seed: int) -> str:
    """Name what decides the cached features: constants, seed, the folder and which packs are in it."""
    constants = {
        f"{module.__name__}.{name}": value
        for module in (sound_changes, sound_features)
        for name, value in vars(module).items()
        if isinstance(value, int | float | tuple)
    }
    other_packs = sorted({"ravdess", "tess"} ^ {*present(data)})
    text = json.dumps([constants, str(data.resolve()), seed, *other_packs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
