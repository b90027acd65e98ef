"""The models in the repository: whole, small enough, running, and as good as they must be."""

import os
from pathlib import Path

import numpy as np
import pytest
from training.faces import load_faces

from edge.emotions import EMOTIONS, SPEECH_EMOTIONS
from edge.perception.features import FRAMES, N_MELS, speech_features
from edge.perception.manifest import Manifest, ModelEntry, load_manifest, verified_file
from edge.perception.runtime import TfliteModel

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"edge": ROOT / "models_tflite", "full": ROOT / "cloud" / "models"}
DATA = Path(os.environ.get("MIEN_DATA_DIR") or ROOT.parent / "shared" / "data")

MAX_BYTES = {"edge": 400_000, "full": 18 * 1024 * 1024}
LOGITS = {"face": 2 * len(EMOTIONS), "speech": len(SPEECH_EMOTIONS)}
FACE_FLOOR = {"edge": 0.84, "full": 0.85}
"""Accuracy on the FER+ majorities of 600 PublicTest images."""
SPEECH_FLOOR = {"edge": 0.55, "full": 0.60}
"""UAR on RAVDESS's four validation actors; chance is 0.125."""

each_arch = pytest.mark.parametrize("arch", ["edge", "full"])
each_model = pytest.mark.parametrize(("arch", "task"), [(a, t) for a in FOLDERS for t in LOGITS])


def entry_of(arch: str, task: str) -> tuple[Manifest, ModelEntry]:
    manifest = load_manifest(FOLDERS[arch])
    return manifest, manifest.model(task)


def run(arch: str, task: str, inputs: np.ndarray) -> np.ndarray:
    """Return logits for inputs (N, H, W), as device and cloud compute them."""
    _, entry = entry_of(arch, task)
    path = verified_file(FOLDERS[arch], entry)
    if arch == "edge":
        return TfliteModel(path)(inputs)
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(str(path)).run(None, {"input": inputs[:, np.newaxis]})[0]


@each_model
def test_manifest_names_a_whole_model_within_limits(arch, task):
    _, entry = entry_of(arch, task)
    assert verified_file(FOLDERS[arch], entry).stat().st_size <= MAX_BYTES[arch]
    assert entry.name == f"{task}-{arch}"
    assert arch == "full" or entry.macs <= 25_000_000
    assert sum(len(output.labels) for output in entry.outputs) == LOGITS[task]
    assert all(len(output.bias) == len(output.labels) and output.temperature > 0 for output in entry.outputs)
    assert all(0 <= output.ece <= 1 for output in entry.outputs)


@each_arch
def test_manifest_has_a_gate_per_set_of_modalities(arch):
    manifest = load_manifest(FOLDERS[arch])
    assert [gate.modalities for gate in manifest.gates] == ["face", "speech", "face+speech"]
    assert set(manifest.fusion_weights) == {"face", "speech"}
    assert manifest.fusion is not None
    assert manifest.filter is not None
    assert set(manifest.fusion.reliability) == set(manifest.fusion.attention) == {"face", "speech"}
    for gate in manifest.gates:
        assert gate.threshold is None or 0 < gate.threshold < 1
        assert (gate.threshold is None) == (gate.coverage == 0)


@each_arch
@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.2])
def test_face_and_voice_together_are_asked_no_less_confidence_than_a_face(arch, alpha):
    face, _, both = load_manifest(FOLDERS[arch]).gates
    alone, together = face.point(alpha), both.point(alpha)
    assert alone is not None
    assert together is None or together.threshold >= alone.threshold


@each_model
def test_card_states_the_file_it_is_about(arch, task):
    _, entry = entry_of(arch, task)
    card = (FOLDERS[arch] / f"MODEL_CARD_{task.upper()}.md").read_text()
    assert entry.sha256 in card
    assert "## Not for" in card


@each_model
def test_one_inference_gives_finite_logits(arch, task):
    inputs = np.random.default_rng(0).random((2, 48, 48) if task == "face" else (2, FRAMES, N_MELS), dtype=np.float32)
    logits = run(arch, task, inputs)
    assert logits.shape == (2, LOGITS[task])
    assert np.isfinite(logits).all()


@pytest.mark.skipif(not (DATA / "face").is_dir(), reason=f"no face data in {DATA}")
@pytest.mark.parametrize("arch", ["edge", pytest.param("full", marks=pytest.mark.slow)])  # ten looks take 20 s
def test_face_model_is_as_good_as_it_must_be(arch):
    faces = load_faces(DATA, "validation")
    clear = np.flatnonzero(faces.majority >= 0)[:600]
    output = entry_of(arch, "face")[1].outputs[0]
    logits = run(arch, "face", faces.images[clear] / np.float32(255))
    chosen = output.calibrate(logits[:, : len(EMOTIONS)]).argmax(axis=1)
    assert (chosen == faces.majority[clear]).mean() >= FACE_FLOOR[arch]


@pytest.mark.skipif(not (DATA / "speech").is_dir(), reason=f"no speech data in {DATA}")
@each_arch
def test_speech_model_is_as_good_as_it_must_be(arch):
    pytest.importorskip("soundfile")
    from training.speech_data import load_clips

    clips = load_clips(DATA, "validation")
    truth = np.array([clip.emotion for clip in clips])
    logits = run(arch, "speech", np.stack([speech_features(clip.pcm) for clip in clips]))
    chosen = entry_of(arch, "speech")[1].outputs[0].calibrate(logits).argmax(axis=1)
    recalls = [(chosen[truth == emotion] == emotion).mean() for emotion in np.unique(truth)]
    assert np.mean(recalls) >= SPEECH_FLOOR[arch]
