"""A net that ships goes on learning from its file: what comes back of the weights computes what the file computes."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training.errors import TrainingError  # noqa: E402
from training.face_task import face_inputs, predict  # noqa: E402  (imports torch)
from training.faces import load_faces  # noqa: E402
from training.nets import Consensus, Ensemble, build, input_shape  # noqa: E402
from training.quantise import write_onnx  # noqa: E402
from training.shipped import shipped_nets, take_shipped  # noqa: E402
from training.verify import run_shipped  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FILES = {"edge": ROOT / "models_tflite" / "face-edge.tflite", "full": ROOT / "cloud" / "models" / "face-full.onnx"}
SPEECH = {name: path.with_name(path.name.replace("face", "speech")) for name, path in FILES.items()}
DATA = Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")

with_faces = pytest.mark.skipif(not (DATA / "face").is_dir(), reason=f"no face data in {DATA}")


@pytest.fixture(scope="module")
def faces():
    """Inputs (300, 1, 48, 48) of the validation split."""
    return face_inputs(load_faces(DATA, "validation").images[:300])


def taken(arch: str, path: Path, examples: np.ndarray):
    net = build("face", arch)
    take_shipped(net, path, examples)
    return net


def test_onnx_gives_back_the_nets():
    some = np.random.default_rng(0).random((8, *input_shape("face")), dtype=np.float32)
    nets = shipped_nets("face", "full", FILES["full"], some)
    np.testing.assert_allclose(predict(Consensus(nets), some), run_shipped(FILES["full"], some), atol=1e-3)


def test_a_file_of_several_nets_gives_back_each(tmp_path):
    torch.manual_seed(0)
    nets = [build("face", "edge").eval() for _ in range(2)]
    for net in nets:  # the exporter stores equal tensors once, and fresh nets have many
        for values in net.state_dict().values():
            if values.dtype.is_floating_point:
                values.add_(torch.rand_like(values) * 0.01)
    write_onnx(Consensus(nets), input_shape("face"), tmp_path / "two.onnx")
    some = np.random.default_rng(0).random((4, *input_shape("face")), dtype=np.float32)
    again = shipped_nets("face", "edge", tmp_path / "two.onnx", some)
    for before, after in zip(nets, again, strict=True):
        np.testing.assert_allclose(predict(after, some), predict(before, some), atol=0.02)
    np.testing.assert_allclose(run_shipped(tmp_path / "two.onnx", some), predict(Consensus(nets), some), atol=0.02)


@with_faces
def test_int8_gives_back_the_net_as_far_as_int8_kept_it(faces):
    net = taken("edge", FILES["edge"], faces[:200])
    again, said = predict(net, faces), run_shipped(FILES["edge"], faces)
    assert np.abs(again - said).mean() < 0.05 * said.std()
    assert (again[:, :7].argmax(axis=1) == said[:, :7].argmax(axis=1)).mean() >= 0.97


@with_faces
def test_int8_net_is_still_the_same_when_batches_normalise_it(faces):
    net = taken("edge", FILES["edge"], faces[:200])
    said = predict(net, faces)
    net.train()
    net.dropout.p = 0.0
    with torch.no_grad():
        training = net(torch.from_numpy(faces)).numpy()
    assert np.corrcoef(said.ravel(), training.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("arch", "path", "least"), [("edge", SPEECH["edge"], 0.999), ("full", SPEECH["full"], 0.999999)]
)
def test_speech_nets_come_back_too(arch, path, least):
    noise = np.random.default_rng(0).uniform(-2, 2, (8, *input_shape("speech"))).astype(np.float32)
    nets = shipped_nets("speech", arch, SPEECH[arch], noise)
    assert np.corrcoef(predict(Ensemble(nets), noise).ravel(), run_shipped(SPEECH[arch], noise).ravel())[0, 1] > least


@pytest.mark.parametrize(("arch", "other"), [("edge", "full"), ("full", "edge")])
def test_weights_of_another_net_are_refused(arch, other):
    with pytest.raises(TrainingError, match="is of another net"):
        taken(arch, FILES[other], np.zeros((1, 1, 48, 48), np.float32))


@pytest.mark.parametrize("name", ["a.onnx", "a.tflite"])
@pytest.mark.parametrize("content", [None, b"", b"\x00" * 64, b"not a model " * 20])
def test_what_is_no_model_is_named(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TrainingError, match=name):
        taken("edge", tmp_path / name, np.zeros((1, 1, 48, 48), np.float32))
