from __future__ import annotations

from edge.gate import BREAKER_OPEN_S, Gate, TokenBucket


def make(requests: float = 10, size: float = 1e6, threshold: float | None = 0.8) -> Gate:
    return Gate({"face": threshold, "speech": None}, requests_per_minute=requests, bytes_per_minute=size)


def ask(gate: Gate, confidence: float | None = 0.5, *, size: int = 1000, cloud: bool = True, now: float = 0.0) -> str:
    return gate.decide(confidence, "face", evidence_bytes=size, cloud_present=cloud, now=now).reason


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
