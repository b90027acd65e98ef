"""The fields that requests share: what is wrong with them is said before anything is looked up."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME_PATTERN = "^[a-z0-9-]{1,36}$"
LOGIN_PATTERN = "^[a-z0-9][a-z0-9._@+-]{1,98}$"
ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters: they fool who reads it, and PostgreSQL keeps no NUL."""

LATEST_S = 1e11
"""Unix seconds, the year 5138: beyond it somebody has given milliseconds."""

MOST_KEY = 2**63 - 1
"""The largest number that the database counts to."""


class Sent(BaseModel):
    """What a request brings as JSON: a number is a number there, and no text or truth value that could be meant so."""

    model_config = ConfigDict(strict=True)


def _whole(value: object) -> object:
    """Take 7.0 for 7, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
RoleName = Literal["viewer", "operator", "technician", "admin", "auditor"]
EmotionName = Literal["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "calm"]

Site = Annotated[str, Field(pattern=NAME_PATTERN, examples=["school-1"])]
SiteOrAll = Annotated[str, Field(pattern=r"^(\*|[a-z0-9-]{1,36})$", examples=["school-1"])]
DeviceName = Annotated[str, Field(pattern=NAME_PATTERN, examples=["front-door"])]
Line = Annotated[str, Field(pattern=ONE_LINE)]
UnixSeconds = Annotated[float, Field(ge=0, le=LATEST_S, allow_inf_nan=False)]

SitePath = Annotated[str, Path(pattern=NAME_PATTERN, examples=["school-1"])]
DevicePath = Annotated[str, Path(pattern=NAME_PATTERN, examples=["front-door"])]
LoginPath = Annotated[str, Path(pattern=LOGIN_PATTERN, examples=["ada@school.example"])]
KeyPath = Annotated[int, Path(ge=0, le=MOST_KEY, examples=[7])]
HashPath = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["0123456789abcdef"])]
AnalysisPath = Annotated[str, Path(pattern="^[0-9a-f]{1,32}$", examples=["0123456789abcdef0123456789abcdef"])]

NameQuery = Annotated[str | None, Query(pattern=NAME_PATTERN, examples=["school-1"])]
BeforeQuery = Annotated[int | None, Query(ge=0, le=MOST_KEY, description="a `key`: only older ones", examples=[1000])]
