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


def distinct_nets(count: int) -> list[torch.nn.Module]:
    """Return fresh face nets without equal tensors, which the exporter would store once."""
    torch.manual_seed(0)
    nets = [build("face", "edge").eval() for _ in range(count)]
    for net in nets:
        for values in net.state_dict().values():
            if values.dtype.is_floating_point:
                values.add_(torch.rand_like(values) * 0.01)
    return nets


def looks_at(faces: torch.Tensor) -> list[torch.Tensor]:
    """Return the ten looks in their order."""
    wide = torch.nn.functional.pad(faces, (1, 1, 1, 1), mode="reflect")
    views = [faces, wide[:, :, :48, 1:49], wide[:, :, 2:, 1:49], wide[:, :, 1:49, :48], wide[:, :, 1:49, 2:]]
    return [
        side
        for place, view in enumerate(views)
        for side in ((view.flip(3), view) if place % 2 else (view, view.flip(3)))
    ]


def test_consensus_of_one_net_sees_no_side():
    (net,) = distinct_nets(1)
    faces = torch.rand(3, 1, 48, 48)
    assert torch.allclose(Consensus([net])(faces), Consensus([net])(faces.flip(3)), atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_nets_of_a_consensus_share_the_looks_and_the_work(count):
    nets, faces = distinct_nets(count), torch.rand(3, 1, 48, 48)
    together = Consensus(nets)
    each = [nets[number % count](look) for number, look in enumerate(looks_at(faces))]
    assert torch.allclose(together(faces), torch.stack(each).mean(dim=0), atol=1e-5)
    one = count_macs(nets[0], input_shape("face"))
    assert count_macs(together, input_shape("face")) == 2 * len(CROSS) * one


@pytest.mark.parametrize("count", [1, 2])
def test_a_glance_is_the_face_as_it_is_and_mirrored_in_torch_and_onnx(tmp_path, count):
    nets, faces = distinct_nets(count), torch.rand(3, 1, 48, 48)
    together = Consensus(nets)
    with torch.no_grad():
        glance = together(faces, torch.tensor([0.5, 0.5]))
        assert torch.allclose(glance, (nets[0](faces) + nets[-1](faces.flip(3))) / 2, atol=1e-5)
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
