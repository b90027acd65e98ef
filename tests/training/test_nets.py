"""The nets keep their promises: logits, size, and a face's mirror image."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.nets import CROSS, Consensus, build, count_macs, count_parameters, input_shape  # noqa: E402
from training.quantise import write_onnx  # noqa: E402
from training.verify import run_shipped  # noqa: E402


@pytest.mark.parametrize(("task", "logits"), [("face", 14), ("speech", 8)])
@pytest.mark.parametrize("arch", ["edge", "full"])
def test_nets_have_the_logits_promised_and_edge_is_small(task, logits, arch):
    net = build(task, arch).eval()
    assert net(torch.zeros(2, *input_shape(task))).shape == (2, logits)
    assert arch == "full" or count_macs(net, input_shape(task)) <= 25_000_000


def test_consensus_sees_no_side_and_averages_what_each_net_says_at_each_place():
    torch.manual_seed(0)
    nets = [build("face", "edge").eval() for _ in range(2)]
    faces = torch.rand(3, 1, 48, 48)
    together = Consensus(nets)
    assert torch.allclose(together(faces), together(faces.flip(3)), atol=1e-5)
    wide = torch.nn.functional.pad(faces, (1, 1, 1, 1), mode="reflect")
    views = [faces, wide[:, :, :48, 1:49], wide[:, :, 2:, 1:49], wide[:, :, 1:49, :48], wide[:, :, 1:49, 2:]]
    each = [net(side) for net in nets for view in views for side in (view, view.flip(3))]
    assert torch.allclose(together(faces), torch.stack(each).mean(dim=0), atol=1e-5)
    one = count_macs(nets[0], input_shape("face"))
    assert count_macs(together, input_shape("face")) == 2 * len(nets) * len(CROSS) * one


def test_a_glance_is_the_face_as_it_is_and_mirrored_in_torch_and_onnx(tmp_path):
    torch.manual_seed(0)
    net = build("face", "edge").eval()
    together, faces = Consensus([net]), torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        glance = together(faces, torch.tensor([0.5, 0.5]))
        assert torch.allclose(glance, (net(faces) + net(faces.flip(3))) / 2, atol=1e-5)
        ten = together(faces)
    write_onnx(together, input_shape("face"), tmp_path / "net.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    assert [each.name for each in session.get_inputs()] == ["input"]
    np.testing.assert_allclose(session.run(None, {"input": faces.numpy()})[0], ten, atol=0.02)
    weights = np.full(2, 0.5, np.float32)
    np.testing.assert_allclose(session.run(None, {"input": faces.numpy(), "weights": weights})[0], glance, atol=0.02)


def test_onnx_keeps_weights_in_half_precision_and_the_logits(tmp_path):
    torch.manual_seed(0)
    net = build("speech", "edge").eval()
    path = tmp_path / "net.onnx"
    write_onnx(net, input_shape("speech"), path)
    inputs = torch.rand(3, *input_shape("speech")) * 8 - 4
    assert path.stat().st_size < 2.5 * count_parameters(net)
    np.testing.assert_allclose(run_shipped(path, inputs.numpy()), net(inputs).detach().numpy(), atol=0.02)
