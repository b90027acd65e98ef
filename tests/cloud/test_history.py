"""Sums that are kept as messages come equal those made anew of everything that is stored."""

from itertools import pairwise

import pytest
from cloud_messages import head, health, reading, tone, verdict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from cloud.arrivals import Arrival
from cloud.errors import HistoryError
from cloud.store import Database, rollups, save
from cloud.store.history import Period, health_history, history
from cloud.store.models import AggregateRow, Device, ReadingRow, VerdictRow
from cloud.store.queries import readings
from cloud.store.summaries import STEPS, CrowdRow, RollupRow
from edge.emotions import EMOTIONS
from edge.protocol import Aggregate, Percentiles, SourceHealth

T = 1_800_000_000.0 // 3600 * 3600
"""The full hour at which these tests happen."""


def arrive(message, at=None, site="home", device="front-door"):
    return Arrival(site, device, message, received_at=T + 10_000 if at is None else at)


def aggregate(ts, **changes):
    fields = head(ts=ts, mode="classroom") | {"start_s": 0.0, "end_s": 60.0, "windows": 20, "k": 3, "tones": None}
    return Aggregate(**fields | {"expressions": {"happy": 6, "neutral": 9}} | changes)


def table_of(engine, table):
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(select(*table.__table__.columns))}


def sums_of_views(engine):
    """Return what the sums should be, from what /api/readings tells: another way than the store's own."""
    expected = {}
    for view in readings(engine, limit=1000):
        for step in STEPS:
            own, judged = view["fused"], view["verdict"]
            bucket = expected.setdefault((view["device"], step, view["at"] // step * step), dict.fromkeys(KEPT, 0))
            answered = judged is not None and judged["status"] == "ok" and judged["fused"] is not None
            bucket["n"] += 1
            bucket["perceived"] += view["final"] is not None
            bucket["sure"] += own is not None and view["gate"] == "sure"
            bucket["asked"] += view["gate"] == "requested"
            bucket["answered"] += answered
            bucket["refused"] += judged is not None and not answered
            bucket["agreed"] += answered and own is not None and judged["fused"]["emotion"] == own["emotion"]
            if view["final"] is not None:
                bucket["confidence"] += round(1e6 * view["final"]["confidence"])
                for emotion in EMOTIONS:
                    bucket[emotion] += round(1e6 * view["final"]["probs"][emotion])
    return expected


KEPT = ("n", "perceived", "sure", "asked", "answered", "refused", "agreed", "confidence", *EMOTIONS)


def sums_of_store(engine):
    names = [*KEPT]
    with engine.connect() as connection:
        columns = (Device.device, RollupRow.step, RollupRow.bucket, *(getattr(RollupRow, name) for name in names))
        rows = connection.execute(select(*columns).join(Device, Device.key == RollupRow.device_key))
        return {tuple(row[:3]): dict(zip(names, row[3:], strict=True)) for row in rows}


@st.composite
def histories(draw):
    """Batches of readings, verdicts and aggregates of two devices: twice, late, in any order."""
    messages = []
    for number in range(draw(st.integers(1, 12))):
        device = draw(st.sampled_from(["a", "b"]))
        nothing = draw(st.integers(0, 5)) == 0
        confidence = draw(st.floats(0.2, 0.99))
        emotion = draw(st.sampled_from(EMOTIONS))
        perceived = {"face": None, "fused": None} if nothing else {}
        gate = draw(st.sampled_from(["sure", "requested", "over-budget"]))
        ts = T + draw(st.integers(0, 7200)) + draw(st.floats(0, 0.99))
        said = reading(number, emotion, confidence, ts=ts, gate=gate, **perceived)
        messages.append(arrive(said, device=device))
        for _ in range(draw(st.integers(0, 2))):
            ok = draw(st.booleans())
            answer = {} if ok else {"status": "refused", "reason": "stale", "face": None, "fused": None}
            messages.append(arrive(verdict(said.id, draw(st.sampled_from(EMOTIONS)), ts=ts, **answer), device=device))
        if draw(st.booleans()):
            messages.append(arrive(aggregate(ts, faces=draw(st.none() | st.integers(0, 9))), device=device))
    again = draw(st.lists(st.sampled_from(messages), max_size=6))
    disordered = draw(st.permutations([*messages, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(disordered)), max_size=4)))
    ends = [0, *cuts, len(disordered)]
    return [disordered[low:high] for low, high in pairwise(ends)]


@pytest.fixture
def emptied(database):
    """One database for all examples, and how to empty it: opening one takes longer than an example."""

    def empty():
        with database.engine.begin() as connection:
            for table in (ReadingRow, VerdictRow, AggregateRow, RollupRow, CrowdRow):
                connection.execute(delete(table))
        return database.engine

    return empty


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(batches=histories())
def test_sums_equal_a_full_recomputation(emptied, batches):
    engine = emptied()
    for batch in batches:
        save(engine, batch)
    assert sums_of_store(engine) == sums_of_views(engine)
    kept = table_of(engine, RollupRow), table_of(engine, CrowdRow)
    with engine.begin() as connection:
        rollups.remake_all(connection)
    assert (table_of(engine, RollupRow), table_of(engine, CrowdRow)) == kept


def test_a_verdict_supersedes_in_the_sums_too(database):
    said = reading(emotion="sad", confidence=0.6, ts=T)
    save(database.engine, [arrive(said)])
    whole = Period(None, T, T + 60)
    assert history(database.engine, whole, "minute")["perception"]["emotions"]["sad"] == [0.6]
    save(database.engine, [arrive(verdict(said.id, "happy", 0.9))])
    answer = history(database.engine, whole, "minute")["perception"]
    assert (answer["emotions"]["happy"], answer["n"], answer["compared"], answer["agreed"]) == ([0.9], [1], [1], [0])


@pytest.mark.parametrize(
    ("span_s", "step"), [(3600, 0), (6 * 3600, 60), (86_400, 300), (7 * 86_400, 3600), (365 * 86_400, 86_400)]
)
def test_the_length_of_a_period_decides_its_buckets_and_not_its_totals(database, span_s, step):
    times = [T + share * 3599 for share in (0.0, 0.2, 0.21, 0.9)]
    save(database.engine, [arrive(reading(n, "fear", 0.5 + n / 10, ts=ts)) for n, ts in enumerate(times)])
    start = T // span_s * span_s
    answer = history(database.engine, Period(None, start, start + span_s))
    assert answer["step"] == step
    assert sum(answer["perception"]["n"]) == answer["totals"]["n"] == 4
    assert answer["totals"]["confidence"] == pytest.approx(0.65)
    assert answer["totals"]["emotions"]["fear"] == pytest.approx(0.65)


def test_a_period_without_anything_has_no_means(database):
    answer = history(database.engine, Period(None, T, T + 60))
    assert answer["perception"]["at"] == []
    assert (answer["totals"]["n"], answer["totals"]["confidence"], answer["totals"]["emotions"]["sad"]) == (
        0,
        None,
        None,
    )


def test_a_period_or_resolution_that_cannot_be_is_refused(database):
    with pytest.raises(HistoryError, match="after it begins"):
        Period(None, T, T)
    with pytest.raises(HistoryError, match="buckets"):
        history(database.engine, Period(None, T - 1e9, T), "minute")


def test_only_the_sites_that_may_be_seen_are_added_up(database):
    save(
        database.engine, [arrive(reading(ts=T)), arrive(reading(ts=T), site="work"), arrive(reading(ts=T), device="b")]
    )
    for sites, site, device, wanted in [
        (None, None, None, 3),
        (frozenset({"work"}), None, None, 1),
        (frozenset({"work"}), "home", None, 0),
        (None, "home", "b", 1),
    ]:
        period = Period(sites, T, T + 60, site, device)
        assert history(database.engine, period)["totals"]["n"] == wanted


def test_aggregates_are_stored_whole_and_added_up(database):
    said = [aggregate(T), aggregate(T + 60, expressions=None, windows=0), aggregate(T + 120, faces=6, voiced=3)]
    save(database.engine, [arrive(one) for one in said])
    with database.engine.connect() as connection:
        stored = connection.execute(select(AggregateRow.faces, AggregateRow.voiced).order_by(AggregateRow.at)).all()
    assert [tuple(row) for row in stored] == [(None, None), (None, None), (6, 3)]
    crowd = history(database.engine, Period(None, T, T + 3600), "hour")["crowd"]
    assert (crowd["n"], crowd["suppressed"], crowd["emotions"]["neutral"], crowd["faces"]) == ([3], [1], [6.0], [2.0])


def test_health_is_kept_over_time_with_the_worst_of_each_bucket(database):
    down = {"camera": SourceHealth(state="down", rate=0.0, dropped=0, error="unplugged")}
    reports = [
        health(ts=T, temperature_c=50.0),
        health(
            ts=T + 10, temperature_c=71.5, sources=down, timings={"verdict": Percentiles(p50_ms=90.0, p95_ms=130.0)}
        ),
        health(ts=T + 60, temperature_c=None),
    ]
    save(database.engine, [arrive(report) for report in reports])
    answer = health_history(database.engine, Period(None, T, T + 3600))["health"]
    assert (answer["at"], answer["n"], answer["temperature_c"]) == ([T, T + 60], [2, 1], [71.5, None])
    assert (answer["down"], answer["verdict_p95_ms"], answer["reading_p95_ms"]) == ([1, 0], [130.0, None], [71.0, 71.0])


def test_a_database_from_before_history_is_added_up_once(tmp_path, database_url):
    database = Database(tmp_path, database_url)
    said = reading(ts=T, speech=tone("calm", 0.5))
    save(database.engine, [arrive(said), arrive(aggregate(T))])
    kept = table_of(database.engine, RollupRow), table_of(database.engine, CrowdRow)
    with database.engine.begin() as connection:
        for table in (RollupRow, CrowdRow):
            connection.execute(table.__table__.delete())
        connection.exec_driver_sql("INSERT INTO meta VALUES ('rollups', 'stale')")
    database.close()
    database = Database(tmp_path, database_url)
    assert (table_of(database.engine, RollupRow), table_of(database.engine, CrowdRow)) == kept
    with database.engine.connect() as connection:
        assert not rollups.is_stale(connection)
    database.close()
