"""One sample of every message, for docs/protocol.md's readers and for the tests that hold the wire format."""

from __future__ import annotations

from base64 import b64decode

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.header import Header
from edge.protocol import (
    Aggregate,
    AnyMessage,
    Availability,
    Birth,
    CloudAvailability,
    Command,
    Event,
    Evidence,
    GateInfo,
    Health,
    ModelInfo,
    Percentiles,
    Reading,
    Reply,
    SourceHealth,
    Verdict,
    distribution,
)

IDS = [f"01J9ZV7Q5R8T3W6Y9ZABCDEF0{digit}" for digit in range(10)]


def _header(number: int) -> Header:
    return {
        "id": IDS[number],
        "session": 3,
        "seq": number,
        "ts": 1_760_000_000.0 + number,
        "clock_synced": True,
        "mode": "demo",
    }


# Written out, not encoded here: another version of libwebp may well pack the same pixels otherwise.
CROP = b64decode("UklGRiAAAABXRUJQVlA4TBQAAAAvL8ALAM1lRP8DApJE+r8/IiJ1Pw==")
"""Pixel (row, column) is 2 * (row + column)."""
LOG_MEL = b64decode("UklGRjAAAABXRUJQVlA4TCMAAAAvP0AuAM1VIKL/AQEJEf+fGyAiFCZtwCQdv2At+2/P/uP+PQA=")
"""Pixel (row, column) is (row + 2 * column) % 255 + 1."""

FACE = distribution(EMOTIONS, (0.02, 0.01, 0.05, 0.7, 0.02, 0.1, 0.1))
SPEECH = distribution(SPEECH_EMOTIONS, (0.05, 0.05, 0.05, 0.4, 0.05, 0.1, 0.2, 0.1))
FUSED = distribution(EMOTIONS, (0.02, 0.01, 0.04, 0.66, 0.02, 0.1, 0.15))

GOLDEN: dict[str, AnyMessage] = {
    "availability": Availability(state="online", session=3),
    "cloud-availability": CloudAvailability(state="online", workers=1, ts=1_760_000_000.0),
    "birth": Birth(
        **_header(0),
        software="0.1.0",
        python="3.11.2",
        models=[ModelInfo(name="face-edge", version="1", sha256="0" * 64, runtime="litert")],
        gates=[GateInfo(modalities="face", alpha=0.1, threshold=0.65, bound=0.09, coverage=0.86)],
        sources={"camera": "picamera2", "microphone": "alsa"},
        config_sha256="0" * 64,
    ),
    "reading": Reading(
        **_header(1),
        start_s=3.0,
        end_s=6.0,
        faces=1,
        face=FACE,
        speech=SPEECH,
        fused=FUSED,
        face_quality=0.8,
        voiced_share=0.6,
        gate="requested",
        threshold=0.75,
        latency_ms=41.5,
    ),
    "aggregate": Aggregate(
        **_header(2),
        start_s=0.0,
        end_s=60.0,
        windows=20,
        k=3,
        expressions={"happy": 6, "neutral": 15},
        tones={"happy": 3, "neutral": 9},
    ),
    "evidence": Evidence(
        **_header(3),
        reading_id=IDS[1],
        crops=[CROP],
        face_quality=0.8,
        log_mel=LOG_MEL,
        voiced_share=0.6,
        models=["face-edge 1", "speech-edge 1"],
    ),
    "verdict": Verdict(
        **_header(4),
        reading_id=IDS[1],
        status="ok",
        face=FACE,
        speech=SPEECH,
        fused=FUSED,
        models=["face-full", "speech-full"],
        latency_ms=12.5,
    ),
    "verdict-refused": Verdict(**_header(5), reading_id=IDS[1], status="refused", reason="stale"),
    "health": Health(
        **_header(6),
        uptime_s=3600.0,
        sources={"camera": SourceHealth(state="ok", rate=5.0, dropped=2)},
        timings={"reading": Percentiles(p50_ms=40.0, p95_ms=90.0)},
        outbox_rows=0,
        outbox_bytes=0,
        outbox_dropped=0,
        bytes_written=4096,
        memory_mb=150.0,
        temperature_c=51.5,
        throttled=False,
    ),
    "event": Event(**_header(7), type="camera-down", text="camera is down", detail={"error": "unplugged"}),
    "command": Command(**_header(8), verb="rebirth"),
    "reply": Reply(**_header(9), command_id=IDS[8], verb="rebirth", ok=True, text="published"),
}
