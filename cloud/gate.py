"""What the embedded broker lets through: devices' own messages, stored before they are acknowledged."""

from __future__ import annotations

from cloud.arrivals import Refused, read_topic
from cloud.counters import Counters
from cloud.ingest import Ingest

FROM_DEVICES = ("device", "device -> cloud")


class IngestGate:
    """The embedded broker's gate: garbage and forged verdicts stop here, the rest is stored and goes on."""

    def __init__(self, ingest: Ingest, counters: Counters) -> None:
        self._ingest = ingest
        self._counters = counters

    async def admit(self, topic: str, payload: bytes) -> bool:
        """Store a message; return, once it is committed, whether its subscribers may have it."""
        kind = self._kind(topic, payload)
        if kind is None:
            return False
        if kind not in ("availability", "evidence"):
            # Availability comes back to ingest by subscription, because last wills do not pass this gate.
            await self._ingest.submit(topic, payload)
        return True

    def admit_unpromised(self, topic: str, payload: bytes) -> bool:
        """Offer a QoS 0 message to the store; return whether its subscribers may have it."""
        kind = self._kind(topic, payload)
        if kind is None:
            return False
        if kind not in ("availability", "evidence"):
            self._ingest.offer(topic, payload)
        return True

    def _kind(self, topic: str, payload: bytes) -> str | None:
        """Return the kind of message a device may send, None for all others."""
        try:
            # Oversized evidence goes on to the worker, who can tell its sender.
            spec = read_topic(topic, 0 if topic.endswith("/evidence") else len(payload)).spec
        except Refused as refusal:
            self._counters.warn(f"ingest.refused.{refusal.code}", str(refusal))
            return None
        if spec.direction not in FROM_DEVICES:
            self._counters.warn("ingest.refused.forbidden", f"a device published on {topic}")
            return None
        return spec.kind
