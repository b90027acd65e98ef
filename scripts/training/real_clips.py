"""Real audiovisual clips through the device's own pipeline: one person's face and voice, unlike pairs of strangers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from edge.assemble import Models, face_stage, load_models, make_aggregator, make_gate, speech_stage
from edge.capture.base import Frame, Sound
from edge.capture.media import MediaFile
from edge.clock import SystemClock
from edge.config import build_config
from edge.emotions import EMOTIONS
from edge.errors import CaptureError
from edge.fusion import DEFAULT_RULE, Fusion, Rule
from edge.header import Headers
from edge.perception.fetched import yunet_weights
from edge.pipeline import Pipeline
from edge.policy import decide
from edge.protocol import AnyMessage, Evidence, Reading
from edge.replay import Player
from edge.settings import Config
from edge.temporal import TemporalFilter
from edge.windows import WindowCutter
from training.errors import TrainingError
from training.fusion_data import shipped_fusion
from training.sequences import WINDOW_S, Walk

CREMA = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "SAD": "sad", "NEU": "neutral"}
"""What the third part of a CREMA-D clip's name says that the actor plays."""

SITE = {
    "site": {"name": "evaluation", "mode": "demo", "setting": "private", "jurisdiction": "unknown"},
    "privacy": {"offload": "never"},
    "device": {"name": "evaluation"},
    "face": {"detect_every": 1},
    "outbox": {"folder": ""},
}
PASSES_THROUGH = 1 / len(EMOTIONS)


class _Nowhere:
    """An outlet into nothing."""

    cloud_present = False

    def publish(self, kind: str, message: AnyMessage) -> None:
        """Drop it."""

    def request(self, evidence: Evidence) -> bool:  # noqa: ARG002 - as Outlet has it
        """Ask nobody."""
        return False


def find_clips(data: Path) -> dict[Path, int]:
    """Return the CREMA-D clips in `data`/clips, with the true emotion of each; none if there are none."""
    parts = {path: path.stem.split("_") for path in sorted((data / "clips").glob("crema_*.mp4"))}
    return {path: EMOTIONS.index(CREMA[words[3]]) for path, words in parts.items() if words[3:4] and words[3] in CREMA}


def detector_name(yunet: Path | None) -> str:
    """Return what finds the faces."""
    return "the Haar cascade" if yunet_weights(_config(yunet, DEFAULT_RULE).face.detector_model) is None else "YuNet"


def play(clips: Sequence[Path], rule: Rule, yunet: Path | None) -> dict[Path, list[Reading]]:
    """Return the readings of each clip, made by `edge.replay` under this rule. Raises TrainingError if one fails."""
    config = _config(yunet, rule)
    clock = SystemClock()
    readings: dict[Path, list[Reading]] = {path: [] for path in clips}

    def fail(name: str, error: CaptureError) -> None:
        raise TrainingError(f"{name}: {error}")

    player = Player(
        config,
        load_models(config.models),
        outlet=_Nowhere(),
        headers=Headers(session=0, mode=config.site.mode, clock=clock),
        clock=clock,
        on_reading=lambda name, reading: readings[Path(name)].append(reading),
        on_failure=fail,
    )
    for path in clips:
        player.play(str(path))
    return readings


def stream(clips: dict[Path, int], times: int, yunet: Path | None) -> Walk:
    """Return the windows of all clips played one after another, each `times` times, as one recording.

    They are fused by the rule that ships and not filtered; the truth of a window is that of the clip at its middle.
    """
    config = _config(yunet, DEFAULT_RULE)
    models = load_models(config.models)
    readings: list[Reading] = []
    pipeline = _unfiltered(config, models, shipped_fusion(), readings)
    ends: list[tuple[float, int]] = []
    start_s = 0.0
    for path, emotion in clips.items():
        for _ in range(times):
            with MediaFile(path, fps=config.camera.fps) as media:
                for item in media.items():
                    later = _later(item, start_s)
                    pipeline.feed(later)
                    pipeline.advance(later.time_s)
                start_s += media.duration_s
        ends.append((start_s, emotion))
    pipeline.finish(start_s)
    truth = [next(emotion for end, emotion in ends if (one.start_s + one.end_s) / 2 <= end) for one in readings]
    pooled = [[np.nan] * 7 if one.fused is None else [one.fused.probs[label] for label in EMOTIONS] for one in readings]
    modalities = tuple("+".join(name for name in ("face", "speech") if getattr(one, name)) for one in readings)
    return Walk(np.array(truth), np.array(pooled, np.float32), modalities)


def _later(item: Frame | Sound, by_s: float) -> Frame | Sound:
    """Return a frame or block of sound with its time moved."""
    time_s = item.time_s + by_s
    return Frame(time_s, item.image) if isinstance(item, Frame) else Sound(time_s, item.pcm)


def _config(yunet: Path | None, rule: Rule) -> Config:
    config = build_config(SITE, environment={})
    face = msgspec.structs.replace(config.face, detector_model="" if yunet is None else str(yunet))
    return msgspec.structs.replace(config, face=face, fusion=msgspec.structs.replace(config.fusion, rule=rule))


def _unfiltered(config: Config, models: Models, fusion: Fusion, readings: list[Reading]) -> Pipeline:
    clock = SystemClock()
    headers = Headers(session=0, mode=config.site.mode, clock=clock)
    allowed = decide(config.declared_site(), now=clock.wall())
    return Pipeline(
        face=face_stage(models, config.face, detect_every=1),
        speech=speech_stage(models),
        fusion=fusion,
        temporal=TemporalFilter(stay=PASSES_THROUGH),
        gate=make_gate(models, config),
        permissions=lambda: allowed,
        outlet=_Nowhere(),
        headers=headers,
        clock=clock,
        budget_clock=lambda: 0.0,
        cutter=WindowCutter(length_s=WINDOW_S, tail_s=1.0),
        aggregator=make_aggregator(headers, config),
        deadline_ms=config.gate.deadline_ms,
        on_reading=lambda reading, _: readings.append(reading),
    )
