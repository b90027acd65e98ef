"""What the virtual Pi's camera and sound card play: the demo's own sample, raw, as v4l2-ctl and aplay want it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import scipy.signal
from sample import RATE, moving_portrait, voice

EVERY = 8
"""Of the sample's 90 frames; they are kept in the guest's memory."""
CARD_RATE = 44_100


def write_media(folder: Path) -> None:
    """Write the portrait as 640x480 frames, BGR, which is what OpenCV asks of a camera first, and the voice, stereo."""
    with (folder / "portrait.bgr").open("wb") as file:
        for image in moving_portrait()[::EVERY]:
            file.write(cv2.cvtColor(cv2.resize(image, (640, 480)), cv2.COLOR_RGB2BGR).tobytes())
    pcm = scipy.signal.resample_poly(voice(), CARD_RATE, RATE)
    stereo = np.repeat(np.clip(np.rint(pcm * 32767), -32768, 32767).astype("<i2"), 2)
    (folder / "voice.s16").write_bytes(stereo.tobytes())
