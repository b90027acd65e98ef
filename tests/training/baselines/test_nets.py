"""Every net takes what it says, and pretrained weights find their places."""

import pytest

torch = pytest.importorskip("torch")

from training.baselines import nets_face, weights  # noqa: E402  (imports torch)
from training.baselines.catalogue import BASELINES, names  # noqa: E402
from training.baselines.run import VALUES, build_net  # noqa: E402
from training.baselines.tasks import change_faces  # noqa: E402
from training.errors import TrainingError  # noqa: E402


@pytest.mark.parametrize("name", names("face"))
def test_face_net_has_seven_logits(name):
    net = build_net(name).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 1, 48, 48)).shape == (2, 7)


@pytest.mark.parametrize("name", names("speech"))
def test_speech_net_has_eight_logits(name):
    kind = BASELINES[name].inputs
    frames = 94 if kind in ("mfcc_frames", "log_mel") else 1
    net = build_net(name).eval()
    with torch.no_grad():
        assert net(torch.randn(2, 1, frames, VALUES[kind])).shape == (2, 8)


def test_full_xception_takes_faces():
    net = build_net("xception", pretrained=True).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 1, 48, 48)).shape == (1, 7)


def test_weights_are_taken_over_and_the_head_is_not(tmp_path):
    original = nets_face.Vgg16(divisor=1, pretrained=True)
    stored = {name: value for name, value in original.state_dict().items() if name.startswith("features.")}
    torch.save({**stored, "classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg16.pth")
    net = nets_face.Vgg16(divisor=1, pretrained=True)
    head = net.head[0].weight.clone()
    weights.take_over(net, tmp_path / "vgg16.pth")
    assert torch.equal(net.features[0].weight, original.features[0].weight)
    assert torch.equal(net.head[0].weight, head)
    assert not net.features[0].weight.requires_grad
    assert net.features[28].weight.requires_grad


def test_weights_of_another_layout_are_refused(tmp_path):
    net = nets_face.Vgg16(divisor=2, pretrained=False)
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(TrainingError, match=r"has no features\.0\.weight"):
        weights.take_over(net, tmp_path / "other.pth")
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "full.pth")
    with pytest.raises(TrainingError, match=r"\(64, 3, 3, 3\), not \(32, 1, 3, 3\)"):
        weights.take_over(net, tmp_path / "full.pth")
    (tmp_path / "torn.pth").write_bytes(b"half a file")
    with pytest.raises(TrainingError, match="no file of weights"):
        weights.take_over(net, tmp_path / "torn.pth")


def test_changed_faces_repeat_with_the_seed_and_stay_in_range():
    faces = torch.rand(8, 1, 48, 48)
    once, again = (change_faces(faces, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(once, again)
    assert once.shape == faces.shape
    assert float(once.min()) >= 0
    assert float(once.max()) <= 1
    assert not torch.equal(once, faces)
