"""The figures of `scripts/evaluate fusion` as tables, and what is to be read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.fusion import RULES
from edge.perception.manifest import Manifest
from training import report

CLEAN, COMMON = "as they are", "emotions as often as in FER+"
BAD_FACE, CONTRADICTING_FACE, CONTRADICTING_VOICE = "bad face", "bad face contradicts", "voice at 0 dB contradicts"

MEASURING = ("log-linear", "attention")
"""Rules that look at what was measured of face and voice."""
BLIND = tuple(rule for rule in RULES if rule not in (*MEASURING, "early"))

Clips = list[dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class FusionFigures:
    """One rule in one condition."""

    condition: str
    rule: str
    n: int
    accuracy: float
    uar: float
    ece: float


@dataclass(frozen=True)
class Report:
    """Everything that was measured."""

    rows: Sequence[FusionFigures]
    clips: Clips
    detector: str
    """What found the faces in the clips."""
    manifest: Manifest
    pairs: int
    seed: int


def markdown(found: Report) -> str:
    """Return the tables, and what is to be read from them."""
    rows = found.rows
    conditions = list(dict.fromkeys(row.condition for row in rows))
    by = {(row.rule, row.condition): row for row in rows}
    rules = list(dict.fromkeys(row.rule for row in rows))
    counts = ", ".join(f"{n:,}" for n in sorted({row.n for row in rows}))
    fit = found.manifest.fusion
    fitted = "" if fit is None else f"; fitted on {fit.pairs:,} (seed {fit.seed})"
    about = (
        f"Accuracy / UAR in %, {found.pairs:,} pairs of strangers (seed {found.seed}; n = {counts}{fitted}). Emotions "
        "are drawn equally often, so that accuracy and UAR are one figure, but in the second column."
    )
    parts = [
        about,
        report.markdown(
            ["rule", *conditions],
            [[rule, *(_cell(by.get((rule, condition))) for condition in conditions)] for rule in rules],
        ),
        "Expected calibration error (15 bins) of the same:",
        report.markdown(
            ["rule", *conditions],
            [[rule, *(_ece(by.get((rule, condition))) for condition in conditions)] for rule in rules],
        ),
    ]
    if found.clips:
        words = f"Real clips, one person's face and voice, through `edge.replay`, faces found by {found.detector}:"
        parts += [words, _clip_table(found.clips)]
    parts.append("\n".join(f"- {line}." for line in findings(found)))
    return "\n\n".join(parts)


def findings(found: Report) -> list[str]:
    """Return what the figures say, in sentences that are true whatever the figures are."""
    at = {(row.rule, row.condition): row.accuracy for row in found.rows}
    errors = {row.rule: row.ece for row in found.rows if row.condition == CLEAN and row.rule in RULES}
    alone = " and ".join(f"{name} {at[name, CLEAN]:.1%}" for name in ("face alone", "speech alone"))
    lines = [f"Pairs as they are: {alone}, fused {_range(at, RULES, CLEAN)}"]
    lines.append(
        f"Calibration error of the same: log-linear pooling {errors['log-linear']:.3f}, all rules "
        f"{min(errors.values()):.3f} to {max(errors.values()):.3f}"
    )
    lines += [
        f"{condition.capitalize()}: rules that look at its quality ({', '.join(MEASURING)}) "
        f"{_range(at, MEASURING, condition)}, early fusion {at['early', condition]:.1%}, rules that look at "
        f"probabilities alone {_range(at, BLIND, condition)}"
        for condition in (BAD_FACE, CONTRADICTING_FACE)
    ]
    early, pooling = ([at[rule, condition] for condition in (CLEAN, COMMON)] for rule in ("early", "log-linear"))
    lines.append(
        f"Early fusion against log-linear pooling: {early[0]:.1%} against {pooling[0]:.1%} where emotions are equally "
        f"frequent, {early[1]:.1%} against {pooling[1]:.1%} where they are not"
    )
    others = [rule for rule in RULES if rule != "log-linear"]
    lines.append(
        f"A voice at 0 dB contradicts: log-linear pooling {at['log-linear', CONTRADICTING_VOICE]:.1%}, the other rules "
        + _range(at, others, CONTRADICTING_VOICE)
    )
    lines.append(_slopes(found.manifest))
    return lines + ([_clips_right(found.clips)] if found.clips else [])


def _range(at: dict[tuple[str, str], float], rules: Sequence[str], condition: str) -> str:
    values = [at[rule, condition] for rule in rules]
    return f"{min(values):.1%} to {max(values):.1%}"


def _slopes(manifest: Manifest) -> str:
    """Return whether the reliability of a voice depends on what is measured of it."""
    slopes = {} if manifest.fusion is None else manifest.fusion.reliability["speech"].slopes
    named = ", ".join(f"{name} {slope:g}" for name, slope in slopes.items())
    nothing = "" if any(slopes.values()) else ": nothing was learned from them"
    return f"Slopes of the reliability of a voice on what is measured of it: {named}{nothing}"


def _clips_right(clips: Clips) -> str:
    names = {clip["clip"] for clip in clips}
    right = [sum(clip["rule"] == rule and clip["fused"] == clip["truth"] for clip in clips) for rule in RULES]
    often = f"{min(right)}" if min(right) == max(right) else f"{min(right)} to {max(right)}"
    return f"Real clips: the rules are right on {often} of {len(names)}"


def _cell(row: FusionFigures | None) -> str:
    if row is None:
        return ""
    accuracy, uar = f"{100 * row.accuracy:.1f}", f"{100 * row.uar:.1f}"
    return accuracy if accuracy == uar else f"{accuracy} / {uar}"


def _ece(row: FusionFigures | None) -> str:
    return "" if row is None else f"{row.ece:.3f}"


def _clip_table(clips: Clips) -> str:
    names = list(dict.fromkeys(str(clip["clip"]) for clip in clips))
    first = {name: next(clip for clip in clips if clip["clip"] == name) for name in names}
    lines = [["truth", *(str(first[name]["truth"]) for name in names), ""]]
    for alone in ("face", "speech"):
        said = [str(first[name][alone] or "-") for name in names]
        right = sum(first[name][alone] == first[name]["truth"] for name in names)
        lines.append([f"{alone} alone", *said, f"{right} of {len(names)}"])
    for rule in RULES:
        mine = {str(clip["clip"]): clip for clip in clips if clip["rule"] == rule}
        said = [f"{mine[name]['fused'] or '-'} {mine[name]['confidence'] or ''}" for name in names]
        right = sum(mine[name]["fused"] == mine[name]["truth"] for name in names)
        lines.append([rule, *said, f"{right} of {len(names)}"])
    return report.markdown(["rule", *(Path(name).stem.removeprefix("crema_") for name in names), "right"], lines)
