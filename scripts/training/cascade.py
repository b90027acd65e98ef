"""The cascade's curve: how accurate device and cloud are together, over the share of windows that go to the cloud.

The device ranks its answers by what asking is worth (`edge.perception.manifest.Gate.worth`), which it knows without
labels; the cloud's verdict supersedes the device's answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.perception.manifest import Gate, Manifest
from training.answers import Answers
from training.errors import TrainingError
from training.fusion_data import fusion_of
from training.fusion_fit import draw_pairs
from training.gate_fit import fused

SHARES = tuple(round(0.05 * step, 2) for step in range(1, 11))
PAIRS = 1000
"""Face and voice of the same emotion, drawn with replacement, emotions equally often; the seed is fusion_fit.SEED."""

DRAWS = 500
"""Bootstrap samples."""

NEAR_CLOUD, GAP_CLOSED = 0.99, 0.95


@dataclass(frozen=True)
class Curve:
    """Accuracies of one modality; intervals are 95 % bootstrap intervals over independent groups of examples."""

    modality: str
    n: int
    clusters: int
    """Groups that were resampled: pictures, speakers."""
    device: float
    cloud: float
    shares: tuple[float, ...]
    accuracy: tuple[float, ...]
    """At each of `shares`."""
    device_interval: tuple[float, float]
    cloud_interval: tuple[float, float]
    intervals: tuple[tuple[float, float], ...]
    gain: tuple[float, float]
    """Interval of cloud minus device: where it includes 0, no gap is proved that a cascade could close."""
    near_cloud: float
    """Smallest share offloaded from which on the accuracy stays at 99 % of the cloud's, or above."""
    gap_closed: float | None
    """Smallest share from which on 95 % of the gap stays closed; None where the cloud is no better."""


def pair_up(face: Answers, speech: Answers, device: Manifest, cloud: Manifest) -> Answers:
    """Return the fused answers to seeded pairs of strangers."""
    faces, voices = draw_pairs(face, speech, PAIRS)
    if not isinstance(faces, Answers) or not isinstance(voices, Answers):
        raise TypeError("draw_pairs lost what the cloud says")
    return fused(faces, voices, fusion_of(device), fusion_of(cloud))


def gate_of(manifest: Manifest, modality: str) -> Gate:
    """Return the gate of `face`, `speech` or `fused`. Raises TrainingError if the manifest has none."""
    name = "face+speech" if modality == "fused" else modality
    for gate in manifest.gates:
        if gate.modalities == name:
            return gate
    raise TrainingError(f"the device's manifest has no gate for {name}: scripts/train gates makes it")


def worths(answers: Answers, gate: Gate) -> NDArray[np.float64]:
    """Return what asking is worth, (N,), as the device reckons it."""
    return np.array([gate.worth(float(confidence)) for confidence in answers.confidence])


def curve(modality: str, answers: Answers, worth: NDArray[np.floating]) -> Curve:
    """Return the curve when the cloud is asked in the order of `worth`, (N,), largest first."""
    order = np.argsort(-worth, kind="stable")
    device, cloud = answers.correct[order], answers.cloud_correct[order]
    every = np.arange(len(order) + 1) / len(order)
    ones = np.ones(len(order))
    whole = accuracies(device, cloud, ones, every)
    draws = np.stack([_row(device, cloud, weight) for weight in _resampled(answers.groups[order])])
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    gap = np.quantile(draws[:, 1] - draws[:, 0], [0.025, 0.975])
    mean_device, mean_cloud = float(device.mean()), float(cloud.mean())
    return Curve(
        modality=modality,
        n=len(order),
        clusters=len(np.unique(answers.groups)),
        device=mean_device,
        cloud=mean_cloud,
        shares=SHARES,
        accuracy=tuple(float(value) for value in accuracies(device, cloud, ones, np.array(SHARES))),
        device_interval=(float(low[0]), float(high[0])),
        cloud_interval=(float(low[1]), float(high[1])),
        intervals=tuple((float(a), float(b)) for a, b in zip(low[2:], high[2:], strict=True)),
        gain=(float(gap[0]), float(gap[1])),
        near_cloud=_from_on(every, whole >= NEAR_CLOUD * mean_cloud),
        gap_closed=_from_on(every, whole >= mean_device + GAP_CLOSED * (mean_cloud - mean_device))
        if mean_cloud > mean_device
        else None,
    )


def accuracies(
    device: NDArray[np.bool_], cloud: NDArray[np.bool_], weight: NDArray[np.floating], shares: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the accuracy at each share; (N,) outcomes in the order of being asked, and how much each counts."""
    counted = np.concatenate([[0.0], np.cumsum(weight)])
    gained = np.concatenate([[0.0], np.cumsum(weight * (cloud.astype(float) - device))])
    asked = np.searchsorted(counted, shares * counted[-1] + 1e-9, side="right") - 1
    return np.asarray(((weight * device).sum() + gained[asked]) / counted[-1], dtype=np.float64)


def mean_accuracy(answers: Answers, worth: NDArray[np.floating]) -> float:
    """Return the accuracy averaged over `SHARES`: one number for how good an order of asking is."""
    order = np.argsort(-worth, kind="stable")
    device, cloud = answers.correct[order], answers.cloud_correct[order]
    return float(accuracies(device, cloud, np.ones(len(order)), np.array(SHARES)).mean())


def each_modality(
    face: Answers | None, speech: Answers | None, device: Manifest, cloud: Manifest
) -> dict[str, Answers]:
    """Return the answers per modality: `face`, `speech` and, with both, `fused`."""
    found = {name: one for name, one in (("face", face), ("speech", speech)) if one is not None}
    if face is not None and speech is not None:
        found["fused"] = pair_up(face, speech, device, cloud)
    return found


def curves(answers: dict[str, Answers], device: Manifest) -> list[Curve]:
    """Return a curve per modality, asked in the order of the shipped gates."""
    return [curve(name, one, worths(one, gate_of(device, name))) for name, one in answers.items()]


def _row(device: NDArray[np.bool_], cloud: NDArray[np.bool_], weight: NDArray[np.floating]) -> NDArray[np.float64]:
    ends = [np.average(each, weights=weight) for each in (device, cloud)]
    return np.concatenate([ends, accuracies(device, cloud, weight, np.array(SHARES))])


def _resampled(groups: NDArray[np.generic]) -> list[NDArray[np.float64]]:
    """Return `DRAWS` weights, (N,): how often each example's group was drawn, seeded."""
    rng = np.random.default_rng(0)
    names, place = np.unique(groups, return_inverse=True)
    drawn = [rng.integers(len(names), size=len(names)) for _ in range(DRAWS)]
    return [np.bincount(each, minlength=len(names)).astype(np.float64)[place] for each in drawn]


def _from_on(shares: NDArray[np.floating], reached: NDArray[np.bool_]) -> float:
    """Return the share from which on `reached` stays True, as it is at the last: a lucky peak before does not count."""
    return float(shares[len(reached) - np.argmin(reached[::-1])]) if not reached.all() else 0.0
