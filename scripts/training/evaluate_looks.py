"""`scripts/evaluate looks`: how often the cloud should look at each of several crops of one face."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from cloud.inference.full import GLANCE_FROM, FullModels
from training import report
from training.errors import TrainingError
from training.faces import load_faces
from training.models import FOLDERS
from training.robustness_face import jitter
from training.splits import calibration_half

CROPS = (1, 2, 3)
"""From one on, each once more than the last."""
OFF_PERCENT, TILT_DEGREES = 5.0, 4.0
SEED = 61
BATCH = 50

DESCRIPTION = """\
The cloud's face model on several crops of each face of FER2013 PublicTest, FER+ majorities, both halves apart: each
crop as from a box off by up to 5 % and tilted by up to 4 degrees, their probabilities averaged as the service does.
Once with all the looks of the model at each crop, once with the glance that crops get where there are many. The crops
of a real window differ more than these: people move, blink and speak. Some minutes."""

HEAD = ("crops", "looks", "calibration half", "held-back half", "CPU ms for all crops")


@dataclass(frozen=True)
class Row:
    """So many crops of each face, each looked at in one way."""

    crops: int
    glance: bool
    calibration: float
    held_back: float
    """Accuracy on each half."""
    cpu_ms: float


def main(arguments: Sequence[str]) -> str:
    """Measure; return what is to be printed."""
    options = report.parse("looks", DESCRIPTION, arguments)
    faces = load_faces(options.data, "validation")
    clear = faces.majority >= 0
    if not clear.any():
        raise TrainingError(f"no image in {options.data} has a FER+ majority: nothing to measure on")
    faces = faces.take(clear)
    models = FullModels(FOLDERS["full"], threads=os.cpu_count() or 1)
    rows = measure(models, faces.images, faces.majority, calibration_half(faces.groups))
    if options.docs:
        report.write_docs("looks", _text(rows, len(faces), report.markdown))
    if options.json:
        return json.dumps([asdict(row) for row in rows])
    return _text(rows, len(faces), report.plain)


def measure(
    models: FullModels, images: NDArray[np.uint8], truth: NDArray[np.int64], calibration: NDArray[np.bool_]
) -> list[Row]:
    """Return the rows for `images` (N, 48, 48), their labels (N,), and a mask (N,) of the calibration half."""
    rng = np.random.default_rng(SEED)
    labels = len(models.manifest.model("face").outputs[0].labels)
    ways = [_Way(glance, np.zeros((len(images), labels))) for glance in (False, True)]
    rows = []
    for number in tqdm(CROPS, desc="crops of each face", leave=False):
        crops = jitter(images, OFF_PERCENT, rng, tilt_degrees=TILT_DEGREES)
        for start in range(0, len(crops), BATCH):
            for way in ways:  # in turns, so that what else the machine does hits both alike
                way.judge(models, crops, slice(start, start + BATCH))
        rows += [way.row(number, truth, calibration) for way in ways]
    return rows


@dataclass
class _Way:
    """One way of looking, and what came of it so far."""

    glance: bool
    sums: NDArray[np.float64]
    """(N, 7) probabilities of all crops of each face, added up."""
    spent_s: float = 0.0

    def judge(self, models: FullModels, crops: NDArray[np.uint8], part: slice) -> None:
        before = time.process_time()
        self.sums[part] += models.faces(crops[part], glance=self.glance)
        self.spent_s += time.process_time() - before

    def row(self, crops: int, truth: NDArray[np.int64], calibration: NDArray[np.bool_]) -> Row:
        right = self.sums.argmax(axis=1) == truth
        each_ms = 1000 * self.spent_s / len(truth)
        return Row(crops, self.glance, float(right[calibration].mean()), float(right[~calibration].mean()), each_ms)


def _text(rows: Sequence[Row], count: int, table: report.Table) -> str:
    cells = [
        (
            str(row.crops),
            "a glance" if row.glance else "all",
            f"{row.calibration:.1%}",
            f"{row.held_back:.1%}",
            f"{row.cpu_ms:.1f}",
        )
        for row in rows
    ]
    return (
        f"{count:,} faces; the service gives a glance to each of {GLANCE_FROM} crops or more.\n\n{table(HEAD, cells)}"
    )
