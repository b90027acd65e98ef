"""From a media file to frames with faces and windows with readings, by the device's own steps and the full models.

Runs in the child process (`child.py`): nothing here is to be called by the service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cloud.analyse.results import Box, FaceSeen, FrameSeen, WindowSeen
from cloud.inference.full import FullModels
from edge.capture.base import Frame, Sound
from edge.capture.media import MediaFile
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.fusion import fold_calm
from edge.perception.crop import crop_face, crop_quality
from edge.perception.detect import FaceDetector, to_gray
from edge.perception.face import FaceWindow, Observation, steady_count, summarise
from edge.perception.features import SAMPLE_RATE, speech_features
from edge.perception.snr import snr_db
from edge.perception.speech import SoundBuffer, SpeechWindow
from edge.perception.tracking import Tracker
from edge.perception.vad import SPEECH_PROBABILITY, VOICED_SHARE_MIN, speech_probability
from edge.protocol import Distribution, distribution
from edge.temporal import TemporalFilter, own_confidence, stay_of
from edge.windows import WindowCutter

FPS = 5.0
FRAME_WIDTH = 640
"""Pixels: video is scaled down to it, as on the device."""

WINDOW_S, TAIL_S = 3.0, 1.0
MOST_FACES = 20
"""Of one frame; the largest."""

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Thresholds:
    """How sure is sure, per set of modalities; None or absent: never."""

    by_modalities: dict[str, float | None]

    def unsure(self, modalities: str, confidence: float) -> bool:
        """Say whether a confidence is under the threshold."""
        threshold = self.by_modalities.get(modalities)
        return threshold is None or confidence < threshold


class Eye:
    """Finds, follows and judges the faces of one picture, or, with a `glance` at each frame, of one film or webcam."""

    def __init__(self, models: FullModels, detector: FaceDetector, *, glance: bool) -> None:
        self._models, self._detector, self._glance = models, detector, glance
        self._thresholds = thresholds_of(models)
        self._tracker = Tracker()
        self._numbers: dict[str, int] = {}

    def see(self, image: NDArray[np.uint8], time_s: float) -> tuple[FrameSeen, list[Observation]]:
        """Take one frame, (H, W, 3) BGR; return its faces, for people and for the window's summary."""
        gray = to_gray(image)
        tracks = self._tracker.detected(gray, self._detector.detect(image)[:MOST_FACES], time_s)
        if not tracks:
            return FrameSeen(time_s=round(time_s, 3), faces=[]), []
        crops = [crop_face(gray, track.face) for track in tracks]
        height, width = gray.shape
        seen, observations = [], []
        judged = self._models.faces(np.stack(crops), glance=self._glance)
        for track, crop, probs in zip(tracks, crops, judged, strict=True):
            face, quality = track.face, crop_quality(crop, track.face)
            said = distribution(EMOTIONS, probs.tolist())
            box = {
                "x": face.x / width,
                "y": face.y / height,
                "width": face.width / width,
                "height": face.height / height,
            }
            seen.append(
                FaceSeen(
                    face=self._numbers.setdefault(track.id, len(self._numbers) + 1),
                    box=Box(**{name: round(float(share), 4) for name, share in box.items()}),
                    quality=round(float(quality), 4),
                    expression=said,
                    unsure=self._thresholds.unsure("face", said.confidence),
                )
            )
            observations.append(Observation(time_s, track.id, face.area, quality, crop, probs))
        return FrameSeen(time_s=round(time_s, 3), faces=seen), observations


class Film:
    """Sound and video on their way to windows."""

    def __init__(self, models: FullModels, detector: FaceDetector) -> None:
        self._models, self._eye = models, Eye(models, detector, glance=True)
        self._thresholds = thresholds_of(models)
        self._sound = SoundBuffer()
        self._temporal = TemporalFilter(stay=stay_of(models.manifest.filter))
        self._cutter = WindowCutter(length_s=WINDOW_S, tail_s=TAIL_S)
        self._observations: list[Observation] = []
        self._counts: list[tuple[float, int]] = []
        self.frames: list[FrameSeen] = []
        self.windows: list[WindowSeen] = []
        self.end_s = 0.0
        """Of what was decoded."""
        self.size: tuple[int, int] | None = None
        """Width and height of the frames as they are meant to be seen, though smaller than stored."""

    def run(self, media: MediaFile, duration_s: float, progress: Progress) -> None:
        """Take in a whole file."""
        for item in media.items():
            for window in self._cutter.advance(item.time_s):
                self._close(*window)
            self._take(item)
            progress(min(item.time_s / max(duration_s, 0.1), 1.0))
        for window in self._cutter.finish(self.end_s):
            self._close(*window)

    def _take(self, item: Frame | Sound) -> None:
        if isinstance(item, Sound):
            self._sound.append(item.pcm, item.time_s)
            self.end_s = max(self.end_s, item.end_s)
            return
        self.size = self.size or (item.image.shape[1], item.image.shape[0])
        frame, observations = self._eye.see(item.image, item.time_s)
        self.frames.append(frame)
        self._observations += observations
        self._counts.append((item.time_s, len(frame.faces)))
        self.end_s = max(self.end_s, item.time_s + 1 / FPS)

    def _close(self, start_s: float, end_s: float) -> None:
        face = self._face_window(start_s, end_s)
        voice = self._voice(start_s, end_s)
        share, tone = voice.voiced_share, voice.probs
        found, measures = {}, {}
        if face.primary is not None and face.quality is not None:
            found["face"], measures["face"] = face.primary, {"quality": face.quality}
        if tone is not None and share is not None:
            found["speech"], measures["speech"] = fold_calm(tone), {"voiced_share": share}
            if voice.snr_db is not None:
                measures["speech"]["snr_db"] = voice.snr_db
        pooled = self._models.fusion(found, measures)
        fused = self._temporal.update(pooled)
        confidence = own_confidence(pooled, fused)
        self.windows.append(
            WindowSeen(
                start_s=round(start_s, 3),
                end_s=round(end_s, 3),
                faces=face.count,
                face=_said(EMOTIONS, face.primary),
                speech=_said(SPEECH_EMOTIONS, tone),
                fused=_said(EMOTIONS, fused),
                face_quality=None if face.quality is None else round(face.quality, 4),
                voiced_share=None if share is None else round(share, 4),
                unsure=confidence is None or self._thresholds.unsure("+".join(sorted(found)), confidence),
            )
        )

    def _face_window(self, start_s: float, end_s: float) -> FaceWindow:
        counts = [count for time_s, count in self._counts if start_s <= time_s < end_s]
        found = [each for each in self._observations if start_s <= each.time_s < end_s]
        self._counts = [each for each in self._counts if each[0] >= end_s]
        self._observations = [each for each in self._observations if each.time_s >= end_s]
        return summarise(found, steady_count(counts), frames=len(counts))

    def _voice(self, start_s: float, end_s: float) -> SpeechWindow:
        """Return the voiced share and, where there is enough voice, its tone and how far it stands out."""
        pcm = self._sound.take(start_s, end_s)
        if not len(pcm):
            return SpeechWindow()
        speech = speech_probability(pcm)
        share = float((speech >= SPEECH_PROBABILITY).mean()) * min(1.0, len(pcm) / ((end_s - start_s) * SAMPLE_RATE))
        if share < VOICED_SHARE_MIN:
            return SpeechWindow(voiced_share=share)
        tone = self._models.tones(speech_features(pcm)[None])[0]
        return SpeechWindow(probs=tone, voiced_share=share, snr_db=snr_db(pcm, speech))


def thresholds_of(models: FullModels) -> Thresholds:
    """Return the thresholds of the models' manifest."""
    return Thresholds({gate.modalities: gate.threshold for gate in models.manifest.gates})


def _said(labels: tuple[str, ...], probs: NDArray[np.float32] | None) -> Distribution | None:
    return None if probs is None else distribution(labels, probs.tolist())
