"""Several crops of one face: what is averaged, per half, and that a glance is what the service means by it."""

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

from cloud_models import write_models  # noqa: E402
from training.evaluate_looks import CROPS, measure  # noqa: E402
from training.faces import PACKS  # noqa: E402

from cloud.inference.full import FullModels  # noqa: E402
from edge.emotions import EMOTIONS  # noqa: E402


def test_each_half_has_its_accuracy(tmp_path):
    models = FullModels(write_models(tmp_path))
    images = np.zeros((8, 48, 48), np.uint8)
    images[:5] = 255  # white is happy, black is sad
    truth = np.full(8, EMOTIONS.index("happy"))
    calibration = np.arange(8) < 4
    rows = measure(models, images, truth, calibration)
    assert [(row.crops, row.glance) for row in rows] == [(crops, glance) for crops in CROPS for glance in (False, True)]
    assert {(row.calibration, row.held_back) for row in rows} == {(1.0, 0.25)}
    assert rows[-2].cpu_ms > rows[0].cpu_ms > 0


def test_without_a_clear_face_it_says_so(tmp_path, capsys):
    from training.evaluate import main

    folder = tmp_path / "face"
    folder.mkdir()
    votes = np.zeros((4, 10), np.uint8)
    np.savez(
        folder / PACKS["validation"],
        images=np.zeros((4, 48, 48), np.uint8),
        labels=np.zeros(4, np.int8),
        ferplus_votes=votes,
        dup_group=np.full(4, -1, np.int32),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["evaluate", "looks", "--data", str(tmp_path)])
        assert main() == 1
    assert "has a FER+ majority" in capsys.readouterr().err
