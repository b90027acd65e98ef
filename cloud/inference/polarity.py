"""Polarity by lexicon: VADER, and SentiWordNet where its file is given. Beside the emotions, never mixed into them."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import msgspec
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from edge.errors import ConfigError


class Polarity(msgspec.Struct, frozen=True):
    """How favourable the words are: VADER's four figures (Hutto & Gilbert 2014).

    `positive`, `neutral` and `negative` are shares of the text and sum to 1, but for rounding.
    """

    compound: float
    """In [-1, 1]; by VADER's authors positive from 0.05, negative from -0.05 on."""
    positive: float
    neutral: float
    negative: float


class SentiPolarity(msgspec.Struct, frozen=True):
    """Means over the words that SentiWordNet knows, each in [0, 1]; a word's own are means over its senses."""

    positive: float
    negative: float
    words: int
    """How many of the text's words it knows."""


def vader(text: str) -> Polarity:
    """Return VADER's polarity of one sentence; of a text without a word it is neutral."""
    scores = _analyser().polarity_scores(text)
    if not any(scores.values()):
        return Polarity(0.0, 0.0, 1.0, 0.0)
    return Polarity(scores["compound"], scores["pos"], scores["neu"], scores["neg"])


@cache
def _analyser() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


class SentiWordNet:
    """The lexicon of Baccianella, Esuli & Sebastiani 2010 (CC BY-SA 4.0, so it does not ship), read from its own file.

    A word's scores are means over its senses in all parts of speech, weighted by 1 / rank of the sense: the text is not
    tagged, and the first senses are the frequent ones. Raises ConfigError if the file is not SentiWordNet 3.0's.
    """

    def __init__(self, path: Path) -> None:
        sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip() and not line.startswith("#"):
                        _add(sums, line, f"{path}, line {number}")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}, the lexicon of SentiWordNet, cannot be read: {error}") from error
        if not sums:
            raise ConfigError(f"{path} holds no line of SentiWordNet", fix=_FIX)
        self._scores = {word: (positive / all_, negative / all_) for word, (positive, negative, all_) in sums.items()}

    def polarity(self, text: str) -> SentiPolarity:
        """Return the means over the words of `text` that the lexicon knows, 0.0 if it knows none."""
        known = [self._scores[word] for word in re.findall(r"[a-z'-]+", text.lower()) if word in self._scores]
        count = max(len(known), 1)
        positive, negative = (round(sum(each[side] for each in known) / count, 4) for side in (0, 1))
        return SentiPolarity(positive, negative, len(known))


_FIX = "Give SentiWordNet_3.0.0.txt as downloaded from its authors."


def _add(sums: dict[str, list[float]], line: str, where: str) -> None:
    """Add the senses of one line: part of speech, number, positive, negative, `word#rank` ..., gloss; tabs between."""
    fields = line.split("\t")
    try:
        positive, negative = float(fields[2]), float(fields[3])
        senses = [term.rsplit("#", 1) for term in fields[4].split()]
        ranked = [(word, 1.0 / int(rank)) for word, rank in senses]
    except (IndexError, ValueError, ZeroDivisionError):
        raise ConfigError(f"{where} is none of SentiWordNet", fix=_FIX) from None
    for word, weight in ranked:
        for place, value in enumerate((positive, negative, 1.0)):
            sums[word][place] += weight * value
