"""Figures of the voice activity detection: recall on speech in noise, false alarms on noise alone.

Both are given per frame (20 ms) and per clip. A clip counts as speech where `has_speech` says so, that is from a share
of `VOICED_SHARE_MIN` of its frames on. Reference: frames of the clean clip within 30 dB of its loudest frame are
speech; no frame of a noise is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from edge.perception.vad import SPEECH_PROBABILITY, VOICED_SHARE_MIN, Network, speech_probability
from training.vad_scenes import ACTIVE_BELOW_PEAK_DB, Item, Sound, frame_db, repeat_to, rms


@dataclass
class Tally:
    """Counts of one kind of clip."""

    clips: int = 0
    clips_with_speech: int = 0
    frames: int = 0
    frames_with_speech: int = 0
    by_kind: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Share of frames with speech in each clip."""

    def add(self, kind: str, spoken: np.ndarray, counted: np.ndarray) -> None:
        """Count one clip: `spoken` (T,) is what was detected, `counted` (T,) the frames that matter."""
        self.clips += 1
        self.clips_with_speech += bool(spoken.mean() >= VOICED_SHARE_MIN)
        self.frames += int(counted.sum())
        self.frames_with_speech += int(spoken[counted].sum())
        self.by_kind[kind].append(float(spoken[counted].mean()))

    def figures(self) -> dict[str, object]:
        """Return the shares of clips and frames in which speech was found."""
        return {
            "clips": self.clips,
            "clip_share": round(self.clips_with_speech / max(self.clips, 1), 4),
            "frames": self.frames,
            "frame_share": round(self.frames_with_speech / max(self.frames, 1), 4),
            "frame_share_by_kind": {
                kind: round(float(np.mean(each)), 4) for kind, each in sorted(self.by_kind.items())
            },
        }


def tally_noises(tally: Tally, noises: list[Item], net: Network | None = None) -> None:
    """Count what is found in the noises alone: false alarms."""
    for noise in noises:
        spoken = speech_probability(noise.pcm, net) >= SPEECH_PROBABILITY
        tally.add(noise.kind, spoken, np.ones(len(spoken), np.bool_))


def tally_speech(
    tally: Tally, speech: list[Item], noises: list[Item], *, snr_db: float | None, seed: int, net: Network | None = None
) -> None:
    """Count what is found in each clip of speech, mixed at `snr_db` with a noise drawn by `seed`; None: clean."""
    rng = np.random.default_rng(seed)
    for clip in speech:
        noise = noises[rng.integers(len(noises))].pcm
        start = int(rng.integers(0, max(1, len(noise) - len(clip.pcm))))
        mixed = clip.pcm if snr_db is None else mix(clip.pcm, repeat_to(noise, len(clip.pcm), start), snr_db)
        spoken = speech_probability(mixed, net) >= SPEECH_PROBABILITY
        level = frame_db(clip.pcm)
        tally.add(clip.kind, spoken, level > level.max() - ACTIVE_BELOW_PEAK_DB)


def mix(speech: Sound, noise: Sound, snr_db: float) -> Sound:
    """Return speech plus noise, the noise scaled so that speech lies `snr_db` above it, both by their RMS."""
    return speech + noise * np.float32(rms(speech) / rms(noise) * 10.0 ** (-snr_db / 20.0))
