"""Evidence in, verdict out: the worker. What it cannot answer in time it refuses with a reason, and says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

import msgspec
from ulid import ULID

from cloud.arrivals import FUTURE_TOLERANCE_S, Arrival, Refused, read_topic
from cloud.counters import Counters
from cloud.inference import Declined, Engine, Judgement, Request
from edge.errors import ProtocolError, UnknownSchema
from edge.perception.wire import check_sizes
from edge.protocol import MAX_EVIDENCE, Evidence, Mode, Topic, Ulid, Verdict, decode

log = logging.getLogger(__name__)

REMEMBERED = 10_000
"""Ids of requests, so that one that is delivered twice is answered once."""

MAX_REFUSING = 64
"""Refusals in hand at once. Of a flood the rest is only counted: nobody's answer is to wait for a flooder's."""

MAX_HEAD_PAYLOAD = 1024 * 1024
"""Bytes. Of a larger message not even the reading's id is looked for."""

Answer = Callable[[str, str, Verdict], Awaitable[None]]
"""Stores and publishes a verdict for site and device."""


class _Head(msgspec.Struct):
    """As much of evidence as must be readable to answer it at all."""

    id: Ulid
    reading_id: Ulid
    mode: Mode


class _Job(NamedTuple):
    topic: Topic
    request: Evidence | _Head
    arrived: float
    """Monotonic seconds."""


class Worker:
    """Answers evidence with what the engine says of it.

        worker = Worker(engine, counters, session=7, answer=answer)
        task = asyncio.create_task(worker.run())
        await worker.receive("mien/v1/site/device/evidence", payload)

    `session` counts the starts of the service and stands in its verdicts.
    """

    def __init__(self, engine: Engine, counters: Counters, *, session: int, answer: Answer) -> None:
        self._engine = engine
        self._counters = counters
        self._session = session
        self._answer = answer
        self._seq = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = 0
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def receive(self, topic_text: str, payload: bytes) -> None:
        """Take in one request: have it judged, or refuse it at once."""
        arrived = time.monotonic()
        self._counters.add("offload.received")
        try:
            topic = read_topic(topic_text, 0)
        except Refused as refusal:
            self._counters.warn(f"offload.unanswerable.{refusal.code}", str(refusal))
            return
        try:
            evidence = decode(Evidence, payload)
        except ProtocolError as error:
            await self._refuse_unreadable(topic, payload, error, arrived)
            return
        if self._is_repeated(topic, evidence):
            return
        job = _Job(topic, evidence, arrived)
        problem = self._problem(evidence)
        if problem is not None:
            await self._refuse_soon(job, *problem)
            return
        self._start(self._judge(job, evidence))
        # Until the engine has it, or has refused it: what the engine does not take in must not pile up here.
        await asyncio.sleep(0)

    async def run(self) -> None:
        """Keep the engine at work until cancelled."""
        await self._engine.run()

    async def drain(self) -> None:
        """Wait until everything in hand has been answered."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Give up what is still in hand. The engine stays the caller's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _judge(self, job: _Job, evidence: Evidence) -> None:
        """Answer one request. An answer past the deadline is a refusal: the device no longer listens for another."""
        deadline = job.arrived + evidence.ttl_ms / 1000.0
        try:
            judgement = await self._engine.infer(Request(evidence, deadline))
        except Declined as declined:
            await self._refuse(job, declined.reason, str(declined))
            return
        if time.monotonic() > deadline:
            await self._refuse(job, "stale", "judged after its deadline")
            return
        self._counters.add("offload.answered")
        await self._answer(job.topic.site, job.topic.device, self._verdict(job, judgement=judgement))

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # One request must not end the worker: the device's deadline passes and its reading stands.
            self._counters.add("offload.unanswered")
            log.error("a request could not be answered", exc_info=error)

    def _problem(self, evidence: Evidence) -> tuple[str, str] | None:
        """Return why evidence that decodes is not judged, as reason and explanation; None if it is."""
        if not evidence.crops and evidence.log_mel is None:
            return "empty", "neither crops nor a log-mel"
        age_s = time.time() - evidence.ts
        is_fresh = -FUTURE_TOLERANCE_S <= age_s <= evidence.ttl_ms / 1000.0 + FUTURE_TOLERANCE_S
        if evidence.clock_synced and not is_fresh:  # not: a time that is no number is not fresh either
            return "stale", f"made {age_s:.0f} s ago by a synchronised clock: replayed, or one of the clocks is wrong"
        given = {"face": evidence.crop_format if evidence.crops else None}
        given["speech"] = None if evidence.log_mel is None else evidence.log_mel_format
        for task, name in given.items():
            if name is not None and name != self._engine.inputs.get(task):
                return "unknown-model", f"no {task} model here takes {name}"
        try:
            check_sizes(evidence)
        except ProtocolError as error:
            return "malformed", str(error)
        return None

    async def _refuse_unreadable(self, topic: Topic, payload: bytes, error: ProtocolError, arrived: float) -> None:
        """Refuse what does not decode, if at least the id of its reading can be read."""
        reason = "unknown-schema" if isinstance(error, UnknownSchema) else "malformed"
        reason = "oversize" if len(payload) > MAX_EVIDENCE else reason
        try:
            head = msgspec.msgpack.decode(payload[:MAX_HEAD_PAYLOAD], type=_Head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            what = f"{topic.site}/{topic.device}: {error}"
            self._counters.warn(f"offload.unanswerable.{reason}", what)
            return
        if not self._is_repeated(topic, head):
            await self._refuse_soon(_Job(topic, head, arrived), reason, str(error))

    async def _refuse_soon(self, job: _Job, reason: str, why: str) -> None:
        """Refuse without making the next request wait until that is stored and sent."""
        if self._refusing >= MAX_REFUSING:
            self._counters.add("offload.unanswered")
            return
        self._refusing += 1
        self._start(self._refuse(job, reason, why)).add_done_callback(self._refused)
        await asyncio.sleep(0)

    def _refused(self, _: asyncio.Task[None]) -> None:
        self._refusing -= 1

    async def _refuse(self, job: _Job, reason: str, why: str) -> None:
        what = f"{job.topic.site}/{job.topic.device}, reading {job.request.reading_id}: {why}"
        self._counters.warn(f"offload.refused.{reason}", what)
        await self._answer(job.topic.site, job.topic.device, self._verdict(job, reason=reason))

    def _is_repeated(self, topic: Topic, request: Evidence | _Head) -> bool:
        """Remember the request; return whether it, or one about its reading, was here before (QoS 1 delivers twice)."""
        keys = [(topic.site, topic.device, ulid) for ulid in (request.id, request.reading_id)]
        if any(key in self._seen for key in keys):
            self._counters.add("offload.duplicates")
            return True
        self._seen.update(dict.fromkeys(keys))
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _verdict(self, job: _Job, *, judgement: Judgement | None = None, reason: str = "") -> Verdict:
        seq, self._seq = self._seq, self._seq + 1
        return Verdict(
            id=str(ULID()),
            session=self._session,
            seq=seq,
            ts=time.time(),
            clock_synced=True,
            mode=job.request.mode,
            reading_id=job.request.reading_id,
            status="refused" if judgement is None else "ok",
            reason=reason,
            face=judgement.face if judgement else None,
            speech=judgement.speech if judgement else None,
            fused=judgement.fused if judgement else None,
            models=judgement.models if judgement else [],
            latency_ms=round((time.monotonic() - job.arrived) * 1000.0, 2),
        )


def verdict_arrival(site: str, device: str, verdict: Verdict) -> Arrival:
    """Return the verdict in the form in which ingest stores it."""
    return Arrival(site, device, verdict, received_at=time.time())
