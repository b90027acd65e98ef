"""Following faces from frame to frame, so that a window's crops belong to one person and detection may skip frames.

Detections are joined to tracks by overlap; between detections a track follows its face by template matching. Track ids
are random and die with the track: they tell faces of one window apart and identify nobody.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.detect import Face, shrink

SAME_FACE_IOU = 0.3
FORGET_AFTER_S = 1.0
"""A track not seen for this long is forgotten."""

TRACK_WIDTH = 160
"""Pixels: templates are matched at this width; face boxes move little between frames."""
SEARCH = 0.4
"""How far a face may move between two frames, in its own widths."""
MATCH_AT_LEAST = 0.5
"""Normalised correlation under which the face counts as lost until the next detection."""


@dataclass
class Track:
    """One face over time."""

    face: Face
    seen_s: float
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    template: NDArray[np.uint8] | None = None


class Tracker:
    """Keeps the tracks of one camera."""

    def __init__(self) -> None:
        self._tracks: list[Track] = []

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks = []

    def detected(self, gray: NDArray[np.uint8], faces: list[Face], now_s: float) -> list[Track]:
        """Join the detections of a frame to the tracks and return the tracks seen in it."""
        small, scale = shrink(gray, TRACK_WIDTH)
        free = [track for track in self._tracks if now_s - track.seen_s <= FORGET_AFTER_S]
        seen = []
        for face in faces:
            best = max(free, key=lambda track: overlap(track.face, face), default=None)
            if best is None or overlap(best.face, face) < SAME_FACE_IOU:
                best = Track(face, now_s)
            else:
                free.remove(best)
            best.face, best.seen_s, best.template = face, now_s, _template(small, face, scale)
            seen.append(best)
        self._tracks = seen + free
        return seen

    def followed(self, gray: NDArray[np.uint8], now_s: float) -> list[Track]:
        """Follow the faces of the last frame into this one without detection; lost ones are left out."""
        small, scale = shrink(gray, TRACK_WIDTH)
        seen = []
        for track in self._tracks:
            moved = _follow(small, scale, track)
            if moved is not None:
                track.face, track.seen_s = moved, now_s
                seen.append(track)
        return seen


def overlap(a: Face, b: Face) -> float:
    """Return intersection over union of two boxes."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    if width <= 0.0 or height <= 0.0:
        return 0.0
    return width * height / (a.area + b.area - width * height)


def _template(small: NDArray[np.uint8], face: Face, scale: float) -> NDArray[np.uint8] | None:
    rows, columns = small.shape
    left, top = max(0, round(face.x * scale)), max(0, round(face.y * scale))
    right = min(columns, round((face.x + face.width) * scale))
    bottom = min(rows, round((face.y + face.height) * scale))
    if right - left < 4 or bottom - top < 4:
        return None
    return small[top:bottom, left:right].copy()


def _follow(small: NDArray[np.uint8], scale: float, track: Track) -> Face | None:
    template = track.template
    if template is None:
        return None
    left, top = max(0, round(track.face.x * scale)), max(0, round(track.face.y * scale))
    reach = max(2, round(track.face.width * scale * SEARCH))
    x0, y0 = max(0, left - reach), max(0, top - reach)
    area = small[y0 : top + template.shape[0] + reach, x0 : left + template.shape[1] + reach]
    if area.shape[0] < template.shape[0] or area.shape[1] < template.shape[1]:
        return None
    _, best, _, (dx, dy) = cv2.minMaxLoc(cv2.matchTemplate(area, template, cv2.TM_CCOEFF_NORMED))
    if best < MATCH_AT_LEAST:
        return None
    return track.face.moved((x0 + dx - left) / scale, (y0 + dy - top) / scale)
