"""Fusing what the face and the voice say into one distribution. Pure.

Log-linear pooling: p(e) ∝ π(e)^-c · Π_m p_m(e)^(w_m · r_m), where w_m is the modality's learned weight and r_m in
[0, 1] its reliability in this window against a good one, learned from the quality of the face, the voiced share and the
signal-to-noise ratio of the sound. π is how frequent emotions are among faces: each modality's answer holds how
frequent it believes them to be, and what both hold would count twice; c is learned. A modality that is missing or
unreliable drops out instead of voting for neutral (Genest & Zidek 1986, "Combining Probability Distributions"). The
rules of the papers that Mien grew out of can be had instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge import fusion_rules as rules
from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.errors import ModelError
from edge.fusion_rules import Early, Linear

Rule = Literal["log-linear", "mean", "weighted", "vote", "product", "attention", "early"]
RULES: tuple[Rule, ...] = get_args(Rule)
DEFAULT_RULE: Rule = "log-linear"
FITTED_RULES: tuple[Rule, ...] = ("weighted", "attention", "early")
"""What needs a manifest with `fusion` in it."""

Measures = Mapping[str, Mapping[str, float]]
"""By modality, what was measured of it in this window: `quality` of the face in [0, 1]; of speech `voiced_share` in
[0, 1] and `snr_db`. What is not known is left out."""


Offset = Annotated[tuple[float, ...], msgspec.Meta(min_length=len(EMOTIONS), max_length=len(EMOTIONS))]


class Fit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What training fitted besides the weights, on pairs of a face and a voice of the same emotion.

    It stands as `fusion` in the manifest. The maps are by modality.
    """

    seed: int
    pairs: int
    reliability: dict[str, Linear]
    """Log-linear pooling: what `reliability` makes of it."""
    average: dict[str, float]
    """Of the weighted average."""
    attention: dict[str, Linear]
    early: Early
    offset: Offset | None = None
    """Log-linear pooling of several modalities: -c·log π, by emotion, less its mean; None in older releases."""


def fold_calm(speech: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a 7-way distribution from the 8-way speech one: calm counts as neutral. Shapes (..., 8) -> (..., 7)."""
    folded = speech[..., : len(EMOTIONS)].copy()
    folded[..., EMOTIONS.index("neutral")] += speech[..., SPEECH_EMOTIONS.index("calm")]
    return folded


def fuse(
    distributions: Mapping[str, NDArray[np.float32]],
    weights: Mapping[str, float],
    reliabilities: Mapping[str, float],
    offset: Offset | None = None,
) -> NDArray[np.float32] | None:
    """Pool the modalities' 7-way distributions log-linearly into one of shape (7,); None if there is none.

    `weights` are the manifest's `fusion_weights`; `reliabilities` are in [0, 1], 1 where a modality is not named;
    `offset` is that of `Fit`. A lone modality stays as it is: its exponent is brought to 1, and nothing counts twice.
    """
    if len(distributions) == 1:
        return next(iter(distributions.values()))
    exponents = {name: weights.get(name, 1.0) * reliabilities.get(name, 1.0) for name in distributions}
    kept = {name: distributions[name] for name, value in exponents.items() if value > 0.0}
    if len(kept) < 2:
        return next(iter(kept.values()), None)
    return rules.log_linear(kept, exponents, 0.0 if offset is None else offset).astype(np.float32)


def reliability(linear: Linear, measures: Mapping[str, Any]) -> rules.Floats:
    """Return the logistic of a linear function of the measures, (...), as a share of what is typical, 1 at most."""
    return np.minimum(1.0, rules.sigmoid(linear(measures)) / rules.sigmoid(linear({})))


class Fusion:
    """One rule with its parameters.

        fusion = Fusion("log-linear", manifest.fusion_weights, manifest.fusion)
        fusion({"face": face, "speech": fold_calm(speech)}, {"face": {"quality": 0.8}})

    `fit` is None where the manifest is of an older release: then reliabilities are the measures themselves. Raises
    ModelError if the rule needs more than such a manifest has.
    """

    def __init__(self, rule: Rule, weights: Mapping[str, float], fit: Fit | None) -> None:
        if fit is None and rule in FITTED_RULES:
            raise ModelError(
                f"the models' manifest has no parameters for fusion.rule = {rule!r}",
                fix="Install newer models, or choose log-linear, mean, vote or product.",
            )
        self.rule, self._weights, self._fit = rule, weights, fit

    def __call__(
        self, distributions: Mapping[str, NDArray[np.float32]], measures: Measures
    ) -> NDArray[np.float32] | None:
        """Return the fused distribution, (7,), of (7,) each; None of none. One alone stays as it is by any rule."""
        if self.rule == "log-linear":
            known = {name: measures.get(name, {}) for name in distributions}
            offset = None if self._fit is None else self._fit.offset
            return fuse(distributions, self._weights, self.reliabilities(known), offset)
        if len(distributions) < 2:
            return next(iter(distributions.values()), None)
        return self._combine(distributions, measures).astype(np.float32)

    def reliabilities(self, measures: Measures) -> dict[str, float]:
        """Return how far to rely on each modality, in [0, 1]; a face without quality or sound without a voice: 0."""
        found = {}
        for name, measured in measures.items():
            first = measured.get(_MAIN_MEASURE[name], 1.0)
            if self._fit is None or first <= 0.0:
                found[name] = max(0.0, first)
            else:
                found[name] = float(reliability(self._fit.reliability[name], measured))
        return found

    def _combine(self, distributions: Mapping[str, NDArray[np.float32]], measures: Measures) -> rules.Floats:
        if self.rule == "vote":
            return rules.vote(distributions)
        if self.rule == "product":
            return rules.product(distributions)
        if self._fit is None or self.rule == "mean":
            return rules.mean(distributions)
        if self.rule == "weighted":
            return rules.average(distributions, self._fit.average)
        if self.rule == "attention":
            return rules.attention(distributions, self._fit.attention, measures)
        return rules.early(distributions, self._fit.early)


_MAIN_MEASURE = {"face": "quality", "speech": "voiced_share"}
