"""Figures of the baselines and of Mien's own models, on the same examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge.perception.features import speech_features
from edge.perception.manifest import ModelEntry, load_manifest, verified_file
from edge.perception.runtime import TfliteModel
from training.baselines.examples import SoundExamples, divide
from training.baselines.run import SPLIT_SEED, Sources
from training.confusion import unweighted_recall
from training.face_task import face_inputs, predict
from training.faces import Faces
from training.speech_data import Clip
from training.splits import CALIBRATION_SPEAKERS, calibration_half

Logits = NDArray[np.float32]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Shipped:
    """One of Mien's models as it ships."""

    arch: str
    """edge or full."""
    entry: ModelEntry
    run: Callable[[NDArray[np.float32]], Logits]
    """(N, 48, 48) or (N, 186, 64) -> logits of all heads, one thread."""

    def probabilities(self, inputs: NDArray[np.float32], head: str) -> Logits:
        """Return the calibrated probabilities of `head` for many inputs."""
        logits = np.concatenate([self.run(inputs[start : start + 64]) for start in range(0, len(inputs), 64)])
        start = 0
        for output in self.entry.outputs:
            if output.name == head:
                return output.calibrate(logits[:, start : start + len(output.labels)])
            start += len(output.labels)
        raise KeyError(head)


def shipped_model(arch: str, folder: Path, task: str) -> Shipped:
    """Load the model for `task` that the manifest in `folder` names. Raises ModelError if it is not as it says."""
    entry = load_manifest(folder).model(task)
    path = verified_file(folder, entry)
    if path.suffix == ".tflite":
        return Shipped(arch, entry, TfliteModel(path))
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return Shipped(arch, entry, lambda batch: np.asarray(session.run(None, {name: batch[:, None]})[0], np.float32))


def face_figures(net: nn.Module, faces: Faces) -> Figures:
    """Return the figures of a baseline, whose 7 logits stand for FER2013 labels and are judged by FER+ as well."""
    logits = predict(net, face_inputs(faces.images))
    return _faces({"fer2013": logits, "ferplus": logits}, faces)


def shipped_face_figures(model: Shipped, faces: Faces) -> Figures:
    """Return the figures of one of ours, each head judged by its own labels."""
    inputs = face_inputs(faces.images)[:, 0]
    return _faces({head: model.probabilities(inputs, head) for head in ("fer2013", "ferplus")}, faces)


def _faces(scores: dict[str, Logits], faces: Faces) -> Figures:
    """Return accuracy and UAR per label set, and those of the half on which ours were not calibrated."""
    held_back = ~calibration_half(faces.groups)
    truths = {"fer2013": faces.labels, "ferplus": faces.majority}
    figures: Figures = {}
    for head, truth in truths.items():
        chosen, known = scores[head].argmax(axis=1), truth >= 0
        figures[head] = _right(chosen[known], truth[known])
        figures[f"{head}_held_back"] = _right(chosen[known & held_back], truth[known & held_back])
    return figures


def speech_figures(net: nn.Module, kind: str, examples: SoundExamples, protocol: str) -> Figures:
    """Return the figures of a baseline under `protocol`; `ravdess`: on the clips of RAVDESS alone, as in all three."""
    _, tested = divide(examples, protocol, SPLIT_SEED)
    inputs = examples.inputs(kind, tested).astype(np.float32)
    chosen = predict(net, inputs).argmax(axis=1)
    truth, speakers = examples.emotions[tested], examples.speakers[tested]
    return _speech(chosen, truth, speakers, protocol)


def shipped_speech_figures(model: Shipped, clips: list[Clip]) -> Figures:
    """Return the figures of one of ours on the held-out speakers."""
    inputs = np.stack([speech_features(clip.pcm) for clip in clips])
    chosen = model.probabilities(inputs, "speech").argmax(axis=1)
    truth = np.array([clip.emotion for clip in clips])
    return _speech(chosen, truth, np.array([clip.speaker for clip in clips]), "independent")


def _speech(chosen: NDArray[np.int64], truth: NDArray[np.int64], speakers: NDArray[np.str_], protocol: str) -> Figures:
    figures: Figures = _right(chosen, truth)
    ravdess = np.char.startswith(speakers, "ravdess")
    if ravdess.any():
        figures["ravdess"] = _right(chosen[ravdess], truth[ravdess])
    if protocol == "independent":
        held_back = ~np.isin(speakers, CALIBRATION_SPEAKERS)
        figures["held_back"] = _right(chosen[held_back], truth[held_back])
    return figures


def _right(chosen: NDArray[np.int64], truth: NDArray[np.int64]) -> Figures:
    return {
        "n": len(truth),
        "accuracy": round(float((chosen == truth).mean()), 4),
        "uar": round(unweighted_recall(chosen, truth), 4),
    }


def one_face(sources: Sources) -> NDArray[np.float32]:
    """Return one input of the face nets, (1, 1, 48, 48)."""
    return face_inputs(sources.test_faces.images[:1])


def state_bytes(net: nn.Module) -> int:
    """Return the size of the weights and statistics as float32."""
    sizes: list[int] = [value.numel() for value in net.state_dict().values() if value.dtype.is_floating_point]
    return 4 * sum(sizes)
