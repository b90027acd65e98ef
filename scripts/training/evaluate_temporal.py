"""`scripts/evaluate temporal`: the filter over time beside a majority vote and an LSTM, and what the gate judges."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from tqdm import tqdm

from edge.perception.manifest import Manifest, load_manifest
from edge.temporal import stay_of
from training import real_clips, report
from training.fusion_data import models_digest, shipped_fusion, shipped_side
from training.models import FOLDERS, ROOT
from training.sequences import LENGTH, REPEAT, WINDOW_S, Walk, simulate
from training.temporal_fit import STAYS
from training.temporal_gate import ALPHA, FILTERED, REPEATS, SEQUENCES, SHIPS, GateFigures, compare_confidences
from training.temporal_rules import (
    VOTES,
    Lstm,
    TemporalFigures,
    Way,
    alone,
    figures,
    majority,
    sticky,
    true_changes_per_minute,
)

SEED = 51
TIMES = 4
PLOT = ROOT / "docs" / "temporal.png"
LSTM = ROOT / "runs" / "temporal" / "lstm.npz"

DESCRIPTION = f"""\
What is made of one window after another: nothing, the device's filter with sticky transitions, a majority vote over the
last {VOTES} windows, an LSTM (`scripts/train temporal`; without it its row is left out). On {SEQUENCES} simulated
sequences of held-back examples, {LENGTH} windows each, and on the real clips, each {TIMES} times, as one recording.

Then what the gate should judge: of the windows that it would keep on the device, how many published labels are wrong.
`--docs` also draws docs/temporal.png."""


def main(arguments: Sequence[str]) -> str:
    """Measure; return what is to be printed."""
    options = report.parse("temporal", DESCRIPTION, arguments, clips=True)
    manifest = load_manifest(FOLDERS["edge"])
    side = shipped_side("edge", options.data, "held-back")
    walks = simulate(side, shipped_fusion(), SEQUENCES, seed=SEED)
    ways = ways_of(manifest)
    rows = [figures(name, way, walks) for name, way in tqdm(ways.items(), desc="ways", leave=False)]
    gates = compare_confidences(
        shipped_side("edge", options.data, "calibration"), shipped_fusion(), stay_of(manifest.filter)
    )
    clips = real_clips.find_clips(options.data)
    played = [real_clips.stream(clips, TIMES, options.yunet)] if clips else []
    on_clips = [figures(name, way, played) for name, way in ways.items()] if clips else []
    text = markdown(walks, rows, gates, played, on_clips, real_clips.detector_name(options.yunet))
    if options.docs:
        from training.plots_temporal import plot_temporal

        plot_temporal(*_curves(walks), rows, PLOT)
        report.write_docs("temporal", f"{text}\n\n![Flicker over delay](temporal.png)")
    if options.json:
        return json.dumps(
            {
                "simulated": [asdict(row) for row in rows],
                "clips": [asdict(row) for row in on_clips],
                "gate": [asdict(row) for row in gates],
            }
        )
    return text


def ways_of(manifest: Manifest) -> dict[str, Way]:
    """Return what is compared, the LSTM only if it was trained for these models."""
    stay = stay_of(manifest.filter)
    ways: dict[str, Way] = {
        "each window alone": alone,
        f"filter, stay {stay:g} (ships)": sticky(stay),
        "filter, stay 0.8": sticky(0.8),
        f"majority of {VOTES}": majority,
    }
    net = Lstm.load(LSTM, models_digest(manifest))
    if net is None:
        print("evaluate: no LSTM for these models, its row is left out: scripts/train temporal", file=sys.stderr)
    else:
        ways["LSTM"] = net
    return ways


def _curves(walks: Sequence[Walk]) -> tuple[list[TemporalFigures], float]:
    """Return the filter at every stay, and how often the truth changes."""
    return [figures(f"{stay:.2g}", sticky(stay), walks) for stay in STAYS], true_changes_per_minute(walks)


HEAD = ("", "accuracy", "ECE", "changes a minute", "delay, windows", "delay, s", "changes followed")


def markdown(
    walks: Sequence[Walk],
    rows: Sequence[TemporalFigures],
    gates: Sequence[GateFigures],
    played: Sequence[Walk],
    on_clips: Sequence[TemporalFigures],
    detector: str,
) -> str:
    """Return the tables."""
    about = (
        f"{SEQUENCES} sequences (seed {SEED}) of {LENGTH} windows of {WINDOW_S:g} s; a window repeats the one before "
        f"it with probability {REPEAT:g}. The truth changes {true_changes_per_minute(walks):.2f} times a minute."
    )
    parts = [about, report.markdown(HEAD, [_cells(row) for row in rows])]
    if played:
        windows, truth = len(played[0].labels), true_changes_per_minute(played)
        clips = (
            f"The real clips in a row, each {TIMES} times, {windows} windows, faces found by {detector}; the truth "
            f"changes {truth:.2f} times a minute:"
        )
        parts += [clips, report.markdown(HEAD, [_cells(row) for row in on_clips])]
    judged = list(dict.fromkeys(row.judged for row in gates))
    by = {(row.judged, row.repeat): row for row in gates}
    lines = [[name, *(f"{by[name, r].kept:.1%} / {by[name, r].wrong:.1%}" for r in REPEATS)] for name in judged]
    asked = (
        f"What the gate judges, on {SEQUENCES} sequences of the calibration half: kept on the device / wrong among "
        "these, by how often a window repeats the one before. Thresholds are such that single windows are wrong in "
        f"{ALPHA:.0%}, by set of modalities."
    )
    parts += [
        asked,
        report.markdown(["the gate judges the confidence", *(f"repeat {repeat:g}" for repeat in REPEATS)], lines),
    ]
    parts.append("\n".join(f"- {line}." for line in findings(rows, by, true_changes_per_minute(walks))))
    return "\n\n".join(parts)


def findings(rows: Sequence[TemporalFigures], gates: dict[tuple[str, float], GateFigures], changes: float) -> list[str]:
    """Return what the figures say, in sentences that are true whatever the figures are."""
    plain, *others = rows
    lines = [
        f"Changes a minute: of the truth {changes:.1f}, of the label of windows alone {plain.flicker_per_minute:.1f}"
    ]
    for row in others:
        points = 100 * (row.accuracy - plain.accuracy)
        later = row.delay_s - plain.delay_s if row.delay_s is not None and plain.delay_s is not None else 0.0
        lines.append(
            f"{row.way}, against windows alone: {row.flicker_per_minute - plain.flicker_per_minute:+.1f} changes a "
            f"minute, {later:+.1f} s of delay, {points:+.1f} points of accuracy"
        )
    alike = max(REPEATS)
    lines.append(
        f"Where a window repeats the one before in {alike:.0%} of cases, the filter's confidence would let "
        f"{gates[FILTERED, alike].wrong:.1%} errors through thresholds for {ALPHA:.0%}; what ships lets "
        f"{gates[SHIPS, alike].wrong:.1%}"
    )
    return lines


def _cells(row: TemporalFigures) -> list[str]:
    delay = "" if row.delay_windows is None else f"{row.delay_windows:.2f}"
    seconds = "" if row.delay_s is None else f"{row.delay_s:.1f}"
    followed = "" if row.followed is None else f"{row.followed:.1%}"
    return [row.way, f"{row.accuracy:.1%}", f"{row.ece:.3f}", f"{row.flicker_per_minute:.2f}", delay, seconds, followed]
