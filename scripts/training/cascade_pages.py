"""The cascade's figures as tables: for people at a terminal, and for docs/results.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.perception.manifest import Gate
from training.cascade import DRAWS, PAIRS, Curve
from training.cascade_checks import SPLITS, Comparison, Kept
from training.fusion_fit import SEED

UNITS = {"face": "groups of identical pictures", "speech": "speakers", "fused": "speakers"}


@dataclass(frozen=True)
class Report:
    """Everything that was measured. `held_back` and `kept` are empty for packs that no gate was fitted on."""

    sources: dict[str, str]
    """Modality -> name of the pack."""
    whole: list[Curve]
    held_back: list[Curve]
    comparisons: list[Comparison]
    gates: list[Gate]
    kept: list[Kept]


def as_text(report: Report) -> str:
    """Return the report for a terminal."""
    return as_markdown(report).replace("**", "")


def as_markdown(report: Report) -> str:
    """Return the report as it stands in docs/results.md."""
    parts = [
        _what(report),
        curve_table(report.whole),
        goals_table(report.whole),
    ]
    if report.held_back:
        parts += [
            "On the halves that nothing was calibrated on, alone:",
            curve_table(report.held_back),
            goals_table(report.held_back),
        ]
    if report.kept:
        parts += ["The gate as it ships, at its threshold, on the held-back halves:", kept_table(report)]
    if report.comparisons:
        parts += [
            f"Tried instead, fitted on one half and tried on the other, over {SPLITS} seeded random halves:",
            _comparison_lines(report.comparisons),
        ]
    return "\n\n".join(parts)


def _what(report: Report) -> str:
    sources = "; ".join(f"{modality}: {name}" for modality, name in report.sources.items())
    return (
        f"Measured on {sources}. Faces by FER+ majority, `calm` counted as neutral. `fused`: {PAIRS} pairs of face and "
        f"voice of strangers with the same emotion (seed {SEED}), which flatters fusion. Brackets: 95 % bootstrap "
        f"intervals, {DRAWS} draws of whole {_units(report.whole)}. With few speakers they are rough, and too narrow."
    )


def curve_table(curves: Sequence[Curve]) -> str:
    """Return accuracies over the share offloaded."""
    rows = [["device alone", *(_figure(each.device, each.device_interval) for each in curves)]]
    for index, share in enumerate(curves[0].shares):
        rows.append([f"{share:.0%} offloaded", *(_figure(c.accuracy[index], c.intervals[index]) for c in curves)])
    rows.append(["cloud alone", *(_figure(each.cloud, each.cloud_interval) for each in curves)])
    return _table(["", *(f"{each.modality}, n = {each.n}" for each in curves)], rows)


def goals_table(curves: Sequence[Curve]) -> str:
    """Return what is reached at the shares that the goals name, and from which share on the goals stay reached."""
    rows = [
        ["accuracy at 25 % offloaded, of the cloud's", "99 %", *(f"{_at(c, 0.25) / c.cloud:.1%}" for c in curves)],
        ["gap closed at 35 % offloaded", "95 %", *(_closed(c, 0.35) for c in curves)],
        ["share from which on 99 % stay reached", "25 %", *(_reached(each.near_cloud) for each in curves)],
        ["share from which on 95 % of the gap stay closed", "35 %", *(_reached(each.gap_closed) for each in curves)],
        [
            "cloud minus device, points",
            "",
            *(f"{100 * (c.cloud - c.device):+.1f} ({100 * c.gain[0]:+.1f} to {100 * c.gain[1]:+.1f})" for c in curves),
        ],
    ]
    return _table(["", "goal", *(each.modality for each in curves)], rows)


def _at(curve: Curve, share: float) -> float:
    return curve.accuracy[curve.shares.index(share)]


def _closed(curve: Curve, share: float) -> str:
    gap = curve.cloud - curve.device
    return f"{(_at(curve, share) - curve.device) / gap:.0%}" if gap > 0 else "no gap"


def kept_table(report: Report) -> str:
    """Return what the gates promise, and what they keep of examples they were not fitted on."""
    rows = []
    for gate, kept in zip(report.gates, report.kept, strict=True):
        threshold = "not reached" if gate.threshold is None else f"{gate.threshold:.3f}"
        bound = "-" if gate.bound is None else f"{gate.bound:.1%}"
        error = "-" if kept.error is None else f"{kept.error:.1%}"
        rows.append(
            [
                gate.modalities,
                f"{gate.n} {gate.unit}"
                + (f" (worth {gate.n / gate.design_effect:.0f})" if gate.design_effect > 1 else ""),
                threshold,
                bound,
                f"{gate.coverage:.1%}",
                f"{kept.coverage:.1%} of {kept.n}",
                error,
                f"{kept.cascade:.1%}",
            ]
        )
    head = ["modalities", "fitted on", "threshold", "bound", "keeps", "held back: keeps", "of these wrong", "cascade"]
    return _table(head, rows)


def _comparison_lines(comparisons: Sequence[Comparison]) -> str:
    lines = [
        f"- {each.modality}, {each.what}: {each.mean:+.2f} points, standard deviation {each.deviation:.2f}: "
        + ("**better.**" if each.better else "no better than what ships.")
        for each in comparisons
    ]
    return "\n".join(lines)


def _units(curves: Sequence[Curve]) -> str:
    return ", ".join(f"{each.clusters} {UNITS[each.modality]} ({each.modality})" for each in curves)


def _figure(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.1%} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"


def _reached(share: float | None) -> str:
    return "no gap" if share is None else f"{share:.1%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
