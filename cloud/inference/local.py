"""The engine of one machine: a bounded queue, and one thread in which the models judge what has arrived, together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from cloud.inference.engine import BATCH_WAIT_S, MAX_BATCH, MAX_WAITING, Declined, Request
from cloud.inference.full import Judgement
from edge.errors import BadMessage
from edge.protocol import Evidence

log = logging.getLogger(__name__)


class Models(Protocol):
    """What the engine needs of the models; `FullModels` has it."""

    @property
    def inputs(self) -> dict[str, str]:
        """What the model of each task takes."""

    def judge_all(self, batch: list[Evidence]) -> list[Judgement | BadMessage]:
        """Return what is to be said of each, in order. Blocks."""


class _Waiting(NamedTuple):
    request: Request
    answer: asyncio.Future[Judgement]


class LocalEngine:
    """Runs the models in a thread of this process.

        engine = LocalEngine(models)
        task = asyncio.create_task(engine.run())
        await engine.infer(Request(evidence, deadline=time.monotonic() + 10))

    While one batch is judged the next gathers by itself, so a batch is as large as the load. `on_batch` gets its size.
    """

    def __init__(
        self,
        models: Models,
        *,
        max_waiting: int = MAX_WAITING,
        max_batch: int = MAX_BATCH,
        wait_s: float = BATCH_WAIT_S,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._models, self._max_batch, self._wait_s, self._on_batch = models, max_batch, wait_s, on_batch
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(max_waiting)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    @property
    def inputs(self) -> dict[str, str]:
        """What the model of each task takes."""
        return self._models.inputs

    async def infer(self, request: Request) -> Judgement:
        """Return the judgement. Raises Declined; see `Engine`."""
        answer: asyncio.Future[Judgement] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Waiting(request, answer))
        except asyncio.QueueFull:
            raise Declined("busy", f"{self._queue.maxsize} requests wait already") from None
        return await answer

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            batch = _in_time(await self._gather())
            if batch:
                self._on_batch(len(batch))
                await self._judge(batch)

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown()

    async def _gather(self) -> list[_Waiting]:
        """Return what waits, at least one request, at most `max_batch`; a lone one is given a moment for company."""
        batch = [await self._queue.get()]
        if self._queue.empty() and self._wait_s:
            await asyncio.sleep(self._wait_s)
        while len(batch) < self._max_batch and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _judge(self, batch: list[_Waiting]) -> None:
        evidence = [each.request.evidence for each in batch]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._models.judge_all, evidence)
        except Exception:  # one batch must not end the engine; onnxruntime's errors share no base class
            log.exception("the models failed on a batch of %d", len(batch))
            if len(batch) == 1:
                _decline(batch[0], Declined("failed", "the models failed"))
            else:
                for each in batch:  # whoever's evidence it was, the others are not to suffer from it
                    await self._judge([each])
            return
        for each, answer in zip(batch, answers, strict=True):
            if isinstance(answer, BadMessage):
                _decline(each, Declined("malformed", str(answer)))
            elif not each.answer.done():
                each.answer.set_result(answer)


def _in_time(batch: list[_Waiting]) -> list[_Waiting]:
    """Return those whose answer somebody still waits for; decline those whose deadline has passed."""
    now = time.monotonic()
    for each in batch:
        if now > each.request.deadline:
            _decline(each, Declined("stale", "its deadline passed in the queue"))
    return [each for each in batch if not each.answer.done()]


def _decline(waiting: _Waiting, declined: Declined) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(declined)
