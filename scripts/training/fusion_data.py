"""Validation faces and voices as the device would see and hear them, in good conditions and bad, for fusion.

Nothing here needs torch. The two halves are those of `training.splits`; the backgrounds mixed under the calibration
half and under the half that is held back are different recordings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS
from edge.fusion import DEFAULT_RULE, Fusion, Rule, fold_calm
from edge.perception.crop import CROP, crop_quality
from edge.perception.detect import Face
from edge.perception.features import SAMPLE_RATE, speech_features
from edge.perception.manifest import Manifest, Output, load_manifest
from edge.perception.snr import snr_db
from edge.perception.vad import SPEECH_PROBABILITY, VOICED_SHARE_MIN, speech_probability
from training.crossfit import strangers_of
from training.errors import TrainingError
from training.faces import Faces, load_faces
from training.fusion_fit import Judged
from training.models import FOLDERS, Recognise, Recogniser
from training.robustness_face import blur, coarsen, darken
from training.robustness_speech import with_noise
from training.speech_data import Clip, load_clips, load_noises
from training.splits import CALIBRATION_SPEAKERS, calibration_half

WINDOW_S = 3.0
SEED = 11

CLEAN = "clean"
FACES = {"worse": (24.0, 1.0, 0.25), "bad": (16.0, 2.0, 0.12)}
"""By condition: one face in three is so many pixels wide, blurred by so many (sigma), or gets so much of the light."""
VOICES = {"10 dB": 10.0, "0 dB": 0.0}
"""By condition: the signal-to-noise ratio with a background."""

Measures = dict[str, NDArray[np.floating]]


@dataclass(frozen=True)
class Measured(Judged):
    """Answers of one modality, and what was measured of the examples."""

    measures: Measures
    """(N,) each; NaN where something could not be measured."""

    def take(self, which: NDArray[np.int64]) -> Measured:
        """Return the examples at these indices."""
        measures = {name: each[which] for name, each in self.measures.items()}
        return Measured(self.probabilities[which], self.labels[which], measures)

    def measured(self, place: int) -> dict[str, float]:
        """Return what was measured of one example; nothing of what could not be."""
        return {name: float(each[place]) for name, each in self.measures.items() if not np.isnan(each[place])}

    def heard(self, place: int) -> bool:
        """Say whether the device would have used this example: a face always, sound if there is a voice in it."""
        share = self.measures.get("voiced_share")
        return share is None or bool(share[place] >= VOICED_SHARE_MIN)


Some = TypeVar("Some", bound=Measured)


def joined(one: Some, two: Some) -> Some:
    """Return the examples of both."""
    columns: dict[str, Any] = {
        field.name: np.concatenate([getattr(one, field.name), getattr(two, field.name)])
        for field in fields(one)
        if field.name != "measures"
    }
    measures = {name: np.concatenate([one.measures[name], two.measures[name]]) for name in one.measures}
    return replace(one, measures=measures, **columns)


@dataclass(frozen=True)
class Side:
    """One half of the validation data: by condition, the same examples in the same order."""

    faces: dict[str, Measured]
    voices: dict[str, Measured]


Which = Literal["calibration", "held-back"]
"""To fit on, and to report on."""

RecogniseStrangers = Callable[[Sequence[str]], Recognise]
"""Of N speakers, to what judges N inputs of theirs."""


def shipped_side(model: str, data: Path, which: Which) -> Side:
    """Return what the models that ship, `edge` or `full`, say of half of the examples in `data`."""
    face, speech = Recogniser(model, "face", "ferplus"), Recogniser(model, "speech", "speech")
    return load_side(data, face, speech, which, stranger_judge(speech.path, speech.output))


def stranger_judge(path: Path, output: Output) -> RecogniseStrangers | None:
    """Return what judges training speakers as strangers, by a speech model and its calibration; None if nothing can."""
    strangers = strangers_of(path)
    return None if strangers is None else partial(strangers.recognise, output)


def load_side(
    data: Path, face: Recognise, speech: Recognise, which: Which, strangers: RecogniseStrangers | None = None
) -> Side:
    """Return a half, judged by `face` and `speech`: inputs (N, 48, 48) and (N, 186, 64) to probabilities.

    With `strangers` the voices to fit on are also those of the training speakers, judged by it.
    Raises TrainingError if faces, speech or backgrounds are not in `data`.
    """
    faces, clips, noises = load_faces(data, "validation"), load_clips(data, "validation"), load_noises(data)
    if not noises:
        raise TrainingError(f"no background sounds: {data / 'noise' / 'noise.zip'} is missing")
    fitting = which == "calibration"
    mine = (calibration_half(faces.groups) == fitting) & (faces.majority >= 0)
    spoken = [clip for clip in clips if (clip.speaker in CALIBRATION_SPEAKERS) == fitting]
    backgrounds = noises[::2] if fitting else noises[1::2]
    voices = _judge_voices(spoken, speech, backgrounds)
    if fitting and strangers is not None:
        unheard = [clip for clip in load_clips(data, "train") if clip.corpus == "ravdess"]
        judge = strangers([clip.speaker for clip in unheard])
        more = _judge_voices(unheard, judge, backgrounds)
        voices = {condition: joined(voices[condition], more[condition]) for condition in voices}
    return Side(_judge_faces(faces.take(mine), face), voices)


def _judge_faces(faces: Faces, recognise: Recognise) -> dict[str, Measured]:
    seen = {CLEAN: (faces.images, np.full(len(faces), float(CROP)))}
    for condition, levels in FACES.items():
        seen[condition] = _spoilt(faces.images, levels, np.random.default_rng(SEED))
    judged = {}
    for condition, (images, sides) in seen.items():
        probabilities = recognise(images.astype(np.float32) / np.float32(255.0))
        judged[condition] = Measured(probabilities, faces.majority, face_measures(images, sides))
    return judged


def face_measures(images: NDArray[np.uint8], sides: NDArray[np.floating] | None = None) -> Measures:
    """Return what the face stage measures of crops, (N, 48, 48).

    `sides` are the pixels of the camera that each face was wide, (N,); None: as many as the crop has.
    """
    widths = np.full(len(images), float(CROP)) if sides is None else sides
    quality = [
        crop_quality(image, Face(0.0, 0.0, float(side), float(side), 1.0, None))
        for image, side in zip(images, widths, strict=True)
    ]
    return {"quality": np.array(quality)}


def _spoilt(
    images: NDArray[np.uint8], levels: Sequence[float], rng: Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the images, each made worse in one of three ways, and how many pixels of the camera each face had."""
    worse, sides = images.copy(), np.full(len(images), float(CROP))
    changes: tuple[Callable[..., NDArray[np.uint8]], ...] = (coarsen, blur, darken)
    for first, (change, level) in enumerate(zip(changes, levels, strict=True)):
        worse[first::3] = change(images[first::3], level, rng)
    sides[::3] = levels[0]
    return worse, sides


def _judge_voices(
    clips: Sequence[Clip], recognise: Recognise, noises: Sequence[NDArray[np.float32]]
) -> dict[str, Measured]:
    labels = np.array([clip.emotion for clip in clips])
    labels = np.where(labels >= len(EMOTIONS), EMOTIONS.index("neutral"), labels)
    judged = {}
    for condition, level in tqdm({CLEAN: None, **VOICES}.items(), desc="voices", unit="condition", leave=False):
        sounds = [
            clip.pcm if level is None else with_noise(clip.pcm, noises, level, np.random.default_rng((SEED, number)))
            for number, clip in enumerate(clips)
        ]
        probabilities = fold_calm(recognise(np.stack([speech_features(sound) for sound in sounds])))
        judged[condition] = Measured(probabilities, labels, voice_measures(sounds))
    return judged


def voice_measures(sounds: Sequence[NDArray[np.float32]]) -> Measures:
    """Return what the speech stage measures of each sound in its window (edge/perception/speech.py)."""
    shares, ratios = [], []
    for pcm in sounds:
        probability = speech_probability(pcm)
        share = float((probability >= SPEECH_PROBABILITY).mean())
        shares.append(share * min(1.0, len(pcm) / (WINDOW_S * SAMPLE_RATE)))
        ratio = snr_db(pcm, probability)
        ratios.append(np.nan if ratio is None else ratio)
    return {"voiced_share": np.array(shares), "snr_db": np.array(ratios)}


def shipped_fusion(arch: str = "edge", rule: Rule = DEFAULT_RULE) -> Fusion:
    """Return a rule with the shipped parameters."""
    return fusion_of(load_manifest(FOLDERS[arch]), rule)


def fusion_of(manifest: Manifest, rule: Rule = DEFAULT_RULE) -> Fusion:
    """Return a rule with the parameters of a manifest."""
    return Fusion(rule, manifest.fusion_weights, manifest.fusion)


def models_digest(manifest: Manifest) -> str:
    """Return a digest of all that decides fused distributions: the models and how they are fused."""
    parts = [*(entry.sha256 for entry in manifest.models), manifest.fusion_weights, manifest.fusion]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
