"""A result as CSV: a row for each face of each frame, each window and modality, each sentence, and the whole. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from edge.emotions import SPEECH_EMOTIONS

PLACES = ("part", "name", "row", "start_s", "end_s", "face", "x", "y", "width", "height")
COLUMNS = (*PLACES, "emotion", "confidence", "unsure", "reliability", *SPEECH_EMOTIONS)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Spreadsheets run cells that begin so."""


def as_csv(result: dict[str, Any]) -> str:
    """Return the CSV, with a header, of a result as JSON has it."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(_rows(result))
    return out.getvalue()


def _rows(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, part in enumerate(result["parts"], start=1):
        place = {"part": number, "name": _harmless(part["name"])}
        rows = _text_rows(part["text"]) if part["kind"] == "text" else _media_rows(part)
        yield from (place | row for row in rows)
    overall = result["overall"]
    if overall is not None:
        for share in overall["modalities"]:
            said = _said(share["distribution"], reliability=share["weight"])
            yield {"name": "overall", "row": share["modality"], **said}
        both = {"name": "overall", "unsure": overall["unsure"]}
        yield both | {"row": "weighted average", **_said(overall["weighted_average"])}
        yield both | {"row": "majority vote", "emotion": overall["majority_vote"], **overall["votes"]}


def _media_rows(part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for frame in part["frames"]:
        for face in frame["faces"]:
            said = _said(face["expression"], unsure=face["unsure"], reliability=face["quality"])
            yield {"row": "frame", "start_s": frame["time_s"], "face": face["face"], **face["box"], **said}
    for window in part["windows"]:
        when = {"start_s": window["start_s"], "end_s": window["end_s"]}
        for name, reliability in (("face", "face_quality"), ("speech", "voiced_share")):
            if window[name] is not None:
                yield {"row": f"window {name}", **when, **_said(window[name], reliability=window[reliability])}
        if window["fused"] is not None:
            yield {"row": "window fused", **when, **_said(window["fused"], unsure=window["unsure"])}


def _text_rows(text: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for sentence in text["parts"]:
        said = _said(sentence["distribution"], reliability=text["known_words"])
        # The decision is not always the largest probability: see TextResult.
        yield {"row": "sentence", **said, "emotion": sentence["label"], "confidence": sentence["confidence"]}


def _said(distribution: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "emotion": distribution["emotion"],
        "confidence": distribution["confidence"],
        **distribution["probs"],
        **more,
    }


def _harmless(name: str) -> str:
    return f"'{name}" if name.startswith(FORMULA) else name
