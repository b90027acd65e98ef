"""What was erased is gone, everywhere, stays gone, and nothing else went with it. What is old goes by itself."""

import pytest
from cloud_messages import birth, event, head, health, reading, verdict
from sqlalchemy import func, select

from cloud.arrivals import Arrival
from cloud.errors import PrivacyError
from cloud.store import devices, readings, save
from cloud.store.accounts import AuditRow
from cloud.store.erasure import erase, finish
from cloud.store.history import Period, history
from cloud.store.models import AggregateRow, Device, EventRow, ReadingRow, VerdictRow
from cloud.store.retention import DAY_S, Retention, purge, retention_of, set_retention
from cloud.store.summaries import HOUR_S, MINUTE_S, CrowdRow, ErasureRow, HealthRow, RollupRow
from edge.protocol import Aggregate

T = 1_800_000_000.0 // 3600 * 3600
TABLES = (ReadingRow, VerdictRow, AggregateRow, EventRow, HealthRow, RollupRow, CrowdRow)


def said_at(ts, device="front-door", site="home"):
    """One message of every kind, at a time."""
    fields = head(ts=ts, mode="classroom") | {"start_s": 0.0, "end_s": 60.0, "windows": 20, "k": 3}
    one = reading(ts=ts, clip=f"spoken-{ts:.0f}-by-{device}")
    old = event()
    happened = type(old)(**{**{name: getattr(old, name) for name in old.__struct_fields__}, "ts": ts})
    messages = (
        one,
        verdict(one.id, ts=ts),
        Aggregate(**fields, expressions={"sad": 3, "happy": 3}, tones=None),
        happened,
        health(ts=ts),
    )
    return [Arrival(site, device, message, received_at=ts + 1) for message in messages]


def count(engine, table, *where):
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table).where(*where))


def total(engine, start=T - 40 * DAY_S, end=T + DAY_S, **where):
    return history(engine, Period(None, start, end, **where), "hour")["totals"]["n"]


def test_erasing_a_device_leaves_nothing_of_it(database, tmp_path):
    for ts in (T, T + 5, T + 4000):
        save(database.engine, said_at(ts) + said_at(ts, "back-door"))
    save(database.engine, [Arrival("home", "front-door", birth(), T)])
    _, counts = erase(database.engine, "home", "front-door", -1e12, T + 9000, actor="ada", now=T + 9000)
    assert {name: counts[name] for name in ("readings", "verdicts", "aggregates", "events", "health")} == dict.fromkeys(
        ("readings", "verdicts", "aggregates", "events", "health"), 3
    )
    with database.engine.connect() as connection:
        (left,) = connection.scalars(select(Device.key))
    for table in TABLES:
        assert count(database.engine, table) == count(database.engine, table, table.device_key == left) > 0
    assert [view["device"] for view in devices(database.engine)] == ["back-door"]
    assert total(database.engine) == 3
    if database.engine.dialect.name != "sqlite":
        return  # what becomes of PostgreSQL's own files is up to its vacuum
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"by-back-door" in files
    assert b"by-front-door" not in files, "erased bytes are still in the file"


def test_erasing_a_period_keeps_what_lies_beside_it_and_the_sums_say_so(database):
    times = [T - 10, T + 20, T + 30, T + 40, T + 7300]
    for ts in times:
        save(database.engine, said_at(ts))
    erase(database.engine, "home", None, T + 25, T + 3600, actor="ada", now=T + 9000)
    assert sorted(view["at"] for view in readings(database.engine)) == [T - 10, T + 20, T + 7300]
    for table in (VerdictRow, AggregateRow, EventRow, HealthRow):
        assert count(database.engine, table) == 3
    for table, step in ((RollupRow, MINUTE_S), (RollupRow, HOUR_S), (CrowdRow, HOUR_S)):
        with database.engine.connect() as connection:
            rows = connection.execute(select(table.bucket, table.n).where(table.step == step).order_by(table.bucket))
            assert [n for _, n in rows] == [1, 1, 1], table
    (device,) = devices(database.engine)
    assert device["health"]["ts"] == T + 7300


def test_what_was_erased_does_not_come_back(database):
    late = said_at(T + 50)
    save(database.engine, said_at(T + 10) + said_at(T + 10, "back-door"))
    erase(database.engine, "home", "front-door", T, T + 60, actor="ada", now=T + 100)
    assert save(database.engine, late + said_at(T + 61)) == [False] * 5 + [True] * 5
    assert save(database.engine, said_at(T + 50, "back-door")) == [True] * 5
    assert [view["at"] for view in readings(database.engine, device="front-door")] == [T + 61]
    assert total(database.engine, device="front-door") == 1


def test_an_erasure_that_was_cut_off_is_gone_on_with(database, monkeypatch):
    from cloud.store import erasure

    save(database.engine, said_at(T))
    with monkeypatch.context() as patch:
        patch.setattr(erasure, "remove_orphaned_verdicts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            erase(database.engine, "home", None, T, T + 60, actor="ada", now=T + 100)
    assert count(database.engine, EventRow) == 1
    purge(database.engine, now=T + 200)
    assert all(count(database.engine, table) == 0 for table in TABLES)
    assert count(database.engine, ErasureRow, ErasureRow.done.is_(True)) == 1
    assert not any(finish(database.engine, 1).values())


def test_what_is_older_than_a_site_keeps_it_goes(database):
    days = (0, 3, 40, 100, 800)
    for age in days:
        save(database.engine, said_at(T - age * DAY_S) + said_at(T - age * DAY_S, site="archive"))
    kept = Retention(readings_days=2, minutes_days=50, hours_days=365, events_days=10)
    set_retention(database.engine, "home", kept, actor="ada", now=T)
    assert (retention_of(database.engine, "home"), retention_of(database.engine, "archive")) == (kept, Retention())
    removed = purge(database.engine, now=T + 60)
    home = select(Device.key).where(Device.site == "home").scalar_subquery()

    def left(table, *where):
        return count(database.engine, table, table.device_key == home, *where)

    assert (left(ReadingRow), left(VerdictRow), left(AggregateRow), left(EventRow), left(HealthRow)) == (1, 1, 3, 2, 2)
    assert left(RollupRow, RollupRow.step == MINUTE_S) == 3
    assert left(RollupRow, RollupRow.step == HOUR_S) == 4
    assert removed["home"]["readings"] == 4
    assert removed["archive"]["readings"] == 3
    assert purge(database.engine, now=T + 60) == {}
    with database.engine.connect() as connection:
        lines = connection.execute(select(AuditRow.action, AuditRow.site, AuditRow.actor).order_by(AuditRow.key)).all()
    assert [tuple(line) for line in lines] == [
        ("privacy.retention", "home", "ada"),
        ("privacy.purge", "archive", "retention"),
        ("privacy.purge", "home", "retention"),
    ]


@pytest.mark.parametrize("days", [(0, 1, 1, 1), (10, 5, 20, 1), (1, 10, 5, 1), (1, 1, 4000, 1), (1, 1, 1, 0)])
def test_a_retention_that_makes_no_sense_is_refused(days):
    with pytest.raises(PrivacyError):
        Retention(*days)
