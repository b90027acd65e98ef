"""scripts/bench edge, on the real ways and on made-up figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from training.edge_cost import report
from training.edge_cost.child import Media, make_player, play
from training.edge_cost.measure import Child, Tally, figures, has_fer, write_media
from training.edge_cost.ways import CAMERA_FPS, WAYS
from training.errors import TrainingError
from training.scenes import Scene


def scene(seconds: float = 7.0) -> Scene:
    """Gray noise and a tone."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (round(seconds * CAMERA_FPS), 1, 1, 1), np.uint8)
    pcm = np.sin(np.arange(round(seconds * 16_000)) / 20.0).astype(np.float32)
    return Scene(0, CAMERA_FPS, np.broadcast_to(frames, (len(frames), 480, 640, 3)), pcm)


@pytest.mark.slow
def test_media_are_whole_windows_again_and_again(tmp_path):
    write_media(scene(), tmp_path / "m")
    media = Media(tmp_path / "m")
    first = list(media.frames(0, 10))
    assert len(first) == 9
    again = list(media.frames(2, 10))
    assert again[0].time_s == 6.0
    assert all((one.image == other.image).all() for one, other in zip(first, again, strict=True))
    voice = media.sound(1)
    assert (len(voice.pcm), len(voice.wide)) == (48_000, 66_150)


def test_miens_way_is_the_pipeline(tmp_path):
    write_media(scene(), tmp_path / "m")
    player = make_player(WAYS["mien"], tmp_path, "")
    assert play(player, WAYS["mien"], Media(tmp_path / "m"), 0) > 0.0
    assert player._outlet.counts["reading"] == 1


def test_a_way_that_cannot_be_run_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("training.edge_cost.measure.float_net", lambda _: tmp_path / "none.tflite")
    with (
        pytest.raises(TrainingError, match="every tenth frame"),
        Child("one", "seeds-tenth", python=sys.executable, media=tmp_path, detector="") as child,
    ):
        child.loaded()


def test_ratios_are_to_miens_way_on_the_same_scene():
    tallies = [
        Tally("one", "mien", "", cpu_s=1.0, media_s=10.0, faces=3, peak_kb=1024),
        Tally("one", "seeds", "librosa", cpu_s=8.0, media_s=10.0, faces=3, peak_kb=4096),
        Tally("four", "mien", "", cpu_s=4.0, media_s=10.0, faces=12, peak_kb=1024),
        Tally("four", "seeds", "librosa", cpu_s=8.0, media_s=10.0, faces=12, peak_kb=4096),
    ]
    rows = figures(tallies)
    assert [row["cpu_ratio"] for row in rows] == [1.0, 8.0, 1.0, 2.0]
    assert [row["memory_ratio"] for row in rows] == [1.0, 4.0, 1.0, 4.0]
    found = {"detector": "yunet", "fer": False, "edge": rows}
    json.dumps(found)
    words = report.said(found)
    assert "one face: 8.0 times Mien's processor time on every frame, which reaches the aim of 5" in words
    assert "four faces: 2.0 times Mien's processor time on every frame, which misses the aim of 5" in words
    assert "fer package was not installed" in words
    assert report.table(found).count("\n") == 5
    assert report.markdown(found).count("\n|") == 6


def test_whether_fer_is_there_is_asked_of_that_python(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert not has_fer(str(python))
