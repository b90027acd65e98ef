"""What an analysis says: the structs of the JSON result. Boxes are shares of the upright picture, times seconds."""

from __future__ import annotations

from typing import Literal

import msgspec

from cloud.inference.text import TextResult
from edge.protocol import Distribution

SCHEMA = "mien.analysis/1"

Modality = Literal["face", "speech", "text"]
Kind = Literal["image", "audio", "video", "text"]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is, once it has been opened and its first picture and sound decoded."""

    kind: Literal["image", "audio", "video"]
    duration_s: float


class Box(msgspec.Struct, frozen=True, kw_only=True):
    """Where a face is, as shares of the picture's width and height, from its top left corner; may reach beyond it."""

    x: float
    y: float
    width: float
    height: float


class FaceSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One face in one frame."""

    face: int
    """Tells the faces of this file apart, from 1; a face that was lost for a second gets a new number."""
    box: Box
    quality: float
    """Of the crop: size, sharpness, contrast, frontal pose; in [0, 1]."""
    expression: Distribution
    unsure: bool


class FrameSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One frame and its faces, largest first."""

    time_s: float
    faces: list[FaceSeen]


class WindowSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What a device would say of these seconds: the largest face, the voice, both fused and filtered over time."""

    start_s: float
    end_s: float
    faces: int
    face: Distribution | None
    speech: Distribution | None
    """Over the seven emotions and calm."""
    fused: Distribution | None
    face_quality: float | None
    voiced_share: float | None
    """Share of the window with a voice, in [0, 1]; None without sound."""
    unsure: bool


class MediaResult(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    kind: Kind
    name: str
    """As the user's machine calls it."""
    duration_s: float
    width: int | None
    height: int | None
    """Pixels; of a video those that it was analysed at. None for sound."""
    frames: list[FrameSeen]
    windows: list[WindowSeen]
    """Empty for a picture."""
    notes: list[str]
    """What the user should know: damage, nothing found."""


class TextJudged(msgspec.Struct, frozen=True, kw_only=True):
    """The text that was typed."""

    text: TextResult
    kind: Literal["text"] = "text"
    name: str = "text"


class ModalityShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one modality says over everything that was given."""

    modality: Modality
    distribution: Distribution
    weight: float
    """Its weight in the average: mean reliability (quality of the faces, voiced share, known words), in [0, 1]."""
    votes: dict[str, int]
    unsure_votes: int
    """How many of the votes are unsure by themselves."""


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """All modalities together, in the two ways that people expect. No error rate is promised for either."""

    modalities: list[ModalityShare]
    weighted_average: Distribution
    majority_vote: str
    """Every picture's face, window and sentence has one vote; of equals the one with the larger average wins."""
    votes: dict[str, int]
    unsure: bool
    """The two ways differ, or most votes are unsure by themselves."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer."""

    schema: str
    parts: list[MediaResult | TextJudged]
    overall: Overall | None
    """None where neither a face nor a voice nor a word was found."""
    models: list[str]
