"""scripts/bench evidence and verdict: their figures, and whether they end what they start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from training import bench, bench_cloud, bench_evidence, report
from training.errors import TrainingError

from edge.protocol import MAX_EVIDENCE, encode

ROOT = Path(__file__).resolve().parents[2]


def parts(count):
    """Smooth pictures, as faces and voices are, but with a grain."""
    rng = np.random.default_rng(3)

    def smooth(shape):
        return cv2.GaussianBlur(rng.normal(0, 3, shape).astype(np.float32), (0, 0), 4) + rng.normal(0, 0.02, shape)

    def crop():
        return np.clip(smooth((48, 48)) * 100 + 128, 0, 255).astype(np.uint8)

    return [([crop(), crop(), crop()], smooth((186, 64)).astype(np.float32)) for _ in range(count)]


def test_bytes_are_those_of_the_message_that_a_device_sends():
    made = bench_evidence.pack_evidence(parts(4))
    sizes = sorted(len(encode(each)) for each in made)
    row = bench_evidence.figures("examples", made, crops_meant=13)
    assert (row["n"], row["with_voice"], row["crops_mean"], row["crops_left_out"]) == (4, 4, 3.0, 1)
    assert (row["max_bytes"], row["limit_bytes"]) == (sizes[-1], MAX_EVIDENCE)
    assert sizes[0] <= row["p50_bytes"] <= row["p95_bytes"] <= row["max_bytes"] <= MAX_EVIDENCE
    assert bench_evidence.cells(bench_evidence.figures("clips", made))[-1] == ""  # not known, so not 0


def test_a_codec_that_loses_something_is_no_candidate(monkeypatch):
    rows = {row["codec"]: row for row in bench_evidence.measure_codecs(parts(3))}
    assert rows["none"]["crop_p50_bytes"] == 48 * 48
    assert rows["WebP, lossless"]["log_mel_p50_bytes"] < rows["zlib"]["log_mel_p50_bytes"] < 186 * 64
    lossy = bench_evidence._image(".webp", cv2.IMWRITE_WEBP_QUALITY, 50)
    monkeypatch.setattr(bench_evidence, "CODECS", {"WebP, lossy": lossy})
    with pytest.raises(TrainingError, match="WebP, lossy does not give back"):
        bench_evidence.measure_codecs(parts(1))


def test_what_got_no_answer_in_time_is_not_among_the_latencies():
    pytest.importorskip("aiomqtt")
    from training.bench_verdict import HEAD, Tally, cells, conclusion, figures

    tally = Tally([10.0, 30.0], [5.0, 6.0], [800, 802], asked=5)
    tally.refused["busy"] = 1
    counters = {"offload.batches": 2, "offload.batched": 4, "offload.batches.to_01": 1, "offload.batches.to_04": 1}
    row = figures(5.0, tally, 2.0, {"service": 1.0, "broker": 0.1}, counters)
    assert (row["in_time"], row["refused"], row["missed"], row["lost_share"]) == (2, {"busy": 1}, 2, 0.6)
    assert (row["p50_ms"], row["cloud_p50_ms"], row["batch_mean"], row["batch_largest_up_to"]) == (20.0, 5.5, 2.0, 4)
    assert (row["rate"], row["cpu"], row["verdict_p50_bytes"]) == (2.5, 0.5, 801.0)
    assert len(cells(row)) == len(HEAD)
    assert "60 % are refused or get no answer in time" in conclusion([row], devices=1)
    nothing = figures(5.0, Tally(asked=1), 1.0, {"service": 0.0, "broker": 0.0}, {})
    assert (nothing["p95_ms"], nothing["lost_share"], len(cells(nothing))) == (None, 1.0, len(HEAD))


def test_tables_stand_between_their_own_marks(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    page.write_text("<!-- bench-evidence: begin -->\nold\n<!-- bench-evidence: end -->\nrest\n")
    monkeypatch.setattr(bench_evidence, "pack_parts", lambda data, count: parts(count))
    monkeypatch.setattr(report, "RESULTS", page)
    arguments = ["bench", "evidence", "--docs", "--codecs", "--windows", "2", "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert bench.main() == 0
    text = page.read_text()
    assert "old" not in text
    assert text.endswith("<!-- bench-evidence: end -->\nrest\n")
    assert text.count("\n| --- |") == 2
    page.write_text("no marks\n")
    assert bench.main() == 1


def test_a_rate_of_nothing_is_a_wrong_wish():
    for wish in ("0", "-3", "nan", "inf"):
        with pytest.raises(bench_cloud.argparse.ArgumentTypeError):
            bench_cloud._positive(wish)


def run_verdict(data_dir, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "training.bench", "verdict", "--json", "--devices", "2", *arguments],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "MIEN_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.slow
def test_verdicts_come_back_from_the_real_service(data_dir):
    pytest.importorskip("aiomqtt")
    process = run_verdict(data_dir, "--rate", "4", "--seconds", "3")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    (row,) = json.loads(out)["verdict"]["rates"]
    assert row["n"] == row["in_time"] > 3
    assert (row["refused"], row["missed"]) == ({}, 0)
    assert 0 < row["cloud_p50_ms"] < row["p50_ms"] <= row["p95_ms"]
    assert row["batch_mean"] >= 1
    assert row["cpu"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whatever_ends_it_ends_what_it_started(data_dir, number):
    pytest.importorskip("aiomqtt")
    process = run_verdict(data_dir, "--rate", "4", "--seconds", "600")
    until = time.monotonic() + 120
    while len(started := children(process.pid)) < 2:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
