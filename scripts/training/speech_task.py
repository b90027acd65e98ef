"""The speech task: cached features of several augmented copies of every clip, changed further on the fly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from tqdm import tqdm

from edge.emotions import SPEECH_EMOTIONS
from edge.perception import features
from training.augment import augment_speech
from training.confusion import unweighted_recall
from training.face_task import predict, rarity_weights
from training.sound_augment import augment_sound
from training.speech_data import Clip, load_clips, load_noises, present

COPIES = {"ravdess": 12, "tess": 1, "cremad": 2, "savee": 6}
"""Cached copies per clip: 16 speakers are worth more epochs than two, and 91 have enough clips as they are. Those of
CREMA-D and SAVEE, which need not be there, are chosen by these numbers of clips and not by trying."""

CORPUS_WEIGHT = {"ravdess": 1.0, "tess": 0.5, "cremad": 0.5, "savee": 0.5}
BALANCE = 1.0
"""All emotions count the same in the loss: RAVDESS has half as much neutral."""

LABEL_SMOOTHING = 0.1

SEED = 0
"""Of the cached copies, which all runs share: with a seed's own, each run would take five minutes more."""


@dataclass(frozen=True)
class SpeechSet:
    """N examples as the models eat them."""

    inputs: NDArray[np.floating]
    """(N, 186, 64), in [-4, 4]; cached copies are float16."""
    emotions: NDArray[np.int64]
    """(N,) index into SPEECH_EMOTIONS."""
    weights: NDArray[np.float32]
    """(N,) how much the example counts in training."""

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, which: slice | NDArray[np.int64]) -> SpeechSet:
        """Return the examples selected by a slice or by indices."""
        return SpeechSet(self.inputs[which], self.emotions[which], self.weights[which])


class SpeechTask:
    """Augmented copies of the training clips, judged by UAR on validation speakers."""

    heads: Mapping[str, tuple[int, float]] = {"speech": (len(SPEECH_EMOTIONS), 1.0)}

    def __init__(self, train: SpeechSet, validation: SpeechSet) -> None:
        self._inputs = torch.from_numpy(train.inputs)
        one_hot = np.eye(len(SPEECH_EMOTIONS), dtype=np.float32)[train.emotions]
        smooth = one_hot * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / len(SPEECH_EMOTIONS)
        masses = (one_hot * train.weights[:, np.newaxis]).sum(axis=0)
        weights = train.weights * (one_hot @ rarity_weights(masses, BALANCE))
        self._targets = torch.from_numpy((smooth * weights[:, np.newaxis]).astype(np.float32))
        self._validation = validation

    def __len__(self) -> int:
        return len(self._inputs)

    def batch(self, indices: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Return changed log-mels (N, 1, 186, 64) and targets (N, 8)."""
        inputs = self._inputs[indices].float().unsqueeze(1)
        return augment_speech(inputs, generator), self._targets[indices]

    def validate(self, net: nn.Module) -> dict[str, float]:
        """Return UAR and accuracy on unchanged clips."""
        logits = predict(net, speech_inputs(self._validation))
        chosen = logits.argmax(axis=1)
        return {
            "uar": round(unweighted_recall(chosen, self._validation.emotions), 4),
            "accuracy": round(float((chosen == self._validation.emotions).mean()), 4),
        }


def speech_inputs(examples: SpeechSet) -> NDArray[np.float32]:
    """Turn a set into what the nets take: (N, 1, 186, 64) float32."""
    return examples.inputs.astype(np.float32)[:, np.newaxis]


def plain_set(clips: Sequence[Clip]) -> SpeechSet:
    """Return the unchanged clips, each as one padded or cut window: how validation and calibration see them.

    Exactly as a device makes them: rounded to float16, as the cached copies are, they cross an int8 step now and then.
    """
    inputs = np.stack([features.speech_features(clip.pcm) for clip in clips])
    return SpeechSet(inputs, np.array([clip.emotion for clip in clips]), np.ones(len(clips), dtype=np.float32))


def training_set(data: Path, cache: Path) -> SpeechSet:
    """Return the augmented training examples, from the file in `cache` if one was made with the same settings."""
    path = cache / f"speech-{_fingerprint(SEED, present(data))}.npz"
    if path.exists():
        with np.load(path) as stored:
            return SpeechSet(stored["inputs"], stored["emotions"], stored["weights"])
    made = _augmented(load_clips(data, "train"), load_noises(data), SEED)
    cache.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, inputs=made.inputs, emotions=made.emotions, weights=made.weights)
    partial.replace(path)
    return made


def training_speakers(data: Path) -> NDArray[np.str_]:
    """Return who speaks in each example of `training_set`, (N,)."""
    clips = load_clips(data, "train")
    return np.repeat([clip.speaker for clip in clips], [COPIES[clip.corpus] for clip in clips])


def _augmented(clips: Sequence[Clip], noises: Sequence[NDArray[np.float32]], seed: int) -> SpeechSet:
    """Compute all copies; the first of a RAVDESS clip is the clip itself."""
    inputs, emotions, weights = [], [], []
    for number, clip in enumerate(tqdm(clips, desc="features of augmented clips", unit="clip", mininterval=1.0)):
        for copy in range(COPIES[clip.corpus]):
            rng = np.random.default_rng((seed, number, copy))
            changed = clip.corpus == "tess" or copy > 0
            pcm = augment_sound(clip.pcm, noises, rng) if changed else clip.pcm
            inputs.append(features.speech_features(pcm).astype(np.float16))
            emotions.append(clip.emotion)
            weights.append(CORPUS_WEIGHT[clip.corpus])
    return SpeechSet(np.stack(inputs), np.array(emotions), np.array(weights, dtype=np.float32))


def _fingerprint(seed: int, corpora: Sequence[str]) -> str:
    """Name everything that decides the cached features, so that a stale cache is never read.

    RAVDESS and TESS count whether they are there or not, as they did before there were others: old caches stay good.
    """
    constants = {name: value for name, value in vars(features).items() if isinstance(value, int | float)}
    used = {"ravdess", "tess", *corpora}
    settings = [{corpus: of[corpus] for corpus in of if corpus in used} for of in (COPIES, CORPUS_WEIGHT)]
    text = json.dumps([constants, *settings, seed], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
