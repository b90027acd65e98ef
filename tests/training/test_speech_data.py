"""Reading the official releases of RAVDESS and TESS."""

import numpy as np
import pytest
from training.errors import TrainingError

soundfile = pytest.importorskip("soundfile")

from training.speech_data import load_clips, trim_silence  # noqa: E402  (imports soundfile)

from edge.emotions import SPEECH_EMOTIONS  # noqa: E402


def write_tone(path, rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    soundfile.write(path, np.concatenate([np.zeros(rate), tone, np.zeros(rate)]), rate)


def test_load_clips_reads_official_names(tmp_path):
    write_tone(tmp_path / "speech/RAVDESS/Actor_02/03-01-05-01-01-01-02.wav", 48_000)
    write_tone(tmp_path / "speech/RAVDESS/Actor_19/03-01-02-01-01-01-19.wav", 48_000)
    write_tone(tmp_path / "speech/RAVDESS/Actor_24/03-01-02-01-01-01-24.wav", 48_000)
    write_tone(tmp_path / "speech/TESS/OAF_Pleasant_surprise/OAF_back_ps.wav", 24_414)
    train = load_clips(tmp_path, "train")
    assert [(clip.speaker, clip.sex, SPEECH_EMOTIONS[clip.emotion]) for clip in train] == [
        ("ravdess_02", "F", "angry"),
        ("tess_OAF", "F", "surprise"),
    ]
    (validation,) = load_clips(tmp_path, "validation")
    assert (validation.sex, SPEECH_EMOTIONS[validation.emotion]) == ("M", "calm")
    assert len(validation.pcm) == pytest.approx(1.2 * 16_000, rel=0.05)


def test_load_clips_missing_names_the_place(tmp_path):
    with pytest.raises(TrainingError, match="ravdess"):
        load_clips(tmp_path, "train")


def test_trim_silence_of_silence_keeps_something():
    assert len(trim_silence(np.zeros(16_000, dtype=np.float32))) == 16_000
    assert len(trim_silence(np.zeros(10, dtype=np.float32))) == 10
