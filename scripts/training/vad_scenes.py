"""Made-up scenes for training the voice activity network: speech in noise, and noise alone, with a label per frame.

Plain speech, acted speech and noises come from the packs (docs/data.md); a part of the noises is synthetic, because
fans, clocks, music and sirens are common and the packs hold few of them.
"""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly

from edge.emotions import SPEECH_EMOTIONS
from edge.perception.vad import HOP, SAMPLE_RATE, WINDOW, frame_features, network_input
from training.errors import TrainingError
from training.speech_data import load_clips, read_sound

FOLDS = 5

ACTIVE_BELOW_PEAK_DB = 30.0
"""Reference: a frame of clean speech is active if it is within 30 dB of the clip's loudest frame."""
UNSURE_BELOW_PEAK_DB = 45.0
"""Between 30 and 45 dB under the loudest frame nothing is learnt: breath, reverberation, or the recording's noise."""
INAUDIBLE_DB = 3.0
"""Active frames that lie more than this below the noise at that moment are not learnt either."""

Sound = NDArray[np.float32]
Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Item:
    """One recording."""

    name: str
    kind: str
    """Class of a noise, `command` or `digit` of plain speech, emotion of acted speech."""
    fold: int
    """1 to 5: no source recording (noises), speaker (digits) or file (commands) is in two folds."""
    pcm: Sound


@dataclass(frozen=True)
class Corpus:
    """Everything there is to train and measure with."""

    noises: list[Item]
    plain: list[Item]
    acted: list[Item]
    """RAVDESS training actors and TESS."""
    acted_validation: list[Item]
    """RAVDESS validation actors."""


@dataclass(frozen=True)
class Scene:
    """Some seconds of sound as the network sees it."""

    rows: NDArray[np.float32]
    """(T, 29): the network's input."""
    label: NDArray[np.float32]
    """(T,): 1 where somebody speaks."""
    weight: NDArray[np.float32]
    """(T,): 0 where it cannot be said."""


def load_corpus(data: Path) -> Corpus:
    """Read the packs under `data`. Raises TrainingError if they are not there."""
    folder = data / "noise"
    if not (folder / "noise.zip").exists():
        raise TrainingError(f"{folder / 'noise.zip'} is missing. Name the folder with --data")
    with (folder / "noise.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    with zipfile.ZipFile(folder / "noise.zip") as pack:
        sounds = [read_sound(pack.read(row["file"])) for row in rows]
    noises, plain = [], []
    for row, pcm in zip(rows, sounds, strict=True):
        name = row["clip_id"]
        if row["kind"] == "noise":
            noises.append(Item(name, row["cls"], int(row["fold"]), pcm))
        else:
            plain.append(Item(name, "digit" if name.startswith("fsdd") else "command", _speech_fold(name), pcm))
    return Corpus(noises, plain, _acted(data, "train"), _acted(data, "validation"))


def scene(rng: np.random.Generator, noises: list[Sound], speech: list[Sound]) -> Scene:
    """Make one scene of 2 to 5 s at a random level: half noise alone, half speech at 0 to 25 dB."""
    length = int(rng.choice([2, 3, 4, 5])) * SAMPLE_RATE
    if rng.random() < 0.5:
        clean = np.zeros(length, np.float32)
        noise = _noise(rng, noises, length)
    else:
        clean = _speech(rng, speech, length)
        noise = _crop(rng, _pick(rng, noises), len(clean)) if rng.random() < 0.85 else synthetic(rng, len(clean))
        snr_db = rng.uniform(0.0, 25.0) if rng.random() < 0.8 else 50.0
        noise = noise * (rms(clean[clean != 0.0]) / rms(noise) * 10.0 ** (-snr_db / 20.0))
    label, weight = _labels(clean, noise)
    level_db = rng.uniform(-45.0, -10.0)
    mixed = np.clip((clean + noise) * (10.0 ** (level_db / 20.0) / rms(clean + noise)), -1.0, 1.0).astype(np.float32)
    return Scene(network_input(frame_features(mixed)[0]), label, weight)


def frame_db(pcm: Sound) -> NDArray[np.float64]:
    """Return the level of each frame in dB of full scale, (T,), framed as `edge.perception.vad` does it."""
    pcm = np.pad(pcm, (0, max(0, WINDOW - len(pcm))))
    frames = np.lib.stride_tricks.sliding_window_view(pcm, WINDOW)[::HOP]
    level: NDArray[np.float64] = 10.0 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)
    return level


def rms(pcm: Sound) -> float:
    """Return the root mean square; never quite 0."""
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2) + 1e-20)) if len(pcm) else 1e-10


def repeat_to(pcm: Sound, length: int, start: int) -> Sound:
    """Return `length` samples of `pcm` from `start` on, repeated as often as it takes."""
    return np.take(pcm, np.arange(start, start + length), mode="wrap")


def synthetic(rng: np.random.Generator, length: int) -> Sound:
    """Return one of seven made-up noises, (length,)."""
    makers = (_hiss, _rumble, _hum, _tone, _music, _siren, _ticks)
    return np.asarray(makers[rng.integers(len(makers))](rng, length), dtype=np.float32)


def _speech_fold(name: str) -> int:
    """Digits by speaker, commands by file: their speakers are not named."""
    parts = name.split("_")
    if parts[0] == "fsdd":
        return 1 + sum(parts[2].encode()) % FOLDS
    return 1 + int(parts[-1], 16) % FOLDS


def _acted(data: Path, split: str) -> list[Item]:
    return [Item(clip.speaker, SPEECH_EMOTIONS[clip.emotion], 0, clip.pcm) for clip in load_clips(data, split)]


def _labels(clean: Sound, noise: Sound) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    level, around = frame_db(clean), frame_db(noise)
    label = np.zeros(len(level), np.float32)
    weight = np.ones(len(level), np.float32)
    peak = level.max()
    if peak <= -100.0:
        return label, weight
    active = level > peak - ACTIVE_BELOW_PEAK_DB
    label[active] = 1.0
    weight[~active & (level > peak - UNSURE_BELOW_PEAK_DB)] = 0.0
    weight[active & (level < around - INAUDIBLE_DB)] = 0.0
    edges = np.flatnonzero(np.diff(label))
    weight[edges], weight[edges + 1] = 0.0, 0.0
    return label, weight


def _noise(rng: np.random.Generator, noises: list[Sound], length: int) -> Sound:
    if rng.random() < 0.15:
        return synthetic(rng, length)
    noise = _crop(rng, _varied(rng, _pick(rng, noises)), length)
    if rng.random() < 0.2:
        other = _crop(rng, _pick(rng, noises), length)
        noise = noise + other * (rms(noise) / rms(other) * 10.0 ** (rng.uniform(-15.0, 5.0) / 20.0))
    return noise


def _speech(rng: np.random.Generator, speech: list[Sound], length: int) -> Sound:
    """Return one or two utterances somewhere in `length` samples of silence, or one alone: then as long as it is."""
    said = _varied(rng, _pick(rng, speech))
    if rng.random() < 0.3:
        length = int(np.clip(len(said), WINDOW, length))
    said = _crop(rng, said, min(len(said), length))
    clean = np.zeros(length, np.float32)
    start = int(rng.integers(0, length - len(said) + 1))
    end = start + len(said)
    clean[start:end] = said
    if rng.random() < 0.3 and length - end > SAMPLE_RATE:
        more = _pick(rng, speech)[: length - end]
        clean[end : end + len(more)] = more * (rms(said) / rms(more))
    return clean


def _varied(rng: np.random.Generator, pcm: Sound) -> Sound:
    """Return it a little faster or slower, brighter or duller."""
    if rng.random() < 0.5:
        up, down = ((9, 10), (19, 20), (21, 20), (11, 10))[rng.integers(4)]
        pcm = resample_poly(pcm, up, down)
    if rng.random() < 0.5:
        pcm = lfilter([1.0, rng.uniform(-0.5, 0.5)], [1.0], pcm)
    if rng.random() < 0.3:
        pole = rng.uniform(0.0, 0.6)
        pcm = lfilter([1.0 - pole], [1.0, -pole], pcm)
    return np.asarray(pcm, dtype=np.float32)


def _pick(rng: np.random.Generator, sounds: list[Sound]) -> Sound:
    return sounds[rng.integers(len(sounds))]


def _crop(rng: np.random.Generator, pcm: Sound, length: int) -> Sound:
    longest = max(len(pcm) - length, 0)
    return repeat_to(pcm, length, int(rng.integers(0, longest + 1)) if longest else 0)


def _hiss(rng: np.random.Generator, length: int) -> Wave:
    return np.asarray(rng.standard_normal(length) * 10.0 ** rng.uniform(-6.0, -1.0))


def _rumble(rng: np.random.Generator, length: int) -> Wave:
    return np.asarray(lfilter([1.0], [1.0, -rng.uniform(0.9, 0.99)], rng.standard_normal(length)) * 0.1)


def _hum(rng: np.random.Generator, length: int) -> Wave:
    """Mains, motors: harmonics of a steady low tone."""
    time_s = np.arange(length) / SAMPLE_RATE
    base = rng.choice([50.0, 60.0, rng.uniform(40.0, 200.0)])
    parts = [rng.uniform() / n * np.sin(2 * np.pi * base * n * time_s + rng.uniform(0.0, 6.0)) for n in range(1, 12)]
    return np.asarray(0.2 * np.sum(parts, axis=0))


def _tone(rng: np.random.Generator, length: int) -> Wave:
    return 0.3 * np.sin(2 * np.pi * rng.uniform(80.0, 3000.0) * np.arange(length) / SAMPLE_RATE)


def _siren(rng: np.random.Generator, length: int) -> Wave:
    hz = np.interp(np.arange(length), np.linspace(0, length, 8), rng.uniform(100.0, 2000.0, 8))
    return np.asarray(0.2 * np.sin(2 * np.pi * np.cumsum(hz) / SAMPLE_RATE))


def _music(rng: np.random.Generator, length: int) -> Wave:
    """Chords of three plucked notes, one after another."""
    out = np.zeros(length)
    start = 0
    while start < length:
        piece = min(int(rng.uniform(0.15, 0.8) * SAMPLE_RATE), length - start)
        time_s = np.arange(piece) / SAMPLE_RATE
        fading = np.exp(-time_s * rng.uniform(1.0, 6.0))
        base = rng.uniform(80.0, 500.0)
        for interval in rng.choice([1.0, 1.19, 1.26, 1.33, 1.5, 2.0], 3):
            for n in range(1, int(rng.integers(3, 9))):
                out[start : start + piece] += np.sin(2 * np.pi * base * interval * n * time_s) / n * fading
        start += piece
    return 0.1 * out


def _ticks(rng: np.random.Generator, length: int) -> Wave:
    """Clocks, keyboards, knocks: short ringing blows, regular or not, over a little hiss."""
    blows = np.zeros(length)
    period = rng.uniform(0.1, 1.0) * SAMPLE_RATE
    jitter = rng.choice([0.0, 0.5])
    at = rng.uniform(0.0, period)
    while at < length:
        blows[int(at)] = rng.uniform(0.5, 1.0)
        at += period * (1.0 + jitter * rng.uniform(-1.0, 1.0))
    out = np.zeros(length)
    for _ in range(rng.integers(1, 5)):
        pole = np.exp(-1.0 / (rng.uniform(0.001, 0.03) * SAMPLE_RATE))
        angle = 2 * np.pi * rng.uniform(150.0, 5000.0) / SAMPLE_RATE
        out += lfilter([1.0], [1.0, -2.0 * pole * np.cos(angle), pole**2], blows)
    hiss = rng.standard_normal(length) * 10.0 ** rng.uniform(-5.0, -2.5)
    return np.asarray(0.3 * out / max(np.abs(out).max(), 1e-9) + hiss)
