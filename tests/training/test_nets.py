"""The nets keep their promises: logits, size, and a face's mirror image."""

import pytest

torch = pytest.importorskip("torch")

from training.nets import MirrorEnsemble, build, count_macs, input_shape  # noqa: E402  (imports torch)


@pytest.mark.parametrize(("task", "logits"), [("face", 14), ("speech", 8)])
@pytest.mark.parametrize("arch", ["edge", "full"])
def test_nets_have_the_logits_promised_and_edge_is_small(task, logits, arch):
    net = build(task, arch).eval()
    assert net(torch.zeros(2, *input_shape(task))).shape == (2, logits)
    assert arch == "full" or count_macs(net, input_shape(task)) <= 25_000_000


def test_mirror_ensemble_sees_no_side():
    torch.manual_seed(0)
    nets = [build("face", arch).eval() for arch in ("full", "edge")]
    faces = torch.rand(3, 1, 48, 48)
    ensemble = MirrorEnsemble(nets)
    assert torch.allclose(ensemble(faces), ensemble(faces.flip(3)), atol=1e-5)
    assert count_macs(ensemble, input_shape("face")) == 2 * sum(count_macs(net, input_shape("face")) for net in nets)
