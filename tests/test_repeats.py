"""A still scene is asked about once in a while, not every window: the pipeline with real models, cloud always there."""

from __future__ import annotations

import time

import msgspec
import numpy as np
from numpy.typing import NDArray
from sample import moving_portrait

from edge.assemble import Models, load_models, make_aggregator, make_fusion, make_gate, speech_stage
from edge.capture.base import Frame
from edge.clock import FakeClock
from edge.commands.replay import DEMO_DEVICE
from edge.config import build_config
from edge.header import Headers
from edge.link.evidence import REPEAT_S
from edge.perception.detect import Face
from edge.perception.face import FaceStage
from edge.pipeline import Pipeline
from edge.policy import decide
from edge.protocol import AnyMessage, Evidence, Reading
from edge.temporal import TemporalFilter
from edge.windows import WindowCutter

STILL = np.ascontiguousarray(moving_portrait()[0][..., ::-1])
UPSIDE_DOWN = np.ascontiguousarray(STILL[::-1])


class OneFace:
    """Finds one face where the portrait's is, whatever the picture."""

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        height, width = image.shape[:2]
        return [Face(width * 0.35, height * 0.15, width * 0.25, height * 0.4, 0.9, None)]


class Wire:
    cloud_present = True

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.asked: list[Evidence] = []

    def publish(self, kind: str, message: AnyMessage) -> None:
        if isinstance(message, Reading):
            self.readings.append(message)

    def request(self, evidence: Evidence) -> bool:
        self.asked.append(evidence)
        return True


def watch(*scenes: tuple[float, NDArray[np.uint8]]) -> Wire:
    """Show each picture for so many seconds, one frame a second."""
    config = build_config(DEMO_DEVICE, environment={})
    models, clock, wire = load_models(config.models), FakeClock(), Wire()
    unsure = Models(msgspec.structs.replace(models.manifest, gates=()), models.face, models.speech)
    headers = Headers(session=1, mode="demo", clock=clock)
    pipeline = Pipeline(
        face=FaceStage(OneFace(), models.face, timer=time.thread_time),
        speech=speech_stage(models),
        fusion=make_fusion(models, config.fusion.rule),
        temporal=TemporalFilter(),
        gate=make_gate(unsure, config),
        permissions=lambda: decide(config.declared_site(), now=0.0),
        outlet=wire,
        headers=headers,
        clock=clock,
        budget_clock=lambda: 0.0,
        cutter=WindowCutter(length_s=3.0, tail_s=0.0),
        aggregator=make_aggregator(headers, config),
        deadline_ms=1000,
    )
    now_s = 0.0
    for seconds, picture in scenes:
        for _ in range(round(seconds)):
            pipeline.feed(Frame(now_s, picture))
            now_s += 1.0
            pipeline.advance(now_s)
    return wire


def test_a_still_scene_is_asked_about_again_only_after_a_while() -> None:
    wire = watch((2 * REPEAT_S, STILL))
    gates = [reading.gate for reading in wire.readings]
    assert gates[0] == "requested"
    assert gates.count("requested") == len(wire.asked) == 2
    assert set(gates) == {"requested", "over-budget"}


def test_a_change_is_asked_about_at_once() -> None:
    wire = watch((6.0, STILL), (6.0, UPSIDE_DOWN))
    assert [reading.gate for reading in wire.readings] == ["requested", "over-budget"] * 2


def test_evidence_names_the_models_of_the_device_and_what_they_take() -> None:
    (asked,) = watch((3.0, STILL)).asked
    models = load_models(build_config(DEMO_DEVICE, environment={}).models)
    entries = {entry.task: entry for entry in models.manifest.models}
    assert asked.models == [f"{entries[task].name} {entries[task].version}" for task in ("face", "speech")]
    assert (asked.crop_format, asked.log_mel_format) == (entries["face"].input, entries["speech"].input)
