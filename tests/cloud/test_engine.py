import asyncio
import time

import numpy as np
import pytest
from cloud_messages import BLACK, LOUD, QUIET, WHITE, evidence, head
from cloud_models import write_models

from cloud.cli import MODELS
from cloud.inference import Declined, FullModels, LocalEngine, Request
from edge.errors import BadMessage
from edge.perception.wire import pack_crops, pack_log_mel

DAMAGED = WHITE[:-9] + b"\xff" * 9
MIXED = [
    {"crops": [WHITE, BLACK, WHITE]},
    {"crops": [DAMAGED]},
    {"crops": [], "log_mel": QUIET, "voiced_share": 0.9},
    {"crops": [BLACK], "log_mel": LOUD, "voiced_share": 0.2},
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return FullModels(write_models(tmp_path_factory.mktemp("models")))


def request(ttl_s=10.0, **changes):
    return Request(evidence(head()["id"], **changes), time.monotonic() + ttl_s)


def infer_all(models, requests, **options):
    """Return what a local engine says of the requests, all asked at once, and the sizes of its batches."""
    sizes = []

    async def main():
        engine = LocalEngine(models, on_batch=sizes.append, **options)
        asked = [asyncio.create_task(engine.infer(each)) for each in requests]
        await asyncio.sleep(0)
        running = asyncio.create_task(engine.run())
        answers = await asyncio.gather(*asked, return_exceptions=True)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        engine.close()
        return answers

    return asyncio.run(main()), sizes


def test_what_waits_together_is_judged_together(models):
    answers, sizes = infer_all(models, [request() for _ in range(7)], max_batch=4)
    assert sizes == [4, 3]
    assert {answer.fused.emotion for answer in answers} == {"happy"}


def test_a_batch_answers_each_as_if_alone(models):
    requests = [request(**changes) for changes in MIXED]
    answers, sizes = infer_all(models, requests)
    assert sizes == [4]
    assert isinstance(answers[1], Declined)
    assert answers[1].reason == "malformed"
    for number in (0, 2, 3):
        assert answers[number] == models.judge(requests[number].evidence)
    with pytest.raises(BadMessage, match="damaged"):
        models.judge(requests[1].evidence)


def test_the_shipped_models_say_the_same_in_a_batch():
    shipped, rng = FullModels(MODELS), np.random.default_rng(11)
    changes = [
        {
            "crops": pack_crops(list(rng.integers(0, 256, (count, 48, 48), np.uint8))),
            "log_mel": pack_log_mel(rng.normal(0, 1.5, (186, 64)).astype(np.float32)) if count != 1 else None,
        }
        for count in (1, 3, 0, 2)
    ]
    batch = [evidence(head()["id"], **each) for each in changes]
    for alone, together in zip(map(shipped.judge, batch), shipped.judge_all(batch), strict=True):
        for mine, theirs in zip(alone[:3], together[:3], strict=True):
            assert (mine is None) == (theirs is None)
            if mine is not None:  # rounded to 1e-5; another batch size may sum in another order
                assert mine.emotion == theirs.emotion
                assert list(mine.probs.values()) == pytest.approx(list(theirs.probs.values()), abs=2e-5)


def test_of_three_crops_each_gets_a_glance_and_of_fewer_all_looks():
    shipped = FullModels(MODELS)
    crop = np.random.default_rng(12).integers(0, 256, (48, 48), np.uint8)
    whole, glance = (shipped.faces(crop[None], glance=glance)[0] for glance in (False, True))
    assert np.abs(whole - glance).max() > 1e-3
    for count, wanted in ((1, whole), (2, whole), (3, glance), (4, glance)):
        face = shipped.judge(evidence(head()["id"], crops=pack_crops([crop] * count), log_mel=None)).face
        assert list(face.probs.values()) == pytest.approx(wanted.tolist(), abs=2e-5)


def test_who_makes_the_models_fail_fails_alone(models):
    class Touchy:
        inputs = models.inputs

        def judge_all(self, batch):
            if any(BLACK in each.crops for each in batch):
                raise RuntimeError("not this one")
            return models.judge_all(batch)

    answers, _ = infer_all(Touchy(), [request(), request(crops=[BLACK]), request()])
    assert isinstance(answers[1], Declined)
    assert answers[1].reason == "failed"
    assert [answers[number].fused.emotion for number in (0, 2)] == ["happy", "happy"]


def test_more_than_can_wait_is_declined_at_once(models):
    answers, _ = infer_all(models, [request() for _ in range(5)], max_waiting=3)
    assert [each.reason for each in answers if isinstance(each, Declined)] == ["busy", "busy"]


def test_what_is_too_late_never_reaches_the_models(models):
    answers, sizes = infer_all(models, [request(ttl_s=-0.001), request()])
    assert (answers[0].reason, sizes) == ("stale", [1])


def test_an_answer_nobody_waits_for_any_more_is_not_worked_out(models):
    async def main():
        sizes = []
        engine = LocalEngine(models, on_batch=sizes.append)
        given_up, wanted = (asyncio.create_task(engine.infer(request())) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        running = asyncio.create_task(engine.run())
        await wanted
        running.cancel()
        engine.close()
        return sizes

    assert asyncio.run(main()) == [1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own, of its dependencies
def test_ray_serve_batches_and_answers_as_this_process_does(tmp_path, models):
    pytest.importorskip("ray")
    from cloud.inference.ray_serve import RayEngine

    folder = write_models(tmp_path / "models")
    engine = RayEngine(folder, address=None, max_waiting=4)

    async def ask():
        requests = [request(**changes) for changes in MIXED]
        answers = await asyncio.gather(*(engine.infer(each) for each in requests), return_exceptions=True)
        late = await asyncio.gather(engine.infer(request(ttl_s=-1.0)), return_exceptions=True)
        flood = await asyncio.gather(*(engine.infer(request()) for _ in range(200)), return_exceptions=True)
        return requests, answers, late, flood

    try:
        requests, answers, late, flood = asyncio.run(ask())
    finally:
        engine.close()
    assert engine.inputs == models.inputs
    for number in (0, 2, 3):
        assert answers[number] == models.judge(requests[number].evidence)
    assert (answers[1].reason, late[0].reason) == ("malformed", "stale")
    assert {each.reason for each in flood if isinstance(each, Exception)} == {"busy"}
    assert any(not isinstance(each, Exception) for each in flood)
