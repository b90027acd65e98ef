"""How the validation data are divided: one half to calibrate and to watch training by, the other held back.

The held-back half is read only when a model is exported, to report how good it is; nothing is chosen on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CALIBRATION_SPEAKERS = ("ravdess_18", "ravdess_19")
"""The other two validation speakers, 20 and 21, are held back: one man and one woman in each half."""

FOLDS = 4
"""Of the training speakers, for nets that each leave one fold out."""

TRAINING_ACTORS = range(2, 18)
"""Of RAVDESS; odd numbers are men."""


def fold_speakers(fold: int) -> frozenset[str]:
    """Return the four training speakers, two women and two men, of a fold, 1 to 4; none for 0.

    A net that never heard them tells how nets do on strangers, on eight times as many as CALIBRATION_SPEAKERS.
    """
    if fold == 0:
        return frozenset()
    size = len(TRAINING_ACTORS) // FOLDS
    return frozenset(f"ravdess_{actor:02}" for actor in TRAINING_ACTORS[(fold - 1) * size : fold * size])


def calibration_half(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask (N,) of about half of the examples, whole groups together, the same every time."""
    names = np.unique(groups)
    shuffled = np.random.default_rng(20260101).permutation(names)
    return np.isin(groups, shuffled[: len(names) // 2])
