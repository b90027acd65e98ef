import json

import pytest
from cloud_models import write_models

from cloud.inference import FullModels
from edge.errors import ModelError


@pytest.fixture
def folder(tmp_path):
    return write_models(tmp_path / "models")


def refusal(folder):
    with pytest.raises(ModelError) as caught:
        FullModels(folder)
    return str(caught.value)


def test_models_are_named_with_their_versions(folder):
    assert FullModels(folder, threads=2).names == ["face-tiny 1", "speech-tiny 1"]


def test_a_folder_without_models_is_refused(tmp_path):
    assert "does not exist" in refusal(tmp_path)


def test_a_truncated_model_is_refused(folder):
    path = folder / "face.onnx"
    path.write_bytes(path.read_bytes()[:-10])
    assert "face.onnx has" in refusal(folder)


def test_a_model_with_one_wrong_byte_is_refused(folder):
    path = folder / "speech.onnx"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "speech.onnx has sha256" in refusal(folder)


def change_manifest(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_model_that_does_not_fit_its_manifest_is_refused(folder):
    change_manifest(folder, lambda manifest: manifest["models"][0]["outputs"].pop())
    assert "its output has shape (1, 14), not (1, 7)" in refusal(folder)


def test_labels_in_another_order_are_refused(folder):
    def swap(manifest):
        labels = manifest["models"][0]["outputs"][0]["labels"]
        labels[0], labels[1] = labels[1], labels[0]

    change_manifest(folder, swap)
    assert "speaks of" in refusal(folder)


def test_a_file_that_is_no_model_is_refused(folder):
    import hashlib

    content = b"no protobuf of a model"
    (folder / "face.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_manifest(folder, lambda manifest: manifest["models"][0].update(sha256=digest, bytes=len(content)))
    assert "cannot be run" in refusal(folder)
