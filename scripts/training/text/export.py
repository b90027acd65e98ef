"""From the checkpoint of a text run to what ships: one ONNX file, its manifest and its card."""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from cloud.inference.pieces import MAX_PIECES
from cloud.inference.text import Judged, TextModel, known_words
from edge.emotions import EMOTIONS
from edge.perception.manifest import SCHEMA, Gate, Manifest, ModelEntry, Output
from training.calibrate import fit_scaling
from training.confusion import confusion_matrix, macro_f1
from training.errors import TrainingError
from training.gates import choose_gate, chosen_for
from training.loop import load_finished
from training.text.card import TextFacts, write_text_card
from training.text.data import PACK, Row, of_split, overlapping, read_texts, truth, words
from training.text.measure import decision_confidence, figures_of_rows
from training.text.net import Shape, TextNet
from training.text.onnx_file import set_metadata, write_text_onnx

STRENGTHS = np.linspace(0.0, 1.0, 21)
FEWEST_KNOWN_PERCENT = 1
MAX_BYTES = 18 * 1024 * 1024
LEVELS = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
CARD = "MODEL_CARD_TEXT.md"


@dataclass(frozen=True)
class TextJob:
    """What to export, from where to where."""

    data: Path
    runs: Path
    folder: Path
    """Of the model and its manifest; the card goes beside it."""
    version: str


def export_text(job: TextJob) -> Manifest:
    """Write `job.folder` and the card, once all is made and tried. Raises TrainingError if there is no finished run.

    Of dev, one half (the same words stay together) fits temperature, biases and the weight of rare emotions; the other
    chooses the threshold and gives the card's figures. The test split is not read.
    """
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=job.folder.parent, prefix=".export-") as staged:
        folder = Path(staged, job.folder.name)
        folder.mkdir()
        manifest = _make(replace(job, folder=folder))
        job.folder.mkdir(exist_ok=True)
        # The manifest last: until then the old one refuses the new file.
        for path in sorted(folder.iterdir(), key=lambda each: each.name == "manifest.json"):
            path.replace(job.folder / path.name)
        Path(staged, CARD).replace(job.folder.parent / CARD)
    return manifest


def _make(job: TextJob) -> Manifest:
    run = job.runs / "text-full"
    state = load_finished(run)
    net = TextNet(Shape(**state["shape"]))
    net.load_state_dict(state["net"])
    tokenizer = Tokenizer.from_file(str(run / "tokenizer.json"))
    rows = read_texts(job.data / PACK)
    dev = of_split(rows, "dev", job.data / PACK)
    path = job.folder / "text-full.onnx"
    _say("writing the net")
    write_text_onnx(net, path)
    metadata = {"tokenizer": tokenizer.to_str(), "fewest_known_words": str(_fewest_known(tokenizer, dev))}
    _say("running dev")
    logits = _logits(job, path, net, metadata, dev)
    given = truth(dev)
    first = np.array([zlib.crc32(words(row.text).encode()) % 2 == 0 for row in dev])
    output, strength, offsets = _fit(logits, given, first)
    judged = _decide(output, logits[~first], offsets)
    gate = _gate(judged, given[~first])
    figures = figures_of_rows(judged, given[~first], overlapping(dev, rows)[~first], gate.threshold)
    split = f"GoEmotions dev, held-back half, rows of one emotion, n={figures['n']}"
    output = msgspec.structs.replace(output, ece=round(figures["ece"], 4), ece_split=split)
    set_metadata(path, {**metadata, "decision_offsets": json.dumps(offsets)})
    manifest = _write_manifest(job, path, net, output, (gate,))
    if manifest.models[0].bytes > MAX_BYTES:
        raise TrainingError(f"{path.name} has {manifest.models[0].bytes} bytes, more than {MAX_BYTES}")
    TextModel(job.folder).analyse("It works.")
    levels = {alpha: chosen_for(gate, alpha) for alpha in LEVELS}
    facts = TextFacts(manifest, figures, levels, strength, state, _note(run))
    write_text_card(job.folder.parent / CARD, facts)
    return manifest


def _logits(
    job: TextJob, path: Path, net: TextNet, metadata: dict[str, str], rows: Sequence[Row]
) -> NDArray[np.float32]:
    """Return, (N, 7), what the file as it ships gives, but for calibration, up to a constant per row."""
    set_metadata(path, {**metadata, "decision_offsets": json.dumps([0.0] * len(EMOTIONS))})
    _write_manifest(job, path, net, Output("text", EMOTIONS, 1.0, (0.0,) * len(EMOTIONS), 0.0, ""), ())
    probabilities = TextModel(job.folder).judge([row.text for row in rows]).probabilities
    return np.asarray(np.log(np.maximum(probabilities, 1e-30)), dtype=np.float32)


def _fit(
    logits: NDArray[np.float32], given: NDArray[np.bool_], first: NDArray[np.bool_]
) -> tuple[Output, float, list[float]]:
    """Return the calibration, how much rare emotions are favoured, and the offsets that do it.

    Decisions take the largest log p - strength * log prior (logit adjustment, Menon et al. 2021, arXiv:2007.07314):
    one number is fitted, for the best macro-F1, and not seven, for which the rare emotions have too few rows.
    """
    use = first & (given.sum(axis=1) == 1)
    labels = given[use].argmax(axis=1)
    scaling = fit_scaling(logits[use], labels)
    output = Output("text", EMOTIONS, scaling.temperature, scaling.bias, 0.0, "")
    probabilities = output.calibrate(logits[use])
    prior = np.log(probabilities.mean(axis=0))

    def score(strength: float) -> float:
        chosen = (np.log(probabilities + 1e-9) - strength * prior).argmax(axis=1)
        return macro_f1(confusion_matrix(chosen, labels, len(EMOTIONS)))

    scores = np.array([score(strength) for strength in STRENGTHS])
    # The mean over neighbours: single steps move a few rows of the rare emotions, and the best of them is chance.
    smooth = np.convolve(np.pad(scores, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    strength = float(STRENGTHS[smooth.argmax()])
    offsets = [round(float(-strength * value), 4) for value in prior - prior.max()]
    return output, strength, offsets


def _decide(output: Output, logits: NDArray[np.float32], offsets: Sequence[float]) -> Judged:
    probabilities = output.calibrate(logits)
    decided = (np.log(probabilities + 1e-9) + np.asarray(offsets, dtype=np.float32)).argmax(axis=1)
    return Judged(probabilities, decided)


def _gate(judged: Judged, given: NDArray[np.bool_]) -> Gate:
    single = given.sum(axis=1) == 1
    right = given[np.arange(len(given)), judged.labels]
    return choose_gate("text", decision_confidence(judged)[single], right[single], unit="texts")


def _fewest_known(tokenizer: Tokenizer, rows: Sequence[Row]) -> float:
    """Return the share of known words that 99 of 100 texts reach."""
    return round(float(np.percentile([known_words(tokenizer, row.text) for row in rows], FEWEST_KNOWN_PERCENT)), 3)


def _write_manifest(job: TextJob, path: Path, net: TextNet, output: Output, gates: tuple[Gate, ...]) -> Manifest:
    content = path.read_bytes()
    entry = ModelEntry(
        name=path.stem,
        task="text",
        version=job.version,
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=sum(p.numel() for name, p in net.named_parameters() if not name.startswith("raw.")),
        macs=_macs(net.shape),
        input="pieces64",
        outputs=(output,),
    )
    manifest = Manifest(SCHEMA, (entry,), {}, gates)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (job.folder / "manifest.json").write_bytes(text + b"\n")
    return manifest


def _macs(shape: Shape) -> int:
    """Return the multiply-accumulates of a text of MAX_PIECES pieces."""
    dense = 4 * shape.width**2 + 2 * shape.width * shape.inner
    return shape.layers * MAX_PIECES * (dense + 2 * MAX_PIECES * shape.width)


def _note(run: Path) -> str:
    path = run / "NOTE.md"
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _say(what: str) -> None:
    print(f"export: {what}", file=sys.stderr)
