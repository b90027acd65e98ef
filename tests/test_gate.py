from __future__ import annotations

import random

from edge.budget import TokenBucket
from edge.gate import BREAKER_OPEN_S, Gate
from edge.perception.manifest import Gate as Fitted
from edge.perception.manifest import GatePoint


def make(requests: float = 10, size: float = 1e6, threshold: float | None = 0.8) -> Gate:
    return Gate({"face": threshold, "speech": None}, requests_per_minute=requests, bytes_per_minute=size)


def ask(gate: Gate, confidence: float | None = 0.5, *, size: int = 1000, cloud: bool = True, now: float = 0.0) -> str:
    return gate.decide(confidence, "face", evidence_bytes=size, cloud_present=cloud, now=now).reason


def fitted(*points: tuple[int, int, float], effect: float = 1.0) -> Fitted:
    """Return a gate whose curve has these (kept, errors, bound), thresholds falling from 0.9."""
    curve = tuple(GatePoint(round(0.9 - 0.1 * place, 1), *point) for place, point in enumerate(points))
    return Fitted("face", 0.1, 0.95, None, None, 1000, "pictures", effect, 0.0, curve)


def test_confidence_at_the_threshold_is_sure() -> None:
    assert ask(make(), 0.8) == "sure"
    assert ask(make(), 0.79) == "requested"


def test_without_a_threshold_every_reading_is_unsure() -> None:
    decision = make().decide(0.999, "speech", evidence_bytes=1, cloud_present=True, now=0.0)
    assert decision.reason == "requested"
    assert decision.threshold is None


def test_nothing_perceived_asks_nothing() -> None:
    assert make().decide(None, "", evidence_bytes=0, cloud_present=True, now=0.0).reason == "sure"


def test_reasons_in_order_of_what_stands_in_the_way() -> None:
    assert ask(make(), size=0, cloud=False) == "forbidden"
    assert ask(make(), cloud=False) == "cloud-away"
    assert ask(make(requests=0)) == "over-budget"
    assert ask(make(size=999)) == "over-budget"


def test_a_repeat_is_not_worth_its_budget() -> None:
    gate = make(requests=1)
    repeat = gate.decide(0.5, "face", evidence_bytes=1000, cloud_present=True, now=0.0, repeated=True)
    assert repeat.reason == "over-budget"
    assert gate.decide(0.9, "face", evidence_bytes=1000, cloud_present=True, now=0.0, repeated=True).reason == "sure"
    assert ask(gate) == "requested"


def test_budget_of_requests_comes_back_with_time() -> None:
    gate = make(requests=2)
    assert [ask(gate), ask(gate), ask(gate)] == ["requested", "requested", "over-budget"]
    assert ask(gate, now=31.0) == "requested"
    assert ask(gate, now=31.0) == "over-budget"


def test_budget_of_bytes_is_spent_only_by_requests() -> None:
    gate = make(size=2500)
    assert [ask(gate, 0.9), ask(gate), ask(gate), ask(gate)] == ["sure", "requested", "requested", "over-budget"]


def test_breaker_opens_after_three_silences_and_closes_again() -> None:
    gate = make()
    for _ in range(3):
        gate.unanswered(10.0)
    assert ask(gate, now=11.0) == "cloud-away"
    assert ask(gate, now=10.0 + BREAKER_OPEN_S) == "requested"


def test_an_answer_forgives_earlier_silences() -> None:
    gate = make()
    for _ in range(2):
        gate.unanswered(10.0)
    gate.answered()
    gate.unanswered(10.0)
    assert ask(gate, now=11.0) == "requested"


def test_token_bucket_ignores_a_clock_that_steps_back() -> None:
    bucket = TokenBucket(60.0)
    bucket.level(100.0)
    bucket.take(60.0)
    assert bucket.level(50.0) == 0.0


def test_point_is_the_last_before_the_first_failure() -> None:
    gate = fitted((100, 1, 0.05), (200, 8, 0.07), (300, 40, 0.17), (400, 20, 0.06))
    assert gate.point(0.10) == gate.curve[1]  # the last would pass, but is no longer tested
    assert gate.point(0.20) == gate.curve[3]
    assert gate.point(0.04) is None


def test_point_skips_thresholds_that_keep_too_few_to_pass_with_one_error() -> None:
    gate = fitted((40, 2, 0.15), (60, 2, 0.10))
    assert gate.point(0.10) == gate.curve[1]
    assert fitted((40, 0, 0.07)).point(0.10) is None
    assert fitted((60, 2, 0.10), effect=2.0).point(0.10) is None


def test_worth_falls_with_confidence_and_by_the_learned_gain() -> None:
    learned = Fitted(
        "face", 0.1, 0.95, None, None, 10, "pictures", 1.0, 0.0, (), gains=((0.5, 0.1), (0.7, 0.02), (0.9, 0.02))
    )
    worths = [learned.worth(step / 20) for step in range(4, 21)]
    assert worths == sorted(worths, reverse=True)
    assert len(set(worths)) == len(worths)  # flat stretches of the gain are in order of confidence
    assert 0.05 < learned.worth(0.6) < 0.07
    assert fitted().worth(0.75) == 0.25


def simulated_day() -> list[tuple[float, float, str, int]]:
    """Return the unsure windows of a day: (second, confidence, modalities, bytes); a busy hour, then a calm one."""
    chance = random.Random(4)
    windows = []
    for number in range(86_400 // 3):
        now = 3.0 * number
        busy = int(now // 3600) % 2 == 0
        if chance.random() < (0.9 if busy else 0.2):
            modalities, size = chance.choice([("face", 7_000), ("speech", 12_000), ("face+speech", 19_000)])
            windows.append((now, chance.uniform(0.2, 0.95), modalities, size))
    return windows


GAINS = {"face": 0.12, "speech": 0.25, "face+speech": 0.18}


def gain(modalities: str, confidence: float) -> float:
    return float(GAINS[modalities] * (1.0 - confidence))


class FirstCome:
    """The same buckets, spent on whoever comes while there is something in them."""

    def __init__(self, requests: float, size: float) -> None:
        self._buckets = TokenBucket(requests), TokenBucket(size)

    def buys(self, size: int, now: float) -> bool:
        levels = [bucket.level(now) for bucket in self._buckets]
        if levels[0] < 1.0 or levels[1] < size:
            return False
        self._buckets[0].take(1.0)
        self._buckets[1].take(size)
        return True


def test_a_scarce_budget_goes_to_the_most_valuable_windows() -> None:
    requests, size = 4.0, 40_000.0
    worths = {name: lambda confidence, name=name: gain(name, confidence) for name in GAINS}
    gate = Gate(dict.fromkeys(GAINS, None), requests_per_minute=requests, bytes_per_minute=size, worths=worths)
    plain = FirstCome(requests, size)
    won, spent = [0.0, 0.0], [0, 0]
    for now, confidence, modalities, cost in simulated_day():
        reason = gate.decide(confidence, modalities, evidence_bytes=cost, cloud_present=True, now=now).reason
        for place, asked in enumerate((reason == "requested", plain.buys(cost, now))):
            won[place] += gain(modalities, confidence) * asked
            spent[place] += cost * asked
    assert spent[0] <= spent[1]
    assert won[0] > 1.25 * won[1]
    assert spent[0] > 0.85 * spent[1]  # picky, but the budget is used


def test_an_ample_budget_asks_everything() -> None:
    gate = Gate({"face": None}, requests_per_minute=20.0, bytes_per_minute=400_000.0)
    assert {ask(gate, 0.2 + 0.7 * (n % 7) / 7, size=7_000, now=3.0 * n) for n in range(400)} == {"requested"}
