"""The examples that an export needs: to quantise, to calibrate, and, held back until then, to report on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from training.face_task import face_inputs
from training.faces import Faces, load_faces
from training.fairness import quality_groups
from training.speech_data import Clip, load_clips
from training.speech_task import plain_set, speech_inputs, training_set
from training.splits import CALIBRATION_SPEAKERS, calibration_half

QUANTISATION_EXAMPLES = 200

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "face": {"ferplus": EMOTIONS, "fer2013": EMOTIONS},
    "speech": {"speech": SPEECH_EMOTIONS},
}
"""Per task, the heads in the order of the logits; the first is the deployed one."""


@dataclass(frozen=True)
class Half:
    """Half of the validation data, or other examples. Labels are -1 where an example has none."""

    title: str
    """What the half is, for manifest and card."""
    inputs: NDArray[np.float32]
    """(N, C, H, W) as the nets take them."""
    labels: dict[str, NDArray[np.int64]]
    """Per head, (N,)."""
    subsets: dict[str, NDArray[np.bool_]]
    """Named parts worth a figure of their own, (N,)."""
    groups: dict[str, list[str]]
    """Groupings of the examples to compare, such as by sex: N names each."""
    speakers: list[str] | None = None
    """Who speaks, N names; None for faces."""
    sounds: list[NDArray[np.float32]] | None = None
    """The waveforms that `inputs` came from; None for faces."""


@dataclass(frozen=True)
class Examples:
    """The validation data of one task."""

    calibration: Half
    held_back: Half


def load_examples(task: str, data: Path) -> Examples:
    """Return the examples of `task`, face or speech. Raises TrainingError if the data are not there."""
    if task == "face":
        validation = load_faces(data, "validation")
        half = calibration_half(validation.groups)
        return Examples(
            _face_half("calibration", validation.take(half)),
            _face_half("held-back", validation.take(~half)),
        )
    clips = load_clips(data, "validation")
    return Examples(
        _speech_half([clip for clip in clips if clip.speaker in CALIBRATION_SPEAKERS]),
        _speech_half([clip for clip in clips if clip.speaker not in CALIBRATION_SPEAKERS]),
    )


def load_strangers(data: Path, speakers: Collection[str]) -> Half:
    """Return the unchanged training clips of these speakers. Raises TrainingError if the data are not there."""
    return _speech_half([clip for clip in load_clips(data, "train") if clip.speaker in speakers])


def quantisation_inputs(task: str, data: Path, cache: Path, seed: int) -> NDArray[np.float32]:
    """Return 200 inputs, (200, C, H, W), of the training split, to measure the ranges of activations on."""
    rng = np.random.default_rng(seed)
    if task == "face":
        images = load_faces(data, "train").images
        return face_inputs(images[rng.choice(len(images), min(QUANTISATION_EXAMPLES, len(images)), replace=False)])
    made = training_set(data, cache)
    some = rng.choice(len(made), min(QUANTISATION_EXAMPLES, len(made)), replace=False)
    return speech_inputs(made.take(some))


def _face_half(which: str, faces: Faces) -> Half:
    labels = {"ferplus": faces.majority, "fer2013": faces.labels}
    subsets = {"images that do not also stand in the training set": ~faces.leaked} if faces.leaked.any() else {}
    title = f"FER2013 PublicTest, {which} half, identical images kept together"
    inputs = face_inputs(faces.images)
    return Half(title, inputs, labels, subsets, quality_groups(inputs[:, 0]))


def _speech_half(clips: list[Clip]) -> Half:
    examples = plain_set(clips)
    speakers = [clip.speaker for clip in clips]
    groups = {"sex": [clip.sex for clip in clips], "speaker": speakers}
    title = "RAVDESS " + ", ".join(sorted({clip.speaker.replace("ravdess_", "actor ") for clip in clips}))
    return Half(
        title,
        speech_inputs(examples),
        {"speech": examples.emotions},
        {},
        groups,
        speakers,
        [clip.pcm for clip in clips],
    )
