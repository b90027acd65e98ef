"""Live microphones through PyAudio (PortAudio, ALSA inside).

    with open_microphone("USB") as microphone:
        sound = microphone.read(timeout_s=1.0)

The card is opened at its own rate; sound is resampled to 16 kHz mono and freed of everything below 80 Hz. PortAudio's
thread only puts raw blocks into a short queue, so that a busy reader costs the oldest blocks, counted, and no glitches.
"""

from __future__ import annotations

import importlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from edge.capture.base import SAMPLE_RATE, Sound
from edge.capture.devices import without_index
from edge.capture.level import LevelWatch
from edge.capture.resample import HighPass, StreamResampler
from edge.errors import CaptureError, SourceMissing
from edge.quiet import native_stderr_silenced

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

BLOCK_S = 0.1

QUEUE_BLOCKS = 50
"""Blocks kept for a reader that is busy: 5 s."""

ARRIVALS = 20
"""Blocks whose arrival sets the clock: 2 s."""

LOST_S = 0.15
"""If even the earliest of them comes this much later than the count of samples says, sound was lost on the way."""

SLEW = 0.02
"""Share of the clock's error that is corrected with each block."""


def open_microphone(card: str = "") -> Microphone:
    """Open the first sound card whose name contains `card` (in any case), or the default card if `card` is empty.

    Raises SourceMissing if PyAudio is not installed or there is no such card, CaptureError if it cannot be opened.
    """
    try:
        pyaudio = importlib.import_module("pyaudio")
    except ImportError as error:
        raise SourceMissing("PyAudio is not installed", fix="apt install python3-pyaudio") from error
    with native_stderr_silenced():
        audio = pyaudio.PyAudio()  # anew each time: PortAudio looks for cards only when it starts
    try:
        return Microphone(pyaudio, audio, _find(audio, card))
    except CaptureError:
        audio.terminate()
        raise


class _Block(NamedTuple):
    number: int
    """Counts up; a number is missing where sound was lost."""
    heard_s: float
    """When its first sample was heard, by the monotonic clock."""
    data: bytes
    """Float32, interleaved."""


class Microphone:
    """An open sound card: a SoundSource. Use `open_microphone`.

    Raises CaptureError if the card cannot be opened.
    """

    def __init__(self, pyaudio: Any, audio: Any, card: dict[str, Any]) -> None:
        self.name = str(card["name"])
        self._rate = int(card["defaultSampleRate"])
        self._channels = min(2, int(card["maxInputChannels"]))
        self._overflow_flag = int(pyaudio.paInputOverflow)
        self._continue = (None, pyaudio.paContinue)
        self._audio = audio
        self._arrived: deque[_Block] = deque(maxlen=QUEUE_BLOCKS)
        self._changed = threading.Condition()
        self._number = 0
        self._dropped = 0
        self.overflows = 0
        """Times that PortAudio lost sound because this process was too slow for its thread."""
        self._level = LevelWatch(self._rate)
        self._chain = _Chain(self._rate)
        self._closed = False
        try:
            # Float: PortAudio converts whatever the card has, 32-bit I2S included, without losing low bits.
            self._stream = audio.open(
                format=pyaudio.paFloat32,
                channels=self._channels,
                rate=self._rate,
                input=True,
                input_device_index=int(card["index"]),
                frames_per_buffer=round(self._rate * BLOCK_S),
                stream_callback=self._on_block,
            )
        except (OSError, ValueError) as error:
            raise CaptureError(f"{self.name} cannot be opened: {error}", fix="Is another program using it?") from error

    @property
    def dropped(self) -> int:
        """Blocks of 0.1 s that were lost: nobody read them in time, or PortAudio's thread came too late."""
        return self._dropped + self.overflows

    @property
    def clipped(self) -> int:
        """Samples at full scale so far."""
        return self._level.clipped

    @property
    def trouble(self) -> str:
        """Whether the card is silent, or its gain too high; empty if it is neither."""
        return self._level.trouble

    def read(self, timeout_s: float) -> Sound | None:
        """Return the oldest block not read yet, about 0.1 s long, or None if none came within `timeout_s` seconds.

        Raises CaptureError once the card is lost or closed.
        """
        until = time.monotonic() + timeout_s
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._arrived) or self._closed, max(0.0, until - time.monotonic()))
                block = self._arrived.popleft() if self._arrived else None
            if block is None:
                self._check_alive()
                return None
            pcm = np.frombuffer(block.data, np.float32).reshape(-1, self._channels)
            self._level.hear(pcm)
            sound = self._chain.feed(block, pcm.mean(axis=1, dtype=np.float32))
            if len(sound.pcm):
                return sound

    def close(self) -> None:
        """Stop recording and release the card."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        try:
            self._stream.close()
        except OSError:
            pass  # the card is gone already
        finally:
            self._audio.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_block(self, data: bytes, frames: int, _timing: dict[str, float], status: int) -> tuple[None, int]:
        """Take a block in PortAudio's thread: stamp it, queue it, return at once."""
        # PortAudio's own times are no help: with a sound server the first ones are 0.2 s too early.
        heard_s = time.monotonic() - frames / self._rate
        overflowed = bool(status & self._overflow_flag)
        with self._changed:
            self.overflows += overflowed
            self._dropped += len(self._arrived) == self._arrived.maxlen
            self._number += 1 + overflowed
            self._arrived.append(_Block(self._number, heard_s, data))
            self._changed.notify_all()
        return self._continue

    def _check_alive(self) -> None:
        if self._closed:
            raise CaptureError(f"{self.name} is closed")
        try:
            alive = self._stream.is_active()
        except OSError:
            alive = False
        if not alive:
            raise CaptureError(f"{self.name} stopped recording", fix="Check its plug")


class _Chain:
    """Blocks as they arrived -> `Sound`: one clock, 16 kHz, high-passed.

    Time is counted in samples, since blocks arrive with jitter, and led slowly after the arrivals, since a card's
    crystal is off by up to 100 ppm: 9 s a day. Jitter only ever makes blocks late, so the earliest arrival counts.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler, self._high_pass = StreamResampler(rate), HighPass()
        self._offsets: deque[float] = deque(maxlen=ARRIVALS)
        self._start_s = 0.0
        self._fed = self._given = 0
        self._next_number = -1

    def feed(self, block: _Block, pcm: NDArray[np.float32]) -> Sound:
        """Return what is ready."""
        if block.number != self._next_number:
            self._offsets.clear()  # blocks were lost: believe this arrival at once
        self._next_number = block.number + 1
        self._offsets.append(block.heard_s - self._fed / self._rate)
        self._follow(min(self._offsets))
        self._fed += len(pcm)
        ready = self._high_pass.feed(self._resampler.feed(pcm))
        time_s = self._start_s + self._given / SAMPLE_RATE
        self._given += len(ready)
        return Sound(time_s, ready)

    def _follow(self, offset_s: float) -> None:
        """Move the clock towards `offset_s`: forward in one step if sound is missing, else slowly, never backward."""
        error_s = offset_s - self._start_s
        if self._fed == 0 or error_s > LOST_S or (len(self._offsets) == 1 and error_s > 0.0):
            self._start_s = offset_s
        else:
            self._start_s += SLEW * max(error_s, -LOST_S)


def _find(audio: Any, card: str) -> dict[str, Any]:
    try:
        if not card:
            return dict(audio.get_default_input_device_info())
        cards = [dict(audio.get_device_info_by_index(index)) for index in range(audio.get_device_count())]
    except OSError as error:
        raise SourceMissing(f"there is no microphone: {error}", fix="Plug one in; see `mien-edge devices`") from error
    inputs = [each for each in cards if int(each["maxInputChannels"]) > 0]
    wanted = without_index(card).lower()
    for each in inputs:
        if wanted in without_index(str(each["name"])).lower():
            return each
    known = ", ".join(without_index(str(each["name"])) for each in inputs) or "none"
    raise SourceMissing(f"there is no microphone {card!r}; found: {known}", fix="See `mien-edge devices`")
