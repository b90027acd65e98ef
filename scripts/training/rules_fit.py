"""Fit the rules of `edge.fusion` on pairs of a face and a voice of the calibration half.

Half of the faces and half of the voices that the rules are fitted on were made worse, each by itself. How frequent
emotions are where a device will stand is not known: in one pair of five they are equally frequent, in four as frequent
as among the faces (docs/design.md, "Fusion, filter").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from edge import fusion_rules as rules
from edge.emotions import EMOTIONS
from edge.fusion import Fit, Fusion, reliability
from edge.fusion_rules import Early, Linear
from edge.perception.vad import VOICED_SHARE_MIN
from training.calibrate import negative_log_likelihood, softmax
from training.fusion_data import CLEAN, FACES, VOICES, Measured, Side
from training.fusion_fit import SEED, draw_frequent_places, draw_places

PAIRS = 12_000
EQUALLY_FREQUENT = PAIRS // 5
PULL = 0.01
"""Of every parameter towards what it would be if nothing were known: squared distance, in nats."""
EARLY_PULL = 0.003
"""Of the regression's weights towards 0."""

UNITS = {"quality": 1.0, "voiced_share": 1.0, "snr_db": 10.0, "confidence": 1.0, "entropy": 1.0}
"""What a slope is counted in while it is fitted, so that the pull treats all alike."""
TWICE = (0.0, 2.0)
"""Bounds of c, how much of the emotions' frequency counts more often than once (`edge.fusion`)."""
MEASURES = {"face": ("quality",), "speech": ("voiced_share", "snr_db")}

Floats = NDArray[np.floating]
Pairs = tuple[Measured, Measured]


@dataclass(frozen=True)
class Pooling:
    """Log-linear pooling, of many pairs at once. `edge.fusion` is the same for one window."""

    weights: dict[str, float]
    reliability: dict[str, Linear]
    """By modality."""
    twice: float
    """c in `edge.fusion`: how much of the emotions' frequency the modalities count more often than once."""
    frequency: Floats
    """log π, (7,), less its mean."""

    @property
    def offset(self) -> tuple[float, ...]:
        """What `edge.fusion.Fit` has of it."""
        return tuple(round(float(value), 4) for value in -self.twice * self.frequency)

    def __call__(self, pairs: Pairs) -> Floats:
        """Return the fused distributions (N, 7) of N pairs."""
        judged = dict(zip(MEASURES, pairs, strict=True))
        exponents = {
            name: self.weights[name] * reliability(self.reliability[name], _known(one, self.reliability[name].typical))
            for name, one in judged.items()
        }
        return rules.log_linear(
            {name: one.probabilities for name, one in judged.items()}, exponents, -self.twice * self.frequency
        )


@dataclass(frozen=True)
class Fitted:
    """All that the manifest needs to fuse: `fusion_weights` and `fusion`."""

    weights: dict[str, float]
    fit: Fit

    def fusion(self) -> Fusion:
        """Return the rule that ships."""
        return Fusion("log-linear", self.weights, self.fit)


def mixed_pairs(side: Side, equally: int = EQUALLY_FREQUENT, *, seed: int) -> Pairs:
    """Return `PAIRS` pairs of the same emotion, or fewer: only those that are seen and heard at all.

    In `equally` of them emotions are equally frequent, in the others as frequent as among the faces.
    """
    rng = np.random.default_rng(seed)
    labels = side.faces[CLEAN].labels, side.voices[CLEAN].labels
    parts = draw_places(*labels, equally, rng), draw_frequent_places(*labels, PAIRS - equally, rng)
    faces, voices = (np.concatenate(places) for places in zip(*parts, strict=True))
    face = _mixed(side.faces, faces, (CLEAN, CLEAN, *FACES), rng)
    voice = _mixed(side.voices, voices, (CLEAN, CLEAN, *VOICES), rng)
    heard = np.flatnonzero(voice.measures["voiced_share"] >= VOICED_SHARE_MIN)
    return face.take(heard), voice.take(heard)


def _mixed(
    by_condition: dict[str, Measured], places: NDArray[np.int64], names: Sequence[str], rng: Generator
) -> Measured:
    which = rng.integers(len(names), size=len(places))
    parts = [by_condition[name].take(places) for name in names]
    rows = np.arange(len(places))

    def pick(columns: list[Floats]) -> Floats:
        return np.asarray(np.stack(columns)[which, rows])

    measures = {name: pick([part.measures[name] for part in parts]) for name in parts[0].measures}
    return Measured(pick([part.probabilities for part in parts]).astype(np.float32), parts[0].labels, measures)


def fit_fusion(calibration: Side) -> Fitted:
    """Return everything that the rules need, fitted by the likelihood of the true emotions; seeded."""
    pairs = mixed_pairs(calibration, seed=SEED)
    pooling = fit_pooling(calibration, pairs)
    truth = pairs[0].labels
    both = {name: one.probabilities for name, one in zip(MEASURES, pairs, strict=True)}
    typical = {name: linear.typical for name, linear in pooling.reliability.items()}
    measures = {name: _known(one, typical[name]) for name, one in zip(MEASURES, pairs, strict=True)}
    fit = Fit(
        seed=SEED,
        pairs=len(truth),
        reliability=_rounded(pooling.reliability),
        average=_fit_average(both, truth),
        attention=_fit_attention(both, measures, typical, truth),
        early=_fit_early(both, truth),
        offset=pooling.offset,
    )
    return Fitted({name: round(weight, 3) for name, weight in pooling.weights.items()}, fit)


def fit_pooling(calibration: Side, pairs: Pairs, *, discounting: bool = True) -> Pooling:
    """Return log-linear pooling as `pairs` of `calibration` have it; without `discounting` c is 0.

    Better measures never make a modality less reliable: slopes are not below 0.
    """
    clean = dict(zip(MEASURES, (calibration.faces[CLEAN], calibration.voices[CLEAN]), strict=True))
    typical = {name: _typical(judged) for name, judged in clean.items()}
    frequency = np.log(1 + np.bincount(clean["face"].labels, minlength=len(EMOTIONS)))
    frequency -= frequency.mean()
    count = {name: 2 + len(keys) for name, keys in MEASURES.items()}  # logarithm of the weight, bias, slopes
    start = np.concatenate([*([0.0, 2.0, *[0.0] * len(keys)] for keys in MEASURES.values()), [0.0]])
    bounds = [bound for keys in MEASURES.values() for bound in [(-3.0, 1.5), (-8.0, 8.0), *[(0.0, 16.0)] * len(keys)]]
    bounds.append(TWICE if discounting else (0.0, 0.0))

    def unpack(values: Floats) -> Pooling:
        *each, twice = np.split(values, np.cumsum(list(count.values())))
        parts = dict(zip(MEASURES, each, strict=True))
        weights = {name: float(np.exp(part[0])) for name, part in parts.items()}
        linear = {name: _linear(part[1:], MEASURES[name], typical[name]) for name, part in parts.items()}
        return Pooling(weights, linear, float(twice[0]), frequency)

    return unpack(_most_likely(lambda values: unpack(values)(pairs), start, pairs[0].labels, bounds))


def _typical(judged: Measured) -> dict[str, float]:
    return {name: round(float(np.nanmedian(values)), 3) for name, values in judged.measures.items()}


def _known(judged: Measured, typical: dict[str, float]) -> dict[str, Floats]:
    """Return the measures, (N,) each, with what is typical in place of what could not be measured."""
    return {name: np.where(np.isnan(values), typical[name], values) for name, values in judged.measures.items()}


Both = dict[str, NDArray[np.float32]]
Seen = dict[str, dict[str, Floats]]
Typical = dict[str, dict[str, float]]


def _fit_average(both: Both, truth: NDArray[np.int64]) -> dict[str, float]:
    def loss(share: float) -> float:
        return negative_log_likelihood(rules.average(both, {"face": share, "speech": 1 - share}), truth)

    share = round(float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded").x), 3)
    return {"face": share, "speech": round(1 - share, 3)}


def _fit_attention(both: Both, measures: Seen, typical: Typical, truth: NDArray[np.int64]) -> dict[str, Linear]:
    names = {name: ("confidence", "entropy", *MEASURES[name]) for name in both}
    ends = np.cumsum([1 + len(names[name]) for name in both])

    def unpack(values: Floats) -> dict[str, Linear]:
        parts = zip(both, np.split(values, ends[:-1]), strict=True)
        return {name: _linear(part, names[name], typical[name]) for name, part in parts}

    def pooled(values: Floats) -> Floats:
        return rules.attention(both, unpack(values), measures)

    return _rounded(unpack(_most_likely(pooled, np.zeros(ends[-1]), truth, None)))


def _most_likely(
    pooled: Callable[[Floats], Floats],
    start: Floats,
    truth: NDArray[np.int64],
    bounds: Sequence[tuple[float, float]] | None,
) -> Floats:
    def loss(values: Floats) -> float:
        return negative_log_likelihood(pooled(values), truth) + PULL * float(((values - start) ** 2).mean())

    return np.asarray(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def _linear(values: Floats, names: Sequence[str], typical: dict[str, float]) -> Linear:
    slopes = {name: float(slope) / UNITS[name] for name, slope in zip(names, values[1:], strict=True)}
    return Linear(float(values[0]), slopes, {name: typical[name] for name in slopes if name in typical})


def _rounded(linear: dict[str, Linear]) -> dict[str, Linear]:
    return {
        name: Linear(round(one.bias, 4), {key: round(slope, 4) for key, slope in one.slopes.items()}, one.typical)
        for name, one in linear.items()
    }


def _fit_early(both: Both, truth: NDArray[np.int64]) -> Early:
    inputs = np.concatenate([rules.centred(p) for p in both.values()], axis=1)
    inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    targets = np.eye(len(EMOTIONS))[truth]
    shape = (inputs.shape[1], len(EMOTIONS))

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        answers = softmax(inputs @ weights)
        slope = inputs.T @ (answers - targets) / len(truth) + 2 * EARLY_PULL * weights
        return negative_log_likelihood(answers, truth) + EARLY_PULL * float((weights**2).sum()), slope.ravel()

    best = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B").x.reshape(shape).round(4)
    rows = tuple(tuple(float(value) for value in row) for row in best[:-1])
    return Early(tuple(both), rows, tuple(float(value) for value in best[-1]))
