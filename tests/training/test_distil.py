"""Lessons are kept, and the student's targets are the teacher's and people's, at the weight of the example."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training import distil  # noqa: E402  (imports torch)
from training.distil_speech import DistilledSpeechTask, speech_teacher  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.face_task import face_inputs, predict  # noqa: E402
from training.faces import Faces, vote_targets  # noqa: E402
from training.loop import TrainConfig, Trainer  # noqa: E402
from training.members import run_folder, trained_nets  # noqa: E402
from training.models import FOLDERS  # noqa: E402
from training.nets import CENTRE, Consensus, Ensemble, build, input_shape  # noqa: E402
from training.shipped import shipped_nets  # noqa: E402
from training.speech_task import SpeechSet, SpeechTask  # noqa: E402


def faces(count: int = 6) -> Faces:
    rng = np.random.default_rng(0)
    votes = np.zeros((count, 10), dtype=np.int64)
    votes[:-1, 0] = 10  # the last has no votes: nobody agreed on it
    return Faces(
        images=rng.integers(0, 256, (count, 48, 48), dtype=np.uint8),
        labels=np.arange(count) % 7,
        votes=vote_targets(votes),
        majority=np.full(count, 6),
        groups=np.arange(count),
        leaked=np.zeros(count, dtype=bool),
    )


def trained_teacher(runs, task) -> None:
    Trainer(build("face", distil.TEACHER), task, TrainConfig(epochs=0), runs / f"face-{distil.TEACHER}").fit()


def test_targets_keep_the_weight_of_the_example():
    answers = torch.rand(2, 14)
    answers = torch.cat([half / half.sum(dim=1, keepdim=True) for half in answers.split(7, dim=1)], dim=1)
    said = torch.zeros(2, 14)
    said[0, 3], said[0, 8], said[1, 9] = 2.0, 0.5, 1.0
    mixed = distil.blend(answers, said)
    torch.testing.assert_close(mixed[:, :7].sum(dim=1), torch.tensor([2.0, 1.0]))
    torch.testing.assert_close(mixed[1, :7], answers[1, :7])
    assert mixed[0, 3] >= 2.0 * (1 - distil.TEACHER_SHARE)


def test_lessons_are_made_once_per_teacher_and_are_repeatable(tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "COPIES", 2)
    train = faces()
    trained_teacher(tmp_path, distil.FaceTask(train, train))
    first = distil.prepare_lessons(train, tmp_path / "cache", distil.Teachers(tmp_path))
    (stored,) = (tmp_path / "cache").glob("lessons-*.npz")
    written = stored.stat().st_mtime_ns
    again = distil.prepare_lessons(train, tmp_path / "cache", distil.Teachers(tmp_path))
    assert stored.stat().st_mtime_ns == written
    np.testing.assert_array_equal(first.answers, again.answers)
    assert first.images.shape == (2, 6, 48, 48)
    np.testing.assert_allclose(first.answers.astype(float).reshape(2, 6, 2, 7).sum(axis=-1), 1, atol=5e-3)
    task = distil.DistilledFaceTask(train, train, first)
    inputs, targets = task.batch(torch.arange(6), torch.Generator().manual_seed(1))
    assert inputs.shape == (6, 1, 48, 48)
    assert targets.shape == (6, 14)
    assert bool((targets.view(6, 2, 7).sum(dim=2) > 0).all())


def test_without_a_run_what_ships_teaches(tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "COPIES", 1)
    train = faces()
    lessons = distil.prepare_lessons(train, tmp_path, distil.Teachers(tmp_path))
    inputs = face_inputs(lessons.images[0])
    teachers = shipped_nets("face", "full", FOLDERS["full"] / "face-full.onnx", inputs)
    each = [predict(Consensus([net], CENTRE), inputs)[:, :7] for net in teachers]
    said = np.mean(each, axis=0)
    likely = np.exp(said) / np.exp(said).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(lessons.answers[0, :, :7], likely, atol=0.05)  # the teacher computes in bfloat16


def test_speech_learns_what_all_the_teachers_nets_say_of_what_it_hears_itself(tmp_path):
    rng = np.random.default_rng(0)
    heard = rng.uniform(-2, 2, (6, *input_shape("speech")[1:])).astype(np.float16)
    train = SpeechSet(heard, np.arange(6), np.array([1, 1, 1, 1, 1, 0.5], np.float32))
    for seed in (0, 3):
        torch.manual_seed(seed)
        config = TrainConfig(epochs=0, seed=seed)
        Trainer(
            build("speech", distil.TEACHER),
            SpeechTask(train, train),
            config,
            run_folder(tmp_path, "speech", distil.TEACHER, seed),
        ).fit()
    task = DistilledSpeechTask(train, train, speech_teacher(distil.Teachers(tmp_path), train))
    inputs, targets = task.batch(torch.arange(6), torch.Generator().manual_seed(1))
    plain, said = SpeechTask(train, train).batch(torch.arange(6), torch.Generator().manual_seed(1))
    assert torch.equal(inputs, plain)
    torch.testing.assert_close(targets.sum(dim=1), said.sum(dim=1), rtol=0.01, atol=0)
    nets = trained_nets(tmp_path, "speech", distil.TEACHER)
    assert len(nets) == 2
    answers = torch.from_numpy(predict(Ensemble(nets), inputs.numpy())).softmax(dim=1)
    torch.testing.assert_close(targets, distil.blend(answers, said, heads=1), rtol=0.05, atol=0.01)


def test_without_a_teacher_it_says_what_to_train(tmp_path):
    with pytest.raises(TrainingError, match="face-full, to be trained first"):
        distil.prepare_lessons(faces(), tmp_path, distil.Teachers(tmp_path, tmp_path))


def test_a_teacher_that_is_not_done_is_refused(tmp_path):
    train = faces()
    task = distil.FaceTask(train, train)
    run = Trainer(build("face", distil.TEACHER), task, TrainConfig(epochs=3), tmp_path / f"face-{distil.TEACHER}")
    run.folder.mkdir()
    run.save()
    with pytest.raises(TrainingError, match="has done 0 of 3 epochs: finish it with --resume"):
        distil.prepare_lessons(train, tmp_path, distil.Teachers(tmp_path))


def test_the_clouds_own_net_learns_from_what_ships_and_not_from_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(distil, "COPIES", 1)
    train = faces()
    trained_teacher(tmp_path, distil.FaceTask(train, train))
    of_itself = distil.prepare_lessons(train, tmp_path, distil.Teachers(tmp_path))
    of_what_ships = distil.prepare_lessons(train, tmp_path, distil.Teachers(None))
    np.testing.assert_array_equal(of_itself.images, of_what_ships.images)
    assert np.abs(of_itself.answers.astype(float) - of_what_ships.answers).max() > 0.05
