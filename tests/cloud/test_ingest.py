import asyncio
import sqlite3
import time

import pytest
from cloud_messages import evidence, health, reading

from cloud.counters import Counters
from cloud.gate import IngestGate
from cloud.ingest import Ingest
from cloud.store import Database, devices, readings
from edge.protocol import MAX_PAYLOAD, encode

READING = "mien/v1/home/front-door/reading"


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path)
    yield opened
    opened.close()


def run_with(database, use):
    """Run `use(ingest, counters, stored)` beside a running ingest; return what it stored."""
    counters, stored = Counters(log_every_s=0.0), []

    async def main():
        ingest = Ingest(database.engine, counters, on_stored=stored.append)
        running = asyncio.create_task(ingest.run())
        try:
            await use(ingest)
        finally:
            ingest.stop()
            await running
            ingest.close()

    asyncio.run(main())
    return counters, stored


def test_the_future_is_done_when_the_message_is_in_the_store(database):
    sent = reading()

    async def use(ingest):
        await ingest.submit(READING, encode(sent))
        assert [view["id"] for view in readings(database.engine)] == [sent.id]

    counters, stored = run_with(database, use)
    assert [arrival.message for arrival in stored] == [sent]
    assert counters["ingest.stored"] == 1


def test_what_comes_together_is_committed_together(database):
    messages = [encode(reading(seq)) for seq in range(1200)]

    async def use(ingest):
        started = time.perf_counter()
        await asyncio.gather(*(ingest.submit(READING, payload) for payload in messages))
        assert time.perf_counter() - started < 5.0

    counters, _ = run_with(database, use)
    assert counters["ingest.stored"] == 1200


def test_duplicates_are_counted_and_told_to_nobody(database):
    payload = encode(reading())

    async def use(ingest):
        await asyncio.gather(*(ingest.submit(READING, payload) for _ in range(5)))

    counters, stored = run_with(database, use)
    assert (len(stored), counters["ingest.duplicates"]) == (1, 4)


def test_refusals_are_counted_by_reason_and_acknowledged(database):
    refused = {
        "bad-topic": ("mien/v1/home/front-door/selfie", b"{}"),
        "malformed": (READING, b"\x00\xffgarbage"),
        "oversize": (READING, b" " * (MAX_PAYLOAD + 1)),
        "unknown-schema": (READING, encode(reading(schema="mien.reading/7"))),
    }

    async def use(ingest):
        await asyncio.gather(*(ingest.submit(topic, payload) for topic, payload in refused.values()))

    counters, stored = run_with(database, use)
    assert stored == []
    for reason in refused:
        assert counters[f"ingest.refused.{reason}"] == 1


def test_one_message_that_the_database_cannot_hold_does_not_hold_up_the_others(database):
    good = [reading(seq) for seq in range(10)]
    bad = encode(reading()).replace(b'"clip":null', b'"clip":"\\ud800"')

    async def use(ingest):
        payloads = [encode(message) for message in good]
        await asyncio.gather(*(ingest.submit(READING, payload) for payload in [*payloads[:5], bad, *payloads[5:]]))

    counters, stored = run_with(database, use)
    assert len(stored) == len(readings(database.engine)) == 10
    assert counters["ingest.refused.unstorable"] + counters["ingest.refused.malformed"] == 1


def test_nothing_is_acknowledged_while_the_store_cannot_be_written(database, tmp_path, monkeypatch):
    monkeypatch.setattr("cloud.ingest.RETRY_S", 0.05)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / "mien.sqlite", isolation_level=None)

    async def use(ingest):
        other.execute("BEGIN IMMEDIATE")
        acknowledged = ingest.submit(READING, encode(reading()))
        await asyncio.sleep(0.5)
        assert not acknowledged.done()
        assert not ingest.healthy
        other.execute("ROLLBACK")
        await asyncio.wait_for(acknowledged, 5)
        assert ingest.healthy

    counters, _ = run_with(database, use)
    other.close()
    assert counters["ingest.store-unavailable"] > 0
    assert counters["ingest.stored"] == 1


def test_unpromised_messages_are_dropped_when_too_many_wait(database, monkeypatch):
    monkeypatch.setattr("cloud.ingest.MAX_UNPROMISED", 3)

    async def use(ingest):
        for _ in range(10):
            ingest.offer("mien/v1/home/front-door/health", encode(health()))

    counters, _ = run_with(database, use)
    assert (counters["ingest.dropped"], counters["ingest.received"]) == (7, 3)


def test_the_gate_stores_what_a_device_may_send_and_stops_the_rest(database):
    sent = reading()
    topics = {
        READING: (encode(sent), True),
        "mien/v1/home/front-door/evidence": (encode(evidence(sent.id)), True),
        "mien/v1/home/front-door/health": (encode(health()), True),
        "mien/v1/home/front-door/verdict": (b"{}", False),
        "mien/v1/home/front-door/command/mute": (b"{}", False),
        "mien/v1/home/cloud/availability": (b"{}", False),
        "somewhere/else": (b"{}", False),
    }

    async def use(ingest):
        gate = IngestGate(ingest, Counters())
        for topic, (payload, passes) in topics.items():
            assert await gate.admit(topic, payload) is passes, topic
            assert gate.admit_unpromised(topic, payload) is passes, topic

    run_with(database, use)
    assert [view["id"] for view in readings(database.engine)] == [sent.id]
    assert devices(database.engine)[0]["health"]["memory_mb"] == 143.0
