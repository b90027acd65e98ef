"""`scripts/evaluate places`: how fusion does where emotions are otherwise frequent than in the pairs it was fitted on.

Cross-validation on the calibration half: fitted on two thirds of its faces and voices, tried on the third left over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from tqdm import tqdm

from edge.emotions import EMOTIONS
from training import report
from training.fusion_data import CLEAN, Side, shipped_side
from training.fusion_fit import draw_frequent_places, draw_places, draw_shared_places
from training.rules_fit import EQUALLY_FREQUENT, PAIRS, fit_pooling, mixed_pairs

NAMES = {"edge": "device", "full": "cloud"}
THIRDS = 3
TRIED = 3000
SEED = 61

CALM_PLACE = {"angry": 2, "disgust": 1, "fear": 1, "happy": 12, "sad": 3, "surprise": 1, "neutral": 80}
"""In %, an assumption: nobody has counted them in a car."""

PLACES = ("equal", "as in FER+", "calm")
CONDITIONS = (CLEAN, "bad")
"""Of the faces; voices are as they are."""

DESCRIPTION = f"""\
Log-linear pooling, fitted on pairs of strangers in which emotions are equally frequent, as frequent as among FER+'s
faces, or both, and with or without the power c of these frequencies (edge/fusion.py). Cross-validated in thirds of the
calibration half, and tried in three kinds of place: all emotions equally frequent; as in FER+; and calm,
{CALM_PLACE["neutral"]} % neutral and {CALM_PLACE["happy"]} % happy. On faces as they are, and on bad ones."""


@dataclass(frozen=True)
class Way:
    """A way to fit."""

    name: str
    equally: int
    """Of `PAIRS`, those in which emotions are equally frequent."""
    discounting: bool = True


WAYS = (
    Way("equal, without c", PAIRS, discounting=False),
    Way("as in FER+, without c", 0, discounting=False),
    Way("as in FER+", 0),
    Way(f"one in {PAIRS // EQUALLY_FREQUENT} equal (ships)", EQUALLY_FREQUENT),
    Way("half equal", PAIRS // 2),
    Way("equal", PAIRS),
)


@dataclass(frozen=True)
class Row:
    """Accuracy of a way to fit in one kind of place, over all thirds."""

    model: str
    way: str
    twice: float
    """c, the mean of the thirds' fits."""
    place: str
    condition: str
    n: int
    accuracy: float


def main(arguments: Sequence[str]) -> str:
    """Measure; return what is to be printed."""
    options = report.parse("places", DESCRIPTION, arguments)
    rows = [
        row
        for arch, name in NAMES.items()
        for row in measure(name, shipped_side(arch, options.data, "calibration"), WAYS)
    ]
    if options.docs:
        report.write_docs("places", _text(rows, report.markdown))
    return json.dumps([asdict(row) for row in rows]) if options.json else _text(rows, report.plain)


def measure(model: str, side: Side, ways: Sequence[Way]) -> list[Row]:
    """Return a row for each way, place and condition, on pairs of `side`; seeded."""
    right: dict[tuple[Way, str, str], list[NDArray[np.bool_]]] = {}
    twice: dict[Way, list[float]] = {way: [] for way in ways}
    for fitting, held in _thirds(side):
        for way in tqdm(ways, desc=f"{model}: fits", leave=False):
            pooling = fit_pooling(fitting, mixed_pairs(fitting, way.equally, seed=SEED), discounting=way.discounting)
            twice[way].append(pooling.twice)
            for place in PLACES:
                faces, voices = draw(held, place, np.random.default_rng(SEED))
                for condition in CONDITIONS:
                    pairs = held.faces[condition].take(faces), held.voices[CLEAN].take(voices)
                    chosen = pooling(pairs).argmax(axis=-1)
                    right.setdefault((way, place, condition), []).append(chosen == pairs[0].labels)
    return [
        Row(
            model=model,
            way=way.name,
            twice=float(np.mean(twice[way])),
            place=place,
            condition=condition,
            n=sum(map(len, each)),
            accuracy=float(np.concatenate(each).mean()),
        )
        for (way, place, condition), each in right.items()
    ]


def draw(side: Side, place: str, rng: Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of `TRIED` faces and voices, with emotions as frequent as in this kind of place."""
    face, voice = side.faces[CLEAN].labels, side.voices[CLEAN].labels
    if place == "equal":
        return draw_places(face, voice, TRIED, rng)
    if place == "as in FER+":
        return draw_frequent_places(face, voice, TRIED, rng)
    return draw_shared_places(face, voice, [CALM_PLACE[emotion] / 100 for emotion in EMOTIONS], TRIED, rng)


def _thirds(side: Side) -> Iterator[tuple[Side, Side]]:
    """Yield two thirds of the examples and the third that is left over, in turn."""
    rng = np.random.default_rng(SEED)
    faces, voices = (rng.permutation(len(part[CLEAN].labels)) % THIRDS for part in (side.faces, side.voices))
    for third in range(THIRDS):
        yield _part(side, faces != third, voices != third), _part(side, faces == third, voices == third)


def _part(side: Side, faces: NDArray[np.bool_], voices: NDArray[np.bool_]) -> Side:
    one, other = np.flatnonzero(faces), np.flatnonzero(voices)
    return Side(
        {name: judged.take(one) for name, judged in side.faces.items()},
        {name: judged.take(other) for name, judged in side.voices.items()},
    )


def _text(rows: Sequence[Row], table: report.Table) -> str:
    """Return a table for each model: a line for each way to fit, a column for each kind of place."""
    parts = []
    for model in NAMES.values():
        at = {(row.way, row.place, row.condition): row for row in rows if row.model == model}
        cells = [
            (way.name, f"{at[way.name, PLACES[0], CLEAN].twice:.2f}", *(_cell(at, way, place) for place in PLACES))
            for way in WAYS
        ]
        parts.append(table((f"{model}, fitted on", "c", *PLACES), cells))
    first = rows[0]
    return f"Accuracy in %, faces as they are / bad faces; {first.n:,} pairs of strangers each.\n\n" + "\n\n".join(
        parts
    )


def _cell(at: dict[tuple[str, str, str], Row], way: Way, place: str) -> str:
    return " / ".join(f"{100 * at[way.name, place, condition].accuracy:.1f}" for condition in CONDITIONS)
