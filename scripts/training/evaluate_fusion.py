"""`scripts/evaluate fusion`: all fusion rules on held-back pairs, in good conditions and bad, and on real clips."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS
from edge.fusion import RULES, Fusion, Rule
from edge.perception.manifest import load_manifest
from edge.protocol import Reading
from training import real_clips, report
from training.calibrate import expected_calibration_error
from training.confusion import unweighted_recall
from training.fusion_data import CLEAN, Measured, Side, shipped_fusion, shipped_side
from training.fusion_fit import draw_places
from training.fusion_pages import Clips, FusionFigures, Report, markdown
from training.models import FOLDERS

PAIRS = 1400
SEED = 41

DESCRIPTION = """\
All fusion rules (fusion.rule) on pairs of a held-back face and a held-back voice, as the device's models that ship
judge them and with the parameters in their manifest: as they are, and with one of the two made worse, missing or
contradicting. Then the real clips, CREMA-D's in DATA/clips, through `edge.replay`.

Pairs of strangers flatter fusion: two people's errors are independent, one person's face and voice are not."""


@dataclass(frozen=True)
class Case:
    """N pairs in one condition. A modality that is None is missing throughout."""

    condition: str
    face: Measured | None
    speech: Measured | None
    truth: NDArray[np.int64]


def main(arguments: Sequence[str]) -> str:
    """Measure; return what is to be printed."""
    options = report.parse("fusion", DESCRIPTION, arguments, clips=True)
    rows = measure(shipped_side("edge", options.data, "held-back"))
    clips = clip_figures(options.data, options.yunet)
    detector = real_clips.detector_name(options.yunet)
    text = markdown(Report(rows, clips, detector, load_manifest(FOLDERS["edge"]), PAIRS, SEED))
    if options.docs:
        report.write_docs("fusion", text)
    if options.json:
        return json.dumps({"pairs": [asdict(row) for row in rows], "clips": clips})
    return text


def measure(side: Side) -> list[FusionFigures]:
    """Return every rule in every condition, on pairs of `side`."""
    rules: dict[str, Fusion | None] = {rule: shipped_fusion(rule=rule) for rule in RULES}
    rules |= {"face alone": None, "speech alone": None}
    work = [(case, rule) for case in cases(side) for rule in rules]
    return [
        figures(case, rule, rules[rule])
        for case, rule in tqdm(work, desc="rules", leave=False)
        if not (rule == "face alone" and case.face is None) and not (rule == "speech alone" and case.speech is None)
    ]


def cases(side: Side) -> Iterator[Case]:
    """Yield the pairs: emotions equally often but in the second case, of the same emotion but in the last two."""
    faces, voices = side.faces, side.voices
    face, voice = faces[CLEAN].labels, voices[CLEAN].labels
    rng = np.random.default_rng(SEED)
    one, other = draw_places(face, voice, PAIRS, rng)
    truth = face[one]
    clean = faces[CLEAN].take(one), voices[CLEAN].take(other)
    yield Case("as they are", *clean, truth)
    common = rng.permutation(np.flatnonzero(np.isin(face, voice)))[:PAIRS]
    spoken = np.array([rng.choice(np.flatnonzero(voice == emotion)) for emotion in face[common]])
    yield Case("emotions as often as in FER+", faces[CLEAN].take(common), voices[CLEAN].take(spoken), face[common])
    yield Case("bad face", faces["bad"].take(one), clean[1], truth)
    yield Case("voice at 0 dB", clean[0], voices["0 dB"].take(other), truth)
    yield Case("no face", None, clean[1], truth)
    yield Case("no voice", clean[0], None, truth)
    yield Case("bad face contradicts", faces["bad"].take(_others(face, truth, rng)), clean[1], truth)
    yield Case("voice at 0 dB contradicts", clean[0], voices["0 dB"].take(_others(voice, truth, rng)), truth)


def _others(labels: NDArray[np.int64], truth: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the index of an example of any other emotion for each truth, emotions equally often."""
    return np.array(
        [
            rng.choice(np.flatnonzero(labels == rng.choice([e for e in np.unique(labels) if e != emotion])))
            for emotion in truth
        ]
    )


def figures(case: Case, rule: str, fusion: Fusion | None) -> FusionFigures:
    """Return how right and how calibrated a rule is; `fusion` None: the modality that `rule` names, alone."""
    answers = [_answer(case, place, rule, fusion) for place in range(len(case.truth))]
    kept = np.array([answer is not None for answer in answers])
    probabilities = np.stack([answer for answer in answers if answer is not None])
    truth = case.truth[kept]
    chosen = probabilities.argmax(axis=1)
    return FusionFigures(
        condition=case.condition,
        rule=rule,
        n=len(truth),
        accuracy=float((chosen == truth).mean()),
        uar=unweighted_recall(chosen, truth),
        ece=expected_calibration_error(probabilities, truth),
    )


def _answer(case: Case, place: int, rule: str, fusion: Fusion | None) -> NDArray[np.float32] | None:
    """Return the fused distribution of one pair; sound in which the device hears no voice counts as missing."""
    there = {name: one for name, one in (("face", case.face), ("speech", case.speech)) if one is not None}
    there = {name: one for name, one in there.items() if one.heard(place)}
    distributions = {name: one.probabilities[place] for name, one in there.items()}
    if fusion is None:
        return distributions.get(rule.removesuffix(" alone"))
    return fusion(distributions, {name: one.measured(place) for name, one in there.items()})


def clip_figures(data: Path, yunet: Path | None) -> Clips:
    """Return what each rule makes of each real clip; an empty list if there are none."""
    clips = real_clips.find_clips(data)
    found: Clips = []
    for rule in RULES if clips else ():
        readings = real_clips.play(list(clips), rule, yunet)
        found += [_clip(path, clips[path], rule, one) for path, readings_of in readings.items() for one in readings_of]
    return found


def _clip(path: Path, truth: int, rule: Rule, reading: Reading) -> dict[str, object]:
    return {
        "clip": path.name,
        "rule": rule,
        "truth": EMOTIONS[truth],
        "face": reading.face and reading.face.emotion,
        "speech": reading.speech and reading.speech.emotion,
        "fused": reading.fused and reading.fused.emotion,
        "confidence": reading.fused and round(reading.fused.confidence, 3),
    }
