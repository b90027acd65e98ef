"""The nets keep their promises: logits, size, and a face's mirror image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.nets import Mirrored, build, count_macs, count_parameters, input_shape  # noqa: E402  (imports torch)
from training.quantise import run_onnx, write_onnx  # noqa: E402


@pytest.mark.parametrize(("task", "logits"), [("face", 14), ("speech", 8)])
@pytest.mark.parametrize("arch", ["edge", "full"])
def test_nets_have_the_logits_promised_and_edge_is_small(task, logits, arch):
    net = build(task, arch).eval()
    assert net(torch.zeros(2, *input_shape(task))).shape == (2, logits)
    assert arch == "full" or count_macs(net, input_shape(task)) <= 25_000_000


def test_mirrored_net_sees_no_side():
    torch.manual_seed(0)
    net = build("face", "full").eval()
    faces = torch.rand(3, 1, 48, 48)
    both = Mirrored(net)
    assert torch.allclose(both(faces), both(faces.flip(3)), atol=1e-5)
    assert count_macs(both, input_shape("face")) == 2 * count_macs(net, input_shape("face"))


def test_onnx_keeps_weights_in_half_precision_and_the_logits(tmp_path):
    torch.manual_seed(0)
    net = build("speech", "edge").eval()
    path = tmp_path / "net.onnx"
    write_onnx(net, input_shape("speech"), path)
    inputs = torch.rand(3, *input_shape("speech")) * 8 - 4
    assert path.stat().st_size < 2.5 * count_parameters(net)
    np.testing.assert_allclose(run_onnx(path, inputs.numpy()), net(inputs).detach().numpy(), atol=0.02)
