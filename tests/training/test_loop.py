"""Training is repeatable, and resuming changes nothing."""

from typing import ClassVar

import pytest

torch = pytest.importorskip("torch")

from training import loop  # noqa: E402  (imports torch)
from training.errors import TrainingError  # noqa: E402
from training.nets import ConvNet, NetConfig  # noqa: E402


class Stripes:
    """Sixty-four small images that are bright on the left or on the right."""

    heads: ClassVar = {"side": (2, 1.0)}

    def __init__(self) -> None:
        self.inputs = torch.rand(64, 1, 16, 16, generator=torch.Generator().manual_seed(5)) * 0.2
        self.sides = torch.arange(64) % 2
        self.inputs[self.sides == 0, :, :, :8] += 0.7
        self.inputs[self.sides == 1, :, :, 8:] += 0.7

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, indices, generator):
        noise = torch.rand(self.inputs[indices].shape, generator=generator) * 0.05
        return self.inputs[indices] + noise, torch.eye(2)[self.sides[indices]]

    def validate(self, net):
        with torch.no_grad():
            return {"accuracy": float((net(self.inputs).argmax(dim=1) == self.sides).float().mean())}


class Interrupted(Stripes):
    """Stops after the first epoch, as Ctrl-C would."""

    def __init__(self) -> None:
        super().__init__()
        self.batches = 0

    def batch(self, indices, generator):
        self.batches += 1
        if self.batches > 6:
            raise KeyboardInterrupt
        return super().batch(indices, generator)


def trainer(folder, task, epochs: int = 2) -> loop.Trainer:
    torch.manual_seed(0)
    net = ConvNet(NetConfig(stem=4, widths=(8,), blocks=(1,), dropout=0.1), 2)
    return loop.Trainer(net, task, loop.TrainConfig(epochs=epochs, batch_size=16), folder)


def weights(one: loop.Trainer) -> "torch.Tensor":
    return torch.cat([value.float().flatten() for value in one.averaged.state_dict().values()])


def test_resumed_run_ends_with_the_same_weights(tmp_path):
    whole = trainer(tmp_path / "whole", Stripes())
    whole.fit()
    stopped = trainer(tmp_path / "stopped", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    resumed = trainer(tmp_path / "stopped", Stripes())
    resumed.resume()
    assert resumed.epoch == 1
    resumed.fit()
    assert torch.equal(weights(whole), weights(resumed))
    assert [entry["epoch"] for entry in resumed.history] == [1, 2]


def test_fit_learns(tmp_path):
    run = trainer(tmp_path, Stripes(), epochs=8)
    run.fit()
    assert run.history[-1]["loss"] < run.history[0]["loss"]
    assert run.history[-1]["accuracy"] == 1


def test_resume_with_other_settings_is_refused(tmp_path):
    trainer(tmp_path, Stripes()).fit()
    with pytest.raises(TrainingError, match="epochs=2, not 5"):
        trainer(tmp_path, Stripes(), epochs=5).resume()


def test_resume_without_or_with_damaged_checkpoint_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="does not exist"):
        trainer(tmp_path, Stripes()).resume()
    (tmp_path / "checkpoint.pt").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="damaged"):
        trainer(tmp_path, Stripes()).resume()


def test_soft_cross_entropy_rows_of_zeros_weigh_nothing():
    logits = torch.tensor([[2.0, 0.0], [5.0, -5.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    alone = loop.soft_cross_entropy(logits[:1], target[:1], Stripes.heads)
    assert float(loop.soft_cross_entropy(logits, target, Stripes.heads)) == pytest.approx(float(alone) / 2)
