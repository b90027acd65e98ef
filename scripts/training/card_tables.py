"""The parts of a model card that say for whom, and under what conditions, a model does worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import Output
from training import robustness, robustness_face, robustness_speech, verify
from training.examples import Half
from training.fairness import group_figures, groups_markdown
from training.packs import Pack

ROBUSTNESS_EXAMPLES = 400
"""At most so many of the held-back half are changed in two dozen ways: the cloud's face model is slow at it."""

ABOUT_CHANGES = (
    "The same examples changed in defined, seeded ways; `scripts/evaluate --robustness` does it for any pack, with a "
    "detector in between, too. Points lost are against the same examples unchanged."
)
ABOUT_NOISES = " The background noises also served in training, so their rows flatter."


def fairness_table(output: Output, logits: NDArray[np.float32], half: Half) -> str:
    """Return accuracy by group for the head `output`, the first, from `logits` (N, ...) of the shipped file."""
    truth = half.labels[output.name]
    known = truth >= 0
    probabilities = output.calibrate(logits[known, : len(output.labels)])
    return groups_markdown(
        {
            name: group_figures(
                probabilities,
                truth[known],
                _kept(groups, known),
                None if half.speakers is None else _kept(half.speakers, known),
            )
            for name, groups in half.groups.items()
        }
    )


def robustness_table(output: Output, path: Path, half: Half, noises: Sequence[NDArray[np.float32]]) -> str:
    """Return what changed conditions cost the first head `output` of the model file `path`."""
    truth = half.labels[output.name]
    known = np.flatnonzero(truth >= 0)
    some = known[:: max(1, math.ceil(len(known) / ROBUSTNESS_EXAMPLES))]

    def recognise(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        return output.calibrate(verify.run_shipped(path, inputs[:, np.newaxis])[:, : len(output.labels)])

    if half.sounds:
        rows = robustness_speech.robustness_figures(
            recognise,
            [half.sounds[index] for index in some],
            truth[some],
            speakers=None if half.speakers is None else [half.speakers[index] for index in some],
            noises=noises,
        )
    else:
        pack = Pack(half.inputs[some, 0], truth[some], None)
        rows = robustness_face.robustness_figures(recognise, pack)
    about = ABOUT_CHANGES + (ABOUT_NOISES if half.sounds and noises else "")
    return f"{about}\n\n{robustness.robustness_markdown(rows)}"


def _kept(values: Sequence[str], mask: NDArray[np.bool_]) -> list[str]:
    return [value for value, keep in zip(values, mask, strict=True) if keep]
