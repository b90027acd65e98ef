"""When a rule holds and what follows from it: no store, no clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.alerts.rules import (
    CLEAR_AFTER_S,
    AlertState,
    Holding,
    Rule,
    Sample,
    Step,
    decide,
    expression_samples,
    health_samples,
    in_quiet_hours,
    lost,
    running,
)
from cloud.errors import AlertError

NOON = 12 * 60
ANGRY = Rule(name="angry", kind="expression", emotions=("angry", "fear"), threshold=0.7, duration_s=9.0, repeat_s=600.0)


def probs(**shares):
    return {"probs": shares}


def view(face=None, speech=None, final=None, *, gate="sure", verdict=None, at=100.0):
    return {"at": at, "start_s": 0.0, "end_s": 3.0, "face": face, "speech": speech, "final": final, "gate": gate} | {
        "verdict": verdict
    }


def holds(rule, *views):
    return [sample.holds for sample in expression_samples(rule, views)]


def rule(**changes):
    return Rule(**{"name": "x", "kind": "expression", "emotions": ("angry", "fear"), "threshold": 0.7} | changes)


def test_the_emotions_of_a_set_count_together():
    assert holds(rule(), view(final=probs(angry=0.4, fear=0.31)), view(final=probs(angry=0.4, fear=0.29))) == [
        True,
        False,
    ]


def test_unsure_readings_count_only_where_they_shall_or_the_cloud_has_judged():
    guess = view(final=probs(angry=0.9), gate="over-budget")
    judged = view(final=probs(angry=0.9), gate="requested", verdict={"status": "ok", "face": None, "speech": None})
    refused = view(
        final=probs(angry=0.9), gate="requested", verdict={"status": "refused", "face": None, "speech": None}
    )
    assert holds(rule(), guess, judged, refused) == [None, True, None]
    assert holds(rule(count_unsure=True), guess, refused) == [True, True]


def test_modalities_that_must_agree_are_judged_each_by_itself():
    both = view(face=probs(angry=0.8), speech=probs(angry=0.75), final=probs(angry=0.9))
    one = view(face=probs(angry=0.8), speech=probs(angry=0.5), final=probs(angry=0.9))
    alone = view(face=probs(angry=0.8), final=probs(angry=0.8))
    assert holds(rule(modalities="both"), both, one, alone) == [True, False, None]
    assert holds(rule(modalities="speech"), one, alone) == [False, None]
    overruled = view(
        face=probs(angry=0.8), final=probs(sad=0.9), verdict={"status": "ok", "face": probs(sad=0.9), "speech": None}
    )
    assert holds(rule(modalities="face"), overruled) == [False]


def run(*said, duration_s=9.0, gap_s=10.0, now=None):
    """Samples of 3 s, one every 3 s, ending at `now`."""
    samples = [Sample(3.0 * number, 3.0, one) for number, one in enumerate(said)]
    return running(samples, duration_s=duration_s, gap_s=gap_s, now=3.0 * (len(said) - 1) if now is None else now)


def test_a_rule_holds_once_it_has_for_its_duration():
    assert run(True, True) is None
    assert run(True, True, True) == Holding(-3.0, 6.0, None)
    assert run(True, None, True, True) == Holding(-3.0, 9.0, None)
    assert run(True, True, True, False) is None
    assert run(True, True, True, False, True, True, True) == Holding(9.0, 18.0, None)
    assert run(True, True, True, None, None, None, True, True, True) == Holding(15.0, 24.0, None), "a gap breaks it"
    assert run(True, True, True, now=17.0) is None, "what is over does not hold"


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=30), st.floats(0, 60), st.randoms())
def test_what_holds_is_a_run_without_contradiction(said, duration_s, dice):
    samples = [Sample(3.0 * number, 3.0, one) for number, one in enumerate(said)]
    now = samples[-1].at
    dice.shuffle(samples)
    found = running(samples, duration_s=duration_s, gap_s=10.0, now=now)
    if found is not None:
        inside = [one.holds for one in samples if found.since < one.at <= now]
        assert False not in inside
        assert True in inside
        assert found.last - found.since >= duration_s


def report(at, **changes):
    return {"at": at, "session": 1, "temperature_c": 50.0, "down": 0, "outbox_dropped": 0} | changes


def test_health_rules():
    hot = Rule(name="hot", kind="temperature", threshold=80.0)
    reports = [report(0, temperature_c=81.0), report(60, temperature_c=None), report(120, temperature_c=79.0)]
    assert [one.holds for one in health_samples(hot, reports)] == [True, None, False]
    down = Rule(name="down", kind="down")
    assert [one.holds for one in health_samples(down, [report(0), report(60, down=1)])] == [False, True]
    disk = Rule(name="disk", kind="disk")
    dropped = [report(0, outbox_dropped=5), report(60, outbox_dropped=5), report(120, outbox_dropped=9)]
    again = report(180, session=2, outbox_dropped=1)
    assert [one.holds for one in health_samples(disk, [*dropped, again])] == [None, False, True, True]


@pytest.mark.parametrize(
    ("availability", "at", "last_seen", "since"),
    [
        ("online", 0.0, 990.0, None),
        ("online", 0.0, 700.0, 850.0),
        ("lost", 900.0, 895.0, 900.0),
        ("lost", 980.0, 975.0, None),
        ("stopped", 500.0, 500.0, None),
        (None, None, 100.0, 250.0),
    ],
)
def test_a_lost_device(availability, at, last_seen, since):
    device = {"availability": availability, "availability_at": at, "last_seen": last_seen}
    found = lost(Rule(name="lost", kind="lost", duration_s=60.0), device, now=1000.0)
    assert (found and found.since) == since


HELD = Holding(90.0, 100.0, 0.9)


def steps(alert, holding, *, now=100.0, minute=NOON, **changes):
    return decide(rule(**{"repeat_s": 600.0} | changes), alert, holding, now=now, minute=minute)


def test_an_alert_is_raised_told_once_and_again_after_a_while():
    assert steps(None, HELD) == [Step.RAISE, Step.TELL]
    told = AlertState(last_held_at=100.0, notified_at=100.0)
    assert steps(told, HELD, now=699.0) == [Step.HOLD]
    assert steps(told, HELD, now=700.0) == [Step.HOLD, Step.TELL]
    assert steps(told, HELD, now=9e9, repeat_s=0.0) == [Step.HOLD]
    known = AlertState(last_held_at=100.0, notified_at=100.0, acknowledged=True)
    assert steps(known, HELD, now=700.0) == [Step.HOLD]


def test_it_is_cleared_after_a_while_and_what_comes_back_soon_is_the_same():
    told = AlertState(last_held_at=100.0, notified_at=100.0)
    assert steps(told, None, now=100.0 + CLEAR_AFTER_S - 1) == []
    assert steps(told, None, now=100.0 + CLEAR_AFTER_S) == [Step.CLEAR, Step.TELL_CLEARED]
    cleared = AlertState(last_held_at=100.0, notified_at=100.0, cleared_at=120.0)
    assert steps(cleared, None, now=500.0) == []
    assert steps(cleared, HELD, now=500.0) == [Step.REOPEN]
    assert steps(cleared, HELD, now=720.0) == [Step.RAISE, Step.TELL]


def test_quiet_hours_keep_it_until_they_are_over():
    quiet = {"quiet": "22:00-06:00"}
    assert steps(None, HELD, minute=23 * 60, **quiet) == [Step.RAISE]
    silent = AlertState(last_held_at=100.0)
    assert steps(silent, HELD, now=200.0, minute=5 * 60, **quiet) == [Step.HOLD]
    assert steps(silent, HELD, now=200.0, minute=6 * 60, **quiet) == [Step.HOLD, Step.TELL]
    assert steps(silent, None, now=200.0, **quiet) == [Step.CLEAR], "what was never told needs no all-clear"


def test_hours_may_go_over_midnight():
    assert [in_quiet_hours("22:00-06:00", 60 * hour) for hour in (21, 22, 0, 5, 6)] == [False, True, True, True, False]
    assert [in_quiet_hours("09:30-17:00", minute) for minute in (569, 570, 1019, 1020)] == [False, True, True, False]
    assert not in_quiet_hours("", NOON)


@pytest.mark.parametrize(
    "changes",
    [
        {"emotions": ()},
        {"emotions": ("cross",)},
        {"emotions": ("calm",)},
        {"threshold": 0.0},
        {"threshold": 1.5},
        {"duration_s": 1e5},
        {"duration_s": float("nan")},
        {"quiet": "22-6"},
        {"quiet": "25:00-06:00"},
        {"kind": "temperature", "threshold": 500.0},
    ],
)
def test_a_rule_that_cannot_be_is_refused(changes):
    with pytest.raises(AlertError):
        rule(**changes)
