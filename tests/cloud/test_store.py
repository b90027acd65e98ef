import random

import pytest
from cloud_messages import availability, birth, certain, event, head, health, reading, verdict
from sqlalchemy import LargeBinary, MetaData, func, select
from sqlalchemy.orm import Session

from cloud.arrivals import Arrival
from cloud.errors import StoreError
from cloud.store import Database, devices, known_sites, readings, save
from cloud.store.models import AggregateRow, EventRow, ReadingRow
from edge.protocol import Aggregate

NOW = 1_800_000_000.0


def arrive(message, site="home", device="front-door", **options):
    return Arrival(site, device, message, **{"received_at": NOW} | options)


def test_a_message_is_stored_once_however_often_it_comes(database):
    messages = [arrive(reading(seq)) for seq in range(20)]
    assert save(database.engine, messages) == [True] * 20
    again = messages + messages[:5]
    random.Random(1).shuffle(again)
    assert save(database.engine, again) == [False] * 25
    assert len(readings(database.engine)) == 20


def test_the_same_message_twice_in_one_batch_is_new_once(database):
    message = arrive(reading())
    assert save(database.engine, [message, message]) == [True, False]


def test_two_devices_may_use_the_same_id(database):
    message = reading()
    assert save(database.engine, [arrive(message), arrive(message, device="back-door")]) == [True, True]


def test_a_reading_comes_back_as_it_was_sent(database):
    sent = reading(clip="türkçe.mp4", faces=3, gate="over-budget", threshold=None)
    save(database.engine, [arrive(sent)])
    (view,) = readings(database.engine)
    assert view["clip"] == "türkçe.mp4"
    assert view["face"] == {"emotion": "neutral", "confidence": 0.5, "probs": sent.face.probs}
    assert (view["speech"], view["threshold"], view["gate"], view["faces"]) == (None, None, "over-budget", 3)
    assert (view["verdict"], view["final"]) == (None, view["fused"])


def test_a_verdict_may_be_there_before_its_reading(database):
    sent = reading(emotion="sad")
    save(database.engine, [arrive(verdict(sent.id, "happy"))])
    assert readings(database.engine) == []
    save(database.engine, [arrive(sent)])
    (view,) = readings(database.engine)
    assert view["fused"]["emotion"] == "sad"
    assert view["final"]["emotion"] == view["verdict"]["fused"]["emotion"] == "happy"


def test_the_first_verdict_on_a_reading_stands(database):
    sent = reading()
    first, second = verdict(sent.id, "happy"), verdict(sent.id, "angry")
    assert save(database.engine, [arrive(sent), arrive(first), arrive(second)]) == [True, True, False]
    (view,) = readings(database.engine)
    assert view["verdict"]["fused"]["emotion"] == "happy"


def test_a_refusal_leaves_the_reading_as_it_is(database):
    sent = reading(emotion="sad")
    refusal = verdict(sent.id, status="refused", reason="stale", face=None, fused=None)
    save(database.engine, [arrive(sent), arrive(refusal)])
    (view,) = readings(database.engine)
    assert (view["verdict"]["reason"], view["final"]["emotion"]) == ("stale", "sad")


def test_readings_are_listed_newest_first_and_paged(database):
    messages = [arrive(reading(seq, ts=NOW - 100 + seq)) for seq in range(10)]
    shuffled = random.Random(2).sample(messages, k=10)
    save(database.engine, shuffled)
    first = readings(database.engine, limit=4)
    assert [view["seq"] for view in first] == [9, 8, 7, 6]
    second = readings(database.engine, limit=4, before=first[-1]["id"])
    assert [view["seq"] for view in second] == [5, 4, 3, 2]
    assert readings(database.engine, before=str(head()["id"])) == []


def test_readings_are_listed_by_site_and_device(database):
    save(database.engine, [arrive(reading()), arrive(reading(), site="work"), arrive(reading(), device="back-door")])
    assert len(readings(database.engine, site="home")) == 2
    assert len(readings(database.engine, site="home", device="back-door")) == 1
    assert known_sites(database.engine) == ["home", "work"]


def test_a_device_keeps_its_last_states(database):
    save(
        database.engine,
        [arrive(availability()), arrive(birth()), arrive(health()), arrive(event(), received_at=NOW + 5)],
    )
    (device,) = devices(database.engine)
    assert (device["availability"], device["birth"]["mode"]) == ("online", "demo")
    assert (device["health"]["memory_mb"], device["event"]["type"]) == (143.0, "camera-lost")
    assert (device["first_seen"], device["last_seen"]) == (NOW, NOW + 5)


def test_a_will_and_a_retained_copy_are_no_sign_of_life(database):
    save(database.engine, [arrive(availability())])
    save(database.engine, [arrive(availability("lost"), received_at=NOW + 60)])
    save(database.engine, [arrive(birth(), received_at=NOW + 90, retained=True)])
    (device,) = devices(database.engine)
    assert (device["availability"], device["last_seen"]) == ("lost", NOW)


def test_aggregates_and_events_are_stored(database):
    aggregate = Aggregate(
        **head(mode="classroom"), start_s=0.0, end_s=60.0, windows=20, k=5, expressions=None, tones={}
    )
    save(database.engine, [arrive(aggregate), arrive(event()), arrive(event())])
    with Session(database.engine) as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 2
        assert session.scalars(select(AggregateRow)).one().k == 5


def test_a_batch_is_stored_whole_or_not_at_all(database):
    unstorable = arrive(reading(clip="\ud800"))
    with pytest.raises(UnicodeEncodeError):
        save(database.engine, [arrive(reading()), unstorable])
    with Session(database.engine) as session:
        assert session.scalar(select(func.count()).select_from(ReadingRow)) == 0


def test_starts_are_counted(tmp_path, database_url):
    for count in (1, 2, 3):
        database = Database(tmp_path, database_url)
        assert database.starts == count
        database.close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "mien.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="cannot be opened"):
        Database(tmp_path)


def test_two_services_cannot_share_a_folder_or_a_database(database, database_url, tmp_path):
    folder = tmp_path if database_url is None else tmp_path / "another"
    with pytest.raises(StoreError, match="another mien-cloud"):
        Database(folder, database_url)
    Database(folder, database_url, exclusive=False).close()


def test_evidence_has_no_table(database):
    metadata = MetaData()
    metadata.reflect(database.engine)
    names = {name.lower() for table in metadata.tables.values() for name in (table.name, *table.c.keys())}
    assert "readings" in names
    for word in ("evidence", "crop", "log_mel"):
        assert not any(word in name for name in names)
    # What a person uploaded and asked about themselves has its result there.
    binary = {column.table.name for table in metadata.tables.values() for column in table.c if is_binary(column)}
    assert binary == {"analyses"}


def is_binary(column):
    return isinstance(column.type, LargeBinary)


def test_a_postgresql_that_is_away_or_another_database_is_named_without_the_password(tmp_path):
    away = "postgresql://ada:s3cret@/mien?host=" + str(tmp_path)
    other = "mysql://ada:s3cret@x/y"
    for url, complaint in ((away, "cannot be reached"), (other, "not PostgreSQL"), ("?", "no database")):
        with pytest.raises(StoreError, match=complaint) as refused:
            Database(tmp_path / "data", url)
        assert "s3cret" not in str(refused.value)


def test_probabilities_survive(database):
    sent = certain("happy", 0.98765)
    save(database.engine, [arrive(reading(fused=sent))])
    assert readings(database.engine)[0]["fused"]["probs"] == sent.probs
