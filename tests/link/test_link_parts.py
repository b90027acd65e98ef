"""The pure parts: bookkeeping of flights, versions, fights, waits, addresses, presence, evidence."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from link_samples import DEVICE, SITE, Maker

from edge.clock import FakeClock, SystemClock, new_id
from edge.errors import LinkError
from edge.link.attempts import SHORT_LIMIT, SILENCES, Backoff, Fights, Versions
from edge.link.broker import parse_broker
from edge.link.connection import Ending, Packet
from edge.link.evidence import Pending
from edge.link.flights import MAX_WAITING, Flight, Flights
from edge.link.incoming import CloudPresence, Incoming
from edge.link.rows import Row
from edge.protocol import CloudAvailability, Verdict, encode

SILENT = Ending("silence", "no answer")
HUNG_UP = Ending("closed", "the broker hung up")
BROKEN = Ending("lost", "reset")


def rows(count: int, kind: str = "reading") -> list[Row]:
    maker = Maker(FakeClock())
    return [maker.row(kind) for _ in range(count)]


def fly(flights: Flights, mid: int, *, stored: bool = False) -> None:
    upcoming = flights.pop_next()
    assert upcoming is not None
    flights.take_off(mid, Flight(upcoming.packet, upcoming.row, 0.0, stored))


def test_what_flew_waits_again_in_order_when_the_connection_is_gone() -> None:
    flights, made = Flights(), rows(6)
    for row in made:
        flights.wait(row)
    for mid in range(4):
        fly(flights, mid, stored=mid == 1)
    flights.hurry(Packet("health", b"", 1))
    fly(flights, 9)
    flights.hurry(Packet("health", b"", 0))
    assert flights.arrive(2) is not None
    assert flights.land() == 2
    assert len(flights) == 0
    left = []
    while (upcoming := flights.pop_next()) is not None:
        left.append(upcoming.row)
    assert left == [made[0], made[3], made[4], made[5]]


def test_what_is_stored_is_the_outboxs_business_unless_it_flies() -> None:
    flights, made = Flights(), rows(3)
    for row in made:
        flights.wait(row)
    fly(flights, 1)
    assert flights.in_memory() == made
    flights.mark_stored(but={made[2].id})
    assert flights.in_memory() == [made[2]]
    assert flights.stored_ids() == {made[0].id}
    upcoming = flights.pop_next()
    assert upcoming is not None
    assert upcoming.row == made[2]


def test_with_a_dead_disk_memory_keeps_the_events_and_the_newest() -> None:
    flights = Flights()
    events, readings = rows(3, "event"), rows(MAX_WAITING)
    for row in [*events, *readings]:
        flights.wait(row)
    assert flights.drop_excess() == 3
    assert flights.in_memory() == [*events, *readings[3:]]


def test_silence_leads_to_311_and_what_was_spoken_is_not_given_up_at_once() -> None:
    versions = Versions()
    assert versions.failed(SILENT)
    assert versions.current == "3.1.1"
    versions.accepted()
    for _ in range(SILENCES - 1):
        assert not versions.failed(SILENT)
        assert versions.current == "3.1.1"
    assert not versions.failed(SILENT)
    assert versions.current == "5"


def test_a_broker_that_says_it_knows_no_5_is_believed_at_once() -> None:
    versions = Versions()
    versions.accepted()
    assert versions.failed(Ending("wrong version", "refused"))
    assert versions.current == "3.1.1"


def test_no_other_failure_changes_the_version() -> None:
    versions = Versions()
    for ending in (HUNG_UP, BROKEN, Ending("absent", ""), Ending("refused", "")):
        assert not versions.failed(ending)
    assert versions.current == "5"


def test_only_short_connections_that_a_broker_ended_look_like_a_fight() -> None:
    fights = Fights()
    for _ in range(20):
        fights.ended(BROKEN, 1.0)
    assert not fights.suspected
    for _ in range(SHORT_LIMIT - 1):
        fights.ended(HUNG_UP, 1.0)
    fights.explained()
    fights.ended(HUNG_UP, 1.0)
    assert not fights.suspected
    for _ in range(SHORT_LIMIT):
        fights.ended(HUNG_UP, 1.0)
    assert fights.suspected


def test_a_short_connection_does_not_make_the_waits_short_again() -> None:
    backoff = Backoff(1.0, 60.0, lambda _, high: high)
    waits = [backoff.next_s() for _ in range(3)]
    backoff.ended(5.0)
    waits.append(backoff.next_s())
    backoff.ended(3600.0)
    waits.append(backoff.next_s())
    assert waits == [1.0, 2.0, 4.0, 8.0, 1.0]


@pytest.mark.parametrize(
    ("url", "host", "port", "user", "password"),
    [
        ("mqtt://broker", "broker", 1883, None, None),
        ("mqtts://broker", "broker", 8883, None, None),
        ("mqtt://127.0.0.1:2000", "127.0.0.1", 2000, None, None),
        ("mqtt://[::1]:2000", "::1", 2000, None, None),
        ("mqtt://a%40b:p%3Aw@broker:1", "broker", 1, "a@b", "p:w"),
    ],
)
def test_addresses_are_understood(url: str, host: str, port: int, user: str | None, password: str | None) -> None:
    broker = parse_broker(url)
    assert (broker.host, broker.port, broker.username, broker.password) == (host, port, user, password)
    assert (broker.tls is not None) == url.startswith("mqtts")


@pytest.mark.parametrize(
    "url", ["", "broker", "http://broker", "mqtt://", "mqtt://h:x", "mqtt://h:70000", "mqtt://h/t"]
)
def test_malformed_addresses_are_refused_without_their_secrets(url: str) -> None:
    with pytest.raises(LinkError) as caught:
        parse_broker(url.replace("//", "//user:hidden@"))
    assert "hidden" not in str(caught.value)


def test_a_broker_does_not_show_its_password() -> None:
    broker = parse_broker("mqtt://user:hidden@broker", password="hidden too")
    assert "hidden" not in f"{broker} {broker!r}"


def test_the_cloud_is_stale_after_45_s_of_our_own_clock() -> None:
    clock = FakeClock()
    presence = CloudPresence(clock)
    assert not presence.present
    presence.heard(CloudAvailability(state="online", workers=1, ts=0.0))
    clock.advance(44.9)
    assert presence.present
    clock.synchronise(clock.wall() + 1e9)
    assert presence.present
    clock.advance(0.2)
    assert not presence.present


@given(
    topic=st.one_of(
        st.text(max_size=80),
        st.sampled_from(
            [
                f"mien/v1/{SITE}/{DEVICE}/verdict",
                f"mien/v1/{SITE}/{DEVICE}/command/mute",
                f"mien/v1/{SITE}/{DEVICE}/reading",
                f"mien/v1/{SITE}/other/verdict",
                f"mien/v1/other/{DEVICE}/verdict",
                f"mien/v1/{SITE}/cloud/availability",
            ]
        ),
    ),
    payload=st.one_of(
        st.binary(max_size=200), st.builds(msgspec.json.encode, st.dictionaries(st.text(), st.integers()))
    ),
)
@settings(max_examples=150, deadline=None)
def test_nothing_that_arrives_raises_or_is_believed(topic: str, payload: bytes) -> None:
    heard: list[object] = []
    incoming = Incoming(site=SITE, device=DEVICE, clock=FakeClock(), on_verdict=heard.append, on_command=heard.append)
    incoming.handle(topic, payload)
    assert incoming.counts == {"ignored": 1}
    assert not heard
    assert not incoming.cloud.present


def test_a_refusal_is_an_answer_that_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []
    clock = FakeClock()
    incoming = Incoming(site=SITE, device=DEVICE, clock=clock, on_verdict=heard.append, on_command=heard.append)
    refusal = Verdict(**Maker(clock).header(), reading_id=new_id(), status="refused", reason="unknown-model")
    incoming.pending.asked(refusal.reading_id, ttl_ms=1000, now=clock.monotonic())
    incoming.handle(f"mien/v1/{SITE}/{DEVICE}/verdict", encode(refusal))
    assert (heard, incoming.counts) == ([refusal], {"verdicts": 1, "verdicts_refused": 1})
    assert "unknown-model" in caplog.text


def test_answers_are_in_time_late_or_unknown_and_each_counts_once() -> None:
    pending = Pending(limit=3)
    for n in range(4):
        pending.asked(f"r{n}", ttl_ms=1000, now=float(n))
    assert pending.waiting(now=3.5) == 1
    assert pending.answered("r0", now=0.5) == "unknown"
    assert pending.answered("r1", now=2.1) == "late"
    assert pending.answered("r3", now=4.0) == "in time"
    assert pending.answered("r3", now=4.0) == "unknown"


def test_the_system_clock_knows_its_boot() -> None:
    clock = SystemClock()
    assert clock.boot_id() == SystemClock().boot_id()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_600_000_000
    assert clock.synced() in (True, False)


def test_ids_differ_and_sort_by_time() -> None:
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert [each[:10] for each in ids] == sorted(each[:10] for each in ids)
