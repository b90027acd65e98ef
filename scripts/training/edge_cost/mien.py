"""Mien's own way: what the daemon does between its sources and its link."""

from __future__ import annotations

from collections import Counter

from edge.assemble import (
    face_stage,
    load_models,
    make_aggregator,
    make_filter,
    make_fusion,
    make_gate,
    speech_stage,
)
from edge.capture.base import SAMPLE_RATE, Frame, Sound
from edge.clock import SystemClock
from edge.header import Headers
from edge.pipeline import Pipeline
from edge.policy import decide
from edge.protocol import AnyMessage, Evidence, encode
from edge.settings import Config, DeviceSettings, FaceSettings, PrivacySettings, SiteSettings
from edge.windows import WindowCutter
from training.edge_cost.ways import Picture, Voice

BLOCK_S = 0.1


class Encoder:
    """An outlet that goes as far as the bytes. A cloud is there, so that evidence is made, as on a device with one."""

    cloud_present = True

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def publish(self, kind: str, message: AnyMessage) -> None:
        """Encode it."""
        encode(message)
        self.counts[kind] += 1

    def request(self, evidence: Evidence) -> bool:
        """Encode it."""
        encode(evidence)
        self.counts["evidence"] += 1
        return True


class Mien:
    """From detection to the gate and the packed evidence; it chooses by itself on how many frames to detect."""

    note = ""

    def __init__(self, detector: str) -> None:
        config = Config(
            site=SiteSettings(name="bench", mode="demo", setting="private", jurisdiction="US"),
            privacy=PrivacySettings(offload="crops"),
            device=DeviceSettings(name="bench"),
            face=FaceSettings(detector_model=detector),
        )
        models, clock, self._outlet = load_models(config.models), SystemClock(), Encoder()
        headers = Headers(session=1, mode="demo", clock=clock)
        site, self._now_s = config.declared_site(), 0.0
        self._pipeline = Pipeline(
            face=face_stage(models, config.face, detect_every=config.face.detect_every),
            speech=speech_stage(models),
            fusion=make_fusion(models, config.fusion.rule),
            temporal=make_filter(models, config.window),
            gate=make_gate(models, config),
            permissions=lambda: decide(site, now=clock.wall()),
            outlet=self._outlet,
            headers=headers,
            clock=clock,
            budget_clock=lambda: self._now_s,
            cutter=WindowCutter(length_s=config.window.length_s, tail_s=0.0),
            aggregator=make_aggregator(headers, config),
            deadline_ms=config.gate.deadline_ms,
            on_reading=lambda reading, _: self._count(reading.faces),
        )
        self.faces = 0

    def see(self, picture: Picture) -> None:
        """Take one frame."""
        self._now_s = picture.time_s
        self._pipeline.feed(Frame(picture.time_s, picture.image))

    def hear(self, voice: Voice) -> None:
        """Take one window of sound in blocks, as a microphone gives it, and close the window."""
        time_s, pcm, _ = voice
        size = round(BLOCK_S * SAMPLE_RATE)
        for start in range(0, len(pcm), size):
            self._pipeline.feed(Sound(time_s + start / SAMPLE_RATE, pcm[start : start + size]))
        self._pipeline.advance(time_s + len(pcm) / SAMPLE_RATE)

    def _count(self, faces: int) -> None:
        self.faces += faces
