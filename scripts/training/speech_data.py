"""Speech clips: RAVDESS and TESS, from the packed files or the official releases, and noises to mix in."""

from __future__ import annotations

import csv
import io
import zipfile
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

TRAIN_ACTORS = range(2, 18)
VALIDATION_ACTORS = range(18, 22)
"""RAVDESS's other four actors (01, 22, 23, 24) are the test set: never read here."""

RAVDESS_CODES = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
"""EM of 03-01-EM-IN-ST-RE-AC.wav is 01 to 08, in this order."""

TESS_NAMES = {"ps": "surprise", "pleasant_surprise": "surprise", "pleasant_surprised": "surprise"}
"""Where TESS's folder names differ from ours."""

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
    """F or M."""
    corpus: str
    """ravdess or tess."""


def load_clips(data: Path, split: str) -> list[Clip]:
    """Read `split` (train or validation) from `data`/speech; TESS, with two speakers only, is always training.

    Either ravdess.zip with ravdess.csv, or the official folder RAVDESS/Actor_NN; likewise tess.zip or TESS.
    Raises TrainingError if RAVDESS is not there in either form; TESS may be missing.
    """
    folder = data / "speech"
    clips = list(_ravdess(folder, split))
    if split == "train":
        clips += _tess(folder)
    return clips


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


def _ravdess(folder: Path, split: str) -> Iterator[Clip]:
    official = folder / "RAVDESS"
    if (folder / "ravdess.zip").exists():
        yield from _from_pack(folder, "ravdess", "train" if split == "train" else "val")
    elif official.is_dir():
        actors = TRAIN_ACTORS if split == "train" else VALIDATION_ACTORS
        for actor in actors:
            for path in sorted((official / f"Actor_{actor:02}").glob("03-01-*.wav")):
                emotion = RAVDESS_CODES[int(path.stem.split("-")[2]) - 1]
                yield _clip(path, emotion, f"ravdess_{actor:02}", "M" if actor % 2 else "F", "ravdess")
    else:
        raise TrainingError(
            f"no speech data: neither {folder / 'ravdess.zip'} nor {official} exists. Name the folder with --data"
        )


def _tess(folder: Path) -> Iterator[Clip]:
    if (folder / "tess.zip").exists():
        yield from _from_pack(folder, "tess", "train")
        return
    for path in sorted((folder / "TESS").glob("*/*.wav")):
        speaker, _, name = path.stem.split("_", 2)
        name = name.lower()
        yield _clip(path, TESS_NAMES.get(name, name), f"tess_{speaker}", "F", "tess")


def _clip(path: Path, emotion: str, speaker: str, sex: str, corpus: str) -> Clip:
    return Clip(trim_silence(read_sound(path)), SPEECH_EMOTIONS.index(emotion), speaker, sex, corpus)


def _from_pack(folder: Path, corpus: str, split: str) -> Iterator[Clip]:
    with zipfile.ZipFile(folder / f"{corpus}.zip") as pack:
        read = _reader(pack)
        for row in _rows(folder / f"{corpus}.csv"):
            if row["split"] == split:
                emotion = SPEECH_EMOTIONS.index(row["emotion"])
                yield Clip(read(row["clip_id"]), emotion, row["speaker"], row["sex"], corpus)


def _reader(pack: zipfile.ZipFile) -> Callable[[str], NDArray[np.float32]]:
    names = {Path(name).stem: name for name in pack.namelist()}
    return lambda clip_id: read_sound(pack.read(names[clip_id]))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        raise TrainingError(f"{path} is missing: the table that belongs to the pack beside it")
    with path.open(newline="") as table:
        return list(csv.DictReader(table))
