import contextlib

import msgspec
import pytest
from cloud_messages import certain, event, evidence, head, reading, tone, verdict
from hypothesis import given
from hypothesis import strategies as st

from cloud.arrivals import FUTURE_TOLERANCE_S, Arrival, Refused, read
from edge.protocol import MAX_PAYLOAD, CloudAvailability, encode

READING = "mien/v1/home/front-door/reading"
NOW = 1_800_000_000.0


def refusal(topic: str, payload: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(topic, payload, received_at=NOW)
    return caught.value.code


def test_a_reading_is_read():
    sent = reading()
    arrival = read(READING, encode(sent), received_at=NOW)
    assert arrival is not None
    assert (arrival.site, arrival.device, arrival.message) == ("home", "front-door", sent)


@pytest.mark.parametrize(
    "topic",
    [
        "mien/v1/home/front-door",
        "mien/v1/home/front-door/selfie",
        "mien/v1/Home/front-door/reading",
        "mien/v1/home/cloud/reading",
        "mien/v2/home/front-door/reading",
        "mien/v1/home/front-door/reading/more",
        "mien/v1/home/front-door/event",
    ],
)
def test_a_topic_that_is_not_in_the_table_is_refused(topic):
    assert refusal(topic, encode(reading())) == "bad-topic"


def test_an_oversized_message_is_refused_unread():
    assert refusal(READING, b" " * (MAX_PAYLOAD + 1)) == "oversize"


def test_another_major_version_is_refused():
    assert refusal(READING, encode(reading(schema="mien.reading/2"))) == "unknown-schema"


@pytest.mark.parametrize(
    "changes",
    [
        {"fused": {"emotion": "happy", "confidence": 1.0, "probs": {"happy": 1.0}}},
        {"face": {"emotion": "bored", "confidence": 1.0, "probs": dict.fromkeys(certain("sad", 0.5).probs, 0.1)}},
        {"seq": 2**63},
        {"session": -1},
        {"id": "not-a-ulid"},
        {"gate": "perhaps"},
        {"latency_ms": -1.0},
    ],
)
def test_what_breaks_the_protocol_is_refused(changes):
    fields = msgspec.to_builtins(reading()) | changes
    assert refusal(READING, msgspec.json.encode(fields)) == "malformed"


def test_a_tone_has_eight_labels_and_an_expression_seven():
    arrival = read(READING, encode(reading(speech=tone("calm", 0.6))), received_at=NOW)
    assert arrival is not None
    assert refusal(READING, encode(reading(speech=certain("sad", 0.6)))) == "malformed"
    assert refusal(READING, encode(reading(face=tone("calm", 0.6)))) == "malformed"


def test_an_event_must_be_of_the_type_its_topic_names():
    assert refusal("mien/v1/home/front-door/event/rollback", encode(event("camera-lost"))) == "malformed"


def test_what_is_not_stored_is_passed_over():
    sent = reading()
    assert read("mien/v1/home/front-door/evidence", encode(evidence(sent.id)), received_at=NOW) is None
    heartbeat = encode(CloudAvailability(state="online", workers=1, ts=NOW))
    assert read("mien/v1/home/cloud/availability", heartbeat, received_at=NOW) is None
    assert read("mien/v1/home/front-door/availability", b"", received_at=NOW) is None


def test_only_a_synchronised_clock_that_is_not_ahead_is_believed():
    def at(**changes):
        return Arrival("home", "front-door", reading(**changes), NOW).at

    assert at(ts=NOW - 3600.0) == NOW - 3600.0
    assert at(ts=NOW + FUTURE_TOLERANCE_S + 1) == NOW
    assert at(ts=12.0, clock_synced=False) == NOW


@given(st.text(max_size=60), st.binary(max_size=300))
def test_no_topic_and_no_payload_brings_it_down(topic, payload):
    for text in (topic, READING, "mien/v1/home/front-door/health"):
        with contextlib.suppress(Refused):
            read(text, payload, received_at=NOW)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_value_of_a_field_brings_it_down(value):
    for name in ("id", "seq", "ts", "face", "clip", "gate", "faces"):
        fields = msgspec.to_builtins(reading()) | {name: value}
        with contextlib.suppress(Refused):
            read(READING, msgspec.json.encode(fields), received_at=NOW)


def test_a_verdict_is_read():
    sent = verdict(head()["id"])
    arrival = read("mien/v1/home/front-door/verdict", encode(sent), received_at=NOW)
    assert arrival is not None
    assert arrival.message == sent
