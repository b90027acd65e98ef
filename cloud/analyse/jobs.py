"""Analyses from the upload to the result: admitted at once, worked on in the background, cancelled, expired."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from cloud.analyse.combine import overall
from cloud.analyse.files import Files
from cloud.analyse.limits import Limits
from cloud.analyse.process import Child, Nursery
from cloud.analyse.records import Owner, Records, result_json
from cloud.analyse.results import SCHEMA, Facts, MediaResult, Result, TextJudged
from cloud.analyse.slots import Slot, Slots
from cloud.errors import AnalysisError
from cloud.inference.text import TextModel
from cloud.store.analyses import AnalysisRow
from edge.perception.manifest import load_manifest

log = logging.getLogger(__name__)

DAY_S = 86_400.0
SPARE_S = 600.0
"""A child process that is kept ready is let go after so long."""

SHORT_S = 15.0
"""Pictures and clips up to this long have a lane of their own: they never wait for a film."""


@dataclass(frozen=True)
class Upload:
    """A file that was received."""

    name: str
    """As the user's machine calls it; says nothing about what it is."""
    file: BinaryIO


@dataclass
class Job:
    """An analysis that waits or runs."""

    id: str
    slot: Slot
    uploads: list[Upload]
    child: Child
    durations_s: list[float]
    text: TextJudged | None
    keep: bool
    progress: float = 0.0
    cancelled: bool = False
    future: Future[None] | None = field(default=None, repr=False)


class Analyses:
    """All analyses of one service. Every method may be called from any thread, and blocks.

    `models` is the folder of the full-size models, `text_models` that of the text model, `detector` YuNet's weights.
    """

    def __init__(
        self,
        records: Records,
        files: Files,
        models: Path,
        text_models: Path,
        *,
        detector: Path | None = None,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.limits = limits or Limits()
        self.files, self._records, self._clock = files, records, clock
        self.nursery = Nursery(models, detector, self.limits)
        self._models, self._text_models = models, text_models
        self._text: TextModel | None = None
        self._jobs: dict[str, Job] = {}
        self._slots = Slots(self.limits)
        self.live_places = threading.Semaphore(self.limits.max_live)
        """One for each webcam page that may be open at a time."""
        self._lanes = {name: ThreadPoolExecutor(1, thread_name_prefix=f"analyse-{name}") for name in ("short", "long")}
        self._records.fail_unfinished()
        self.purge()

    def admit(self, owner: Owner) -> Slot:
        """Return the right to begin one analysis; `begin` gives it back. Raises AnalysisError if there are too many."""
        return self._slots.take(owner, stored=self._records.count(owner))

    def begin(self, slot: Slot, *, site: str | None, uploads: list[Upload], text: str, keep_days: int | None) -> str:
        """Begin an analysis; return its id. The files are this object's from now on: it closes them in any case.

        A file is opened here, so that one that cannot be decoded is refused at once. Raises AnalysisError for that and
        TextError for a text without a word; nothing is left of it then.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(slot.release)
            for upload in uploads:
                undo.callback(upload.file.close)
            if not uploads and not text.strip():
                raise AnalysisError("there is neither a file nor a text", fix="Give `file` or `text`.")
            judged = self._judge_text(text) if text.strip() else None
            if not uploads:
                assert judged is not None
                return self._add_text(slot.owner, site, judged, keep_days)
            undo.callback(self.nursery.prepare)  # who is refused comes back with another file
            child = self.nursery.take()
            undo.callback(child.close)
            facts = [_open(child, upload, alone=len(uploads) == 1) for upload in uploads]
            kinds = [str(one.kind) for one in facts] + (["text"] if judged else [])
            row = self._row(slot.owner, site, kinds, keep_days, kept_files=len(uploads) if keep_days else 0)
            job = Job(row.id, slot, uploads, child, [one.duration_s for one in facts], judged, bool(keep_days))
            self._records.add(row)
            undo.pop_all()
        self._jobs[job.id] = job
        lane = "short" if sum(job.durations_s) <= SHORT_S else "long"
        job.future = self._lanes[lane].submit(self._work, job)
        self.nursery.prepare()
        return job.id

    def all_of(self, owner: Owner) -> list[dict[str, Any]]:
        """Return a person's analyses, newest first, without results."""
        return [self._view(row) for row in self._records.of(owner)]

    def get(self, owner: Owner, identifier: str) -> tuple[dict[str, Any], bytes | None] | None:
        """Return an analysis and its result as JSON, where there is one; None if it is not this person's."""
        row = self._records.get(owner, identifier)
        return None if row is None else (self._view(row), result_json(row))

    def delete(self, owner: Owner, identifier: str) -> bool:
        """Cancel and delete an analysis with all that is kept of it; False if it is not this person's."""
        if not self._records.delete(owner, identifier, now=self._clock()):
            return False
        job = self._jobs.get(identifier)
        if job is not None:
            self._cancel(job)
        self.files.forget(identifier)
        return True

    def purge(self) -> None:
        """Delete what has expired."""
        self.files.forget_all_but(self._records.expire(now=self._clock()) | set(self._jobs))
        self.nursery.rest(unused_s=SPARE_S)

    def close(self) -> None:
        """End all work; what was not done is noted as such."""
        for job in list(self._jobs.values()):
            self._cancel(job)
        for lane in self._lanes.values():
            lane.shutdown()
        self.nursery.close()
        try:
            self._records.fail_unfinished()
        except SQLAlchemyError as error:  # a store that is away: it is noted when the service starts again
            log.warning("what was not done could not be noted: %s", error)

    def _row(
        self, owner: Owner, site: str | None, kinds: list[str], keep_days: int | None, *, kept_files: int = 0
    ) -> AnalysisRow:
        now = self._clock()
        return AnalysisRow(
            id=secrets.token_hex(16),
            user_key=owner.user_key,
            login=owner.login,
            site=site,
            kinds="+".join(kinds),
            state="waiting",
            error="",
            created_at=now,
            expires_at=now + (keep_days * DAY_S if keep_days else self.limits.result_s),
            kept_files=kept_files,
            result=None,
        )

    def _judge_text(self, text: str) -> TextJudged:
        if self._text is None:
            self._text = TextModel(self._text_models)
        return TextJudged(text=self._text.analyse(text))

    def _add_text(self, owner: Owner, site: str | None, judged: TextJudged, keep_days: int | None) -> str:
        row = self._row(owner, site, ["text"], keep_days)
        self._records.add(row)
        self._records.finish(row.id, self._result([judged]))
        return row.id

    def _result(self, parts: list[MediaResult | TextJudged]) -> Result:
        models = []
        if any(isinstance(part, MediaResult) for part in parts):
            models = [f"{entry.name} {entry.version}" for entry in load_manifest(self._models).models]
        models += [part.text.model for part in parts if isinstance(part, TextJudged)]
        return Result(schema=SCHEMA, parts=parts, overall=overall(parts), models=models)

    def _work(self, job: Job) -> None:
        try:
            self._records.start(job.id)
            self._store(job, self._result([*self._media(job), *([job.text] if job.text else [])]))
        except AnalysisError as error:
            self._fail(job, str(error))
        except Exception:  # whatever it was, its owner must not wait for ever
            log.exception("an analysis failed")
            self._fail(job, "the service could not analyse it")
        finally:
            self._end(job)

    def _media(self, job: Job) -> Iterator[MediaResult]:
        costs = [max(duration_s, 1.0) for duration_s in job.durations_s]
        for number, cost in enumerate(costs):
            done = sum(costs[:number])

            def report(share: float, done: float = done, cost: float = cost) -> None:
                job.progress = (done + share * cost) / sum(costs)

            answer = job.child.ask({"do": "run", "number": number}, progress=report)
            yield msgspec.convert(answer, MediaResult)

    def _store(self, job: Job, result: Result) -> None:
        if job.keep:
            self.files.keep(job.id, [upload.file for upload in job.uploads])
        if not self._records.finish(job.id, result):
            self.files.forget(job.id)

    def _fail(self, job: Job, error: str) -> None:
        if not job.cancelled:
            self.files.forget(job.id)
            self._records.fail(job.id, error)

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        job.child.kill()
        if job.future is not None and job.future.cancel():
            self._end(job)

    def _end(self, job: Job) -> None:
        job.child.close()
        for upload in job.uploads:
            upload.file.close()
        job.slot.release()
        del self._jobs[job.id]

    def _view(self, row: AnalysisRow) -> dict[str, Any]:
        job = self._jobs.get(row.id)
        done = 1.0 if row.state == "done" else 0.0
        return {
            "id": row.id,
            "state": row.state,
            "progress": round(job.progress, 3) if job is not None else done,
            "kinds": row.kinds.split("+"),
            "site": row.site,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "kept_files": row.kept_files,
            "error": row.error,
        }


def _open(child: Child, upload: Upload, *, alone: bool) -> Facts:
    upload.file.flush()
    try:
        return msgspec.convert(child.ask({"do": "open", "name": upload.name}, fd=upload.file.fileno()), Facts)
    except AnalysisError as error:
        if alone:
            raise
        raise AnalysisError(f"{upload.name}: {error.what}", fix=error.fix, status=error.status) from error
    except msgspec.ValidationError as error:  # it is no longer our child that speaks
        raise AnalysisError(f"the decoder gave up on {upload.name}", fix="It is damaged or made to harm.") from error
