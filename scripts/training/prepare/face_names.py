"""Which class a face picture shows and whose face it is, by the names of folders and files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from edge.emotions import EMOTIONS
from training.errors import TrainingError

CONTEMPT = "contempt"
CLASSES = (*EMOTIONS, CONTEMPT)
"""`class_names` of the packs: the seven, and 7 = contempt, which only `ferplus_label` knows."""

SYNONYMS = {
    "anger": "angry",
    "angrily": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "smile": "happy",
    "sadness": "sad",
    "surprised": "surprise",
    "contemptuous": "contempt",
}

COMPOUND = {
    f"{first}{second}"
    for first in ("happily", "sadly", "fearfully", "angrily", "disgustedly")
    for second in ("surprised", "disgusted", "fearful", "angry")
} | {"appalled", "hatred", "hate", "awed", "awe"}
"""Compound expressions of Du, Tao and Martinez 2014 (doi:10.1073/pnas.1322355111): of no single class, left out."""

JAFFE_CODES = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "SA": "sad",
    "SU": "surprise",
    "NE": "neutral",
}

CKPLUS_COUNTS = {
    "angry": 135,
    "contempt": 54,
    "disgust": 177,
    "fear": 75,
    "happy": 207,
    "sad": 84,
    "surprise": 249,
}
"""CK+48: the last three frames of each of the 327 labelled sequences of CK+ (Lucey et al. 2010)."""
JAFFE_COUNTS = {"angry": 30, "disgust": 29, "fear": 32, "happy": 31, "neutral": 30, "sad": 31, "surprise": 30}
"""Lyons et al. 1998, ten women, by the codes of the file names."""


class UnknownClass(Exception):
    """The class is none that is known; the message fits after the file's name and a colon."""


@dataclass(frozen=True)
class FaceGrammar:
    """How a release names its pictures."""

    corpus: str
    title: str
    parse: Callable[[str, dict[str, str]], tuple[str, str] | None]
    """Path and the user's own class names to (class of CLASSES, subject); None for a compound expression.
    Raises UnknownClass."""
    counts: dict[str, int] = field(default_factory=dict)
    """Pictures per class in the official release; empty if there is no such release."""


def class_of(name: str, own: dict[str, str]) -> str | None:
    """Return the class that a folder's name says: the user's word for it first, then ours, then synonyms; else None."""
    name = re.sub(r"[^\w]|_", "", name.lower())
    if name in own:
        return own[name]
    bare = re.sub(r"^\d+|\d+$", "", name)
    for each in (name, bare):
        if each in own:
            return own[each]
        if each in CLASSES:
            return each
        if each in SYNONYMS:
            return SYNONYMS[each]
    return None


def own_classes(text: str) -> dict[str, str]:
    """Read `angry=colere,happy=joie`: our class, then theirs. Raises TrainingError naming what makes no sense."""
    own = {}
    for pair in filter(None, text.split(",")):
        ours, equals, theirs = pair.partition("=")
        ours, plain = ours.strip().lower(), re.sub(r"[^\w]|_", "", theirs.lower())
        ours = SYNONYMS.get(ours, ours)
        if not equals or not plain or ours not in CLASSES:
            raise TrainingError(f"--classes: {pair!r} is not OURS=THEIRS with OURS one of {', '.join(CLASSES)}")
        own[plain] = ours
    return own


def parse_folder(path: str, own: dict[str, str]) -> tuple[str, str] | None:
    """Take the nearest folder whose name is a class: angry/x.png, and test/angry/subject1/x.png as well."""
    folders = PurePosixPath(path).parts[:-1]
    for folder in reversed(folders):
        found = class_of(folder, own)
        if found is not None:
            return found, ""
        if re.sub(r"[^a-z]", "", folder.lower()) in COMPOUND:
            return None
    where = f"folder {folders[-1]!r} is no class that is known" if folders else "lies in no folder that names its class"
    raise UnknownClass(f"{where}; name it with --classes angry=THEIRS,...")


def parse_ckplus(path: str, own: dict[str, str]) -> tuple[str, str] | None:
    """Folder per class; subject from S010_004_00000017.png."""
    found = parse_folder(path, own)
    subject = re.match(r"S\d{3}(?=_)", PurePosixPath(path).name)
    return found and (found[0], subject[0] if subject else "")


def parse_jaffe(path: str, own: dict[str, str]) -> tuple[str, str] | None:
    """Read KA.AN1.39.tiff: subject, class and take, number."""
    match = re.match(r"([A-Z]{2})[.-]([A-Z]{2})\d?[.-]?\d", PurePosixPath(path).name, re.ASCII)
    if match is None:
        raise UnknownClass("is not named SUBJECT.CLASS.NUMBER.tiff, such as KA.AN1.39.tiff")
    found = own.get(match[2].lower()) or JAFFE_CODES.get(match[2])
    if found is None:
        raise UnknownClass(f"class {match[2]} is none of {', '.join(JAFFE_CODES)}")
    return found, match[1]


GRAMMARS = {
    "ckplus": FaceGrammar("ckplus", "CK+48", parse_ckplus, CKPLUS_COUNTS),
    "jaffe": FaceGrammar("jaffe", "JAFFE", parse_jaffe, JAFFE_COUNTS),
    "cfe": FaceGrammar("cfe", "Compound Facial Expressions", parse_folder),
    "folder": FaceGrammar("folder", "a folder per class", parse_folder),
}
