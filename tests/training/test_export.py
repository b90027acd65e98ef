"""What is exported: models that were trained here, and what ships beside them; never half of it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from training.errors import TrainingError
from training.export import Job, _made, export
from training.models import next_version

from edge.perception.manifest import load_manifest

SHIPPED = Path(__file__).resolve().parents[2] / "cloud" / "models"


def job(folder: Path) -> Job:
    return Job(arch="edge", data=folder / "data", runs=folder / "runs", folder=folder / "models", version="9.9.9")


def test_without_any_run_there_is_nothing_to_export(tmp_path):
    with pytest.raises(TrainingError, match=r"no run of face-edge or speech-edge in .*runs: train one first"):
        export(job(tmp_path))
    assert list((tmp_path / "models").iterdir()) == []


def test_model_without_a_run_must_ship_already(tmp_path):
    (tmp_path / "runs" / "face-edge").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"no run of speech-edge in .*runs, and none ships"):
        export(job(tmp_path))
    assert list((tmp_path / "models").iterdir()) == []


def test_what_is_joined_says_how_both_were_made(tmp_path):
    together = Job(arch="full", data=tmp_path, runs=tmp_path, folder=tmp_path, version="9.9.9", join=["face"])
    made = _made(together, "face", SHIPPED)
    assert made.runs == ()  # there is no run: what ships is exported anew
    assert "`scripts/train face --arch full" in made.note


def test_the_same_model_measured_again_is_told_of_once(tmp_path):
    by = "`scripts/train export --arch edge --join speech`, which wrote this page."
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    shutil.copy(SHIPPED.parents[1] / "models_tflite" / "manifest.json", shipped)
    (shipped / "MODEL_CARD_SPEECH.md").write_text(f"# Model card\n\n## Made by\n\n{by}\n\nIt was.\n")
    assert _made(replace(job(tmp_path), join=["speech"]), "speech", shipped).note == "It was."


def test_nothing_that_ships_cannot_be_joined(tmp_path):
    together = Job(
        arch="full", data=tmp_path, runs=tmp_path, folder=tmp_path / "models", version="9.9.9", join=["face"]
    )
    with pytest.raises(TrainingError, match=r"--join face: no face model ships in .*models"):
        _made(together, "face", together.folder)


def test_a_run_is_not_joined_to_what_the_device_has(tmp_path):
    (tmp_path / "runs" / "face-edge").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"--join face: a device has no time for what ships and .*face-edge"):
        _made(replace(job(tmp_path), join=["face"]), "face", SHIPPED)


def test_the_next_version_follows_what_ships(tmp_path):
    assert next_version(tmp_path) == "0.1.0"
    major, minor, _ = load_manifest(SHIPPED).model("face").version.split(".")
    assert next_version(SHIPPED) == f"{major}.{int(minor) + 1}.0"
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(TrainingError, match="Name one with --version"):
        next_version(tmp_path)
