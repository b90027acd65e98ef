from __future__ import annotations

import msgspec
import pytest
from golden import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadMessage, BadTopic, ProtocolError, UnknownSchema
from edge.protocol import (
    CLOUD_TOPIC,
    MAX_EVIDENCE,
    MAX_PAYLOAD,
    TOPICS,
    AnyMessage,
    Evidence,
    Reading,
    decode,
    distribution,
    encode,
    parse_topic,
    schema_of,
    topic,
)

NAMES = st.from_regex(r"[a-z0-9-]{1,36}", fullmatch=True)


@pytest.mark.parametrize("message", GOLDEN.values(), ids=GOLDEN)
def test_round_trip(message: AnyMessage) -> None:
    assert decode(type(message), encode(message)) == message


def test_every_message_of_the_table_has_a_golden_sample() -> None:
    assert {spec.message for spec in (*TOPICS, CLOUD_TOPIC)} == {type(message) for message in GOLDEN.values()}


@pytest.mark.parametrize("message", GOLDEN.values(), ids=GOLDEN)
def test_unknown_keys_are_ignored_and_another_major_is_refused(message: AnyMessage) -> None:
    codec = msgspec.msgpack if isinstance(message, Evidence) else msgspec.json
    plain = codec.decode(encode(message))
    assert decode(type(message), codec.encode(plain | {"later_addition": 1})) == message
    name, _, major = schema_of(type(message)).partition("/")
    plain["schema"] = f"{name}/{int(major) + 1}"
    with pytest.raises(UnknownSchema, match=plain["schema"]):
        decode(type(message), codec.encode(plain))


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else_happens(payload: bytes) -> None:
    for kind in (Reading, Evidence):
        with pytest.raises(ProtocolError):
            decode(kind, payload)


@pytest.mark.parametrize(
    "payload", [b"", b"[" * 100_000, b'{"a":' * 50_000, b"x" * (MAX_PAYLOAD + 1), b"\x91" * 90_000]
)
def test_hostile_payloads_are_refused(payload: bytes) -> None:
    for kind in (Reading, Evidence):
        with pytest.raises(BadMessage):
            decode(kind, payload)


@pytest.mark.parametrize(
    ("key", "value"),
    [("face_quality", 1.5), ("faces", -1), ("gate", "maybe"), ("id", "x"), ("ts", "now")],
)
def test_values_out_of_bounds_are_refused(key: str, value: object) -> None:
    plain = msgspec.json.decode(encode(GOLDEN["reading"])) | {key: value}
    with pytest.raises(BadMessage, match=r"Reading"):
        decode(Reading, msgspec.json.encode(plain))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.5])
def test_evidence_with_wild_numbers_is_refused(value: float) -> None:
    plain = msgspec.msgpack.decode(encode(GOLDEN["evidence"])) | {"face_quality": value}
    with pytest.raises(BadMessage, match="face_quality"):
        decode(Evidence, msgspec.msgpack.encode(plain))


@pytest.mark.parametrize("change", [{"crops": [b"x"] * 9}, {"log_mel": bytes(MAX_EVIDENCE)}, {"models": ["x" * 65]}])
def test_evidence_of_the_wrong_size_is_refused(change: dict[str, object]) -> None:
    plain = msgspec.msgpack.decode(encode(GOLDEN["evidence"])) | change
    with pytest.raises(BadMessage, match="Evidence"):
        decode(Evidence, msgspec.msgpack.encode(plain))


def test_evidence_costs_16_kib_at_most() -> None:
    golden = GOLDEN["evidence"]
    assert isinstance(golden, Evidence)
    room = MAX_EVIDENCE - len(encode(golden))
    grown = msgspec.structs.replace(golden, log_mel=bytes(len(golden.log_mel or b"") + room))
    largest = msgspec.structs.replace(grown, log_mel=(grown.log_mel or b"")[: -(len(msgpack(grown)) - MAX_EVIDENCE)])
    assert len(encode(largest)) == MAX_EVIDENCE
    with pytest.raises(BadMessage, match=str(MAX_EVIDENCE)):
        encode(grown)
    with pytest.raises(BadMessage, match=str(MAX_EVIDENCE)):
        decode(Evidence, msgpack(grown))


def msgpack(message: Evidence) -> bytes:
    return msgspec.msgpack.encode(message)


def test_too_large_is_refused_before_sending() -> None:
    reading = GOLDEN["reading"]
    assert isinstance(reading, Reading)
    with pytest.raises(BadMessage, match=str(MAX_PAYLOAD)):
        encode(msgspec.structs.replace(reading, clip="x" * MAX_PAYLOAD))


@given(NAMES, NAMES.filter(lambda name: name != "cloud"), st.sampled_from(TOPICS), NAMES)
def test_topics_round_trip(site: str, device: str, spec, sub: str) -> None:
    text = topic(site, device, spec.kind, sub if spec.has_sub else "")
    parsed = parse_topic(text)
    assert parsed == (site, device, spec, sub if spec.has_sub else "")
    assert text.count("/") <= 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mien/v1/s/d",
        "mien/v2/s/d/reading",
        "mien/v1/s/d/readings",
        "mien/v1/S/d/reading",
        "mien/v1/s/d\n/reading",
        "mien/v1/s/d/reading/x",
        "mien/v1/s/d/event",
        "mien/v1/s/d/event/A",
        "mien/v1/s/cloud/reading",
        "mien/v1/s/+/reading",
        "mien/v1/" + "s" * 37 + "/d/reading",
    ],
)
def test_topics_outside_the_table_are_refused(text: str) -> None:
    with pytest.raises(BadTopic):
        parse_topic(text)


def test_cloud_has_a_topic_of_its_own() -> None:
    assert parse_topic(topic("s", "cloud", "availability")).spec is CLOUD_TOPIC


@given(st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda p: sum(p) > 0))
def test_distribution_names_its_largest(probs: list[float]) -> None:
    total = sum(probs)
    result = distribution("abcdefg", [p / total for p in probs])
    assert result.confidence == max(result.probs.values()) == result.probs[result.emotion]
