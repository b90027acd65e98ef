"""The full-size face and speech models over onnxruntime, calibrated and fused by the same code as on the device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import BadMessage, ModelError
from edge.fusion import DEFAULT_RULE, Fusion, fold_calm
from edge.perception.manifest import Manifest, ModelEntry, load_manifest, verified_file
from edge.perception.wire import CROP_SHAPE, LOG_MEL_SHAPE, unpack_crops, unpack_log_mel
from edge.protocol import Distribution, Evidence, distribution

_LABELS = {"face": EMOTIONS, "speech": SPEECH_EMOTIONS}
_INPUT_SHAPES = {"face": (1, *CROP_SHAPE), "speech": (1, *LOG_MEL_SHAPE)}

_QUIET = 3
"""onnxruntime's severity `error`."""

_WEIGHTS = "weights"
"""Optional input of the face model: how much its first looks count, the face as it is and its mirror image leading."""

_GLANCE: NDArray[np.float32] = np.full(2, 0.5, dtype=np.float32)

GLANCE_FROM = 3
"""Crops of one face: with three, a glance at each is as accurate as all looks, at a fifth of the work
(`scripts/evaluate looks`)."""

Floats = NDArray[np.float32]


class Judgement(NamedTuple):
    """What the full-size models say about one piece of evidence; None where there was nothing to judge."""

    face: Distribution | None
    speech: Distribution | None
    fused: Distribution | None
    models: list[str]


class _Inputs(NamedTuple):
    """Evidence, unpacked; (n, 1, H, W) each, None where there is none."""

    evidence: Evidence
    crops: Floats | None
    log_mel: Floats | None


class FullModels:
    """Both full-size models, loaded and checked against the manifest.

        models = FullModels(Path("cloud/models"), threads=1)
        models.judge(evidence)

    Raises ModelError if the manifest or a file is missing, damaged or not what it says. One call at a time.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._manifest = load_manifest(folder)
        self.fusion = Fusion(DEFAULT_RULE, self._manifest.fusion_weights, self._manifest.fusion)
        self._face = _Model(folder, self._manifest, "face", threads)
        self._speech = _Model(folder, self._manifest, "speech", threads)

    @property
    def names(self) -> list[str]:
        """Names and versions of the models, e.g. `face-full 1`."""
        return [self._face.name, self._speech.name]

    @property
    def inputs(self) -> dict[str, str]:
        """What the model of each task takes, e.g. {"face": "gray48", "speech": "logmel64"}."""
        return {entry.task: entry.input for entry in (self._face.entry, self._speech.entry)}

    @property
    def manifest(self) -> Manifest:
        """Fusion weights and gates of these models."""
        return self._manifest

    def faces(self, crops: NDArray[np.uint8], *, glance: bool = False) -> Floats:
        """Return probabilities over the 7 emotions, shape (N, 7), for crops of shape (N, 48, 48).

        With `glance` each is looked at less often, for faces that are seen many times.
        """
        return self._face.probabilities(crops[:, None].astype(np.float32) / np.float32(255.0), glance=glance)

    def tones(self, log_mels: Floats) -> Floats:
        """Return probabilities over the 8 speech emotions, shape (N, 8), for log-mels of shape (N, 186, 64)."""
        return self._speech.probabilities(log_mels[:, None])

    def judge(self, evidence: Evidence) -> Judgement:
        """Return the calibrated distributions and their fusion. Blocks for the time of the inference.

        Raises BadMessage if the evidence cannot be unpacked.
        """
        (judged,) = self.judge_all([evidence])
        if isinstance(judged, BadMessage):
            raise judged
        return judged

    def judge_all(self, batch: Sequence[Evidence]) -> list[Judgement | BadMessage]:
        """Return what `judge` says of each, in one run of each model; an error stands in the place of its evidence.

        Each answer is the one that the evidence would get alone.
        """
        inputs = [_unpacked(evidence) for evidence in batch]
        good = [each for each in inputs if not isinstance(each, BadMessage)]
        faces = self._face.probabilities_of([each.crops for each in good])
        tones = self._speech.probabilities_of([each.log_mel for each in good])
        answers = iter([self._judgement(*each) for each in zip(faces, tones, good, strict=True)])
        return [each if isinstance(each, BadMessage) else next(answers) for each in inputs]

    def _judgement(self, face: Floats | None, speech: Floats | None, inputs: _Inputs) -> Judgement:
        # The crops show one face within one window. Any of them may be bad (a blink, blur, a hand), so their
        # probabilities are averaged: in log space, a product, one bad crop could veto what all the others see.
        face_mean = None if face is None else face.mean(axis=0)
        speech_one = None if speech is None else speech[0]
        return Judgement(
            face=None if face_mean is None else distribution(EMOTIONS, face_mean.tolist()),
            speech=None if speech_one is None else distribution(SPEECH_EMOTIONS, speech_one.tolist()),
            fused=self._fuse(face_mean, speech_one, inputs.evidence),
            models=[
                model.name
                for model, used in ((self._face, face is not None), (self._speech, speech is not None))
                if used
            ],
        )

    def _fuse(self, face: Floats | None, speech: Floats | None, evidence: Evidence) -> Distribution | None:
        distributions = {}
        if face is not None:
            distributions["face"] = face
        if speech is not None:
            distributions["speech"] = fold_calm(speech)
        said = {"face": ("quality", evidence.face_quality), "speech": ("voiced_share", evidence.voiced_share)}
        fused = self.fusion(
            distributions, {name: {measure: value} for name, (measure, value) in said.items() if value is not None}
        )
        return None if fused is None else distribution(EMOTIONS, fused.tolist())


class _Model:
    """One ONNX file: its deployed head, calibrated."""

    def __init__(self, folder: Path, manifest: Manifest, task: str, threads: int) -> None:
        entry = manifest.model(task)
        path = verified_file(folder, entry)
        self.entry = entry
        self.name = f"{entry.name} {entry.version}"
        self._head = entry.outputs[0]
        if self._head.labels != _LABELS[task]:
            raise ModelError(f"{path} speaks of {self._head.labels}, not of {_LABELS[task]}", fix="Update Mien.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _QUIET
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            optional = [each.name for each in self._session.get_overridable_initializers()]
            self._glance = {name: _GLANCE for name in optional if name == _WEIGHTS}
            self._try_out(entry, task)
        except Exception as error:
            raise ModelError(f"{path} cannot be run: {error}", fix="Install the models again.") from error

    def _try_out(self, entry: ModelEntry, task: str) -> None:
        """Run once, so that a wrong shape shows at the start and the first request is not the slow one."""
        logits = self._run(np.zeros((1, *_INPUT_SHAPES[task]), dtype=np.float32))
        expected = (1, sum(len(head.labels) for head in entry.outputs))
        if logits.shape != expected:
            raise ValueError(f"its output has shape {logits.shape}, not {expected}")

    def _run(self, batch: Floats, *, glance: bool = False) -> Floats:
        inputs = {self._input: batch} | (self._glance if glance else {})
        return np.asarray(self._session.run(None, inputs)[0], dtype=np.float32)

    def probabilities(self, batch: Floats, *, glance: bool = False) -> Floats:
        """Return calibrated probabilities of the deployed head, shape (N, labels), for inputs of shape (N, 1, H, W).

        `glance` asks for fewer looks at each; a model that always looks once takes no notice.
        """
        return self._head.calibrate(self._run(batch, glance=glance)[:, : len(self._head.labels)])

    def probabilities_of(self, parts: Sequence[Floats | None]) -> list[Floats | None]:
        """Return `probabilities` of each part, None where the part is, after at most two runs over all of them.

        Where GLANCE_FROM inputs or more show one face, each of them gets a glance.
        """
        answers: list[Floats | None] = [None] * len(parts)
        for glance in (False, True):
            chosen = {
                place: part
                for place, part in enumerate(parts)
                if part is not None and (len(part) >= GLANCE_FROM) == glance
            }
            if chosen:
                ends = np.cumsum([len(part) for part in chosen.values()])[:-1]
                judged = self.probabilities(np.concatenate(list(chosen.values())), glance=glance)
                for place, answer in zip(chosen, np.split(judged, ends), strict=True):
                    answers[place] = answer
        return answers


def _unpacked(evidence: Evidence) -> _Inputs | BadMessage:
    try:
        log_mel = unpack_log_mel(evidence)
        crops = unpack_crops(evidence)[:, None] if evidence.crops else None
    except BadMessage as error:
        return error
    return _Inputs(evidence, crops, None if log_mel is None else log_mel[None, None])
