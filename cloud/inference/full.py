"""The full-size face and speech models over onnxruntime, calibrated and fused by the same code as on the device."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import ModelError
from edge.fusion import fold_calm, fuse
from edge.perception.manifest import Manifest, ModelEntry, load_manifest, verified_file
from edge.perception.wire import CROP_SHAPE, LOG_MEL_SHAPE, unpack_crops, unpack_log_mel
from edge.protocol import Distribution, Evidence, distribution

_LABELS = {"face": EMOTIONS, "speech": SPEECH_EMOTIONS}
_INPUT_SHAPES = {"face": (1, *CROP_SHAPE), "speech": (1, *LOG_MEL_SHAPE)}

_QUIET = 3
"""onnxruntime's severity `error`."""

Floats = NDArray[np.float32]


class Judgement(NamedTuple):
    """What the full-size models say about one piece of evidence; None where there was nothing to judge."""

    face: Distribution | None
    speech: Distribution | None
    fused: Distribution | None
    models: list[str]


class FullModels:
    """Both full-size models, loaded and checked against the manifest.

        models = FullModels(Path("cloud/models"), threads=1)
        models.judge(evidence)

    Raises ModelError if the manifest or a file is missing, damaged or not what it says. One `judge` at a time.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self._manifest = load_manifest(folder)
        self._face = _Model(folder, self._manifest, "face", threads)
        self._speech = _Model(folder, self._manifest, "speech", threads)

    @property
    def names(self) -> list[str]:
        """Names and versions of the models, e.g. `face-full 1`."""
        return [self._face.name, self._speech.name]

    def judge(self, evidence: Evidence) -> Judgement:
        """Return the calibrated distributions and their fusion. Blocks for the time of the inference.

        Raises BadMessage if the log-mel is not 186 x 64 bytes.
        """
        log_mel = unpack_log_mel(evidence)
        face = self._face.probabilities(unpack_crops(evidence)[:, None]) if evidence.crops else None
        speech = None if log_mel is None else self._speech.probabilities(log_mel[None, None])
        # The crops show one face within one window. Any of them may be bad (a blink, blur, a hand), so their
        # probabilities are averaged: in log space, a product, one bad crop could veto what all the others see.
        face_mean = None if face is None else face.mean(axis=0)
        speech_one = None if speech is None else speech[0]
        return Judgement(
            face=None if face_mean is None else distribution(EMOTIONS, face_mean.tolist()),
            speech=None if speech_one is None else distribution(SPEECH_EMOTIONS, speech_one.tolist()),
            fused=self._fuse(face_mean, speech_one, evidence),
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
        said = {"face": evidence.face_quality, "speech": evidence.voiced_share}
        reliabilities = {name: value for name, value in said.items() if value is not None}
        fused = fuse(distributions, self._manifest.fusion_weights, reliabilities)
        return None if fused is None else distribution(EMOTIONS, fused.tolist())


class _Model:
    """One ONNX file: its deployed head, calibrated."""

    def __init__(self, folder: Path, manifest: Manifest, task: str, threads: int) -> None:
        entry = manifest.model(task)
        path = verified_file(folder, entry)
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
            self._try_out(entry, task)
        except Exception as error:
            raise ModelError(f"{path} cannot be run: {error}", fix="Install the models again.") from error

    def _try_out(self, entry: ModelEntry, task: str) -> None:
        """Run once, so that a wrong shape shows at the start and the first request is not the slow one."""
        logits = self._run(np.zeros((1, *_INPUT_SHAPES[task]), dtype=np.float32))
        expected = (1, sum(len(head.labels) for head in entry.outputs))
        if logits.shape != expected:
            raise ValueError(f"its output has shape {logits.shape}, not {expected}")

    def _run(self, batch: Floats) -> Floats:
        return np.asarray(self._session.run(None, {self._input: batch})[0], dtype=np.float32)

    def probabilities(self, batch: Floats) -> Floats:
        """Return calibrated probabilities of the deployed head, shape (N, labels), for inputs of shape (N, 1, H, W)."""
        return self._head.calibrate(self._run(batch)[:, : len(self._head.labels)])
