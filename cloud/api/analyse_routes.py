"""Analysing media and text of one's own: /api/analyses."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, ValidationError

from cloud.accounts.roles import Access, Permission
from cloud.analyse.jobs import Analyses, Upload
from cloud.analyse.records import Owner
from cloud.analyse.table import as_csv
from cloud.api.access import NOT_FOUND, check_site, needs
from cloud.api.data_views import Analysis, AnalysisList, AnalysisResult
from cloud.api.fields import NAME_PATTERN, AnalysisPath, Site
from cloud.api.openapi import Answers, answers
from cloud.api.replies import NO_STORE, json_reply
from cloud.api.services import Parts
from cloud.api.upload import UNPROCESSABLE, Received
from cloud.api.views import Nothing
from cloud.errors import AnalysisError

RETRY_STATUS = (429, 503)
POLL_S = 0.1
LONGEST_WAIT_S = 60.0

router = APIRouter(prefix="/api/analyses", tags=["analyses"])
Analyst = Annotated[Access, needs(Permission.ANALYSE)]


def analyses_of(services: Parts) -> Analyses:
    """Return what analyses. Raises HTTPException 404 where the service only stores and shows."""
    if services.analyses is None:
        raise HTTPException(NOT_FOUND, "This service does not analyse: it was started with --no-worker.")
    return services.analyses


Analyser = Annotated[Analyses, Depends(analyses_of)]


class Wanted(BaseModel):
    """What is wanted, besides the files."""

    text: str = Field("", max_length=25_000, examples=["I can't believe you did that!"])
    site: Site | None = None
    """On whose behalf; may be left out where there is one site only."""
    keep_days: int | None = Field(None, ge=1, examples=[7])
    """Keep files and result for so many days; without it the files are deleted at once, the result after a day."""


FORM_FIELDS = {
    "file": {
        "type": "array",
        "maxItems": 4,
        "items": {"type": "string", "contentMediaType": "application/octet-stream"},
    },
    "text": {"type": "string", "maxLength": 25_000},
    "site": {"type": "string", "pattern": NAME_PATTERN},
    "keep_days": {"type": "integer", "minimum": 1},
}
BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": FORM_FIELDS}},
            "application/json": {"schema": Wanted.model_json_schema()},
        },
    }
}
REFUSALS = (400, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507)
CREATED = answers(Analysis, *REFUSALS, status=202) | answers(Analysis, status=201)
TABLE: Answers = answers(Nothing, NOT_FOUND) | {
    200: {
        "description": "A row for each face, window, modality and sentence.",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": "part,row,time_s\n1,frame,0.0\n"}},
    }
}
FILE: Answers = answers(Nothing, NOT_FOUND) | {
    200: {
        "description": "The file as it was sent.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", status_code=202, openapi_extra=BODY, responses=CREATED)
async def create(
    request: Request,
    access: Analyst,
    analyses: Analyser,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for the result")] = 0.0,
) -> Response:
    """Analyse up to 4 files (`file`) and a `text` together, as multipart/form-data; a text alone also as JSON.

    A file that cannot be decoded, is too large, too long or has too many pixels is refused at once, with a 4xx, and
    nothing of it is left. Else the work goes on in the background: 202, or 201 with the result if it was done in time.
    """
    owner = _owner(access)
    slot = await run_in_threadpool(analyses.admit, owner)
    uploads: list[Upload] = []
    try:
        wanted, uploads = await _receive(request, analyses)
        site = _site(access, wanted.site)
        _check_days(wanted.keep_days, analyses)
    except BaseException:
        for upload in uploads:
            upload.file.close()
        slot.release()
        raise
    identifier = await run_in_threadpool(
        analyses.begin, slot, site=site, uploads=uploads, text=wanted.text, keep_days=wanted.keep_days
    )
    if await request.is_disconnected():  # nobody was told of it, so nobody could cancel it
        await run_in_threadpool(analyses.delete, owner, identifier)
    reply = await _wait_for(analyses, owner, identifier, wait)
    reply.headers["Location"] = f"/api/analyses/{identifier}"
    return reply


@router.get("", responses=answers(AnalysisList, NOT_FOUND))
def read_all(access: Analyst, analyses: Analyser) -> Response:
    """Your analyses, newest first, without their results; and how large uploads may be."""
    limits = analyses.limits
    most = {"bytes": limits.max_bytes, "seconds": limits.max_duration_s, "pixels": limits.max_pixels}
    more = {"files": limits.max_files, "keep_days": limits.most_keep_days}
    return json_reply({"analyses": analyses.all_of(_owner(access)), "limits": most | more})


@router.get("/{identifier}", responses=answers(Analysis, NOT_FOUND))
def read(access: Analyst, analyses: Analyser, identifier: AnalysisPath) -> Response:
    """How far one of your analyses is, and its result once it is there."""
    return json_reply(_whole(*_found(analyses, access, identifier)))


@router.get("/{identifier}/result.json", responses=answers(AnalysisResult, NOT_FOUND))
def download_json(access: Analyst, analyses: Analyser, identifier: AnalysisPath) -> Response:
    """The result alone, as a file."""
    result = _result(analyses, access, identifier)
    return Response(result, headers=_as_file(identifier, "json"), media_type="application/json")


@router.get("/{identifier}/result.csv", response_class=Response, responses=TABLE)
def download_csv(access: Analyst, analyses: Analyser, identifier: AnalysisPath) -> Response:
    """The result as a table: a row for each face, window, modality and sentence."""
    table = as_csv(msgspec.json.decode(_result(analyses, access, identifier)))
    return Response(table, headers=_as_file(identifier, "csv"), media_type="text/csv; charset=utf-8")


@router.get("/{identifier}/files/{number}", response_class=Response, responses=FILE)
def download_file(
    access: Analyst,
    analyses: Analyser,
    identifier: AnalysisPath,
    number: Annotated[int, Path(ge=0, lt=100, examples=[0])],
) -> Response:
    """A file that you asked to keep."""
    view, _ = _found(analyses, access, identifier)
    if not 0 <= number < view["kept_files"] or view["state"] != "done":
        raise HTTPException(NOT_FOUND, "There is no such file; it was not kept.")
    path = analyses.files.kept(view["id"], number)
    return FileResponse(path, headers=NO_STORE, media_type="application/octet-stream", filename=path.name)


@router.delete("/{identifier}", responses=answers(Nothing, NOT_FOUND))
def delete(access: Analyst, analyses: Analyser, identifier: AnalysisPath) -> Response:
    """Cancel an analysis if it is not done, and delete all that is left of it."""
    if not analyses.delete(_owner(access), identifier):
        raise _not_found()
    return json_reply({})


def refusal(error: AnalysisError) -> Response:
    """Return the reply that says why something is not analysed."""
    reply = json_reply({"detail": str(error), "code": error.code}, error.status)
    if error.status in RETRY_STATUS:
        reply.headers["Retry-After"] = "30"
    return reply


async def _receive(request: Request, analyses: Analyses) -> tuple[Wanted, list[Upload]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json":
        return _wanted(await _small_body(request)), []
    with Received(analyses.limits, analyses.files.new) as form:
        await form.read(request)
        fields: dict[str, Any] = {name: value for name, value in form.fields.items() if value or name == "text"}
        return _wanted(fields), form.take_uploads()


async def _small_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > 200_000:
            raise AnalysisError("the text is too long", fix="Give 20,000 characters at most.", status=413)
    return body


def _wanted(given: bytes | dict[str, Any]) -> Wanted:
    try:
        return Wanted.model_validate_json(given) if isinstance(given, bytes) else Wanted.model_validate(given)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in error.errors())
        raise HTTPException(UNPROCESSABLE, said) from error


def _site(access: Access, site: str | None) -> str | None:
    if site is not None:
        check_site(access, Permission.ANALYSE, site)
        return site
    held = access.sites(Permission.ANALYSE)
    if held is None:
        return None
    if len(held) > 1:
        raise HTTPException(UNPROCESSABLE, f"Say for which `site`: {', '.join(sorted(held))}.")
    return next(iter(held))


def _check_days(keep_days: int | None, analyses: Analyses) -> None:
    most = analyses.limits.most_keep_days
    if keep_days is not None and keep_days > most:
        raise HTTPException(UNPROCESSABLE, f"keep_days: {most} are the most.")


async def _wait_for(analyses: Analyses, owner: Owner, identifier: str, wait_s: float) -> Response:
    deadline = time.monotonic() + wait_s
    while True:
        found = await run_in_threadpool(analyses.get, owner, identifier)
        if found is None:
            raise AnalysisError("it was cancelled", status=409)
        view, result = found
        if view["state"] == "failed":
            raise AnalysisError(view["error"])
        if result is not None or time.monotonic() >= deadline:
            return json_reply(_whole(view, result), 202 if result is None else 201)
        await asyncio.sleep(POLL_S)


def _found(analyses: Analyses, access: Access, identifier: AnalysisPath) -> tuple[dict[str, Any], bytes | None]:
    found = analyses.get(_owner(access), identifier)
    if found is None:
        raise _not_found()
    return found


def _result(analyses: Analyses, access: Access, identifier: AnalysisPath) -> bytes:
    _, result = _found(analyses, access, identifier)
    if result is None:
        raise HTTPException(NOT_FOUND, "There is no result, or not yet.")
    return result


def _whole(view: dict[str, Any], result: bytes | None) -> dict[str, Any]:
    return view | {"result": None if result is None else msgspec.Raw(result)}


def _owner(access: Access) -> Owner:
    return Owner(access.login, access.user_key)


def _not_found() -> HTTPException:
    return HTTPException(NOT_FOUND, "You have no such analysis.")


def _as_file(identifier: str, ending: str) -> dict[str, str]:
    return NO_STORE | {"Content-Disposition": f'attachment; filename="mien-{identifier[:8]}.{ending}"'}
