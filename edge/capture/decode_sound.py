"""The sound of one audio stream: 16 kHz mono without gaps, in blocks of a tenth of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import av.error
import numpy as np

from edge.capture.base import SAMPLE_RATE, Sound
from edge.capture.decode import keep_layout
from edge.capture.decode_frames import stamp_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.capture.decode import Clock, Track

BLOCK = 1_600
"""Samples per `Sound`: 0.1 s."""

JITTER_S = 0.03
"""Time stamps may wander this far from the count of samples before silence is put in or sound left out: containers
round them, and phones stamp when the buffer arrived."""

FULL_SCALE = {"u1": (128.0, 128.0), "i2": (0.0, 2.0**15), "i4": (0.0, 2.0**31), "f4": (0.0, 1.0), "f8": (0.0, 1.0)}
"""Zero and full scale of the sample types that PyAV hands out."""

LOWEST_RATE, HIGHEST_RATE = 4_000, 768_000
"""Hz: what sound is recorded at. Below, a damaged header would turn a few samples into hours."""

PLANES_SAFE = 7
"""PyAV (18.1) looks for the end of a planar frame's channels beyond the eighth and crashes: more are packed first."""


class SoundTrack:
    """The sound of one track as contiguous blocks from time 0: what the file leaves out is silence."""

    def __init__(self, track: Track, clock: Clock) -> None:
        self._track = track
        self._clock = clock
        self._resampler = _Resampler()
        self._placed = 0
        """Samples at 16 kHz given so far: the position of the next one."""
        self._segment_s = 0.0
        """Where the sound since the last gap began."""
        self._fed_s = 0.0
        """How much has gone into the resampler since then; its output lags a little behind."""
        self._skip = 0
        """Samples at 16 kHz that are already covered and will be left out."""

    @property
    def bad_packets(self) -> int:
        """Damaged packets left out so far."""
        return self._track.bad_packets

    def __iter__(self) -> Iterator[Sound]:
        waiting = np.zeros(0, np.float32)
        start = 0
        for pcm in self._pieces():
            waiting = np.concatenate([waiting, pcm])
            while len(waiting) >= BLOCK:
                yield Sound(start / SAMPLE_RATE, waiting[:BLOCK].copy())
                waiting, start = waiting[BLOCK:], start + BLOCK
        if len(waiting):
            yield Sound(start / SAMPLE_RATE, waiting)

    def _pieces(self) -> Iterator[NDArray[np.float32]]:
        for frame in self._track.decoded():
            if not isinstance(frame, av.AudioFrame) or not frame.samples:
                continue
            if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
                self._track.bad_packets += 1
                continue
            length_s = frame.samples / frame.sample_rate
            early_s = self._clock.place(stamp_s(frame), length_s) - self._segment_s - self._fed_s
            if early_s > JITTER_S:
                yield from self._fill_gap(early_s)
            elif early_s < -JITTER_S:
                self._skip += round(-early_s * SAMPLE_RATE)
                self._fed_s += early_s
            try:
                pcm = self._resampler.feed(frame)
            except (av.error.FFmpegError, ValueError, KeyError):
                self._track.bad_packets += 1
                continue  # the next frame then finds a gap, and fills it
            self._fed_s += length_s
            yield self._placing(pcm)
        yield self._placing(self._resampler.drain())

    def _fill_gap(self, gap_s: float) -> Iterator[NDArray[np.float32]]:
        yield self._placing(self._resampler.drain())
        self._segment_s, self._fed_s, self._skip = self._segment_s + self._fed_s + gap_s, 0.0, 0
        missing = round(self._segment_s * SAMPLE_RATE) - self._placed
        while missing > 0:
            yield self._placing(np.zeros(min(missing, BLOCK), np.float32))
            missing -= BLOCK

    def _placing(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        left_out = min(self._skip, len(pcm))
        self._skip -= left_out
        self._placed += len(pcm) - left_out
        return pcm[left_out:]


class _Resampler:
    """Any sound to 16 kHz mono; made anew when the rate changes in the middle of a stream.

    The channels are averaged before, here: FFmpeg's float down-mix of two equal channels is 3 dB too loud.
    """

    def __init__(self) -> None:
        self._rate = 0
        self._inner = av.AudioResampler(format="flt", rate=SAMPLE_RATE)

    def feed(self, frame: av.AudioFrame) -> NDArray[np.float32]:
        """Return what comes out for one decoded frame, (N,) float32 in [-1, 1]."""
        before = np.zeros(0, np.float32)
        if frame.sample_rate != self._rate:
            before = self.drain()
            self._rate = frame.sample_rate
        mono = av.AudioFrame.from_ndarray(mono_of(frame)[None], format="flt", layout="mono")
        mono.sample_rate = frame.sample_rate
        return np.concatenate([before, _joined(self._inner.resample(mono))])

    def drain(self) -> NDArray[np.float32]:
        """Return what the resampler still holds back, and begin anew."""
        if not self._rate:
            return np.zeros(0, np.float32)
        rest = _joined(self._inner.resample(None))
        self._rate = 0
        self._inner = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        return rest


def mono_of(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return the mean of a decoded frame's channels, (N,), full scale being 1, whatever its sample format."""
    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels > PLANES_SAFE:
        frame = av.AudioResampler(format="flt", rate=frame.sample_rate).resample(frame)[0]
        keep_layout(frame)
    stored = frame.to_ndarray()
    samples = stored if frame.format.is_planar else stored.reshape(-1, channels).T
    offset, scale = FULL_SCALE[stored.dtype.str[1:]]
    mean = (samples.mean(axis=0, dtype=np.float64) - offset) / scale
    return np.asarray(np.nan_to_num(mean, nan=0.0, posinf=1.0, neginf=-1.0), dtype=np.float32)


def _joined(frames: list[av.AudioFrame]) -> NDArray[np.float32]:
    if not frames:
        return np.zeros(0, np.float32)
    pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return np.asarray(np.clip(pcm, -1.0, 1.0), dtype=np.float32)
