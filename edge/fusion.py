"""Fusing what the face and the voice say into one distribution. Pure.

Log-linear pooling: p(e) ∝ Π_m p_m(e)^(w_m · r_m), where w_m is the modality's learned weight and r_m in [0, 1] its
reliability in this window (quality of the face, voiced share of the sound). A modality that is missing or unreliable
drops out instead of voting for neutral (Genest & Zidek 1986, "Combining Probability Distributions").
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS

PROBABILITY_FLOOR = 1e-4
"""No modality may veto an emotion alone: log(0) would."""


def fold_calm(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a 7-way distribution from the 8-way speech one: calm counts as neutral. Shapes (..., 8) -> (..., 7)."""
    folded = speech[..., : len(EMOTIONS)].copy()
    folded[..., EMOTIONS.index("neutral")] += speech[..., SPEECH_EMOTIONS.index("calm")]
    return folded


def fuse(
    distributions: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, float],
    reliabilities: Mapping[str, float],
) -> NDArray[np.float32] | None:
    """Pool the modalities' 7-way distributions into one of shape (7,); None if there is none.

    `weights` are the manifest's `fusion_weights`; `reliabilities` are in [0, 1], 1 where a modality is not named. The
    exponents of a lone modality are brought to 1, so that fusing one modality leaves it as it is.
    """
    if len(distributions) == 1:
        return next(iter(distributions.values()))
    exponents = {name: weights.get(name, 1.0) * reliabilities.get(name, 1.0) for name in distributions}
    exponents = {name: value for name, value in exponents.items() if value > 0.0}
    if not exponents:
        return None
    if len(exponents) == 1:
        (name,) = exponents
        return distributions[name]
    pooled = sum(
        exponent * np.log(np.maximum(distributions[name], PROBABILITY_FLOOR)) for name, exponent in exponents.items()
    )
    weighted = np.exp(pooled - np.max(pooled))
    return np.asarray(weighted / weighted.sum(), dtype=np.float32)
