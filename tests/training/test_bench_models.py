"""scripts/bench models, on what ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")  # float partners are made with it

from training import bench
from training.bench_child import peak_kb, timed
from training.bench_float import float_partner
from training.bench_models import Child, Tally, Variant, figures, measure
from training.errors import TrainingError
from training.report import markdown, plain

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    *("model", "runtime", "numbers", "shipped", "runs", "p50_ms", "p95_ms", "ratio_to_float"),
    *("cpu_s_per_1000", "peak_mb", "runtime_mb", "load_ms", "bytes"),
}


def variant(path: Path, *, numbers: str = "int8", runtime: str = "litert") -> Variant:
    return Variant(model="face-edge", task="face", runtime=runtime, numbers=numbers, path=path, shipped=True)


SHIPPED = variant(ROOT / "models_tflite" / "face-edge.tflite")


def test_ratios_compare_medians_in_the_same_runtime(tmp_path):
    file = tmp_path / "m.tflite"
    file.write_bytes(b"12345")
    tallies = [
        Tally(variant(file), 1.0, 1024, [1.0, 2.0, 3.0], 0.006, 2048),
        Tally(variant(file, numbers="float32"), 1.0, 1024, [4.0, 4.0, 4.0], 0.012, 2048),
        Tally(variant(file, runtime="tflite"), 1.0, 1024, [5.0], 0.005, 2048),
    ]
    one, partner, alone = figures(tallies)
    assert (one["p50_ms"], one["ratio_to_float"], partner["ratio_to_float"]) == (2.0, 0.5, 1.0)
    assert alone["ratio_to_float"] is None
    assert (one["cpu_s_per_1000"], one["peak_mb"], one["bytes"]) == (pytest.approx(2.0), 2.0, 5)
    assert set(one) == KEYS
    lines = [bench.cells(one), bench.cells(alone)]
    assert all(len(line) == len(bench.HEAD) for line in lines)
    table = plain(bench.HEAD, lines, names=3).splitlines()
    assert len({len(line) for line in table}) == 1
    assert all(line.endswith(("kB", "0")) for line in table)
    assert markdown(bench.HEAD, lines).count("\n") == 3


def test_timing_counts_every_run_and_memory():
    import numpy as np

    seen = []
    found = timed(seen.append, np.zeros((3, 1, 2), np.float32), 7)
    assert len(found["times_ms"]) == len(seen) == 7
    assert seen[0].shape == (1, 1, 2)
    assert 1000 < found["peak_kb"] <= peak_kb()


def test_a_process_of_its_own_runs_the_shipped_model(tmp_path):
    (tally,) = measure([SHIPPED], 30, tmp_path)
    assert len(tally.times_ms) == 30
    assert 0 < tally.runtime_kb < tally.peak_kb
    assert tally.load_ms > 0
    assert tally.cpu_s > 0


def test_a_model_that_cannot_be_run_is_one_clear_line(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no model")
    with pytest.raises(TrainingError, match="face-edge int8 LiteRT cannot be run"):
        measure([variant(tmp_path / "broken.tflite")], 1, tmp_path)


def test_a_child_ends_with_its_context(tmp_path):
    with pytest.raises(ZeroDivisionError), Child(SHIPPED, tmp_path / "absent.npy") as child:
        raise ZeroDivisionError
    assert child._process.poll() is not None


def test_a_net_that_is_no_longer_the_shipped_one_has_no_partner(tmp_path, capsys):
    assert float_partner("face", "edge", 1, 1, tmp_path) is None
    assert "face-edge" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_shipped_model_in_every_runtime():
    done = subprocess.run(
        [sys.executable, "-m", "training.bench", "models", "--runs", "5", "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"},
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["models"]
    assert all(set(row) == KEYS and row["runs"] == 5 for row in rows)
    shipped = {row["model"] for row in rows if row["shipped"]}
    assert shipped == {"face-edge", "speech-edge", "face-full", "speech-full"}
