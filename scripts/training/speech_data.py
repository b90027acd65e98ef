"""Speech clips from the packs that `scripts/train prepare` makes, and noises to mix in."""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from edge.emotions import SPEECH_EMOTIONS
from edge.perception.features import SAMPLE_RATE
from training.errors import TrainingError

CORPORA = ("ravdess", "tess", "cremad", "savee")
"""Packs that training reads, in this order. Without RAVDESS there is nothing to validate on; others may be missing."""

TRIM_BELOW_PEAK_DB = 45.0
TRIM_KEEP_S = 0.1


@dataclass(frozen=True)
class Clip:
    """One acted sentence."""

    pcm: NDArray[np.float32]
    """(N,) mono, 16 kHz, in [-1, 1]."""
    emotion: int
    """Index into SPEECH_EMOTIONS."""
    speaker: str
    sex: str
    """F, M, or empty where the release does not say."""
    corpus: str
    """One of CORPORA."""


def load_clips(data: Path, split: str) -> list[Clip]:
    """Read `split` (train or validation) of all packs that are in `data`/speech.

    RAVDESS's actors 02-17 train and 18-21 validate (its test actors are never read here); the other packs are all for
    training. Raises TrainingError if RAVDESS is not there, or a pack cannot be read.
    """
    folder = data / "speech"
    pack = folder / "ravdess.zip"
    if not pack.exists():
        raise TrainingError(
            f"no speech data: {pack} is missing. Make the pack with: scripts/train prepare ravdess FOLDER --out {data}"
            ", or name another folder with --data"
        )
    wanted = "train" if split == "train" else "val"
    return [clip for corpus in present(data) for clip in _from_pack(folder, corpus, wanted)]


def present(data: Path) -> list[str]:
    """Return which of CORPORA have a pack in `data`/speech."""
    return [corpus for corpus in CORPORA if (data / "speech" / f"{corpus}.zip").exists()]


def load_noises(data: Path) -> list[NDArray[np.float32]]:
    """Return the background sounds of `data`/noise as mono 16 kHz; an empty list if there are none."""
    folder = data / "noise"
    if not (folder / "noise.zip").exists():
        return []
    rows = _rows(folder / "noise.csv")
    with zipfile.ZipFile(folder / "noise.zip") as pack:
        return [read_sound(pack.read(row["file"])) for row in rows if row["kind"] == "noise"]


def read_sound(source: bytes | Path) -> NDArray[np.float32]:
    """Decode a file's bytes, or a file, to mono 16 kHz float32 in [-1, 1], shape (N,)."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    samples, rate = soundfile.read(stream, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = resample_poly(mono, SAMPLE_RATE, rate)
    return np.asarray(mono, dtype=np.float32)


def trim_silence(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut what is more than 45 dB under the loudest 20 ms off both ends, but for 100 ms: the packs were cut so."""
    frame = SAMPLE_RATE // 50
    whole = len(pcm) // frame
    if whole == 0:
        return pcm
    power = (pcm[: whole * frame].reshape(whole, frame) ** 2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-TRIM_BELOW_PEAK_DB / 10))
    if len(loud) == 0:
        return pcm
    keep = int(TRIM_KEEP_S * SAMPLE_RATE)
    return pcm[max(loud[0] * frame - keep, 0) : (loud[-1] + 1) * frame + keep]


def _from_pack(folder: Path, corpus: str, split: str) -> Iterator[Clip]:
    path = folder / f"{corpus}.zip"
    try:
        with zipfile.ZipFile(path) as pack:
            read = _reader(pack)
            for row in _rows(folder / f"{corpus}.csv"):
                if row["split"] == split:
                    emotion = SPEECH_EMOTIONS.index(row["emotion"])
                    yield Clip(read(row["clip_id"]), emotion, row["speaker"], row["sex"], corpus)
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path} and its csv cannot be read as a pack of speech: {error!r}") from error


def _reader(pack: zipfile.ZipFile) -> Callable[[str], NDArray[np.float32]]:
    names = {Path(name).stem: name for name in pack.namelist()}
    return lambda clip_id: read_sound(pack.read(names[clip_id]))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise TrainingError(f"{path} is missing: the table that belongs to the pack beside it")
    with path.open(newline="", encoding="utf-8-sig") as table:
        return list(csv.DictReader(table))
