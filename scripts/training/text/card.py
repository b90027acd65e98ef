"""The card of the text model, written from measured figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.perception.manifest import Gate, Manifest

NOTICE = (
    "What is written is not what is felt: this model names the emotion that a text expresses to readers. It cannot "
    "tell what its writer feels, means or will do."
)

USE = """\
Texts that people hand in for analysis, beside face and voice or alone, in research and demonstrations: one uncertain
signal among others, always with its confidence."""

FORBIDDEN = """\
- Deciding about people: marks, hiring, promotion, discipline, credit, insurance, policing, borders, health, moderation.
- Reading people's messages without their knowledge, or in workplaces and schools to infer their emotions (EU AI Act,
  Art. 5(1)(f)).
- Finding illness, danger of suicide, lies, sarcasm or intent: the model measures none of these."""

DATA = """\
- GoEmotions (Demszky et al. 2020, CC BY 4.0): English Reddit comments of 3 to 30 words, 54,263 with agreed labels, 28
  labels grouped to our seven as its authors group them to Ekman's. Three to five people in India, native speakers of
  English, labelled each. Names and religions are masked as [NAME] and [RELIGION]: the model never saw real names.
- Training rows whose words stand in dev or test as well are left out (441 of 43,410). Of rows with several emotions
  each has its share; the 28 labels teach a second head, which does not ship. For each epoch 4 in 10 of the rows of
  `happy` or `neutral` are drawn, and calibration makes up for it.
- Of dev, one half fits calibration and decision, the other chooses the threshold and gives the figures below; dev also
  watched training. The test split was read only once all was chosen: docs/results.md.
- The encoder starts from all-MiniLM-L6-v2 (sentence-transformers; Apache-2.0), which was trained on a billion pairs of
  sentences from the web, Reddit comments among them, without emotion labels. It may have seen GoEmotions' texts."""

LIMITS = """\
- English as on Reddit in 2005 to 2019, young, male and North American by and large. Other languages, dialects and
  registers do worse, and how much was not measured. Where few words are known the result is unsure, but texts in
  languages that share words with English may pass.
- Irony, quotations and negation over a distance mislead it. It has no notion of who speaks of whom.
- Disgust and fear are rare in the data; disgust and anger are mistaken most. Surprise includes mere questions, for the
  data count curiosity and confusion as surprise, and happy includes approval, gratitude and caring.
- Raters agreed on the emotion of such comments in part only: no model can be right about all of them.
- Bias by whom a text speaks of was not measured. The labels carry what raters thought of slang and dialect.
- A text of more than 64 word pieces is judged sentence by sentence and averaged; the threshold is not for averages."""

LICENCE = """\
Weights: CC BY 4.0, see LICENSE beside this page; they go back to all-MiniLM-L6-v2, Apache-2.0. Attribution: "Mien, text
model", GoEmotions (Demszky et al. 2020), all-MiniLM-L6-v2 (sentence-transformers). VADER (MIT) is a library of its own,
and SentiWordNet (CC BY-SA 4.0) is not included."""


@dataclass(frozen=True)
class TextFacts:
    """What the card states."""

    manifest: Manifest
    figures: dict[str, Any]
    """On dev's held-back half, as `training.text.measure` gives them."""
    gates: dict[float, Gate]
    """By error rate."""
    strength: float
    """How much rare emotions are favoured in decisions."""
    state: dict[str, Any]
    """The checkpoint: `config` and `epoch`."""
    note: str


def write_text_card(path: Path, facts: TextFacts) -> None:
    """Write the card to `path`."""
    (entry,) = facts.manifest.models
    config = facts.state["config"]
    made = (
        f"`scripts/train text --epochs {config['epochs']} --seed {config['seed']}` ({facts.state['epoch']} epochs "
        f"done), then `scripts/train export --arch text --version {entry.version}`, which wrote this page."
        f"\n\n{facts.note}"
    )
    sections = [
        f"# Model card: {entry.name} {entry.version}",
        NOTICE,
        "Names the emotion that a short English text expresses.\n\n" + _properties(facts),
        "## For what\n\n" + USE,
        "## Not for\n\n" + FORBIDDEN,
        "## Data\n\n" + DATA,
        "## Figures\n\n" + _figures(facts),
        "## How sure is sure\n\n" + _gates(facts),
        "## Limits\n\n" + LIMITS,
        "## Licence\n\n" + LICENCE,
        "## Made by\n\n" + made.strip(),
    ]
    path.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _properties(facts: TextFacts) -> str:
    (entry,) = facts.manifest.models
    rows = [
        ("file", f"`text/{entry.file}`, {entry.bytes:,} bytes, sha256 `{entry.sha256}`"),
        ("size", f"{entry.parameters:,} parameters, int8 with a scale per row, computed with in float32"),
        ("cost", f"{entry.macs / 1e6:.0f} M multiply-accumulates for a text of 64 word pieces"),
        ("net", "BERT encoder, 6 layers 384 wide, mean over the pieces, linear: `scripts/training/text/net.py`"),
        ("input", "word pieces, at most 64, exactly by `cloud/inference/pieces.py`; the tokenizer is in the file"),
        ("output", f"logits: {' '.join(entry.outputs[0].labels)}"),
        ("decision", f"largest log p - {facts.strength:.2f} log prior: rare emotions need less, for the macro-F1"),
    ]
    return _table(("", ""), rows)


def _figures(facts: TextFacts) -> str:
    one = facts.figures
    rows = [
        (
            name,
            str(part["n"]),
            *(f"{part[key]:.1%}" for key in ("accuracy", "uar")),
            *(f"{part[key]:.3f}" for key in ("macro_f1", "ece")),
        )
        for name, part in (("rows of one emotion", one), ("all rows", one["all_rows"]))
    ]
    counts = [sum(row) for row in one["confusion"]]
    recalls = [
        (label, _share(one["per_class"][label]), _share(one["f1_per_class"][label]), str(count))
        for label, count in zip(one["per_class"], counts, strict=True)
    ]
    return "\n\n".join(
        [
            "Dev's held-back half. In `all rows` an answer is right if it is one of the emotions of the row.",
            _table(("", "n", "accuracy", "UAR", "macro-F1", "ECE, 15 bins"), rows),
            _table(("emotion", "recall", "F1", "rows"), recalls),
        ]
    )


def _gates(facts: TextFacts) -> str:
    (chosen,) = facts.manifest.gates
    rows = [
        (f"{alpha:.0%}", "none" if gate.threshold is None else f"{gate.threshold:.4f}", f"{gate.coverage:.1%}")
        for alpha, gate in facts.gates.items()
    ]
    return (
        f"A text is sure if the calibrated probability of the decision reaches the threshold for {chosen.alpha:.0%}: "
        "the laxest of a fixed grid for which the one-sided 95 % Clopper-Pearson bound of the error among sure texts "
        f"is at most that, tested from strict to lax, on {chosen.n} rows of one emotion. It speaks of comments like "
        "GoEmotions', not of every text. Other levels, for comparison:\n\n"
        + _table(("wrong at most", "threshold", "sure"), rows)
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
