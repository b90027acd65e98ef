"""Messages and rows to test with."""

from __future__ import annotations

from edge.clock import Clock, new_id
from edge.header import Header
from edge.link.rows import Row, row_of
from edge.protocol import Aggregate, Birth, Event, Health, Message, Reading, SourceHealth, SourceState, encode, topic

SITE, DEVICE = "school-7", "room-12"


class Maker:
    """Makes messages of one session, numbered in order."""

    def __init__(self, clock: Clock, *, session: int = 1) -> None:
        self._clock, self._session, self._seq = clock, session, 0

    def header(self) -> Header:
        self._seq += 1
        return {
            "id": new_id(),
            "session": self._session,
            "seq": self._seq,
            "ts": self._clock.wall(),
            "clock_synced": self._clock.synced(),
            "mode": "research",
        }

    def reading(self) -> Reading:
        return Reading(
            **self.header(),
            start_s=0.0,
            end_s=3.0,
            faces=0,
            face=None,
            speech=None,
            fused=None,
            face_quality=None,
            voiced_share=None,
            gate="sure",
            threshold=None,
            latency_ms=1.0,
        )

    def aggregate(self) -> Aggregate:
        return Aggregate(**self.header(), start_s=0.0, end_s=60.0, windows=20, k=5, expressions=None, tones=None)

    def event(self, text: str = "") -> Event:
        return Event(**self.header(), type="camera-lost", text=text)

    def birth(self) -> Birth:
        return Birth(**self.header(), software="1", python="3", models=[], sources={}, config_sha256="")

    def health(self, state: SourceState = "ok") -> Health:
        return Health(
            **self.header(),
            uptime_s=1.0,
            sources={"camera": SourceHealth(state=state, rate=5.0, dropped=0)},
            timings={},
            outbox_rows=0,
            outbox_bytes=0,
            outbox_dropped=0,
            bytes_written=0,
            memory_mb=1.0,
            temperature_c=None,
            throttled=None,
        )

    def row(self, kind: str) -> Row:
        """A stored message of kind `reading`, `aggregate` or `event`."""
        message: Message = getattr(self, kind)()
        name = topic(SITE, DEVICE, kind, "camera-lost" if kind == "event" else "")
        boot, now = self._clock.boot_id(), self._clock.monotonic()
        return row_of(message, kind=kind, topic=name, payload=encode(message), boot=boot, monotonic=now)


def make_rows(kinds: list[str], clock: Clock, *, session: int = 1) -> list[Row]:
    maker = Maker(clock, session=session)
    return [maker.row(kind) for kind in kinds]
