"""From text to the word pieces that the text model reads; training and inference share this."""

from __future__ import annotations

import re
import unicodedata

from tokenizers import Tokenizer

MAX_PIECES = 64
"""Of one sentence, the model's two marks at its ends included."""

_LONG_RUN = re.compile(r"(.)\1{3,}")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"')\]]*\s+|\n+")
_ABBREVIATION = re.compile(r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e)|\b[a-z])\.$", re.IGNORECASE)


def plain(text: str) -> str:
    """Return the text with emoji spelled out (`😂` as `face with tears of joy`) and runs of one character cut to three.

    The vocabulary has no emoji, and `soooooo` is torn to pieces that mean nothing. Control characters become spaces.
    """
    spelled = "".join(_spell(character) for character in text)
    return " ".join(_LONG_RUN.sub(r"\1\1\1", spelled).split())


def pieces_of(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the numbers of all pieces of `text`, the two marks included, however many there are."""
    first = tokenizer.encode(plain(text))
    return [*first.ids, *(number for rest in first.overflowing for number in rest.ids[1:-1])]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, in order, none empty.

    A rule of thumb: a line ends one, and so does `.`, `!`, `?` or `…` before a space, unless a common abbreviation or
    an initial goes before it.
    """
    parts: list[str] = []
    for part in _SENTENCE_END.split(text):
        if parts and _ABBREVIATION.search(parts[-1]):
            parts[-1] = f"{parts[-1]} {part}"
        elif part.strip():
            parts.append(part.strip())
    return parts


def _spell(character: str) -> str:
    category = unicodedata.category(character)
    if category == "So":
        return f" {unicodedata.name(character, '').lower()} "
    if category in ("Sk", "Cf", "Mn") and not character.isascii():
        return ""  # skin tones, joiners, variation selectors
    return " " if category.startswith("C") else character
