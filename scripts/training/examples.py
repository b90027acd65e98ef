"""The examples that an export needs: to quantise, to calibrate, and, held back until then, to report on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from training.face_task import face_inputs
from training.faces import Faces, load_faces
from training.speech_data import Clip, load_clips
from training.speech_task import SpeechSet, plain_set, speech_inputs, training_set
from training.splits import CALIBRATION_SPEAKERS, calibration_half

QUANTISATION_EXAMPLES = 200

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "face": {"ferplus": EMOTIONS, "fer2013": EMOTIONS},
    "speech": {"speech": SPEECH_EMOTIONS},
}
"""Per task, the heads in the order of the logits; the first is the deployed one."""


@dataclass(frozen=True)
class Half:
    """Half of the validation data. Labels are -1 where an example has none."""

    title: str
    """What the half is, for manifest and card."""
    inputs: NDArray[np.float32]
    """(N, C, H, W) as the nets take them."""
    labels: dict[str, NDArray[np.int64]]
    """Per head, (N,)."""
    subsets: dict[str, NDArray[np.bool_]]
    """Named parts worth a figure of their own, (N,)."""


@dataclass(frozen=True)
class Examples:
    """Everything for one task."""

    quantisation: NDArray[np.float32]
    """(200, C, H, W) from the training split."""
    calibration: Half
    held_back: Half


def load_examples(task: str, data: Path, cache: Path, seed: int) -> Examples:
    """Return the examples of `task`, face or speech. Raises TrainingError if the data are not there."""
    rng = np.random.default_rng(seed)
    if task == "face":
        train, validation = load_faces(data, "train"), load_faces(data, "validation")
        half = calibration_half(validation.groups)
        some = rng.choice(len(train), min(QUANTISATION_EXAMPLES, len(train)), replace=False)
        return Examples(
            face_inputs(train.images[some]),
            _face_half("calibration", validation.take(half)),
            _face_half("held-back", validation.take(~half)),
        )
    made = training_set(data, cache, seed)
    some = rng.choice(len(made), min(QUANTISATION_EXAMPLES, len(made)), replace=False)
    clips = load_clips(data, "validation")
    return Examples(
        speech_inputs(SpeechSet(made.inputs[some], made.emotions[some], made.weights[some])),
        _speech_half([clip for clip in clips if clip.speaker in CALIBRATION_SPEAKERS]),
        _speech_half([clip for clip in clips if clip.speaker not in CALIBRATION_SPEAKERS]),
    )


def _face_half(which: str, faces: Faces) -> Half:
    labels = {"ferplus": faces.majority, "fer2013": faces.labels}
    subsets = {"images that do not also stand in the training set": ~faces.leaked} if faces.leaked.any() else {}
    title = f"FER2013 PublicTest, {which} half, identical images kept together"
    return Half(title, face_inputs(faces.images), labels, subsets)


def _speech_half(clips: list[Clip]) -> Half:
    examples = plain_set(clips)
    sexes = np.array([clip.sex for clip in clips])
    subsets = {"women": sexes == "F", "men": sexes == "M"}
    title = "RAVDESS " + ", ".join(sorted({clip.speaker.replace("ravdess_", "actor ") for clip in clips}))
    return Half(title, speech_inputs(examples), {"speech": examples.emotions}, subsets)
