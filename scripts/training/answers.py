"""What the models that ship say about a pack: the device's answer and the cloud's to each example, with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS
from edge.fusion import fold_calm
from edge.perception.manifest import load_manifest, verified_file
from training.crossfit import strangers_of
from training.fusion_data import Measured, face_measures, voice_measures
from training.models import Recogniser
from training.packs import Clips, read_clips, read_face_pack
from training.splits import CALIBRATION_SPEAKERS


@dataclass(frozen=True, kw_only=True)
class Answers(Measured):
    """The device's calibrated 7-way probabilities (N, 7) with the truth (N,), and the cloud's."""

    asked: NDArray[np.float32]
    """(N, 7) what the cloud says; the device's own where no cloud's model was given."""
    groups: NDArray[np.generic]
    """(N,) who is wrong together: the number of identical pictures, the speaker's name."""
    calibration: NDArray[np.bool_]
    """(N,) True where the example belongs to the half that models, as trained here, are calibrated on."""

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Answers:
        """Return the examples at these indices, or of this mask."""
        return Answers(
            probabilities=self.probabilities[which],
            labels=self.labels[which],
            measures={name: each[which] for name, each in self.measures.items()},
            asked=self.asked[which],
            groups=self.groups[which],
            calibration=self.calibration[which],
        )

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The device's, (N,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the device is right, (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)

    @property
    def cloud_correct(self) -> NDArray[np.bool_]:
        """Whether the cloud is right, (N,)."""
        return np.asarray(self.asked.argmax(axis=1) == self.labels)


def face_answers(pack: Path, device: Path, cloud: Path | None, *, split: str | None = None) -> Answers:
    """Return the answers to a pack of faces with FER+ labels by the models of the folders `device` and `cloud`.

    Raises TrainingError or ModelError, naming the file, if pack or model cannot be used.
    """
    faces = read_face_pack(pack, labels="ferplus", split=split)
    said = _recognise(device, "face", "ferplus", faces.inputs)
    return Answers(
        probabilities=said,
        labels=faces.truth,
        measures=face_measures((faces.inputs * 255.0).round().astype(np.uint8)),
        asked=said if cloud is None else _recognise(cloud, "face", "ferplus", faces.inputs),
        groups=faces.groups,
        calibration=faces.calibration,
    )


def speech_answers(pack: Path, device: Path, cloud: Path | None, *, split: str | None = None) -> Answers:
    """Return the answers to a pack of speech, `calm` counted as neutral; otherwise as `face_answers`."""
    clips = read_clips(pack, split=split)
    inputs = clips.pack().inputs
    said = _recognise(device, "speech", "speech", inputs)
    asked = None if cloud is None else _recognise(cloud, "speech", "speech", inputs)
    speakers = _speakers(clips)
    return _voices(clips, said, asked, np.isin(speakers, CALIBRATION_SPEAKERS))


def stranger_answers(pack: Path, device: Path, cloud: Path | None) -> Answers | None:
    """Return what `speech_answers` does of the training speakers in a pack, as if the models had never heard them.

    None if that cannot be told of one of the models (`training.crossfit`). All may be calibrated on.
    """
    folders = [device] if cloud is None else [device, cloud]
    entries = [load_manifest(folder).model("speech") for folder in folders]
    judges = [strangers_of(verified_file(folder, entry)) for folder, entry in zip(folders, entries, strict=True)]
    able = [judge for judge in judges if judge is not None]
    if len(able) < len(judges):
        return None
    clips = read_clips(pack, split="train")
    inputs, speakers = clips.pack().inputs, _speakers(clips)
    said = [judge.recognise(entry.outputs[0], speakers)(inputs) for judge, entry in zip(able, entries, strict=True)]
    return _voices(clips, said[0], None if cloud is None else said[1], np.full(len(clips.truth), True))


def _voices(
    clips: Clips, said: NDArray[np.float32], asked: NDArray[np.float32] | None, calibration: NDArray[np.bool_]
) -> Answers:
    said = fold_calm(said)
    return Answers(
        probabilities=said,
        labels=np.where(clips.truth >= len(EMOTIONS), EMOTIONS.index("neutral"), clips.truth),
        measures=voice_measures(clips.sounds),
        asked=said if asked is None else fold_calm(asked),
        groups=np.array(_speakers(clips)),
        calibration=calibration,
    )


def _speakers(clips: Clips) -> list[str]:
    return clips.columns.get("speaker", [""] * len(clips.truth))


def _recognise(folder: Path, task: str, head: str, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    return Recogniser(str(folder / load_manifest(folder).model(task).file), task, head)(inputs)
