import asyncio
import sqlite3
import time
from contextlib import contextmanager

from cloud_messages import evidence, health, reading
from sqlalchemy import create_engine, event, text

from cloud.counters import Counters
from cloud.gate import IngestGate
from cloud.ingest import Ingest
from cloud.store import devices, readings
from edge.protocol import MAX_PAYLOAD, encode

READING = "mien/v1/home/front-door/reading"


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
    # The one has no UTF-8; the other PostgreSQL refuses and SQLite keeps.
    bad = [encode(reading()).replace(b'"clip":null', b'"clip":"%s"' % clip) for clip in (rb"\ud800", rb"a\u0000b")]

    async def use(ingest):
        payloads = [encode(message) for message in good]
        await asyncio.gather(*(ingest.submit(READING, payload) for payload in [*payloads[:5], *bad, *payloads[5:]]))

    counters, stored = run_with(database, use)
    assert len(stored) == len(readings(database.engine)) == (11 if database.engine.dialect.name == "sqlite" else 10)
    refused = counters["ingest.refused.unstorable"] + counters["ingest.refused.malformed"]
    assert len(stored) + refused == 12


@contextmanager
def locked_file(database):
    """Hold SQLite's write lock; ingest is soon told so."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(database.folder / "mien.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@contextmanager
def closed_server(database):
    """Let PostgreSQL end all connections to the database and take no new ones."""
    name = database.engine.url.database
    administration = create_engine(database.engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        connection.execute(end, {"name": name}).all()
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    administration.dispose()


def test_nothing_is_acknowledged_while_the_store_cannot_be_written(database, monkeypatch):
    monkeypatch.setattr("cloud.ingest.RETRY_S", 0.05)
    unwritable = {"sqlite": locked_file, "postgresql": closed_server}[database.engine.dialect.name]

    async def use(ingest):
        with unwritable(database):
            acknowledged = ingest.submit(READING, encode(reading()))
            await until(lambda: not ingest.healthy)
            assert not acknowledged.done()
        await asyncio.wait_for(acknowledged, 30)
        assert ingest.healthy

    counters, _ = run_with(database, use)
    assert counters["ingest.store-unavailable"] > 0
    assert counters["ingest.stored"] == 1
    assert len(readings(database.engine)) == 1


def test_a_store_that_may_only_be_read_for_a_while_loses_nothing(database, monkeypatch):
    monkeypatch.setattr("cloud.ingest.RETRY_S", 0.05)
    statements = {
        "sqlite": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF"),
        # What a standby says after a change of roles.
        "postgresql": ("SET default_transaction_read_only = on", "SET default_transaction_read_only = off"),
    }
    read_only, writable = statements[database.engine.dialect.name]
    now = [read_only]

    def set_on_checkout(connection, _record, _proxy):
        connection.cursor().execute(now[0])
        if database.engine.dialect.name == "postgresql":
            connection.commit()

    event.listen(database.engine, "checkout", set_on_checkout)

    async def use(ingest):
        acknowledged = ingest.submit(READING, encode(reading()))
        await until(lambda: not ingest.healthy)
        assert not acknowledged.done()
        now[0] = writable
        await asyncio.wait_for(acknowledged, 30)

    counters, _ = run_with(database, use)
    assert (counters["ingest.stored"], counters["ingest.refused.unstorable"]) == (1, 0)


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a state without an event
            await asyncio.sleep(0.01)


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
