"""What reading clips says when there are none; packs are made and read in tests/training/prepare."""

import numpy as np
import pytest
from training.errors import TrainingError

soundfile = pytest.importorskip("soundfile")

from training.speech_data import load_clips, trim_silence  # noqa: E402  (imports soundfile)


def test_load_clips_missing_names_the_place(tmp_path):
    with pytest.raises(TrainingError, match="scripts/train prepare ravdess FOLDER"):
        load_clips(tmp_path, "train")


def test_trim_silence_of_silence_keeps_something():
    assert len(trim_silence(np.zeros(16_000, dtype=np.float32))) == 16_000
    assert len(trim_silence(np.zeros(10, dtype=np.float32))) == 10
