"""What the routes answer about devices, readings, history and analyses, as OpenAPI tells it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, WithJsonSchema

from cloud.analyse.results import SCHEMA, MediaResult, Overall, TextJudged
from cloud.api.views import View, shown
from edge.protocol import Birth, Distribution, Event, Health

STRUCT = "x-struct"
"""Stands in a schema for one of `struct_schemas`, until `cloud.api.openapi` puts the reference there."""


_Distribution = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "Distribution"})]
_Birth = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "Birth"})]
_Health = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "Health"})]
_Event = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "Event"})]
_Media = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "MediaResult"})]
_Text = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "TextJudged"})]
_Overall = Annotated[dict[str, Any], WithJsonSchema({STRUCT: "Overall"})]


def struct_schemas() -> dict[str, Any]:
    """Return the schemas of the messages and results that answers hand on, and of what these consist of."""
    structs = (Distribution, Birth, Health, Event, MediaResult, TextJudged, Overall)
    _, components = msgspec.json.schema_components(structs, ref_template="#/components/schemas/{name}")
    return components


class DeviceView(View):
    """A device with what it last said of itself. Times are Unix seconds."""

    site: str
    device: str
    availability: Literal["online", "stopped", "lost"] | None
    availability_at: float | None
    birth: _Birth | None
    health: _Health | None
    event: _Event | None
    first_seen: float
    last_seen: float


_DEVICE = {
    "site": "school-1",
    "device": "front-door",
    "availability": "online",
    "availability_at": 1.77e9,
    "birth": None,
    "health": None,
    "event": None,
    "first_seen": 1.76e9,
    "last_seen": 1.77e9,
}


class DeviceList(View, json_schema_extra=shown(devices=[_DEVICE])):
    """Devices by site and name."""

    devices: list[DeviceView]


class _Stored(View):
    """The head of every stored message."""

    id: str
    session: int
    seq: int
    ts: float
    clock_synced: bool
    mode: str
    received_at: float
    at: float
    """Unix seconds: `ts` where the device's clock can be believed, else `received_at`."""


_HEAD = {
    "id": "01J9ZQ3K6T8V0W2X4Y6Z8A0B2C",
    "session": 3,
    "seq": 1200,
    "ts": 1.77e9,
    "clock_synced": True,
    "mode": "vehicle",
    "received_at": 1.77e9,
    "at": 1.77e9,
}
_SAD = {
    "emotion": "sad",
    "confidence": 0.52,
    "probs": {
        "angry": 0.1,
        "disgust": 0.02,
        "fear": 0.06,
        "happy": 0.05,
        "sad": 0.52,
        "surprise": 0.05,
        "neutral": 0.2,
    },
}


class VerdictView(_Stored):
    """What the cloud said of a reading."""

    status: Literal["ok", "refused"]
    reason: str
    face: _Distribution | None
    speech: _Distribution | None
    fused: _Distribution | None
    models: list[str]
    latency_ms: float


class ReadingView(_Stored):
    """A reading; docs/protocol.md explains the fields."""

    site: str
    device: str
    clip: str | None
    start_s: float
    end_s: float
    faces: int
    face: _Distribution | None
    speech: _Distribution | None
    fused: _Distribution | None
    face_quality: float | None
    voiced_share: float | None
    gate: str
    threshold: float | None
    latency_ms: float
    verdict: VerdictView | None
    final: _Distribution | None
    """What stands: the verdict's distribution, where there is one, else the reading's."""


_READING = _HEAD | {
    "site": "school-1",
    "device": "front-door",
    "clip": None,
    "start_s": 3600.0,
    "end_s": 3603.0,
    "faces": 1,
    "face": _SAD,
    "speech": None,
    "fused": _SAD,
    "face_quality": 0.8,
    "voiced_share": None,
    "gate": "sure",
    "threshold": 0.5,
    "latency_ms": 92.0,
    "verdict": None,
    "final": _SAD,
}


class ReadingList(View, json_schema_extra=shown(readings=[_READING])):
    """Readings, newest first."""

    readings: list[ReadingView]


Means = list[float | None]
Counts = list[int]


class PerceptionColumns(View):
    """A column per sum, an entry per bucket; means of nothing are null."""

    at: list[float]
    n: Counts
    perceived: Counts
    with_face: Counts
    with_voice: Counts
    sure: Counts
    asked: Counts
    answered: Counts
    refused: Counts
    compared: Counts
    agreed: Counts
    confidence: Means
    latency_ms: Means
    answer_ms: Means
    emotions: dict[str, Means]


class PerceptionTotals(View):
    """The same over the whole period."""

    n: int
    perceived: int
    with_face: int
    with_voice: int
    sure: int
    asked: int
    answered: int
    refused: int
    compared: int
    agreed: int
    confidence: float | None
    latency_ms: float | None
    answer_ms: float | None
    emotions: dict[str, float | None]


class CrowdColumns(View):
    """Of aggregates: counts as means per aggregate."""

    at: list[float]
    n: Counts
    suppressed: Counts
    windows: Counts
    faces: Means
    voiced: Means
    emotions: dict[str, Means]


class CrowdTotals(View):
    """The same over the whole period."""

    n: int
    suppressed: int
    windows: int
    faces: float | None
    voiced: float | None
    emotions: dict[str, float | None]


_COUNTS = {"n": 20, "perceived": 18, "with_face": 18, "with_voice": 2, "sure": 15, "asked": 3, "answered": 2}
_AGREEMENT = {"refused": 1, "compared": 2, "agreed": 1}
_MEANS = {"confidence": 0.7, "latency_ms": 90.0, "answer_ms": 210.0, "emotions": {"sad": 0.4}}
_TOTALS = _COUNTS | _AGREEMENT | _MEANS
_CROWD = {"n": 0, "suppressed": 0, "windows": 0, "faces": None, "voiced": None, "emotions": {"sad": None}}
_HISTORY = {
    "from": 1.77e9,
    "until": 1.77e9 + 60,
    "step": 60,
    "perception": {name: [value] for name, value in _TOTALS.items()} | {"at": [1.77e9], "emotions": {"sad": [0.4]}},
    "totals": _TOTALS,
    "crowd": {name: [] for name in _CROWD} | {"at": [], "emotions": {"sad": []}},
    "crowd_totals": _CROWD,
}


class HistoryView(View, json_schema_extra=shown(**_HISTORY)):
    """A period in buckets of `step` seconds, 0 if each is one reading."""

    start: float = Field(alias="from")
    until: float
    step: int
    perception: PerceptionColumns
    totals: PerceptionTotals
    crowd: CrowdColumns
    crowd_totals: CrowdTotals


class HealthColumns(View):
    """The worst of each bucket; the two medians are means."""

    at: list[float]
    n: Counts
    down: Counts
    degraded: Counts
    outbox_rows: Counts
    memory_mb: Means
    temperature_c: Means
    reading_p50_ms: Means
    reading_p95_ms: Means
    verdict_p50_ms: Means
    verdict_p95_ms: Means


_HEALTH = {
    name: [1] for name in ("at", "n", "down", "degraded", "outbox_rows", "memory_mb", "temperature_c", "reading_p50_ms")
} | {name: [None] for name in ("reading_p95_ms", "verdict_p50_ms", "verdict_p95_ms")}


class HealthHistory(
    View, json_schema_extra=shown(**{"from": 1.77e9, "until": 1.77e9 + 60, "step": 60}, health=_HEALTH)
):
    """Health reports of a period, in buckets of `step` seconds."""

    start: float = Field(alias="from")
    until: float
    step: int
    health: HealthColumns


_ANALYSIS = {
    "id": "0123456789abcdef0123456789abcdef",
    "state": "running",
    "progress": 0.4,
    "kinds": ["video", "text"],
    "site": "school-1",
    "created_at": 1.77e9,
    "expires_at": 1.77e9 + 86_400,
    "kept_files": 0,
    "error": "",
}


class AnalysisView(View):
    """An analysis without its result."""

    id: str
    state: Literal["waiting", "running", "done", "failed"]
    progress: float = Field(ge=0, le=1)
    kinds: list[str]
    site: str | None
    created_at: float
    expires_at: float
    kept_files: int
    error: str


class AnalysisLimits(View):
    """How large uploads may be; `keep_days` is the most that files are kept."""

    bytes: int
    seconds: float
    pixels: int
    files: int
    keep_days: int


_LIMITS = {"bytes": 200_000_000, "seconds": 600.0, "pixels": 50_000_000, "files": 4, "keep_days": 90}


class AnalysisList(View, json_schema_extra=shown(analyses=[_ANALYSIS], limits=_LIMITS)):
    """One's own analyses, newest first."""

    analyses: list[AnalysisView]
    limits: AnalysisLimits


_RESULT = {"schema": SCHEMA, "parts": [], "overall": None, "models": ["face 1"]}


class AnalysisResult(View, json_schema_extra=shown(**_RESULT)):
    """What was found; `overall` is null where neither a face nor a voice nor a word was."""

    schema_: str = Field(alias="schema")
    parts: list[_Media | _Text]
    overall: _Overall | None
    models: list[str]


class Analysis(AnalysisView, json_schema_extra=shown(**_ANALYSIS, result=None)):
    """An analysis with its result, once it is there."""

    result: AnalysisResult | None
