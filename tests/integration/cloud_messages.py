"""Messages as a device would make them, for the tests."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from ulid import ULID

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.perception.wire import pack_crops, pack_log_mel
from edge.protocol import (
    Availability,
    Birth,
    Distribution,
    Event,
    Evidence,
    Health,
    Percentiles,
    Reading,
    SourceHealth,
    Verdict,
    distribution,
)

WHITE, BLACK = pack_crops([np.full((48, 48), 255, np.uint8), np.zeros((48, 48), np.uint8)])
"""A crop that the tiny models call happy, and one that they call sad."""

LOUD, QUIET = pack_log_mel(np.full((186, 64), 4.0, np.float32)), pack_log_mel(np.full((186, 64), -4.0, np.float32))
"""A log-mel that the tiny models call angry, and one that they call calm."""


def certain(emotion: str, confidence: float, labels: tuple[str, ...] = EMOTIONS) -> Distribution:
    """Return a distribution that gives `emotion` its share and the others what is left, equally."""
    rest = (1.0 - confidence) / (len(labels) - 1)
    return distribution(labels, [confidence if label == emotion else rest for label in labels])


def spread(emotion: str, confidence: float, seed: int, labels: tuple[str, ...] = EMOTIONS) -> Distribution:
    """Return a distribution whose rest is spread unevenly, as models do."""
    weights = np.random.default_rng(seed).dirichlet(np.full(len(labels) - 1, 0.7)) * (1.0 - confidence)
    shares = iter(weights.tolist())
    return distribution(labels, [confidence if label == emotion else next(shares) for label in labels])


def head(seq: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the fields that every message carries."""
    fields = {"id": str(ULID()), "session": 1, "seq": seq, "ts": time.time(), "clock_synced": True, "mode": "demo"}
    return fields | changes


def reading(seq: int = 0, emotion: str = "neutral", confidence: float = 0.5, **changes: Any) -> Reading:
    """Return an unsure reading with a face and no voice."""
    face = certain(emotion, confidence)
    fields: dict[str, Any] = head(seq) | {
        "start_s": 3.0 * seq,
        "end_s": 3.0 * seq + 3.0,
        "faces": 1,
        "face": face,
        "speech": None,
        "fused": face,
        "face_quality": 0.8,
        "voiced_share": None,
        "gate": "requested",
        "threshold": 0.7,
        "latency_ms": 41.0,
    }
    return Reading(**fields | changes)


def evidence(reading_id: str, **changes: Any) -> Evidence:
    """Return evidence of one white crop."""
    fields: dict[str, Any] = head() | {
        "reading_id": reading_id,
        "crops": [WHITE],
        "face_quality": 0.8,
        "log_mel": None,
        "voiced_share": None,
        "models": ["face-int8 1"],
    }
    return Evidence(**fields | changes)


def verdict(reading_id: str, emotion: str = "happy", confidence: float = 0.9, **changes: Any) -> Verdict:
    """Return a verdict on the face."""
    face = certain(emotion, confidence)
    fields: dict[str, Any] = head() | {"reading_id": reading_id, "status": "ok", "face": face, "fused": face}
    return Verdict(**fields | {"models": ["face-full 1"], "latency_ms": 12.0} | changes)


def availability(state: str = "online") -> Availability:
    """Return a device's state."""
    return Availability(state=state, session=1)  # type: ignore[arg-type]


def birth() -> Birth:
    """Return a birth certificate."""
    sources = {"camera": "picamera2", "microphone": "alsa"}
    return Birth(**head(), software="0.1.0", python="3.11.2", models=[], sources=sources, config_sha256="0" * 64)


def health(**changes: Any) -> Health:
    """Return a health report of a device that is well."""
    fields: dict[str, Any] = head() | {
        "uptime_s": 3600.0,
        "sources": {
            "camera": SourceHealth(state="ok", rate=5.0, dropped=0),
            "microphone": SourceHealth(state="ok", rate=1.0, dropped=0),
        },
        "timings": {"reading": Percentiles(p50_ms=38.0, p95_ms=71.0)},
        "outbox_rows": 0,
        "outbox_bytes": 0,
        "outbox_dropped": 0,
        "bytes_written": 4096,
        "memory_mb": 143.0,
        "temperature_c": 52.0,
        "throttled": False,
    }
    return Health(**fields | changes)


def event(kind: str = "camera-lost", text: str = "the camera does not answer") -> Event:
    """Return an event."""
    return Event(**head(), type=kind, text=text)


def tone(label: str, confidence: float) -> Distribution:
    """Return a distribution over the eight vocal tones."""
    return certain(label, confidence, SPEECH_EMOTIONS)
