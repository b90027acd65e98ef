"""A run trains from packs, starts from another's weights if asked to, and never writes over what is there."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.errors import TrainingError  # noqa: E402
from training.faces import PACKS  # noqa: E402
from training.loop import load_checkpoint  # noqa: E402  (imports torch)
from training.members import run_folders, trained_nets  # noqa: E402
from training.nets import build  # noqa: E402
from training.runs import START_RATE, Order, train  # noqa: E402
from training.shipped import take_shipped  # noqa: E402

SHIPPED = Path(__file__).resolve().parents[2] / "models_tflite" / "face-edge.tflite"


@pytest.fixture
def data(tmp_path):
    """A folder with packs of sixteen made-up faces."""
    folder = tmp_path / "data"
    (folder / "face").mkdir(parents=True)
    rng = np.random.default_rng(0)
    votes = np.zeros((16, 10), dtype=np.uint8)
    votes[np.arange(16), np.arange(16) % 6] = 10
    for name in PACKS.values():
        np.savez(
            folder / "face" / name,
            images=rng.integers(0, 256, (16, 48, 48), dtype=np.uint8),
            labels=(np.arange(16) % 7).astype(np.int8),
            ferplus_votes=votes,
            dup_group=np.full(16, -1, dtype=np.int32),
        )
    return folder


def test_run_starts_from_anothers_weights_and_says_so(tmp_path, data):
    train(Order(task="face", arch="edge", data=data, runs=tmp_path / "runs", epochs=1, seed=1))
    first = (tmp_path / "runs" / "face-edge-1").rename(tmp_path / "runs" / "before")
    trainer = train(Order(task="face", arch="edge", data=data, runs=tmp_path / "runs", epochs=1, start=first))
    config = load_checkpoint(trainer.folder)["config"]
    assert config["start"] == "before"
    assert config["learning_rate"] == pytest.approx(START_RATE * load_checkpoint(first)["config"]["learning_rate"])
    # The first step of a schedule has a rate of 0, and there is one step: the weights are still those of the start.
    kernel = "features.0.0.weight"
    assert torch.equal(trainer.net.state_dict()[kernel], load_checkpoint(first)["net"][kernel])


def test_run_starts_from_a_file_that_ships(tmp_path, data):
    trainer = train(Order(task="face", arch="edge", data=data, runs=tmp_path / "runs", epochs=1, start=SHIPPED))
    assert load_checkpoint(trainer.folder)["config"]["start"] == "face-edge.tflite"
    kernel = trainer.net.state_dict()["features.2.0.weight"]
    net = build("face", "edge")
    take_shipped(net, SHIPPED, np.zeros((1, 1, 48, 48), np.float32))
    torch.testing.assert_close(kernel, net.state_dict()["features.2.0.weight"])


def test_run_is_not_written_over(tmp_path, data):
    order = Order(task="face", arch="edge", data=data, runs=tmp_path / "runs", epochs=1)
    train(order)
    with pytest.raises(TrainingError, match="holds a run already"):
        train(order)


def test_weights_of_another_net_are_refused(tmp_path, data):
    other = train(Order(task="face", arch="full", data=data, runs=tmp_path / "runs", epochs=1)).folder
    with pytest.raises(TrainingError, match="run of another net"):
        train(Order(task="face", arch="edge", data=data, runs=tmp_path / "runs", epochs=1, start=other))


def test_another_rate_counts_and_stands_in_the_run(tmp_path, data):
    order = Order(task="face", arch="edge", data=data, runs=tmp_path, epochs=1, start=SHIPPED, learning_rate=0.06)
    assert load_checkpoint(train(order).folder)["config"]["learning_rate"] == 0.06


def test_each_seed_has_a_folder_and_all_finished_ones_count(tmp_path, data):
    for seed in (0, 10, 2):
        train(Order(task="face", arch="full", data=data, runs=tmp_path, epochs=1, seed=seed))
    (tmp_path / "face-full-before").mkdir()  # of the user's own, no run of ours
    names = [folder.name for folder in run_folders(tmp_path, "face", "full")]
    assert names == ["face-full", "face-full-2", "face-full-10"]
    nets = trained_nets(tmp_path, "face", "full")
    kernels = [net.state_dict()["head.weight"] for net in nets]
    wanted = [load_checkpoint(tmp_path / name)["averaged"]["head.weight"] for name in names]
    assert all(torch.equal(kernel, each) for kernel, each in zip(kernels, wanted, strict=True))
    assert not torch.equal(kernels[0], kernels[1])


def test_device_has_no_time_for_several_nets(tmp_path):
    for name in ("speech-edge", "speech-edge-3"):
        (tmp_path / name).mkdir()
    with pytest.raises(TrainingError, match="holds speech-edge and speech-edge-3: a device has no time"):
        run_folders(tmp_path, "speech", "edge")
