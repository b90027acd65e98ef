"""The speech stage: blocks of sound in, one window's voice out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.perception.features import SAMPLE_RATE, speech_features
from edge.perception.manifest import Manifest, verified_file
from edge.perception.runtime import RuntimeName, TfliteModel
from edge.perception.snr import snr_db
from edge.perception.vad import SPEECH_PROBABILITY, VOICED_SHARE_MIN, speech_probability

GAP_S = 0.05
"""Blocks may come this much earlier or later than the samples before them say; beyond it there was a real gap."""


class SpeechModel:
    """The device's speech model: log-mel features to calibrated distributions."""

    def __init__(self, folder: Path, manifest: Manifest, *, runtime: RuntimeName | None = None) -> None:
        self.entry = manifest.model("speech")
        self._model = TfliteModel(verified_file(folder, self.entry), runtime=runtime)
        self.runtime = self._model.runtime

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities over the 8 speech emotions, shape (N, 8), for features of shape (N, 186, 64)."""
        output = self.entry.outputs[0]
        return output.calibrate(self._model(features)[:, : len(output.labels)])


@dataclass(frozen=True)
class SpeechWindow:
    """What the microphone heard in one window."""

    probs: NDArray[np.float32] | None = None
    """(8,); None where no voice was heard or inference is not permitted."""
    voiced_share: float | None = None
    """Share of the window with a voice, in [0, 1]; None without sound."""
    log_mel: NDArray[np.float32] | None = None
    """(186, 64), as the model ate it; None where `probs` is."""
    snr_db: float | None = None
    """How far the voice stands out of the background, in [-10, 40] dB; None where `probs` is."""


class SoundBuffer:
    """Sound on a time line: blocks are joined without clicks, real gaps become silence."""

    def __init__(self) -> None:
        self._blocks: list[NDArray[np.float32]] = []
        self._start_s = 0.0
        self._samples = 0

    def append(self, pcm: NDArray[np.float32], time_s: float) -> None:
        """Add a block that begins at `time_s`."""
        if not self._blocks:
            self._start_s, self._samples = time_s, 0
        gap_s = time_s - self.end_s
        if gap_s > GAP_S:
            self._add(np.zeros(round(gap_s * SAMPLE_RATE), np.float32))
        elif gap_s < -GAP_S:
            pcm = pcm[round(-gap_s * SAMPLE_RATE) :]
        if len(pcm):
            self._add(pcm)

    @property
    def end_s(self) -> float:
        """Time of the end of the last block."""
        return self._start_s + self._samples / SAMPLE_RATE

    def take(self, start_s: float, end_s: float) -> NDArray[np.float32]:
        """Return the sound of [start_s, end_s), as far as there is any, and forget everything before `end_s`."""
        pcm = np.concatenate(self._blocks) if self._blocks else np.empty(0, np.float32)
        first, last = (max(0, round((at - self._start_s) * SAMPLE_RATE)) for at in (start_s, end_s))
        rest = pcm[last:]
        self._blocks = [rest.copy()] if len(rest) else []
        self._start_s += (len(pcm) - len(rest)) / SAMPLE_RATE
        self._samples = len(rest)
        return pcm[first:last]

    def _add(self, pcm: NDArray[np.float32]) -> None:
        self._blocks.append(pcm)
        self._samples += len(pcm)


class SpeechStage:
    """Collects sound and judges its tone window by window. `model` None: only voice activity."""

    def __init__(self, model: SpeechModel | None) -> None:
        self.model = model
        self._buffer = SoundBuffer()

    def reset(self) -> None:
        """Forget all sound."""
        self._buffer = SoundBuffer()

    def hear(self, pcm: NDArray[np.float32], time_s: float) -> None:
        """Take a block of 16 kHz mono sound, shape (N,), that begins at `time_s`."""
        self._buffer.append(pcm, time_s)

    def take(self, start_s: float, end_s: float, *, infer: bool) -> SpeechWindow:
        """Return what was heard in [start_s, end_s) and forget it; `infer` False: only whether there was a voice."""
        pcm = self._buffer.take(start_s, end_s)
        if not len(pcm):
            return SpeechWindow()
        # Of the window, not of the sound in it: a scrap of sound is no evidence, however voiced it is.
        probability = speech_probability(pcm)
        share = float((probability >= SPEECH_PROBABILITY).mean())
        share *= min(1.0, len(pcm) / ((end_s - start_s) * SAMPLE_RATE))
        if not infer or self.model is None or share < VOICED_SHARE_MIN:
            return SpeechWindow(voiced_share=share)
        features = speech_features(pcm)
        return SpeechWindow(self.model(features[None])[0], share, features, snr_db(pcm, probability))
