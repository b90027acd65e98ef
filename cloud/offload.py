"""Evidence in, verdict out: the worker. What it cannot answer in time it refuses with a reason, and says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from ulid import ULID

from cloud.arrivals import Arrival, Refused, read_topic
from cloud.counters import Counters
from cloud.inference import FullModels, Judgement
from edge.errors import BadMessage, ProtocolError
from edge.perception.features import FRAMES, N_MELS
from edge.protocol import MAX_PAYLOAD, Evidence, Mode, Topic, Ulid, Verdict, decode

log = logging.getLogger(__name__)

MAX_WAITING = 64
"""Requests. More would only grow stale: beyond it the worker says `busy`."""

REMEMBERED = 10_000
"""Answered requests, so that one that is delivered twice is answered once."""

MAX_HEAD_PAYLOAD = 8 * MAX_PAYLOAD
"""Bytes. Of a larger message not even the reading's id is looked for."""

Answer = Callable[[str, str, Verdict], Awaitable[None]]
"""Stores and publishes a verdict for site and device."""


class _Head(msgspec.Struct):
    """As much of evidence as must be readable to answer it at all."""

    reading_id: Ulid
    mode: Mode


class _Job(NamedTuple):
    topic: Topic
    evidence: Evidence
    arrived: float
    """Monotonic seconds."""


class Worker:
    """Judges evidence with the full-size models, one at a time, in a thread of its own.

        worker = Worker(models, counters, session=7, answer=answer)
        task = asyncio.create_task(worker.run())
        await worker.receive("mien/v1/site/device/evidence", payload)

    `session` counts the starts of the service and stands in its verdicts.
    """

    def __init__(self, models: FullModels, counters: Counters, *, session: int, answer: Answer) -> None:
        self._models = models
        self._counters = counters
        self._session = session
        self._answer = answer
        self._seq = 0
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue(MAX_WAITING)
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    async def receive(self, topic_text: str, payload: bytes) -> None:
        """Take in one request: queue it, or refuse it at once."""
        arrived = time.monotonic()
        self._counters.add("offload.received")
        try:
            topic = read_topic(topic_text, 0)
        except Refused as refusal:
            self._counters.warn(f"offload.unanswerable.{refusal.code}", str(refusal))
            return
        try:
            evidence = decode(Evidence, payload)
            _check(evidence)
        except ProtocolError as error:
            await self._refuse_unreadable(topic, payload, error, arrived)
            return
        if self._is_repeated(topic, evidence.reading_id):
            return
        if not evidence.crops and evidence.log_mel is None:
            await self._refuse(topic, evidence, "empty", arrived)
        elif self._jobs.full():
            await self._refuse(topic, evidence, "busy", arrived)
        else:
            self._jobs.put_nowait(_Job(topic, evidence, arrived))

    async def run(self) -> None:
        """Judge what is queued until cancelled."""
        while True:
            job = await self._jobs.get()
            try:
                await self._judge(job)
            finally:
                self._jobs.task_done()

    async def drain(self) -> None:
        """Wait until everything queued has been answered."""
        await self._jobs.join()

    def close(self) -> None:
        """Wait for the inference thread. Call it after `run` has been cancelled."""
        self._thread.shutdown()

    async def _judge(self, job: _Job) -> None:
        """Answer one request. An answer past the deadline is a refusal: the device no longer listens for another."""
        if _is_stale(job):
            await self._refuse(job.topic, job.evidence, "stale", job.arrived)
            return
        loop = asyncio.get_running_loop()
        try:
            judgement = await loop.run_in_executor(self._thread, self._models.judge, job.evidence)
        except Exception:  # one request must not end the worker; onnxruntime's errors share no base class
            log.exception("the models failed on the evidence for %s", job.evidence.reading_id)
            await self._refuse(job.topic, job.evidence, "failed", job.arrived)
            return
        if _is_stale(job):
            await self._refuse(job.topic, job.evidence, "stale", job.arrived)
            return
        self._counters.add("offload.answered")
        verdict = self._verdict(job.evidence, job.arrived, judgement=judgement)
        await self._answer(job.topic.site, job.topic.device, verdict)

    async def _refuse_unreadable(self, topic: Topic, payload: bytes, error: ProtocolError, arrived: float) -> None:
        """Refuse what does not decode, if at least the id of its reading can be read."""
        reason = "oversize" if len(payload) > MAX_PAYLOAD else "malformed"
        try:
            head = msgspec.msgpack.decode(payload[:MAX_HEAD_PAYLOAD], type=_Head)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            what = f"{topic.site}/{topic.device}: {error}"
            self._counters.warn(f"offload.unanswerable.{reason}", what)
            return
        if not self._is_repeated(topic, head.reading_id):
            await self._refuse(topic, head, reason, arrived)

    async def _refuse(self, topic: Topic, request: Evidence | _Head, reason: str, arrived: float) -> None:
        self._counters.warn(f"offload.refused.{reason}", f"{topic.site}/{topic.device}, reading {request.reading_id}")
        await self._answer(topic.site, topic.device, self._verdict(request, arrived, reason=reason))

    def _is_repeated(self, topic: Topic, reading_id: str) -> bool:
        """Remember the request; return whether it was here before (QoS 1 may deliver twice)."""
        key = (topic.site, topic.device, reading_id)
        if key in self._seen:
            self._counters.add("offload.duplicates")
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _verdict(
        self, request: Evidence | _Head, arrived: float, *, judgement: Judgement | None = None, reason: str = ""
    ) -> Verdict:
        seq, self._seq = self._seq, self._seq + 1
        return Verdict(
            id=str(ULID()),
            session=self._session,
            seq=seq,
            ts=time.time(),
            clock_synced=True,
            mode=request.mode,
            reading_id=request.reading_id,
            status="refused" if judgement is None else "ok",
            reason=reason,
            face=judgement.face if judgement else None,
            speech=judgement.speech if judgement else None,
            fused=judgement.fused if judgement else None,
            models=judgement.models if judgement else [],
            latency_ms=round((time.monotonic() - arrived) * 1000.0, 2),
        )


def verdict_arrival(site: str, device: str, verdict: Verdict) -> Arrival:
    """Return the verdict in the form in which ingest stores it."""
    return Arrival(site, device, verdict, received_at=time.time())


def _check(evidence: Evidence) -> None:
    if evidence.log_mel is not None and len(evidence.log_mel) != FRAMES * N_MELS:
        raise BadMessage(f"a log-mel of {len(evidence.log_mel)} bytes, not {FRAMES} x {N_MELS}")


def _is_stale(job: _Job) -> bool:
    return (time.monotonic() - job.arrived) * 1000.0 > job.evidence.ttl_ms
