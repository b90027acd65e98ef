"""What becomes of a window: fused or not, filtered, judged by the gate. The stages are stand-ins with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.aggregate import Aggregator
from edge.assemble import Models, make_filter, make_fusion
from edge.clock import FakeClock
from edge.config import build_config
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.fusion import Fusion
from edge.gate import Gate
from edge.header import Headers
from edge.perception.face import FaceWindow
from edge.perception.manifest import load_manifest
from edge.perception.speech import SpeechWindow
from edge.pipeline import Pipeline
from edge.policy import Permissions, decide
from edge.protocol import Aggregate, Reading
from edge.settings import Config, WindowSettings
from edge.temporal import TemporalFilter
from edge.windows import WindowCutter

ROOT = Path(__file__).parents[1]


def peaked(emotion: str, height: float = 0.7, labels: tuple[str, ...] = EMOTIONS) -> np.ndarray:
    probs = np.full(len(labels), (1 - height) / (len(labels) - 1), np.float32)
    probs[labels.index(emotion)] = height
    return probs


class Stage:
    """Gives what it was given, window by window."""

    model = None

    def __init__(self, windows: list[Any]) -> None:
        self.windows = windows

    def take(self, start_s: float, end_s: float, **_: bool) -> Any:
        return self.windows.pop(0)


class Outlet:
    cloud_present = False

    def __init__(self) -> None:
        self.published: list[Any] = []

    def publish(self, kind: str, message: Any) -> None:
        self.published.append(message)


def run(
    faces: list[FaceWindow],
    voices: list[SpeechWindow],
    allowed: Permissions,
    *,
    stay: float = 1 / 7,
    thresholds: dict[str, float | None] | None = None,
) -> list[Any]:
    """Return what is published of these windows of 3 s."""
    clock = FakeClock()
    headers = Headers(session=1, mode="demo", clock=clock)
    outlet = Outlet()
    count = len(faces)
    pipeline = Pipeline(
        face=Stage(faces),  # type: ignore[arg-type]
        speech=Stage(voices),  # type: ignore[arg-type]
        fusion=Fusion("log-linear", {"face": 1.0, "speech": 1.0}, None),
        temporal=TemporalFilter(stay=stay),
        gate=Gate(thresholds or {}, requests_per_minute=10, bytes_per_minute=1e6),
        permissions=lambda: allowed,
        outlet=outlet,  # type: ignore[arg-type]
        headers=headers,
        clock=clock,
        budget_clock=lambda: 0.0,
        cutter=WindowCutter(length_s=3.0, tail_s=0.0),
        aggregator=Aggregator(headers, window_s=3.0, k=3, length_s=60.0),
        deadline_ms=1000,
    )
    pipeline.advance(3.0 * count)
    return outlet.published


def face(emotion: str, quality: float = 1.0, height: float = 0.7) -> FaceWindow:
    return FaceWindow(count=1, primary=peaked(emotion, height), quality=quality)


def voice(emotion: str, share: float = 1.0) -> SpeechWindow:
    probs = peaked(emotion, labels=SPEECH_EMOTIONS)
    return SpeechWindow(probs, share, np.zeros((186, 64), np.float32), 30.0)


EVERYTHING = Permissions(open_devices=True, detect=True, infer=True, fuse=True, publish_readings=True)


def test_face_and_voice_become_one_reading() -> None:
    (reading,) = run([face("happy")], [voice("happy")], EVERYTHING)
    assert reading.fused.emotion == "happy"
    assert reading.fused.confidence > 0.9


def test_a_vehicle_fuses_the_voice_with_the_primary_face_alone() -> None:
    crowd = FaceWindow(
        count=3, primary=peaked("sad"), quality=1.0, everyone=[peaked("sad"), peaked("happy"), peaked("happy")]
    )
    (reading,) = run([crowd], [SpeechWindow()], EVERYTHING)
    assert reading.faces == 3
    assert reading.face.emotion == reading.fused.emotion == "sad"


def test_a_classroom_counts_faces_and_tones_apart_and_never_fuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("fused in a classroom")

    monkeypatch.setattr(Fusion, "__call__", never)
    config = {"mode": "classroom", "setting": "education", "jurisdiction": "US", "offload": "never"}
    from edge.policy import Site

    allowed = decide(Site(**config), now=0.0)  # type: ignore[arg-type]
    crowd = FaceWindow(count=3, primary=peaked("sad"), quality=1.0, everyone=[peaked("sad")] * 3, shares=[1.0] * 3)
    published = run([crowd] * 20, [voice("angry")] * 20, allowed)
    (counts,) = published
    assert isinstance(counts, Aggregate)
    assert counts.expressions == {"sad": 3}  # people at a time
    assert counts.tones == {"angry": 18}  # windows, rounded to k


def test_the_gate_judges_the_window_and_not_what_the_filter_adds() -> None:
    faces = [face("happy", height=0.6) for _ in range(5)]
    readings = run(faces, [SpeechWindow()] * 5, EVERYTHING, stay=0.8, thresholds={"face": 0.65})
    assert readings[-1].fused.confidence > 0.9
    assert {reading.gate for reading in readings} == {"forbidden"}  # unsure, and nothing may be sent


def test_a_window_that_the_filter_overrules_is_unsure() -> None:
    faces = [*(face("happy") for _ in range(6)), face("sad", height=0.7)]
    readings: list[Reading] = run(faces, [SpeechWindow()] * 7, EVERYTHING, stay=0.9, thresholds={"face": 0.65})
    assert [reading.gate for reading in readings] == ["sure"] * 6 + ["forbidden"]
    assert readings[-1].fused is not None
    assert readings[-1].fused.emotion == "happy"


def with_rule(rule: str) -> Config:
    site = {"name": "lab", "mode": "demo", "setting": "private", "jurisdiction": "unknown"}
    values = {"site": site, "privacy": {"offload": "never"}, "device": {"name": "desk"}, "fusion": {"rule": rule}}
    return build_config(values, environment={})


def test_a_threshold_chosen_for_one_rule_counts_for_no_other() -> None:
    models = Models(load_manifest(ROOT / "models_tflite"), None, None)
    rules = ("log-linear", "mean")
    shipped, other = ({gate.modalities: gate for gate in models.gates(with_rule(rule))} for rule in rules)
    assert shipped["face+speech"].threshold is not None
    assert (other["face+speech"].threshold, other["face+speech"].coverage) == (None, 0.0)
    assert other["face"] == shipped["face"]
    assert make_fusion(models, "early").rule == "early"


def test_the_filter_is_the_manifests_unless_configured() -> None:
    manifest = load_manifest(ROOT / "models_tflite")
    models = Models(manifest, None, None)
    assert manifest.filter is not None
    sad = peaked("sad", 0.6)

    def second(temporal: TemporalFilter) -> float:
        temporal.update(sad)
        answer = temporal.update(sad)
        assert answer is not None
        return float(answer.max())

    assert second(make_filter(models, WindowSettings())) == second(TemporalFilter(stay=manifest.filter.stay))
    assert second(make_filter(models, WindowSettings(stay=1 / 7))) == pytest.approx(0.6, abs=1e-4)
    older = Models(msgspec.structs.replace(manifest, filter=None), None, None)
    assert second(make_filter(older, WindowSettings())) == second(TemporalFilter())
