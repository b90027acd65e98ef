"""What the edge is measured on: talking faces with their voices, made from clips, as a camera and a microphone give it.

The clips are those of `clips/` in the data folder: one talking face each, two to three seconds long. One after another
they are the scene `one`; side by side, four at a time, the scene `four`. Sound is that of one clip at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.capture.base import SAMPLE_RATE, Frame
from edge.capture.media import MediaFile
from training.errors import TrainingError

WIDTH, HEIGHT = 640, 480
FACES = {"one": 1, "four": 4}


@dataclass(frozen=True)
class Scene:
    """A stretch of media to be played again and again."""

    faces: int
    fps: float
    frames: NDArray[np.uint8]
    """(N, 480, 640, 3) BGR."""
    pcm: NDArray[np.float32]
    """(N / fps * 16000,) mono at 16 kHz: as long as the frames."""

    @property
    def length_s(self) -> float:
        """Seconds."""
        return len(self.frames) / self.fps


@dataclass(frozen=True)
class _Clip:
    frames: list[NDArray[np.uint8]]
    pcm: NDArray[np.float32]


def find_clips(data: Path) -> list[Path]:
    """Return the clips of the data folder. Raises TrainingError if there are none."""
    found = sorted((data / "clips").glob("*.mp4"))
    if not found:
        raise TrainingError(f"{data / 'clips'} has no .mp4: name the data folder by MIEN_DATA_DIR (docs/data.md)")
    return found


def make_scene(clips: Sequence[Path], *, faces: int, fps: float) -> Scene:
    """Return the scene with 1 or 4 faces in each frame. Raises CaptureError if a clip cannot be read."""
    takes = [_read(path, fps) for path in clips]
    frames, sound = [], []
    for first in range(len(takes)):
        shown = [takes[(first + cell) % len(takes)] for cell in range(faces)]
        count = min(len(take.frames) for take in shown)
        frames += [_beside([take.frames[number] for take in shown]) for number in range(count)]
        sound.append(_as_long(shown[0].pcm, round(count / fps * SAMPLE_RATE)))
    return Scene(faces, fps, np.stack(frames), np.concatenate(sound))


def _read(path: Path, fps: float) -> _Clip:
    frames, blocks = [], [np.zeros(0, np.float32)]
    with MediaFile(path, fps=fps) as media:
        for item in media.items():
            if isinstance(item, Frame):
                frames.append(item.image)
            else:
                blocks.append(item.pcm)
    return _Clip(frames, np.concatenate(blocks))


def _beside(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put one image, or four in two rows, into one frame."""
    if len(images) == 1:
        return _resized(images[0], WIDTH, HEIGHT)
    quarters = [_resized(image, WIDTH // 2, HEIGHT // 2) for image in images]
    return np.vstack([np.hstack(quarters[:2]), np.hstack(quarters[2:])])


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _as_long(pcm: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    return np.pad(pcm[:size], (0, max(0, size - len(pcm))))
