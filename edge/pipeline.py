"""The data's way, in order: capture -> perceive -> fuse -> gate -> publish. Start reading here.

Frames and sound come in with their times; whenever a window is over, everything seen and heard in it becomes one
reading. The policy is asked for every window: it says whether anything may be inferred, and what may leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.aggregate import Aggregator
from edge.capture.base import Frame, Sound
from edge.clock import Clock
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.fusion import Fusion, fold_calm
from edge.gate import Decision, Gate
from edge.header import Headers
from edge.link.evidence import Repeats, build_evidence
from edge.perception.face import FaceStage, FaceWindow
from edge.perception.speech import SpeechStage, SpeechWindow
from edge.policy import Permissions
from edge.protocol import AnyMessage, Distribution, Evidence, Reading, distribution, encode
from edge.temporal import TemporalFilter, own_confidence
from edge.windows import WindowCutter


class Outlet(Protocol):
    """Where readings go: the MQTT link, or nowhere in a replay without a cloud."""

    @property
    def cloud_present(self) -> bool:
        """Whether a cloud worker was heard lately."""

    def publish(self, kind: str, message: AnyMessage) -> None:
        """Publish or spool a message."""

    def request(self, evidence: Evidence) -> bool:
        """Ask the cloud; False if that could not be sent."""


@dataclass(frozen=True)
class Perceived:
    """One window as the models saw it."""

    start_s: float
    end_s: float
    face: FaceWindow
    speech: SpeechWindow
    pooled: NDArray[np.float32] | None
    """Face and voice of this window alone, fused."""
    fused: NDArray[np.float32] | None
    """The same filtered over time."""
    distributions: dict[str, NDArray[np.float32]]
    """(7,) by modality, as they went into fusion."""

    @property
    def modalities(self) -> str:
        """Those present, e.g. `face+speech`, as the gate names them."""
        return "+".join(sorted(self.distributions))

    def confidence(self) -> float | None:
        """Return what the gate judges."""
        return own_confidence(self.pooled, self.fused)


class Pipeline:
    """One device's, or one replay's, way from frames and sound to readings.

    `permissions` is asked anew for each window; `budget_clock` gives the seconds in which the gate counts its budget.
    `on_reading` sees every reading, and what the policy says of it. Not safe to share between threads.
    """

    def __init__(
        self,
        *,
        face: FaceStage,
        speech: SpeechStage,
        fusion: Fusion,
        temporal: TemporalFilter,
        gate: Gate,
        permissions: Callable[[], Permissions],
        outlet: Outlet,
        headers: Headers,
        clock: Clock,
        budget_clock: Callable[[], float],
        cutter: WindowCutter,
        aggregator: Aggregator,
        deadline_ms: int,
        on_reading: Callable[[Reading, Permissions], None] = lambda *_: None,
        clip: str | None = None,
    ) -> None:
        self._face, self._speech = face, speech
        self._fusion, self._temporal, self._gate = fusion, temporal, gate
        self._permissions, self._outlet, self._headers, self._clock = permissions, outlet, headers, clock
        self._budget_clock, self._deadline_ms = budget_clock, deadline_ms
        self._cutter, self._aggregator = cutter, aggregator
        self._on_reading, self._clip = on_reading, clip
        self._models = [stage.model.entry for stage in (face, speech) if stage.model is not None]
        self._repeats = Repeats()

    def feed(self, item: Frame | Sound) -> None:
        """Take one frame or block of sound."""
        allowed = self._permissions()
        if not allowed.detect:
            self._forget()
            return
        if isinstance(item, Frame):
            self._face.see(item.image, item.time_s, infer=allowed.infer)
        else:
            self._speech.hear(item.pcm, item.time_s)

    def advance(self, now_s: float, *, late_s: float = 0.0) -> None:
        """Make readings of all windows that are over once everything before `now_s` has been fed.

        `late_s` is how far `now_s` lies behind the clock: a live reading's latency counts from its window's end.
        """
        for start_s, end_s in self._cutter.advance(now_s):
            self._close(start_s, end_s, since_end_s=now_s + late_s - end_s if late_s else 0.0)

    def finish(self, end_s: float) -> None:
        """Make readings of what remains of a clip that ends at `end_s`, and forget it."""
        for start_s, end in self._cutter.finish(end_s):
            self._close(start_s, end)

    def _close(self, start_s: float, end_s: float, *, since_end_s: float = 0.0) -> None:
        begun = self._clock.monotonic() - since_end_s
        allowed = self._permissions()
        if not allowed.detect:
            self._forget()
            return
        window = self._perceive(start_s, end_s, allowed)
        reading, evidence = self._judge(window, allowed, begun)
        if allowed.publish_aggregates:
            self._aggregate(window, inferred=allowed.infer)
        self._on_reading(reading, allowed)
        if allowed.publish_readings:
            self._outlet.publish("reading", reading)
        if reading.gate == "requested" and evidence is not None:
            self._outlet.request(evidence)

    def _forget(self) -> None:
        """Drop what was perceived before the policy said no."""
        self._face.reset()
        self._speech.reset()
        self._temporal.reset()
        self._repeats = Repeats()
        self._aggregator.discard()

    def _perceive(self, start_s: float, end_s: float, allowed: Permissions) -> Perceived:
        face = self._face.take(start_s, end_s)
        speech = self._speech.take(start_s, end_s, infer=allowed.infer)
        distributions, measures = {}, {}
        if face.primary is not None:
            distributions["face"], measures["face"] = face.primary, _known(quality=face.quality)
        if speech.probs is not None:
            distributions["speech"] = fold_calm(speech.probs)
            measures["speech"] = _known(voiced_share=speech.voiced_share, snr_db=speech.snr_db)
        pooled = self._fusion(distributions, measures) if allowed.fuse else None
        return Perceived(start_s, end_s, face, speech, pooled, self._temporal.update(pooled), distributions)

    def _judge(self, window: Perceived, allowed: Permissions, begun: float) -> tuple[Reading, Evidence | None]:
        fused = _message(EMOTIONS, window.fused)
        header = self._headers.next()
        evidence = build_evidence(
            self._headers,
            reading_id=header["id"],
            crops=window.face.crops if allowed.send_crops else [],
            face_quality=window.face.quality,
            log_mel=window.speech.log_mel if allowed.send_log_mel else None,
            voiced_share=window.speech.voiced_share,
            ttl_ms=self._deadline_ms,
            models=self._models,
        )
        decision = self._decide(window, evidence)
        reading = Reading(
            **header,
            clip=self._clip,
            start_s=round(window.start_s, 3),
            end_s=round(window.end_s, 3),
            faces=window.face.count,
            face=_message(EMOTIONS, window.face.primary),
            speech=_message(SPEECH_EMOTIONS, window.speech.probs),
            fused=fused,
            face_quality=window.face.quality,
            voiced_share=window.speech.voiced_share,
            gate=decision.reason,
            threshold=decision.threshold,
            latency_ms=max(0.0, (self._clock.monotonic() - begun) * 1000.0),
        )
        return reading, evidence

    def _decide(self, window: Perceived, evidence: Evidence | None) -> Decision:
        decision = self._gate.decide(
            window.confidence(),
            window.modalities,
            evidence_bytes=0 if evidence is None else len(encode(evidence)),
            cloud_present=self._outlet.cloud_present,
            now=self._budget_clock(),
            repeated=self._repeats.is_repeat(window.distributions, now=window.end_s),
        )
        if decision.reason == "requested":
            self._repeats.asked(window.distributions, now=window.end_s)
        return decision

    def _aggregate(self, window: Perceived, *, inferred: bool) -> None:
        finished = self._aggregator.add(window.start_s, window.end_s, window.face, window.speech, inferred=inferred)
        if finished is not None:
            self._outlet.publish("aggregate", finished)


def _known(**measures: float | None) -> dict[str, float]:
    return {name: value for name, value in measures.items() if value is not None}


def _message(labels: tuple[str, ...], probs: NDArray[np.float32] | None) -> Distribution | None:
    return None if probs is None else distribution(labels, probs.tolist())
