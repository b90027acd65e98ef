"""Putting a pipeline together from settings: shared by `mien-edge run` and `mien-edge replay`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.errors import ModelError
from edge.gate import Gate
from edge.perception.detect import open_detector
from edge.perception.face import FaceModel, FaceStage
from edge.perception.manifest import Manifest, load_manifest
from edge.perception.runtime import RuntimeName
from edge.perception.speech import SpeechModel, SpeechStage
from edge.protocol import ModelInfo
from edge.settings import FaceSettings, GateSettings, ModelSettings

YUNET_FILE = "face_detection_yunet_2023mar.onnx"


@dataclass(frozen=True)
class Models:
    """The models of this device, loaded. A modality whose model cannot be used is None, and `problems` says why."""

    manifest: Manifest
    face: FaceModel | None
    speech: SpeechModel | None
    problems: tuple[str, ...] = ()

    def info(self) -> list[ModelInfo]:
        """Return what the birth message says of them."""
        return [
            ModelInfo(
                name=model.entry.name, version=model.entry.version, sha256=model.entry.sha256, runtime=model.runtime
            )
            for model in (self.face, self.speech)
            if model is not None
        ]

    def thresholds(self) -> dict[str, float | None]:
        """Return the gate's threshold per set of modalities."""
        return {gate.modalities: gate.threshold for gate in self.manifest.gates}


def data_folder() -> Path:
    """Return where fetched files are kept: $XDG_DATA_HOME/mien, /var/lib/mien for root's daemon."""
    system = Path("/var/lib/mien")
    if os.access(system, os.W_OK):
        return system
    return Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share")) / "mien"


def shipped_models() -> Path:
    """Return the folder of the models that came with the package, or that stand beside it in a checkout."""
    return Path(__file__).resolve().parent.parent / "models_tflite"


def load_models(settings: ModelSettings) -> Models:
    """Load the models. Raises ModelError if the manifest cannot be read or no model at all can be used."""
    folder = Path(settings.folder) if settings.folder else shipped_models()
    manifest = load_manifest(folder)
    runtime: RuntimeName | None = settings.runtime or None
    face = speech = None
    problems = []
    try:
        face = FaceModel(folder, manifest, runtime=runtime)
    except ModelError as error:
        problems.append(str(error))
    try:
        speech = SpeechModel(folder, manifest, runtime=runtime)
    except ModelError as error:
        problems.append(str(error))
    if face is None and speech is None:
        raise ModelError("; ".join(problems))
    return Models(manifest, face, speech, tuple(problems))


def yunet_weights(settings: FaceSettings) -> Path | None:
    """Return the path of YuNet's weights if they are named or were fetched, else None: then Haar finds the faces."""
    if settings.detector_model:
        return Path(settings.detector_model)
    fetched = data_folder() / YUNET_FILE
    return fetched if fetched.exists() else None


def face_stage(models: Models, settings: FaceSettings, *, detect_every: int) -> FaceStage:
    """Return the face stage. Raises ModelError if the detector's weights are not YuNet's."""
    cv2.setNumThreads(1)  # the detectors do not get faster by more, only hotter
    detector = open_detector(yunet_weights(settings))
    return FaceStage(detector, models.face, timer=time.thread_time, detect_every=detect_every)


def speech_stage(models: Models) -> SpeechStage:
    """Return the speech stage."""
    return SpeechStage(models.speech)


def make_gate(models: Models, settings: GateSettings) -> Gate:
    """Return the gate with the manifest's thresholds and the configured budget."""
    return Gate(
        models.thresholds(),
        requests_per_minute=settings.requests_per_minute,
        bytes_per_minute=settings.bytes_per_minute,
    )
