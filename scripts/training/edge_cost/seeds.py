"""The seeds' way: Haar cascade on whole frames, a float net per face, features of 3 s of sound and another net.

By librosa where it is installed, else by its equivalent in numpy (baselines/sound_features.py, at 16 kHz).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.perception.detect import HAAR_FILE
from edge.perception.runtime import TfliteModel
from training.edge_cost.nets import FACE, FEATURES, SPEECH
from training.edge_cost.ways import SOUND_RATE, Picture, Voice, Way

Features = Callable[[Voice], NDArray[np.float32]]


class Seeds:
    """One system of their kind. `nets` is the folder of `nets.float_net`."""

    def __init__(self, way: Way, nets: Path) -> None:
        self._way = way
        cv2.setNumThreads(1)
        self._cascade = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / HAAR_FILE))
        self._face = TfliteModel(nets / f"{FACE}.tflite", threads=1)
        self._speech = TfliteModel(nets / f"{SPEECH}.tflite", threads=1)
        self._features, self.note = _features()
        self.faces = 0
        """Found so far."""

    def see(self, picture: Picture) -> None:
        """Take one frame."""
        gray = cv2.cvtColor(picture.image, cv2.COLOR_BGR2GRAY)
        boxes = self._cascade.detectMultiScale(gray, self._way.haar_scale, self._way.haar_neighbours, minSize=(30, 30))
        for x, y, width, height in boxes:
            crop = cv2.resize(gray[y : y + height, x : x + width], (48, 48), interpolation=cv2.INTER_AREA)
            self._face(crop[np.newaxis].astype(np.float32) / 255.0)
            self.faces += 1

    def hear(self, voice: Voice) -> None:
        """Take one window of sound."""
        self._speech(self._features(voice)[np.newaxis])


def _features() -> tuple[Features, str]:
    """Return what makes the 162 features of a window, and who does it."""
    try:
        import librosa
    except ImportError:
        from training.baselines.sound_features import means

        return lambda voice: means(voice.pcm)[:FEATURES], "numpy's equivalent of librosa"

    def by_librosa(voice: Voice) -> NDArray[np.float32]:
        pcm = voice.wide
        spectrum = np.abs(librosa.stft(pcm))
        # tuning given: estimating it costs the seeds more, and librosa 0.11 crashes in it on numba 0.68 and numpy 2.4.
        columns = (
            librosa.feature.zero_crossing_rate(y=pcm),
            librosa.feature.chroma_stft(S=spectrum, sr=SOUND_RATE, tuning=0.0),
            librosa.feature.mfcc(y=pcm, sr=SOUND_RATE),
            librosa.feature.rms(y=pcm),
            librosa.feature.melspectrogram(y=pcm, sr=SOUND_RATE),
        )
        return np.concatenate([column.mean(axis=1) for column in columns]).astype(np.float32)

    return by_librosa, "librosa"
