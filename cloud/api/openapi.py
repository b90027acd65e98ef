"""/openapi.json: what FastAPI knows of the routes, made complete with what they have in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from cloud.api.data_views import STRUCT, struct_schemas
from cloud.api.views import Problem, shown_examples

DESCRIPTION = """What devices perceived and how they are, accounts, alerts, and analyses of one's own media.

Programs send an access token (`Authorization: Bearer mien_...`), made under /account, and see what its owner may see.
Times are Unix seconds, probabilities from 0 to 1. What is refused is answered by a `Problem`. Outputs say what an
expression or a voice looks and sounds like, not what a person feels."""

TAGS = {
    "readings": "Devices and what they perceived.",
    "history": "The same over time, in sums.",
    "alerts": "What is looked out for, what was found, who is told.",
    "commands": "Asking a device for something.",
    "analyses": "Pictures, sound, video and text of one's own.",
    "session": "Logging in and out.",
    "registration": "Invitations, and making one's own account.",
    "tokens": "How programs log in.",
    "users": "Accounts of others.",
    "privacy": "How long what is kept, and erasing.",
    "audit": "Who did what.",
    "health": "Whether the service works.",
}

MEANINGS = {
    400: "The request breaks off, or is no text where it should be.",
    401: "Nobody is logged in.",
    403: "The account may not do this, or the header X-CSRF-Token is missing.",
    404: "There is no such thing, or not for you.",
    408: "Nothing came for too long.",
    409: "It was cancelled, or the device is not online.",
    413: "Too large.",
    415: "Neither a form nor JSON.",
    422: "The request makes no sense; `detail` says why.",
    429: "Too many tries; the header Retry-After says for how long to wait.",
    503: "The service is busy, or a part of it does not work.",
    504: "The device did not answer in time.",
    507: "The service's disk is full.",
}
Answers = dict[int | str, dict[str, Any]]


def answers(view: type[BaseModel], *refusals: int, status: int = 200) -> Answers:
    """Return the `responses` of a route: what it answers, and with which statuses it refuses.

    400, 401, 403 and 422 need not be given: `complete` adds them where they can come.
    """
    said: Answers = {status: {"model": view, "description": (view.__doc__ or "").partition("\n")[0]}}
    return said | {code: {"model": Problem, "description": MEANINGS[code]} for code in refusals}


def complete(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return what makes the schema of an application, once."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            tags = [{"name": name, "description": text} for name, text in TAGS.items()]
            made = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=tags
            )
            schemas = made["components"]["schemas"]
            schemas |= struct_schemas()
            for name, examples in shown_examples().items():
                schemas[name]["examples"] = examples  # as they are: FastAPI leaves out what is null in them
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for operations in made["paths"].values():
                for operation in operations.values():
                    _complete_operation(operation)
            app.openapi_schema = _with_references(made)
        return app.openapi_schema

    return schema


def _complete_operation(operation: dict[str, Any]) -> None:
    operation["summary"] = re.split(r"[.;:](?:\s|$)", operation["description"], maxsplit=1)[0]
    refusals = [401, 403] if "security" in operation else []
    if "requestBody" in operation:
        refusals.append(400)
    if "parameters" in operation or "requestBody" in operation:
        refusals.append(422)
    for code in refusals:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(code)] = {"description": MEANINGS[code], "content": content}
    operation["responses"] = dict(sorted(operation["responses"].items()))


def _with_references(part: Any) -> Any:
    """Return a schema in which the places of structs are references to them."""
    if isinstance(part, dict):
        if STRUCT in part:
            return {"$ref": f"#/components/schemas/{part[STRUCT]}"}
        return {name: _with_references(value) for name, value in part.items()}
    return [_with_references(value) for value in part] if isinstance(part, list) else part
