"""The language that edge and cloud share: topics, messages, codecs. Pure: ids and times are passed in.

`TOPICS` is the one table of topics; docs/protocol.md and the golden samples are generated from it and from the structs.
Readers ignore unknown keys and reject an unknown major version of `schema`. JSON everywhere, but evidence, which
carries bytes, is MessagePack of the same kind of struct.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from edge.errors import BadMessage, BadTopic, UnknownSchema

PREFIX = "mien/v1"
NAME = re.compile(r"[a-z0-9-]{1,36}\Z")
CLOUD = "cloud"
"""Stands in the place of a device name in the cloud's own topics, so no device may be called so."""

MAX_PAYLOAD = 128 * 1024
"""Bytes. AWS IoT Core refuses larger publishes."""

MAX_EVIDENCE = 16 * 1024
"""Bytes of one evidence message: what asking the cloud about one window may cost."""

DEFAULT_TTL_MS = 10_000
CLOUD_HEARTBEAT_S = 15.0
CLOUD_STALE_S = 45.0

Name = Annotated[str, Meta(pattern="^[a-z0-9-]{1,36}$")]
Ulid = Annotated[str, Meta(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0)]
Count = Annotated[int, Meta(ge=0)]
Mode = Literal["demo", "research", "vehicle", "classroom", "off"]
GateReason = Literal["sure", "requested", "forbidden", "over-budget", "cloud-away"]
SourceState = Literal["ok", "degraded", "down"]


class Distribution(msgspec.Struct, frozen=True):
    """A calibrated distribution: probabilities that sum to 1, their largest one, and its label."""

    emotion: str
    """The label of the largest probability, never `unsure`."""
    confidence: Probability
    probs: dict[str, Probability]


def distribution(labels: Sequence[str], probs: Sequence[float]) -> Distribution:
    """Return the message form of a distribution: `probs` in the order of `labels`, rounded to 1e-5."""
    rounded = {label: min(max(round(float(p), 5), 0.0), 1.0) for label, p in zip(labels, probs, strict=True)}
    emotion = max(rounded, key=lambda label: rounded[label])
    return Distribution(emotion=emotion, confidence=rounded[emotion], probs=rounded)


class Availability(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the device is there. Retained; `lost` is the last will, so it carries nothing that changes later."""

    schema: str = "mien.availability/1"
    state: Literal["online", "stopped", "lost"]
    session: Count
    """Number of the session that the birth of the same session carries."""


class CloudAvailability(msgspec.Struct, frozen=True, kw_only=True):
    """Heartbeat of the cloud's workers, every 15 s; a device that heard none for 45 s stops asking."""

    schema: str = "mien.cloud-availability/1"
    state: Literal["online", "stopped"]
    workers: Count
    ts: float
    """Unix time in seconds."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What every other message carries."""

    schema: str
    id: Ulid
    session: Count
    """Counts the starts of the device's daemon (of the cloud's worker, in verdicts and commands)."""
    seq: Count
    """Counts the messages of one session from 0; (session, seq) is the order in which they were made."""
    ts: float
    """Unix time in seconds of the sender's wall clock."""
    clock_synced: bool
    """False while the sender's wall clock was not known to be right."""
    mode: Mode


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the device runs."""

    name: str
    version: str
    sha256: str
    runtime: str


class GateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How sure is sure, for one set of modalities."""

    modalities: str
    """`face`, `speech` or `face+speech`."""
    alpha: Probability
    """The error rate among kept readings that the threshold was chosen to stay under."""
    threshold: Probability | None
    """Null: that rate could not be reached, every reading is unsure."""
    bound: Probability | None
    """With 95 % confidence, the error rate among kept readings is no higher; null without a threshold."""
    coverage: Probability
    """Share of the calibration examples that would be kept."""


class Birth(Message, frozen=True, kw_only=True):
    """Who the device is. Retained; published after every connect."""

    schema: str = "mien.birth/1"
    software: str
    python: str
    models: list[ModelInfo]
    gates: list[GateInfo] = []
    sources: dict[str, str]
    """Kind of source, e.g. {"camera": "picamera2", "microphone": "portaudio"}: never a URL or a path."""
    config_sha256: str


class Reading(Message, frozen=True, kw_only=True):
    """What the device perceived in one window."""

    schema: str = "mien.reading/1"
    clip: str | None = None
    """Name of the media file when one is played, else null."""
    start_s: Seconds
    """Start of the window, seconds since the session (or the clip) began, by monotonic clock or media time."""
    end_s: Seconds
    faces: Count
    """Largest number of faces seen at once, in a fifth of the window's frames at least."""
    face: Distribution | None
    """Over 7 emotions: the primary face (the largest, over the window)."""
    speech: Distribution | None
    """Over 8: with calm. Null where no voice was heard."""
    fused: Distribution | None
    """Over 7: both, fused and filtered over time; null where neither a face nor a voice was there."""
    face_quality: Probability | None
    voiced_share: Probability | None
    gate: GateReason
    """Why the reading stands as it is: `sure` = kept; else unsure, and `requested` or why it was not."""
    threshold: Probability | None
    """The confidence asked for; null where no confidence would do or nothing was perceived."""
    latency_ms: Seconds
    """From the end of the window to the reading; in a replay, from the closing of the window."""


class Aggregate(Message, frozen=True, kw_only=True):
    """Counts over at least a minute of at least k faces: what leaves a classroom instead of readings.

    Every count is rounded down to a multiple of k, and one of 0 is left out: fewer than k and none look the same. Never
    is exactly one label left out, so that it cannot be told by subtraction. docs/privacy.md says what this protects.
    """

    schema: str = "mien.aggregate/1"
    start_s: Seconds
    end_s: Seconds
    windows: Count
    """Windows that the aggregate covers; 0 where all of it is suppressed."""
    k: Count
    expressions: dict[str, Count] | None
    """Mean number of faces that showed an emotion at a time, per emotion; null where all are suppressed."""
    tones: dict[str, Count] | None
    """Voiced windows per vocal tone; counted apart, never fused with faces. Null where suppressed."""
    faces: Count | None = None
    """Where nothing may be inferred: mean number of faces at a time. Null where suppressed, or emotions are counted."""
    voiced: Count | None = None
    """Where nothing may be inferred: windows with a voice. Null where suppressed, or tones are counted."""


class Evidence(Message, frozen=True, kw_only=True):
    """What the cloud's full-size models need to judge one reading. Never spooled, never stored. MessagePack.

    At most 16 KiB in all. Pictures are lossless WebP (RFC 9649, simple format, VP8L) of gray pixels.
    """

    schema: str = "mien.evidence/2"
    reading_id: Ulid
    ttl_ms: Annotated[int, Meta(gt=0, le=60_000)] = DEFAULT_TTL_MS
    """Milliseconds that an answer is of use, counted by the receiver from arrival."""
    crops: Annotated[list[bytes], Meta(max_length=8)]
    """48x48 crops of the primary face, best first, each a picture."""
    crop_format: Name = "gray48"
    """`input` of the device's face model in its manifest: what the crops are."""
    face_quality: Probability | None
    log_mel: bytes | None
    """186x64 normalised log-mel, a picture 64 wide: value = (pixel - 128) * log_mel_scale. Null: none, or forbidden."""
    log_mel_format: Name = "logmel64"
    """`input` of the device's speech model in its manifest: which features these are."""
    log_mel_scale: Annotated[float, Meta(gt=0.0, le=1.0)] = 4.0 / 127.0
    voiced_share: Probability | None
    models: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=8)]
    """Names and versions of the device's models, for statistics."""


class Verdict(Message, frozen=True, kw_only=True):
    """The cloud's answer to one evidence request; supersedes the reading of that id, or refuses."""

    schema: str = "mien.verdict/1"
    reading_id: Ulid
    status: Literal["ok", "refused"]
    reason: str = ""
    """Why it was refused: `malformed`, `oversize`, `unknown-schema`, `unknown-model` (no model of the cloud takes what
    `crop_format` or `log_mel_format` names), `empty`, `stale`, `busy`, `failed`."""
    face: Distribution | None = None
    speech: Distribution | None = None
    fused: Distribution | None = None
    models: list[str] = []
    latency_ms: Seconds = 0.0
    """From the arrival of the evidence to the verdict, in the cloud."""


class SourceHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How one source does."""

    state: SourceState
    rate: Seconds
    """Frames per second, or seconds of sound per second."""
    dropped: Count
    """Frames, or blocks of sound, that were dropped rather than queued up."""
    error: str = ""


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of durations in milliseconds."""

    p50_ms: Seconds
    p95_ms: Seconds


class Health(Message, frozen=True, kw_only=True):
    """How the device does: every minute, and at once when a source changes its state."""

    schema: str = "mien.health/1"
    uptime_s: Seconds
    sources: dict[str, SourceHealth]
    timings: dict[str, Percentiles]
    """Per stage: `reading` = window's end to reading, `verdict` = request to answer."""
    outbox_rows: Count
    outbox_bytes: Count
    outbox_dropped: Count
    bytes_written: Count
    """Bytes that this session wrote to its storage, as far as the kernel tells."""
    memory_mb: Annotated[float, Meta(ge=0.0)]
    """Peak resident memory of the daemon, in MiB."""
    temperature_c: float | None
    throttled: bool | None


class Event(Message, frozen=True, kw_only=True):
    """Something happened. The type stands in the topic, too."""

    schema: str = "mien.event/1"
    type: Name
    text: str
    detail: dict[str, str] = {}


class Command(Message, frozen=True, kw_only=True):
    """The cloud asks the device for something. The verb stands in the topic, too.

    Devices do `rebirth`, `selftest` and `mute`; they decline the other verbs, which are kept for later.
    """

    schema: str = "mien.command/1"
    verb: Literal["rebirth", "selftest", "identify", "threshold", "mute", "update"]
    ttl_ms: Annotated[int, Meta(gt=0)] = DEFAULT_TTL_MS
    args: dict[str, str] = {}


class Reply(Message, frozen=True, kw_only=True):
    """The device's answer to a command."""

    schema: str = "mien.reply/1"
    command_id: Ulid
    verb: Name
    ok: bool
    text: str = ""


AnyMessage = (
    Availability
    | CloudAvailability
    | Birth
    | Reading
    | Aggregate
    | Evidence
    | Verdict
    | Health
    | Event
    | Command
    | Reply
)


class TopicSpec(NamedTuple):
    """One row of the topic table."""

    kind: str
    direction: Literal["device", "cloud -> device", "device -> cloud", "cloud"]
    qos: int
    retained: bool
    message: type[msgspec.Struct]
    has_sub: bool
    """A further level after the kind: the event's type, the command's verb."""
    spooled: bool
    """Kept in the outbox until the broker has acknowledged it."""
    what: str


TOPICS = (
    TopicSpec("availability", "device", 1, True, Availability, False, False, "online, stopped or lost; the last will"),
    TopicSpec("birth", "device", 1, True, Birth, False, False, "software, models, mode, sources"),
    TopicSpec("reading", "device", 1, False, Reading, False, True, "one per window"),
    TopicSpec("aggregate", "device", 1, False, Aggregate, False, True, "instead of readings where the mode says so"),
    TopicSpec("evidence", "device -> cloud", 1, False, Evidence, False, False, "crops and/or log-mel of one reading"),
    TopicSpec(
        "verdict", "cloud -> device", 1, False, Verdict, False, False, "supersedes the reading of that id, or refuses"
    ),
    TopicSpec(
        "health", "device", 0, False, Health, False, False, "how the device does; QoS 1 when a source's state changed"
    ),
    TopicSpec("event", "device", 1, False, Event, True, True, "something happened"),
    TopicSpec("command", "cloud -> device", 1, False, Command, True, False, "a request; never the privacy mode"),
    TopicSpec("reply", "device", 1, False, Reply, True, False, "the answer to a command"),
)
CLOUD_TOPIC = TopicSpec(
    "availability",
    "cloud",
    1,
    False,
    CloudAvailability,
    False,
    False,
    "heartbeat of the workers; site/cloud/availability",
)

M = TypeVar("M", bound=msgspec.Struct)


class _Schema(msgspec.Struct):
    schema: str


_BY_KIND = {spec.kind: spec for spec in TOPICS}


class Topic(NamedTuple):
    """A parsed topic."""

    site: str
    device: str
    spec: TopicSpec
    sub: str


def topic(site: str, device: str, kind: str, sub: str = "") -> str:
    """Return the topic of `kind` for a device, or the cloud's own for device "cloud". Raises BadTopic."""
    text = "/".join([PREFIX, site, device, kind] + ([sub] if sub else []))
    parse_topic(text)
    return text


def parse_topic(text: str) -> Topic:
    """Return site, device, row of the table and sub-level. Raises BadTopic for any topic that is not in the table."""
    parts = text.split("/")
    if len(parts) not in (5, 6) or "/".join(parts[:2]) != PREFIX:
        raise BadTopic(f"{text!r} is no topic of {PREFIX}/")
    site, device, kind = parts[2:5]
    sub = parts[5] if len(parts) == 6 else ""
    spec = CLOUD_TOPIC if device == CLOUD and kind == CLOUD_TOPIC.kind else _BY_KIND.get(kind)
    if spec is None or (device == CLOUD and spec is not CLOUD_TOPIC):
        raise BadTopic(f"{text!r}: there is no kind {kind!r} under {device!r}")
    if not NAME.match(site) or not NAME.match(device):
        raise BadTopic(f"{text!r}: site and device must match [a-z0-9-]{{1,36}}")
    if spec.has_sub != bool(sub) or (sub and not NAME.match(sub)):
        raise BadTopic(f"{text!r}: {kind} takes {'one' if spec.has_sub else 'no'} further level")
    return Topic(site, device, spec, sub)


def encode(message: AnyMessage) -> bytes:
    """Return the payload of a message. Raises BadMessage if it is larger than a message of its kind may be."""
    data = msgspec.msgpack.encode(message) if isinstance(message, Evidence) else msgspec.json.encode(message)
    _check_size(type(message), data)
    return data


def decode(kind: type[M], payload: bytes) -> M:
    """Return the message of struct `kind` that `payload` carries.

    Raises BadMessage if it is too large, damaged or breaks a bound of the struct, UnknownSchema if its major version
    is not this one's.
    """
    _check_size(kind, payload)
    decode_as = msgspec.msgpack.decode if kind is Evidence else msgspec.json.decode
    try:
        _check_schema(kind, decode_as(payload, type=_Schema).schema)
        return decode_as(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error


def _check_size(kind: type[msgspec.Struct], payload: bytes) -> None:
    limit = MAX_EVIDENCE if kind is Evidence else MAX_PAYLOAD
    if len(payload) > limit:
        raise BadMessage(f"a {kind.__name__} of {len(payload)} bytes is larger than {limit}")


def _check_schema(kind: type[msgspec.Struct], schema: str) -> None:
    expected = schema_of(kind)
    if schema != expected:
        raise UnknownSchema(f"schema {schema!r} is not {expected!r}", fix="Update the older of the two sides.")


@cache  # asked for every message, and the answer takes longer than decoding one
def schema_of(kind: type[msgspec.Struct]) -> str:
    """Return the schema name that messages of struct `kind` carry, e.g. "mien.reading/1"."""
    (default,) = (field.default for field in msgspec.structs.fields(kind) if field.name == "schema")
    return str(default)
