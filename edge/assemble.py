"""Putting a pipeline together from settings: shared by `mien-edge run` and `mien-edge replay`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge.aggregate import Aggregator
from edge.errors import ModelError
from edge.fusion import DEFAULT_RULE, Fusion, Rule
from edge.gate import Gate
from edge.header import Headers
from edge.perception.detect import open_detector
from edge.perception.face import FaceModel, FaceStage
from edge.perception.fetched import yunet_weights
from edge.perception.manifest import Gate as Threshold
from edge.perception.manifest import Manifest, load_manifest
from edge.perception.runtime import RuntimeName
from edge.perception.speech import SpeechModel, SpeechStage
from edge.protocol import GateInfo, ModelInfo
from edge.settings import Config, FaceSettings, ModelSettings, WindowSettings
from edge.temporal import TemporalFilter, stay_of


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

    def gates(self, config: Config) -> list[GateInfo]:
        """Return what is sure, per set of modalities, at the configured error rate, else at the manifest's own.

        Thresholds for fused windows were chosen for log-linear pooling: with another rule none holds.
        """
        found = []
        for gate in self.manifest.gates:
            alpha = gate.alpha if config.gate.alpha is None else config.gate.alpha
            other_rule = "+" in gate.modalities and config.fusion.rule != DEFAULT_RULE
            found.append(unsure(gate.modalities, alpha) if other_rule else gate_info(gate, alpha))
        return found


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


def face_stage(models: Models, settings: FaceSettings, *, detect_every: int) -> FaceStage:
    """Return the face stage. Raises ModelError if the detector's weights are not YuNet's."""
    cv2.setNumThreads(1)  # the detectors do not get faster by more, only hotter
    detector = open_detector(yunet_weights(settings.detector_model))
    return FaceStage(detector, models.face, timer=time.thread_time, detect_every=detect_every)


def speech_stage(models: Models) -> SpeechStage:
    """Return the speech stage."""
    return SpeechStage(models.speech)


def make_fusion(models: Models, rule: Rule) -> Fusion:
    """Return the fusion rule with the manifest's parameters. Raises ModelError if the manifest lacks them."""
    return Fusion(rule, models.manifest.fusion_weights, models.manifest.fusion)


def make_filter(models: Models, settings: WindowSettings) -> TemporalFilter:
    """Return the filter over time, as configured, else as the manifest says."""
    return TemporalFilter(stay=stay_of(models.manifest.filter) if settings.stay is None else settings.stay)


def gate_info(gate: Threshold, alpha: float) -> GateInfo:
    """Return what the gate calls sure at the error rate `alpha`."""
    point = gate.point(alpha)
    if point is None:
        return unsure(gate.modalities, alpha)
    return GateInfo(
        modalities=gate.modalities,
        alpha=alpha,
        threshold=point.threshold,
        bound=point.bound,
        coverage=point.kept / gate.n,
    )


def unsure(modalities: str, alpha: float) -> GateInfo:
    """Return that no reading of these modalities is sure."""
    return GateInfo(modalities=modalities, alpha=alpha, threshold=None, bound=None, coverage=0.0)


def described(gate: GateInfo) -> str:
    """Return one line about a gate, for `mien-edge check` and the log."""
    if gate.threshold is None:
        return f"{gate.modalities}: no known threshold keeps errors under {gate.alpha:.0%}, every reading is unsure"
    return (
        f"{gate.modalities}: sure from confidence {gate.threshold:.2f} on, {gate.coverage:.0%} of readings, "
        f"errors under {gate.alpha:.0%}"
    )


def make_gate(models: Models, config: Config) -> Gate:
    """Return the gate with the thresholds of the configured error rate and fusion rule, and the configured budget."""
    return Gate(
        {info.modalities: info.threshold for info in models.gates(config)},
        worths={gate.modalities: gate.worth for gate in models.manifest.gates},
        requests_per_minute=config.gate.requests_per_minute,
        bytes_per_minute=config.gate.bytes_per_minute,
    )


def make_aggregator(headers: Headers, config: Config) -> Aggregator:
    """Return what counts where readings must not leave the device."""
    privacy = config.privacy
    return Aggregator(headers, window_s=config.window.length_s, k=privacy.k, length_s=privacy.aggregate_s)
