"""RAVDESS, TESS, CREMA-D and SAVEE: wav files to a zip of trimmed 16 kHz mono FLAC with its csv."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from tqdm import tqdm

from edge.perception.features import SAMPLE_RATE
from training.errors import TrainingError
from training.prepare.output import Output, speech_writer
from training.prepare.report import Report
from training.prepare.source import Source, Unreadable, find_table, open_source, read_text, with_ending
from training.prepare.speech_names import CREMAD_PER_ACTOR, GRAMMARS, Grammar, Misnamed, Utterance
from training.speech_data import read_sound, trim_silence

COLUMNS = (
    "clip_id",
    "speaker",
    "sex",
    "emotion",
    "intensity",
    "statement",
    "repetition",
    "dur",
    "rms_dbfs",
    "flags",
    "split",
)
RATES = (8_000, 192_000)
MAX_S = 60.0
MIN_S = 0.1
"""No clip of these releases is longer than 8 s or shorter than half a second."""
QUIET_DBFS = -55.0
"""`very_quiet`: so close to the noise of 16 bits that what it sounds like cannot be relied on."""
CLIPPED_SAMPLES = 8
"""`clipped`: at least so many samples at full scale."""


@dataclass(frozen=True)
class Sound:
    """A decoded, trimmed clip."""

    pcm: NDArray[np.int16]
    """(N,) mono, 16 kHz."""
    flags: tuple[str, ...]


def prepare_speech(corpus: str, path: Path, output: Output, report: Report) -> int:
    """Pack `corpus` from the release at `path`; return how many clips were packed.

    Raises TrainingError if the release holds no clip that can be packed.
    """
    grammar, source = GRAMMARS[corpus], open_source(path)
    try:
        found = named(grammar, source, report)
        sexes = demographics(source, report) if corpus == "cremad" else {}
        with speech_writer(output, corpus, COLUMNS) as writer:
            seen: dict[str, str] = {}
            progress = tqdm(found.items(), desc=f"packing {corpus}", unit="clip", mininterval=1.0, leave=False)
            for said, file in progress:
                try:
                    sound = decode(source.read(file))
                except Unreadable as error:
                    report.add(file, "unreadable", str(error))
                    continue
                row = _row(said, sound, seen, sexes)
                writer.add(f"{said.clip_id}.flac", flac(sound.pcm), row)
            count = len(writer.rows)
        if not count:
            raise TrainingError(f"{path}: none of {len(found)} clips can be read ({report.why_nothing()})")
    finally:
        source.close()
    _say_missing(grammar, {said.clip_id for said in found}, report)
    return count


def named(grammar: Grammar, source: Source, report: Report) -> dict[Utterance, str]:
    """Return the files of the release by what they say, sorted by clip id; misnamed ones are reported.

    Raises TrainingError if there are none.
    """
    found: dict[str, tuple[Utterance, str]] = {}
    passed_over = copies = 0
    files = with_ending(source, ".wav")
    wrong = Report()
    for file in files:
        try:
            said = grammar.parse(file)
        except Misnamed as error:
            wrong.add(file, error.kind, str(error))
            continue
        if said is None:
            passed_over += 1
        elif said.clip_id not in found:
            found[said.clip_id] = (said, file)
        elif _same(source, file, found[said.clip_id][1]):
            copies += 1
        else:
            wrong.add(file, "duplicate", f"is another recording of {found[said.clip_id][1]}, which was taken")
    if not found:
        other = f"; it holds {len(files)} other wav files, such as {files[0]!r}" if files else "; it holds no wav file"
        raise TrainingError(f"{source.path} is no {grammar.title}: no file is named like {grammar.example}{other}")
    for name, trouble in source.troubles:
        report.add(name, "unreadable", trouble)
    report.problems += wrong.problems
    if passed_over:
        report.note(f"{passed_over} wav files are songs or of other parts of the release and were passed over")
    if copies:
        report.note(f"{copies} wav files are copies of others, byte for byte, and were passed over")
    return {said: file for _, (said, file) in sorted(found.items())}


def decode(content: bytes) -> Sound:
    """Return a wav as trimmed mono of 16 kHz. Raises Unreadable if it is truncated, silent or no sound at all."""
    left_out = missing_bytes(content)
    if left_out:
        raise Unreadable(f"is truncated: {left_out} bytes of sound are missing")
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            rate, channels, length_s = sound.samplerate, sound.channels, sound.frames / max(sound.samplerate, 1)
        if not RATES[0] <= rate <= RATES[1]:
            raise Unreadable(f"has {rate} samples a second, not {RATES[0]} to {RATES[1]}")
        if length_s > MAX_S:
            raise Unreadable(f"lasts {length_s:.0f} s: no clip of this release is longer than {MAX_S:.0f} s")
        whole = read_sound(content)
    except (soundfile.LibsndfileError, RuntimeError, ValueError, MemoryError) as error:
        # libsndfile's own words, without the address of the buffer it was given
        raise Unreadable(f"cannot be decoded: {getattr(error, 'error_string', error)}") from error
    if not np.isfinite(whole).all():
        raise Unreadable("holds samples that are no numbers")
    if not np.any(whole):
        raise Unreadable("holds no sound: all samples are 0" if len(whole) else "holds no samples")
    pcm = trim_silence(whole)
    if len(pcm) < MIN_S * SAMPLE_RATE:
        raise Unreadable(f"holds only {len(pcm) / SAMPLE_RATE:.3f} s of sound")
    flags = ["stereo_src"] if channels > 1 else []
    flags += ["clipped"] if np.count_nonzero(np.abs(whole) >= 0.9999) >= CLIPPED_SAMPLES else []
    return Sound(np.clip(np.round(pcm * 32768.0), -32768, 32767).astype(np.int16), tuple(flags))


def missing_bytes(content: bytes) -> int:
    """Return how many bytes the data chunk of a RIFF wav announces but does not hold; 0 for all else.

    libsndfile reads what is there and says nothing. Sizes of 0 and 2**32-1 are what programs write that could not seek.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return 0
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"data":
            return 0 if size in (0, 0xFFFFFFFF) else max(0, size - (len(content) - at))
        at += size + size % 2
    return 0


def flac(pcm: NDArray[np.int16]) -> bytes:
    """Return 16 kHz mono FLAC of 16 bits."""
    stream = io.BytesIO()
    soundfile.write(stream, pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return stream.getvalue()


def rms_dbfs(pcm: NDArray[np.int16]) -> float:
    """Return the level of the clip in dB of full scale (of a square wave: 0)."""
    return float(10.0 * np.log10(np.mean((pcm / 32768.0) ** 2) + 1e-12))


def demographics(source: Source, report: Report) -> dict[str, str]:
    """Return F or M by CREMA-D's actor, from VideoDemographics.csv in the release or beside its AudioWAV folder."""
    table = find_table(source, "videodemographics.csv")
    beside = source.path.parent / "VideoDemographics.csv"
    try:
        if table is not None:
            text = read_text(source, table)
        elif source.path.is_dir() and beside.is_file():
            text = io.StringIO(beside.read_text(encoding="utf-8-sig"), newline="")
        else:
            report.note("there is no VideoDemographics.csv: the column `sex` is left empty")
            return {}
        sexes = {(row.get("ActorID") or "").strip(): (row.get("Sex") or "")[:1].upper() for row in csv.DictReader(text)}
    except (Unreadable, OSError, UnicodeDecodeError, csv.Error) as error:
        report.add(table or beside.name, "unreadable", f"{error}; the column `sex` is left empty")
        return {}
    return {f"cremad_{actor}": sex for actor, sex in sexes.items() if sex in ("F", "M")}


def _row(said: Utterance, sound: Sound, seen: dict[str, str], sexes: dict[str, str]) -> dict[str, str]:
    """Return the row of the csv. `seen` maps hashes of earlier clips to their ids, and is added to."""
    level = rms_dbfs(sound.pcm)
    first = seen.setdefault(hashlib.sha256(sound.pcm.tobytes()).hexdigest(), said.clip_id)
    flags = [*(["very_quiet"] if level < QUIET_DBFS else []), *sound.flags]
    flags += [f"dup_of:{first}"] if first != said.clip_id else []
    return asdict(said) | {
        "sex": said.sex or sexes.get(said.speaker, ""),
        "dur": f"{round(len(sound.pcm) / SAMPLE_RATE, 3):g}",
        "rms_dbfs": f"{level:.1f}",
        "flags": " ".join(flags),
    }


def _say_missing(grammar: Grammar, there: set[str], report: Report) -> None:
    """Report what the official release has and this one lacks."""
    missing = list(grammar.expected(there))
    report.missing(missing)
    short = grammar.count - len(there)
    if short > len(missing):
        where = f" ({_short_actors(there)})" if grammar.corpus == "cremad" else ""
        report.add(
            f"{grammar.corpus} release",
            "missing",
            f"{len(there)} of {grammar.count} files are there; {short} are missing{where}",
        )
    elif short < 0:
        report.note(f"{len(there)} files are there, and the official release has {grammar.count}")
    elif not short:
        report.note(f"all {grammar.count} files of the official release are there")


def _short_actors(there: set[str]) -> str:
    counts = Counter(clip.split("_")[1] for clip in there)
    return "an actor has up to 82: " + ", ".join(_short(counts)) if counts else ""


def _short(counts: Counter[str]) -> Iterator[str]:
    worst = sorted((count, actor) for actor, count in counts.items() if count < CREMAD_PER_ACTOR)
    yield from (f"{actor} has {count}" for count, actor in worst[:8])
    if len(worst) > 8:
        yield f"{len(worst) - 8} more have fewer"


def _same(source: Source, one: str, other: str) -> bool:
    try:
        return source.read(one) == source.read(other)
    except Unreadable:
        return False
