"""Model cards, written from measured figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.perception.manifest import Gate, Manifest, ModelEntry, Output
from training import card_texts
from training.measure import HeadFigures
from training.rules_fit import EQUALLY_FREQUENT, PAIRS
from training.runs import usual_rate

MADE_BY = "## Made by"
SURE = "## How sure is sure"
GATE_COLUMNS = ("modalities", "threshold", "bound of the error", "stays on the device", "n")
FUSION = "Fusion exponents:"


@dataclass(frozen=True)
class Made:
    """The training runs that a model came from."""

    runs: tuple[dict[str, Any], ...]
    """Settings of each; `done` is the number of epochs reached. None of them where what shipped was exported anew."""
    note: str
    """What else happened to them, from NOTE.md in their folders; empty if nothing did."""
    joined: bool = False
    """Whether they were put beside nets that shipped before."""


@dataclass(frozen=True)
class Facts:
    """What a card states about one shipped model."""

    entry: ModelEntry
    figures: dict[str, HeadFigures]
    """Per head, on the held-back half."""
    agreement: float | None
    """Share of examples on which both TFLite runtimes choose the same; None for ONNX."""
    made: Made
    fairness: str
    robustness: str
    """Tables, of the held-back half."""
    held_back_gate: tuple[float, float, int] | None
    """Share kept, error among kept, n on the held-back half at the gate's threshold; None without a threshold."""


def write_card(folder: Path, facts: Facts, manifest: Manifest) -> None:
    """Write `folder`/MODEL_CARD_FACE.md or MODEL_CARD_SPEECH.md."""
    task = facts.entry.task
    words = card_texts.TEXTS[task]
    heads = [_head(output, facts.figures[output.name]) for output in facts.entry.outputs]
    sections = [
        f"# Model card: {facts.entry.name} {facts.entry.version}",
        card_texts.NOTICE,
        words["summary"] + "\n\n" + _properties(facts),
        "## For what\n\n" + words["use"],
        "## Not for\n\n" + card_texts.FORBIDDEN,
        "## Data\n\n" + words["data"],
        "\n\n".join(["## Figures", words["figures"], *heads]),
        "## For whom it does worse\n\n" + words["fairness"] + "\n\n" + facts.fairness,
        "## Under what conditions it does worse\n\n" + facts.robustness,
        f"{SURE}\n\n" + _gates(facts, manifest),
        "## Limits\n\n" + words["limits"],
        "## Licence\n\n" + words["licence"],
        f"{MADE_BY}\n\n" + _made_by(facts),
    ]
    (folder / f"MODEL_CARD_{task.upper()}.md").write_text("\n\n".join(sections) + "\n")


def _properties(facts: Facts) -> str:
    entry = facts.entry
    heads = "; ".join(f"{output.name}: {' '.join(output.labels)}" for output in entry.outputs)
    rows = [
        ("file", f"`{entry.file}`, {entry.bytes:,} bytes, sha256 `{entry.sha256}`"),
        ("size", f"{entry.parameters:,} parameters, {entry.macs / 1e6:.1f} M multiply-accumulates per example"),
        ("net", card_texts.NETS.get(entry.name, "residual, 3x3 convolutions: `scripts/training/nets.py`")),
        ("input", card_texts.INPUTS[entry.input]),
        ("output", f"logits, heads one after another: {heads}"),
    ]
    if facts.agreement is not None:
        rows.append(
            ("runtimes", f"LiteRT and tflite-runtime make the same choice on {facts.agreement:.1%} of examples")
        )
    return _table(("", ""), rows)


def _head(output: Output, figures: HeadFigures) -> str:
    rows = [
        ("accuracy", f"{figures.accuracy:.1%} of {figures.n} (the float32 net: {figures.float_accuracy:.1%})"),
        ("UAR", f"{figures.uar:.1%}"),
        ("expected calibration error, 15 bins", f"{figures.ece:.3f} (uncalibrated {figures.uncalibrated_ece:.3f})"),
        ("the same, had the confidences been perfect", f"{figures.least_ece:.3f} with so many examples"),
    ]
    for name, (accuracy, recall, count) in figures.subsets.items():
        rows.append((name, f"accuracy {accuracy:.1%}, UAR {recall:.1%}, n={count}"))
    recalls = [(label, f"{value:.1%}", str(figures.counts[label])) for label, value in figures.recalls.items()]
    return "\n\n".join(
        [
            f"### Head `{output.name}`: {output.ece_split}",
            _table(("figure", "value"), rows),
            _table(("emotion", "recognised", "examples"), recalls),
        ]
    )


def _gates(facts: Facts, manifest: Manifest) -> str:
    parts = [card_texts.GATES, _gate_table(manifest)]
    if facts.held_back_gate is not None:
        kept, wrong, count = facts.held_back_gate
        parts.append(f"On the held-back half, alone: {kept:.1%} of {count} stay, {wrong:.1%} of these are wrong.")
    parts.append(_fusion_line(manifest))
    return "\n\n".join(parts)


def refresh_cards(folder: Path, manifest: Manifest) -> None:
    """Bring what the cards in `folder` say of gates and fusion up to date with a manifest that was fitted anew."""
    for task in ("FACE", "SPEECH"):
        path = folder / f"MODEL_CARD_{task}.md"
        if path.exists():
            paragraphs = path.read_text().split("\n\n")
            place = paragraphs.index(SURE)
            for number in range(place, len(paragraphs)):
                if paragraphs[number].startswith(f"| {GATE_COLUMNS[0]} |"):
                    paragraphs[number] = _gate_table(manifest)
                elif paragraphs[number].startswith(FUSION):
                    paragraphs[number] = _fusion_line(manifest)
            path.write_text("\n\n".join(paragraphs))


def _gate_table(manifest: Manifest) -> str:
    return _table(GATE_COLUMNS, map(_gate_row, manifest.gates))


def _fusion_line(manifest: Manifest) -> str:
    weights = ", ".join(f"{name} {value}" for name, value in manifest.fusion_weights.items())
    of = "" if manifest.fusion is None else f" on {manifest.fusion.pairs} pairs (seed {manifest.fusion.seed})"
    return (
        f"{FUSION} {weights}, times the reliabilities that the manifest's parameters give; fitted{of} of a calibration "
        "face and a calibration voice of the same emotion, half of each made worse, emotions in "
        f"{EQUALLY_FREQUENT / PAIRS:.0%} of the pairs equally often, in the others as often as among the faces. The "
        "gate of both modalities uses only pairs in which no face and no voice occurs twice, as they are, and is no "
        "laxer than that of a face."
    )


def _gate_row(gate: Gate) -> tuple[str, ...]:
    threshold = "not reached: every reading is unsure" if gate.threshold is None else f"{gate.threshold:.4f}"
    bound = "" if gate.bound is None else f"{gate.bound:.1%}"
    return gate.modalities, threshold, bound, f"{gate.coverage:.1%}", str(gate.n)


def _made_by(facts: Facts) -> str:
    task, arch = facts.entry.name.split("-")
    join = f" --join {task}" if facts.made.joined else ""
    export = f"`scripts/train export --arch {arch}{join}`, which wrote this page."
    if facts.made.runs:
        export = ", ".join(_trained(task, arch, run) for run in facts.made.runs) + f", then {export}"
    return f"{export}\n\n{facts.made.note}".strip()


def _trained(task: str, arch: str, run: dict[str, Any]) -> str:
    distil = " --distil" if run.get("distil") else ""
    start = run.get("start", "")
    if start:
        start = f" --start {start if Path(start).suffix else f'runs/{start}'}"
    rate = run["learning_rate"]
    rate = "" if rate == usual_rate(task, arch, started=bool(start)) else f" --learning-rate {rate:g}"
    command = f"scripts/train {task} --arch {arch} --epochs {run['epochs']} --seed {run['seed']}{distil}{start}{rate}"
    return f"`{command}` ({run['done']} epochs done)"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
