"""scripts/evaluate on small made-up packs."""

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
from training.confusion import confusion_matrix, macro_f1, unweighted_recall

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"n", "accuracy", "uar", "macro_f1", "ece", "per_class"}


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training.evaluate", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    path = tmp_path / "faces.npz"
    np.savez(
        path,
        images=random.integers(0, 255, (40, 48, 48), np.uint8),
        labels=(np.arange(40) % 7).astype(np.int8),
        ferplus_label=np.where(np.arange(40) < 30, np.arange(40) % 7, -1).astype(np.int8),
        leak_in_train=np.arange(40) < 5,
        near_dup_in_train=np.zeros(40, bool),
        split=np.array(["a", "b"] * 20),
    )
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    rows = [{"clip_id": f"clip_{n}", "emotion": ("happy", "calm")[n % 2], "split": ("x", "y")[n % 2]} for n in range(6)]
    with (tmp_path / "voices.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, ["clip_id", "emotion", "split"])
        writer.writeheader()
        writer.writerows(rows)
    with zipfile.ZipFile(tmp_path / "voices.zip", "w") as pack:
        for row in rows:
            sound = io.BytesIO()
            soundfile.write(sound, random.normal(0, 0.1, 16_000), 16_000, format="FLAC")
            pack.writestr(f"{row['clip_id']}.flac", sound.getvalue())
    return tmp_path / "voices.zip"


@pytest.mark.parametrize("model", ["edge", "full", ROOT / "models_tflite" / "face-edge.tflite"])
@pytest.mark.parametrize(("labels", "n"), [("ferplus", 30), ("fer2013", 40)])
def test_faces(faces: Path, model: str, labels: str, n: int) -> None:
    done = evaluate("face", "--data", faces, "--model", model, "--labels", labels, "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    figures = json.loads(line)
    assert set(figures) >= KEYS
    assert figures["n"] == n
    assert figures["without_near_duplicates"]["n"] == n - 5
    assert sum(map(sum, figures["confusion"])) == n
    assert len(figures["per_class"]) == 7


def test_a_split_and_a_table_for_people(speech: Path, tmp_path: Path) -> None:
    done = evaluate("speech", "--data", speech, "--split", "y", "--plot", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("n 3 ")
    assert [path.suffix for path in (tmp_path / "plots").iterdir()] == [".png"]
    assert json.loads(evaluate("speech", "--data", speech, "--json").stdout)["n"] == 6


@pytest.mark.slow
def test_wrong_packs_are_one_clear_line(faces: Path, speech: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"x")
    (tmp_path / "odd.zip").write_bytes(b"x")
    (tmp_path / "odd.csv").write_text("clip_id,emotion\na,happy\n")
    (tmp_path / "other.csv").write_text("name\na\n")
    for arguments, part in (
        (("face", "--data", tmp_path / "missing.npz"), "missing.npz"),
        (("face", "--data", tmp_path / "broken.npz"), "broken.npz"),
        (("face", "--data", faces, "--split", "z"), "'z'"),
        (("face", "--data", faces, "--model", tmp_path / "no.tflite"), "no.tflite"),
        (("face", "--data", faces, "--model", ROOT / "models_tflite" / "speech-edge.tflite"), "ferplus"),
        (("speech", "--data", tmp_path / "odd.zip"), "odd.zip"),
        (("speech", "--data", tmp_path / "other.zip"), "clip_id"),
        (("speech", "--data", speech, "--split", "z"), "'z'"),
    ):
        done = evaluate(*arguments, "--json")
        assert done.returncode == 1
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert part in done.stderr.splitlines()[-1]


def test_figures_by_hand() -> None:
    truth, chosen = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 0])
    counts = confusion_matrix(chosen, truth, 4)
    assert counts[:3, :3].tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert unweighted_recall(chosen, truth) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert macro_f1(counts) == pytest.approx((4 / 7 + 2 / 4 + 0) / 3)
