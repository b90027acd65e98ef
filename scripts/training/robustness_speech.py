"""Speech, changed as rooms, lines and other people change it, and how a model does on it.

Changes take and return mono sound at 16 kHz, (samples,), of the same length. What is random depends on the clip alone,
not on the level: the levels of a condition differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt
from tqdm import tqdm

from edge.perception.features import SAMPLE_RATE, speech_features
from training.models import Recognise
from training.robustness import SEED, UNCHANGED, RobustnessFigures, figures
from training.sound_augment import add_noise, reverberate

Sound = NDArray[np.float32]

SNRS_DB = (20.0, 10.0, 5.0, 0.0)
CLIPPING_DB = (3.0, 6.0, 12.0)
QUIETER_DB = 6.0
BABBLERS = 3
NOISE_TRIES = 20
"""Some recordings are silent for seconds: another stretch is drawn then, at most so often."""

TELEPHONE_RATE = 8000
TELEPHONE_HZ = (300.0, 3400.0)
MU = 255.0
"""Of the mu-law (ITU-T G.711)."""


@dataclass(frozen=True)
class Step:
    """One condition at one level: `change(index, random numbers)` is the changed clip."""

    condition: str
    level: float | None
    unit: str
    change: Callable[[int, Generator], Sound]


def robustness_figures(
    recognise: Recognise,
    sounds: Sequence[Sound],
    truth: NDArray[np.int64],
    *,
    speakers: Sequence[str] | None = None,
    noises: Sequence[Sound] = (),
    seed: int = SEED,
) -> list[RobustnessFigures]:
    """Measure `recognise` on N clips, first unchanged, then at every level of every condition.

    Without `noises` there are no rows of noise; without `speakers`, N names of at least two, none of babble.
    """
    before = recognise(_features(list(sounds)))
    rows = [figures(UNCHANGED, None, "", before, truth, before)]
    for step in tqdm(list(_steps(sounds, speakers, noises)), desc="conditions", unit="condition", leave=False):
        changed = [step.change(index, np.random.default_rng((seed, index))) for index in range(len(sounds))]
        rows.append(figures(step.condition, step.level, step.unit, recognise(_features(changed)), truth, before))
    return rows


def _steps(sounds: Sequence[Sound], speakers: Sequence[str] | None, noises: Sequence[Sound]) -> Iterator[Step]:
    if noises:
        for snr_db in SNRS_DB:
            yield Step("noise", snr_db, "dB SNR", partial(_noisy, sounds, noises, snr_db))
    if speakers is not None and len(set(speakers)) > 1:
        for snr_db in SNRS_DB:
            yield Step("babble", snr_db, "dB SNR", partial(with_babble, sounds, speakers, snr_db))
    for below_db in CLIPPING_DB:
        yield Step("clipping", below_db, "dB under peak", partial(_clipped, sounds, below_db))
    yield Step("telephone", None, "", lambda index, _rng: telephone(sounds[index]))
    yield Step("reverberation", None, "", lambda index, rng: reverberate(sounds[index], rng))
    yield Step("quieter", QUIETER_DB, "dB", lambda index, _rng: quieten(sounds[index], QUIETER_DB))


def _noisy(sounds: Sequence[Sound], noises: Sequence[Sound], snr_db: float, index: int, rng: Generator) -> Sound:
    return with_noise(sounds[index], noises, snr_db, rng)


def _clipped(sounds: Sequence[Sound], below_db: float, index: int, _rng: Generator) -> Sound:
    return clip_peaks(sounds[index], below_db)


def with_noise(pcm: Sound, noises: Sequence[Sound], snr_db: float, rng: Generator) -> Sound:
    """Mix a random stretch of one of `noises` under `pcm`, `snr_db` below the mean power of its sounding samples."""
    for _ in range(NOISE_TRIES):
        mixed = add_noise(pcm, noises[int(rng.integers(len(noises)))], snr_db, rng)
        if mixed is not pcm:
            break
    return mixed


def with_babble(sounds: Sequence[Sound], speakers: Sequence[str], snr_db: float, index: int, rng: Generator) -> Sound:
    """Mix three other clips of other speakers, equally loud, under clip `index`, together `snr_db` below it."""
    return add_noise(sounds[index], babble([sounds[other] for other in babblers(speakers, index, rng)]), snr_db, rng)


def babblers(speakers: Sequence[str], index: int, rng: Generator) -> list[int]:
    """Return three clips, fewer if there are no more, of other speakers than that of clip `index`."""
    others = [place for place, speaker in enumerate(speakers) if speaker != speakers[index]]
    return [int(other) for other in rng.choice(others, min(BABBLERS, len(others)), replace=False)]


def babble(voices: Sequence[Sound]) -> Sound:
    """Return the sum of `voices`, each as loud as the others and repeated to the length of the longest."""
    longest = max(len(voice) for voice in voices)
    levels = [float(np.sqrt((voice.astype(np.float64) ** 2).mean())) for voice in voices]
    parts = [np.resize(voice, longest) / level for voice, level in zip(voices, levels, strict=True) if level > 0]
    return np.sum(parts, axis=0, dtype=np.float32) if parts else np.zeros(longest, np.float32)


def clip_peaks(pcm: Sound, below_db: float) -> Sound:
    """Cut everything off hard that is over `below_db` below the loudest sample."""
    limit = np.abs(pcm).max(initial=0.0) * 10 ** (-below_db / 20)
    return pcm.clip(-limit, limit).astype(np.float32)


def telephone(pcm: Sound) -> Sound:
    """Send through a telephone line: 300 to 3400 Hz at 8 kHz, mu-law in 8 bits, at full level."""
    narrow = resample_poly(pcm.astype(np.float64), TELEPHONE_RATE, SAMPLE_RATE)
    narrow = sosfiltfilt(butter(4, TELEPHONE_HZ, "bandpass", fs=TELEPHONE_RATE, output="sos"), narrow, padtype=None)
    peak = np.abs(narrow).max(initial=0.0)
    if peak == 0.0:
        return pcm
    coded = np.sign(narrow) * np.log1p(MU * np.abs(narrow / peak)) / np.log1p(MU)
    coded = np.rint(coded * 127) / 127
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(MU)) / MU * peak
    return np.asarray(resample_poly(decoded, SAMPLE_RATE, TELEPHONE_RATE)[: len(pcm)], np.float32)


def quieten(pcm: Sound, below_db: float) -> Sound:
    """Turn down by `below_db`: the features remove the level, so this must change nothing."""
    return np.asarray(pcm * 10 ** (-below_db / 20), np.float32)


def _features(sounds: Sequence[Sound]) -> NDArray[np.float32]:
    return np.stack([speech_features(sound) for sound in sounds])
