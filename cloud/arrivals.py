"""What came in, decoded and checked: topic and payload -> Arrival, or a refusal with a countable reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import BadMessage, BadTopic, MienError, ProtocolError, UnknownSchema
from edge.protocol import (
    MAX_PAYLOAD,
    Aggregate,
    AnyMessage,
    Availability,
    Birth,
    Distribution,
    Event,
    Health,
    Message,
    Reading,
    Topic,
    Verdict,
    decode,
    parse_topic,
)

FUTURE_TOLERANCE_S = 60.0
"""A synchronised clock that is further ahead than this is not believed."""

STORED = (Availability, Birth, Reading, Aggregate, Verdict, Health, Event)
"""The kinds that ingest stores. Evidence is not among them, and never will be."""

_MAX_INT = 2**63 - 1
"""The largest integer that a database column takes."""


class Refused(MienError):
    """An incoming message is not accepted. `code` is the reason under which it is counted."""

    def __init__(self, reason: str, what: str) -> None:
        super().__init__(what)
        self.code = reason


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as it came in."""

    site: str
    device: str
    message: AnyMessage
    received_at: float
    """Unix seconds."""
    retained: bool = False
    """A copy that the broker kept from earlier: it says what was, not that the device spoke just now."""

    @property
    def at(self) -> float:
        """Unix seconds to sort and draw by: the sender's time if it can be believed, else the arrival."""
        message = self.message
        if (
            isinstance(message, Message)
            and message.clock_synced
            and message.ts <= self.received_at + FUTURE_TOLERANCE_S
        ):
            return message.ts
        return self.received_at


def read_topic(text: str, size: int) -> Topic:
    """Return the parsed topic of a message of `size` bytes. Raises Refused (`bad-topic`, `oversize`)."""
    try:
        topic = parse_topic(text)
    except BadTopic as error:
        raise Refused("bad-topic", str(error)) from error
    if size > MAX_PAYLOAD:
        raise Refused("oversize", f"{text}: {size} bytes are more than {MAX_PAYLOAD}")
    return topic


def read(text: str, payload: bytes, *, received_at: float, retained: bool = False) -> Arrival | None:
    """Return the arrival in a message, None if its kind is not stored.

    Raises Refused with the reason `bad-topic`, `oversize`, `malformed` or `unknown-schema`.
    """
    topic = read_topic(text, len(payload))
    if topic.spec.message not in STORED:
        return None
    if not payload and topic.spec.retained:
        return None  # An empty retained message is how MQTT clears one: nothing is said.
    try:
        message = decode(topic.spec.message, payload)
        _check(message, topic)
    except UnknownSchema as error:
        raise Refused("unknown-schema", f"{text}: {error}") from error
    except ProtocolError as error:
        raise Refused("malformed", f"{text}: {error}") from error
    assert isinstance(message, STORED)
    return Arrival(topic.site, topic.device, message, received_at, retained)


def _check(message: msgspec.Struct, topic: Topic) -> None:
    """Raise BadMessage for what the structs cannot say of themselves."""
    if isinstance(message, Reading | Verdict):
        _check_labels(message.face, EMOTIONS)
        _check_labels(message.speech, SPEECH_EMOTIONS)
        _check_labels(message.fused, EMOTIONS)
    if isinstance(message, Event) and message.type != topic.sub:
        raise BadMessage(f"an event of type {message.type!r} on the topic of {topic.sub!r}")
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, int) and abs(value) > _MAX_INT:
            raise BadMessage(f"{name} is larger than 2^63 - 1")


def _check_labels(distribution: Distribution | None, labels: tuple[str, ...]) -> None:
    if distribution is None:
        return
    if set(distribution.probs) != set(labels) or distribution.emotion not in labels:
        raise BadMessage(f"a distribution over {sorted(distribution.probs)} instead of {sorted(labels)}")
