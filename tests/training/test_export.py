"""What is exported: models that were trained here, and what ships beside them; never half of it."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from training.errors import TrainingError
from training.export import Job, export


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
