"""How the validation data are divided: one half to calibrate and to watch training by, the other held back.

The held-back half is read only when a model is exported, to report how good it is; nothing is chosen on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CALIBRATION_SPEAKERS = ("ravdess_18", "ravdess_19")
"""The other two validation speakers, 20 and 21, are held back: one man and one woman in each half."""


def calibration_half(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask (N,) of about half of the examples, whole groups together, the same every time."""
    names = np.unique(groups)
    shuffled = np.random.default_rng(20260101).permutation(names)
    return np.isin(groups, shuffled[: len(names) // 2])
