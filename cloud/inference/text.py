"""Emotion in what is written: a small calibrated text model, with the polarity of the words beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from cloud.errors import TextError
from cloud.inference.pieces import MAX_PIECES, pieces_of, plain, sentences
from cloud.inference.polarity import Polarity, SentiPolarity, SentiWordNet, vader
from edge.emotions import EMOTIONS
from edge.errors import ModelError
from edge.perception.manifest import load_manifest, verified_file
from edge.protocol import Distribution, distribution

MAX_CHARACTERS = 20_000
"""Of one text, about ten pages: more is refused, so that one request cannot hold the service."""

_BATCH = 32
_QUIET = 3
"""onnxruntime's severity `error`."""

Floats = NDArray[np.float32]


class TextPart(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of the text that was judged by itself."""

    text: str
    label: str
    confidence: float
    """The calibrated probability of `label`."""
    distribution: Distribution
    polarity: Polarity


class TextResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the text model says."""

    label: str
    """The decision. Not always the largest probability: an emotion that is rare in the training data needs less."""
    confidence: float
    """The calibrated probability of `label`, in [0, 1]."""
    unsure: bool
    """The confidence is under the threshold, or too few of the words are known."""
    threshold: float | None
    """The confidence asked for; None where no confidence would do."""
    distribution: Distribution
    """Over our seven emotions, calibrated; of several parts the mean, weighted by their lengths."""
    polarity: Polarity
    """By VADER; of several parts the mean, weighted alike."""
    sentiwordnet: SentiPolarity | None
    """None where its lexicon was not given."""
    known_words: float
    """Share of the words, in [0, 1], that the vocabulary has whole. Low in other languages and in gibberish."""
    parts: tuple[TextPart, ...]
    """The whole text where it is short, else its sentences."""
    model: str


@dataclass(frozen=True)
class Judged:
    """N texts of at most MAX_PIECES pieces as the model sees them."""

    probabilities: Floats
    """(N, 7), calibrated."""
    labels: NDArray[np.int64]
    """(N,) the decisions, as places in EMOTIONS."""


class TextModel:
    """The text model of a folder with a manifest, checked against it.

        model = TextModel(Path("cloud/models/text"))
        model.analyse("I can't believe you did that!").label

    Raises ModelError if the manifest or the file is missing, damaged or not what it says, ConfigError if
    `sentiwordnet` is not its lexicon. Calls may come from several threads.
    """

    def __init__(self, folder: Path, *, threads: int = 1, sentiwordnet: Path | None = None) -> None:
        manifest = load_manifest(folder)
        entry = manifest.model("text")
        self.name = f"{entry.name} {entry.version}"
        self._head = entry.outputs[0]
        if self._head.labels != EMOTIONS:
            raise ModelError(f"{folder} speaks of {self._head.labels}, not of {EMOTIONS}", fix="Update Mien.")
        self.threshold = next((gate.threshold for gate in manifest.gates if gate.modalities == "text"), None)
        self._load(verified_file(folder, entry), threads)
        self._sentiwordnet = None if sentiwordnet is None else SentiWordNet(sentiwordnet)

    def _load(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _QUIET
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            described = self._session.get_modelmeta().custom_metadata_map
            self._tokenizer = Tokenizer.from_str(described["tokenizer"])
            self._offsets = np.array(json.loads(described["decision_offsets"]), dtype=np.float32)
            self._fewest_known = float(described["fewest_known_words"])
            self.judge(["a word"])
        except Exception as error:
            raise ModelError(f"{path} cannot be run: {error}", fix="Install the models again.") from error

    def judge(self, texts: list[str]) -> Judged:
        """Return calibrated probabilities and decisions for short texts; what exceeds MAX_PIECES is not read."""
        encoded = self._tokenizer.encode_batch([plain(text) for text in texts])
        logits = np.zeros((len(texts), len(EMOTIONS)), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda number: len(encoded[number].ids))
        for first in range(0, len(order), _BATCH):
            numbers = order[first : first + _BATCH]
            logits[numbers] = self._run([encoded[number].ids for number in numbers])
        probabilities = self._head.calibrate(logits)
        return Judged(probabilities, (np.log(probabilities + 1e-9) + self._offsets).argmax(axis=1))

    def _run(self, rows: list[list[int]]) -> Floats:
        longest = max(len(row) for row in rows)
        pieces = np.zeros((len(rows), longest), dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.float32)
        for place, row in enumerate(rows):
            pieces[place, : len(row)] = row
            mask[place, : len(row)] = 1.0
        return np.asarray(self._session.run(None, {"pieces": pieces, "mask": mask})[0], dtype=np.float32)

    def analyse(self, text: str) -> TextResult:
        """Judge one text of any length up to MAX_CHARACTERS. Raises TextError if it is longer or holds no word.

        A text of at most MAX_PIECES pieces is judged whole, a longer one sentence by sentence, and sentences that are
        too long in stretches. The threshold was chosen for short texts; for the mean over many parts nothing is
        promised. English only: in other languages few words are known, and the result is unsure.
        """
        check(text)
        parts = self._parts(text)
        judged = self.judge(parts)
        counts = np.array([len(self._tokenizer.encode(plain(part)).ids) for part in parts], dtype=np.float32)
        weights = counts / counts.sum()
        mean = weights @ judged.probabilities
        label = int((np.log(mean + 1e-9) + self._offsets).argmax())
        known = known_words(self._tokenizer, text)
        polarities = [vader(part) for part in parts]
        return TextResult(
            label=EMOTIONS[label],
            confidence=round(float(mean[label]), 5),
            unsure=self.threshold is None or float(mean[label]) < self.threshold or known < self._fewest_known,
            threshold=self.threshold,
            distribution=distribution(EMOTIONS, mean.tolist()),
            polarity=_mean_polarity(polarities, weights),
            sentiwordnet=None if self._sentiwordnet is None else self._sentiwordnet.polarity(text),
            known_words=round(known, 3),
            parts=tuple(
                _part(part, judged.probabilities[place], int(judged.labels[place]), polarities[place])
                for place, part in enumerate(parts)
            ),
            model=self.name,
        )

    def _parts(self, text: str) -> list[str]:
        if len(pieces_of(self._tokenizer, text)) <= MAX_PIECES:
            return [" ".join(text.split())]
        return [part for sentence in sentences(text) for part in self._stretches(sentence)]

    def _stretches(self, sentence: str) -> list[str]:
        """Cut a sentence between words so that each stretch is read whole; a single monstrous word is cut short."""
        stretches: list[str] = []
        length = 0
        for word in sentence.split():
            more = len(pieces_of(self._tokenizer, word)) - 2
            if stretches and length + more <= MAX_PIECES - 2:
                stretches[-1] += f" {word}"
                length += more
            else:
                stretches.append(word)
                length = more
        return stretches


def check(text: str) -> None:
    """Raise TextError unless `text` is one that can be judged."""
    if len(text) > MAX_CHARACTERS:
        raise TextError(f"the text has {len(text)} characters, and {MAX_CHARACTERS} are the most", fix="Give less.")
    if not any(character.isalnum() for character in plain(text)):
        raise TextError("the text holds no word", fix="Give at least one word or emoji.")


def known_words(tokenizer: Tokenizer, text: str) -> float:
    """Return the share of words, in [0, 1], that the vocabulary has whole; 1.0 where there is no word of letters."""
    words = [word for word in plain(text).split() if any(character.isalpha() for character in word)]
    # A word with its punctuation is several pieces, but none of them goes on (`##`) another.
    torn = sum(any(p.startswith("##") or p == "[UNK]" for p in each.tokens) for each in tokenizer.encode_batch(words))
    return 1.0 - torn / len(words) if words else 1.0


def _part(text: str, probabilities: Floats, label: int, polarity: Polarity) -> TextPart:
    return TextPart(
        text=text,
        label=EMOTIONS[label],
        confidence=round(float(probabilities[label]), 5),
        distribution=distribution(EMOTIONS, probabilities.tolist()),
        polarity=polarity,
    )


def _mean_polarity(polarities: list[Polarity], weights: Floats) -> Polarity:
    """Mean over sentences: VADER's own sum over a long text soon says 1.0 or -1.0."""
    rows = np.array([[each.compound, each.positive, each.neutral, each.negative] for each in polarities])
    return Polarity(*(round(float(value), 4) for value in weights @ rows))
