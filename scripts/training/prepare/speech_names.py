"""What the file names of the official speech releases say. Each grammar is pure: names in, `Utterance` out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

TEST_ACTORS = (1, 22, 23, 24)
VALIDATION_ACTORS = (18, 19, 20, 21)
"""RAVDESS actors; the other sixteen, 02 to 17, are for training."""

RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
"""EM is 01 to 08 in this order (Livingstone and Russo 2018, doi:10.1371/journal.pone.0196391)."""
RAVDESS_COUNT = 1440
TESS_SPEAKERS = ("OAF", "YAF")
TESS_EMOTIONS = {"angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "neutral": "neutral"}
TESS_EMOTIONS |= {"ps": "surprise", "sad": "sad"}
TESS_COUNT = 2800
CREMAD_EMOTIONS = {"ANG": "angry", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
CREMAD_LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": ""}
CREMAD_ACTORS = range(1001, 1092)
CREMAD_SENTENCES = ("DFA", "IEO", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI")
CREMAD_COUNT = 7442
CREMAD_PER_ACTOR = 82
"""12 sentences in 6 emotions, and IEO in two more levels of 5 of them; not quite all were recorded."""
SAVEE_SPEAKERS = ("DC", "JE", "JK", "KL")
SAVEE_EMOTIONS = {
    "a": "angry",
    "d": "disgust",
    "f": "fear",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprise",
}
SAVEE_COUNT = 480


class Misnamed(Exception):
    """A name does not say what it should; the message fits after the name and a colon."""

    def __init__(self, message: str, kind: str = "misnamed") -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Utterance:
    """What a name says. All values as they stand in the pack's csv."""

    clip_id: str
    speaker: str
    sex: str
    """F, M, or empty where the name does not say."""
    emotion: str
    intensity: str
    statement: str
    repetition: str
    split: str


@dataclass(frozen=True)
class Grammar:
    """How one release names its clips."""

    corpus: str
    title: str
    example: str
    count: int
    parse: Callable[[str], Utterance | None]
    """Path within the release to utterance; None for what is no clip of this corpus. Raises Misnamed."""
    expected: Callable[[set[str]], Iterator[tuple[str, str]]]
    """Clip ids that are there to (missing file, its group), as far as the names of all files are known."""


def parse_ravdess(path: str) -> Utterance | None:
    """Read 03-01-EM-IN-ST-RE-AC.wav; songs (03-02-...) are no speech and passed over."""
    name = PurePosixPath(path).stem
    fields = name.split("-")
    if len(fields) > 1 and fields[0] in ("01", "02", "03") and fields[:2] != ["03", "01"]:
        return None
    if not re.fullmatch(r"03-01(-\d\d){5}", name, re.ASCII):
        raise Misnamed("is not named 03-01-EM-IN-ST-RE-AC.wav")
    emotion, intensity, statement, repetition, actor = map(int, fields[2:])
    if not 1 <= emotion <= len(RAVDESS_EMOTIONS):
        raise Misnamed(f"emotion code {emotion:02} is none of 01 to 08", "unknown-emotion")
    for what, value, most in (
        ("intensity", intensity, 2),
        ("statement", statement, 2),
        ("repetition", repetition, 2),
        ("actor", actor, 24),
    ):
        if not 1 <= value <= most:
            raise Misnamed(f"{what} code {value:02} is none of 01 to {most:02}")
    if emotion == 1 and intensity == 2:
        raise Misnamed("neutral is never of strong intensity (02)")
    folder = re.search(r"Actor_(\d\d)(?=/)", path)
    if folder and int(folder[1]) != actor:
        raise Misnamed(f"is named for actor {actor:02} but lies in {folder[0]}")
    return Utterance(
        f"ravdess_{name}",
        f"ravdess_{actor:02}",
        "M" if actor % 2 else "F",
        RAVDESS_EMOTIONS[emotion - 1],
        ("normal", "strong")[intensity - 1],
        f"s{statement:02}",
        f"{repetition:02}",
        "test" if actor in TEST_ACTORS else "val" if actor in VALIDATION_ACTORS else "train",
    )


def parse_tess(path: str) -> Utterance:
    """Read OAF_back_angry.wav. The folder (`OAF_Pleasant_surprise`, `YAF_pleasant_surprised`) only has to agree."""
    name = PurePosixPath(path).stem
    match = re.fullmatch(r"(OAF|YAF|OA)_([a-z]+)_([a-z]+)", name, re.ASCII | re.IGNORECASE)
    if match is None:
        raise Misnamed("is not named SPEAKER_WORD_EMOTION.wav with speaker OAF or YAF")
    speaker, word, code = match[1].upper(), match[2].lower(), match[3].lower()
    speaker = "OAF" if speaker == "OA" else speaker  # the release has one OA_bite_neutral.wav
    if code not in TESS_EMOTIONS:
        raise Misnamed(f"emotion {code!r} is none of {', '.join(TESS_EMOTIONS)}", "unknown-emotion")
    emotion = TESS_EMOTIONS[code]
    folder = re.fullmatch(r"(OAF|YAF)_(\w+)", PurePosixPath(path).parent.name, re.IGNORECASE)
    if folder and (folder[1].upper() != speaker or _tess_folder_emotion(folder[2]) not in (emotion, None)):
        raise Misnamed(f"lies in {folder[0]}, which says otherwise")
    return Utterance(f"tess_{speaker}_{word}_{emotion}", f"tess_{speaker}", "F", emotion, "", word, "1", "train")


def parse_cremad(path: str) -> Utterance:
    """Read 1001_DFA_ANG_XX.wav (github.com/CheyneyComputerScience/CREMA-D). Sex stands in another file."""
    name = PurePosixPath(path).stem
    fields = name.split("_")
    if not re.fullmatch(r"\d{4}_[A-Z]{3}_[A-Z]{3}_[A-Z]{1,2}", name, re.ASCII) or int(fields[0]) not in CREMAD_ACTORS:
        raise Misnamed("is not named ACTOR_SENTENCE_EMOTION_LEVEL.wav with actor 1001 to 1091")
    actor, sentence, code, level = fields
    if code not in CREMAD_EMOTIONS:
        raise Misnamed(f"emotion {code} is none of {', '.join(CREMAD_EMOTIONS)}", "unknown-emotion")
    level = "XX" if level == "X" else level  # the release has one 1040_ITH_SAD_X.wav
    if sentence not in CREMAD_SENTENCES or level not in CREMAD_LEVELS:
        raise Misnamed(f"sentence {sentence} or level {level} is none of the release's")
    clip = f"cremad_{actor}_{sentence}_{code}_{level}"
    return Utterance(clip, f"cremad_{actor}", "", CREMAD_EMOTIONS[code], CREMAD_LEVELS[level], sentence, "1", "train")


def parse_savee(path: str) -> Utterance:
    """Read DC_a01.wav, or DC/a01.wav of the release's AudioData folder."""
    whole = PurePosixPath(path)
    match = re.fullmatch(r"(?:([A-Z]{2})_)?(sa|su|[a-z])(\d\d)", whole.stem, re.ASCII)
    speaker = match and (match[1] or whole.parent.name)
    if match is None or speaker not in SAVEE_SPEAKERS:
        raise Misnamed(
            f"is not named SPEAKER_a01.wav, nor a01.wav in its folder, with speaker {', '.join(SAVEE_SPEAKERS)}"
        )
    if match[2] not in SAVEE_EMOTIONS:
        raise Misnamed(f"emotion {match[2]!r} is none of {', '.join(SAVEE_EMOTIONS)}", "unknown-emotion")
    emotion, number = SAVEE_EMOTIONS[match[2]], match[3]
    clip = f"savee_{speaker}_{match[2]}{number}"
    return Utterance(clip, f"savee_{speaker}", "M", emotion, "", f"{match[2]}{number}", "1", "train")


def _tess_folder_emotion(name: str) -> str | None:
    name = name.lower()
    return "surprise" if "surprise" in name else TESS_EMOTIONS.get(name)


def _expected_ravdess(there: set[str]) -> Iterator[tuple[str, str]]:
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for rest in (f"{i:02}-{s:02}-{r:02}" for i in (1, 2) for s in (1, 2) for r in (1, 2)):
                name = f"03-01-{emotion:02}-{rest}-{actor:02}"
                if f"ravdess_{name}" not in there and not (emotion == 1 and rest.startswith("02")):
                    yield f"Actor_{actor:02}/{name}.wav", f"Actor_{actor:02}"


def _expected_tess(there: set[str]) -> Iterator[tuple[str, str]]:
    """All words that stand at least once are wanted from both speakers in all emotions."""
    words = sorted({clip.split("_")[2] for clip in there})
    for speaker in TESS_SPEAKERS:
        for code, emotion in TESS_EMOTIONS.items():
            for word in words:
                if f"tess_{speaker}_{word}_{emotion}" not in there:
                    yield f"{speaker}_{word}_{code}.wav", f"{speaker}_{code}"


def _expected_cremad(there: set[str]) -> Iterator[tuple[str, str]]:
    """Only whole actors: which of the 82 takes of an actor were never recorded is not known here."""
    actors = {int(clip.split("_")[1]) for clip in there}
    for actor in CREMAD_ACTORS:
        if actor not in actors:
            yield f"{actor}_*.wav", f"actor {actor}"


def _expected_savee(there: set[str]) -> Iterator[tuple[str, str]]:
    for speaker in SAVEE_SPEAKERS:
        for code in SAVEE_EMOTIONS:
            for number in range(1, 31 if code == "n" else 16):
                if f"savee_{speaker}_{code}{number:02}" not in there:
                    yield f"{speaker}_{code}{number:02}.wav", speaker


GRAMMARS = {
    grammar.corpus: grammar
    for grammar in (
        Grammar(
            "ravdess", "RAVDESS, speech", "03-01-EM-IN-ST-RE-AC.wav", RAVDESS_COUNT, parse_ravdess, _expected_ravdess
        ),
        Grammar("tess", "TESS", "OAF_back_angry.wav", TESS_COUNT, parse_tess, _expected_tess),
        Grammar("cremad", "CREMA-D", "1001_DFA_ANG_XX.wav", CREMAD_COUNT, parse_cremad, _expected_cremad),
        Grammar("savee", "SAVEE", "DC_a01.wav", SAVEE_COUNT, parse_savee, _expected_savee),
    )
}
