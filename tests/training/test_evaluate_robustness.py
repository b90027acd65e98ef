"""scripts/evaluate --robustness and --groups, as a user runs them, on small made-up packs."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge.perception.features import SAMPLE_RATE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    _write_pack(
        folder / "voices",
        [
            {"clip_id": f"clip_{n}", "emotion": ("happy", "calm")[n % 2], "speaker": f"s{n // 2}", "sex": "FM"[n // 3]}
            for n in range(6)
        ],
    )
    noises = [{"clip_id": "hiss", "kind": "noise"}, {"clip_id": "word", "kind": "speech"}]
    _write_pack(tmp_path / "noise" / "noise", [row | {"file": f"{row['clip_id']}.flac"} for row in noises])
    return folder / "voices.zip"


def _write_pack(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir()
    with path.with_suffix(".csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as pack:
        for seed, row in enumerate(rows):
            sound = io.BytesIO()
            soundfile.write(sound, np.random.default_rng(seed).normal(0, 0.1, SAMPLE_RATE), SAMPLE_RATE, format="FLAC")
            pack.writestr(f"{row['clip_id']}.flac", sound.getvalue())


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )


@pytest.mark.slow
def test_evaluate_measures_speech_with_the_noise_beside_the_pack(voices, tmp_path):
    plain = json.loads(evaluate("speech", "--data", voices, "--json").stdout)
    assert not {"robustness", "groups"} & set(plain)
    done = evaluate(
        "speech", "--data", voices, "--json", "--robustness", "--groups", "sex,speaker", "--plot", tmp_path / "plots"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {key: found[key] for key in plain} == plain
    rows = found["robustness"]
    assert [row["level"] for row in rows if row["condition"] == "noise"] == [20, 10, 5, 0]
    assert {"babble", "clipping", "telephone", "reverberation"} < {row["condition"] for row in rows}
    (quieter,) = (row for row in rows if row["condition"] == "quieter")
    assert quieter["accuracy"] == plain["accuracy"]
    assert [each["n"] for each in found["groups"]["sex"]["groups"]] == [3, 3]
    assert found["groups"]["speaker"]["groups"][0]["clusters"] == 1
    assert {path.name for path in (tmp_path / "plots").iterdir()} == {
        "confusion-speech-edge-speech.png",
        "robustness-speech-edge-speech.png",
    }


@pytest.mark.slow
def test_evaluate_says_what_it_leaves_out_and_which_groups_there_are(voices, tmp_path):
    done = evaluate("speech", "--data", voices, "--robustness", "--noise", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no background noises" in done.stderr
    assert "babble" in done.stdout
    assert "\nnoise" not in done.stdout
    for arguments, part in ((("--groups", "age"), "clip_id"), (("--groups", ""), "clip_id")):
        done = evaluate("speech", "--data", voices, *arguments)
        assert done.returncode == 1
        assert part in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_evaluate_groups_faces_by_quality(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48), np.uint8)
    np.savez(tmp_path / "faces.npz", images=images, ferplus_label=np.arange(6, dtype=np.int8))
    done = evaluate("face", "--data", tmp_path / "faces.npz", "--groups", "quality", "--robustness", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["groups"]) == ["sharpness", "brightness", "contrast"]
    assert "YuNet" in done.stderr or "detector yunet" in done.stdout
    assert evaluate("face", "--data", tmp_path / "faces.npz", "--groups", "sex").returncode == 1
    assert evaluate("face", "--data", tmp_path / "faces.npz", "--noise", tmp_path).returncode == 2
