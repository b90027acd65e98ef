import asyncio
import time

import msgspec
import pytest
from cloud_messages import BLACK, LOUD, QUIET, WHITE, evidence, head
from cloud_models import write_models

from cloud.arrivals import FUTURE_TOLERANCE_S
from cloud.counters import Counters
from cloud.inference import FullModels, LocalEngine
from cloud.offload import MAX_REFUSING, REMEMBERED, Worker
from edge.protocol import MAX_EVIDENCE, encode

EVIDENCE = "mien/v1/home/front-door/evidence"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return FullModels(write_models(tmp_path_factory.mktemp("models")))


class Slow:
    """The models, but each batch takes its time or fails."""

    def __init__(self, models, wait_s=0.0, error=None):
        self._models, self._wait_s, self._error = models, wait_s, error
        self.inputs = models.inputs

    def judge_all(self, batch):
        time.sleep(self._wait_s)
        if self._error is not None:
            raise self._error
        return self._models.judge_all(batch)


def answers_to(models, payloads, *, before_run_s=0.0, **options):
    """Hand the payloads to a worker; return its answers and counters."""
    counters, answers = Counters(), []

    async def answer(site, device, verdict):
        answers.append(((site, device), verdict))

    async def main():
        engine = LocalEngine(models, **options)
        worker = Worker(engine, counters, session=7, answer=answer)
        for payload in payloads:
            await worker.receive(EVIDENCE, payload)
        assert len(worker._seen) <= REMEMBERED
        await asyncio.sleep(before_run_s)
        running = asyncio.create_task(worker.run())
        await worker.drain()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await worker.close()
        engine.close()

    asyncio.run(main())
    return answers, counters


def one_answer(models, payload, **options):
    ((sender, verdict),), _ = answers_to(models, [payload], **options)
    assert sender == ("home", "front-door")
    return verdict


def test_evidence_is_judged(models):
    request = evidence(head()["id"], mode="research")
    verdict = one_answer(models, encode(request))
    assert (verdict.status, verdict.reading_id, verdict.mode) == ("ok", request.reading_id, "research")
    assert verdict.fused is not None
    assert (verdict.fused.emotion, verdict.models, verdict.session) == ("happy", ["face-tiny 1"], 7)
    assert verdict.latency_ms > 0


def test_evidence_older_than_its_ttl_is_refused(models):
    verdict = one_answer(models, encode(evidence(head()["id"], ttl_ms=50)), before_run_s=0.1)
    assert (verdict.status, verdict.reason, verdict.fused) == ("refused", "stale", None)


def test_an_answer_that_comes_too_late_is_a_refusal(models):
    slow = Slow(models, wait_s=0.2)
    verdict = one_answer(slow, encode(evidence(head()["id"], ttl_ms=100)))
    assert (verdict.status, verdict.reason, verdict.fused) == ("refused", "stale", None)


def test_evidence_of_nothing_is_refused(models):
    assert one_answer(models, encode(evidence(head()["id"], crops=[]))).reason == "empty"


@pytest.mark.parametrize(
    "change",
    [
        {"log_mel": b""},
        {"log_mel": WHITE},
        {"crops": [LOUD]},
        {"crops": [WHITE, WHITE[:30]]},
        {"crops": [WHITE[:-9] + b"\xff" * 9]},
        {"crops": [WHITE + bytes(2)]},
        {"log_mel": LOUD, "log_mel_scale": float("inf")},
        {"log_mel": LOUD, "log_mel_scale": 1e300},
        {"crops": [b"\x89PNG\r\n\x1a\n" + bytes(60)]},
    ],
)
def test_pictures_that_are_damaged_or_of_the_wrong_size_are_refused(models, change):
    assert one_answer(models, encode(evidence(head()["id"], **change))).reason == "malformed"


@pytest.mark.parametrize("change", [{"crop_format": "gray64"}, {"log_mel": LOUD, "log_mel_format": "mfcc40"}])
def test_evidence_for_a_model_that_is_not_here_is_refused(models, change):
    assert one_answer(models, encode(evidence(head()["id"], **change))).reason == "unknown-model"


def test_the_format_of_what_is_not_sent_does_not_matter(models):
    assert one_answer(models, encode(evidence(head()["id"], log_mel_format="mfcc40"))).status == "ok"


def test_replayed_evidence_is_refused(models):
    old = time.time() - FUTURE_TOLERANCE_S - 11.0
    assert one_answer(models, encode(evidence(head()["id"], ts=old))).reason == "stale"
    for never in (time.time() + FUTURE_TOLERANCE_S + 11.0, float("inf"), float("nan")):  # could be replayed for ever
        assert one_answer(models, encode(evidence(head()["id"], ts=never))).reason == "stale"
    # The clock says of itself that it is wrong: then it proves nothing.
    assert one_answer(models, encode(evidence(head()["id"], ts=old, clock_synced=False))).status == "ok"


def test_damaged_evidence_is_refused_if_its_reading_can_be_read(models):
    fields = msgspec.to_builtins(evidence(head()["id"]), builtin_types=(bytes,)) | {"ttl_ms": -1}
    verdict = one_answer(models, msgspec.msgpack.encode(fields))
    assert (verdict.reason, verdict.reading_id) == ("malformed", fields["reading_id"])


@pytest.mark.parametrize("schema", ["mien.evidence/1", "mien.evidence/3"])
def test_evidence_of_another_version_is_refused(models, schema):
    request = evidence(head()["id"], schema=schema)
    assert one_answer(models, encode(request)).reason == "unknown-schema"


def test_oversized_evidence_is_refused(models):
    fields = msgspec.to_builtins(evidence(head()["id"]), builtin_types=(bytes,)) | {"extra": bytes(MAX_EVIDENCE)}
    assert one_answer(models, msgspec.msgpack.encode(fields)).reason == "oversize"


def test_garbage_is_counted_and_not_answered(models):
    answers, counters = answers_to(models, [b"", b"\xc1", b"{}", b"\x81\xa6schema", b"\x91" * 5000])
    assert answers == []
    assert counters["offload.unanswerable.malformed"] == 5


def test_a_request_that_comes_twice_is_answered_once(models):
    payload = encode(evidence(head()["id"]))
    answers, counters = answers_to(models, [payload, payload])
    assert (len(answers), counters["offload.duplicates"]) == (1, 1)


def test_one_id_is_answered_once_whatever_reading_it_names(models):
    request = evidence(head()["id"])
    other = msgspec.structs.replace(request, reading_id=head()["id"])
    answers, counters = answers_to(models, [encode(request), encode(other)])
    assert (len(answers), counters["offload.duplicates"]) == (1, 1)


def test_more_requests_than_can_wait_are_refused_at_once(models):
    answers, counters = answers_to(models, [encode(evidence(head()["id"])) for _ in range(8)], max_waiting=5)
    assert counters["offload.refused.busy"] == 3
    assert [verdict.reason for _, verdict in answers[:4]] == ["busy", "busy", "busy", ""]
    assert counters["offload.answered"] == 5


def test_a_flood_of_refusals_holds_up_nobody(models):
    """Refusals take as long to be sent as they like: the good request among them is answered."""
    counters, answered = Counters(), asyncio.Event()

    async def answer(site, device, verdict):
        if verdict.status == "refused":
            await asyncio.Event().wait()
        answered.set()

    async def main():
        engine = LocalEngine(models)
        worker = Worker(engine, counters, session=7, answer=answer)
        running = asyncio.create_task(worker.run())
        for _ in range(MAX_REFUSING + 10):
            await worker.receive(EVIDENCE, encode(evidence(head()["id"], crops=[])))
        await worker.receive(EVIDENCE, encode(evidence(head()["id"])))
        await asyncio.wait_for(answered.wait(), 30)
        await worker.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        engine.close()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert (counters["offload.refused.empty"], counters["offload.unanswered"]) == (MAX_REFUSING, 10)


def test_what_was_seen_is_remembered_within_bounds(models, monkeypatch):
    monkeypatch.setattr("cloud.offload.REMEMBERED", 10)
    payloads = [encode(evidence(head()["id"], crops=[])) for _ in range(20)]
    answers, counters = answers_to(models, [*payloads, payloads[-1], payloads[0]])
    assert (len(answers), counters["offload.duplicates"]) == (21, 1)


def test_models_that_fail_do_not_end_the_worker(models):
    failing = Slow(models, error=RuntimeError("out of memory"))
    answers, _ = answers_to(failing, [encode(evidence(head()["id"])) for _ in range(2)], max_batch=1)
    assert [verdict.reason for _, verdict in answers] == ["failed", "failed"]


def test_face_and_voice_are_fused_by_their_reliability(models):
    both = {"crops": [WHITE, WHITE], "log_mel": LOUD}
    good_face = models.judge(evidence(head()["id"], **both, face_quality=1.0, voiced_share=0.1))
    good_voice = models.judge(evidence(head()["id"], **both, face_quality=0.1, voiced_share=1.0))
    assert (good_face.face.emotion, good_face.speech.emotion) == ("happy", "angry")
    assert (good_face.fused.emotion, good_voice.fused.emotion) == ("happy", "angry")
    assert len(good_face.speech.probs) == 8


def test_one_bad_crop_does_not_outvote_the_others(models):
    assert models.judge(evidence(head()["id"], crops=[WHITE, WHITE, BLACK])).fused.emotion == "happy"


def test_calm_counts_as_neutral(models):
    judged = models.judge(evidence(head()["id"], crops=[], log_mel=QUIET, voiced_share=0.9))
    assert (judged.speech.emotion, judged.fused.emotion, judged.face) == ("calm", "neutral", None)
