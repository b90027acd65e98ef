"""Training speakers are judged by nets that never heard them, and what is fitted may rest on these answers."""

import csv
import hashlib
import zipfile
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import soundfile  # noqa: E402
from torch import nn  # noqa: E402
from training import crossfit, speech_task  # noqa: E402
from training.answers import stranger_answers  # noqa: E402
from training.crossfit import net_files, stand_in, strangers_of  # noqa: E402
from training.errors import TrainingError  # noqa: E402
from training.faces import PACKS  # noqa: E402
from training.fusion_data import CLEAN, load_side  # noqa: E402
from training.loop import TrainConfig, Trainer, load_checkpoint  # noqa: E402
from training.members import fold_nets, run_folder, run_folders  # noqa: E402
from training.models import FOLDERS, write_manifest  # noqa: E402
from training.nets import build  # noqa: E402
from training.packs import read_clips  # noqa: E402
from training.quantise import write_onnx  # noqa: E402
from training.runs import Order, train  # noqa: E402
from training.speech_task import training_set, training_speakers  # noqa: E402
from training.splits import CALIBRATION_SPEAKERS, FOLDS, fold_speakers  # noqa: E402

from edge.emotions import SPEECH_EMOTIONS  # noqa: E402
from edge.fusion import fold_calm  # noqa: E402
from edge.perception.features import FRAMES, N_MELS  # noqa: E402
from edge.perception.manifest import Output, load_manifest  # noqa: E402

SHAPE = (1, 6, 4)
LOUD = Output("speech", SPEECH_EMOTIONS, 1.0, (0.0,) * 8, 0.0, "")


class NoTask:
    """Nothing to train on."""

    heads: ClassVar = {"speech": (8, 1.0)}

    def __len__(self) -> int:
        return 0


def small_nets(count: int, values: int = 24) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Sequential(nn.Flatten(), nn.Linear(values, 8)).eval() for _ in range(count)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Stand-ins of the tests, not those of what ships."""
    monkeypatch.setattr(crossfit, "FOLDER", tmp_path)


@pytest.fixture
def voices(tmp_path):
    """A folder with one second of tone by each of four training and four validation speakers of RAVDESS, twice."""
    rows = [
        {"clip_id": f"{actor:02}-{emotion}", "speaker": f"ravdess_{actor:02}", "emotion": emotion}
        for actor in (2, 3, 6, 17, 18, 19, 20, 21)
        for emotion in ("calm", "angry")
    ]
    folder = tmp_path / "data"
    (folder / "speech").mkdir(parents=True)
    with zipfile.ZipFile(folder / "speech" / "ravdess.zip", "w") as pack:
        for number, row in enumerate(rows):
            tone = 0.3 * np.sin(np.arange(16_000) * 0.05 * (number + 2)).astype(np.float32)
            sound = BytesIO()
            soundfile.write(sound, tone, 16_000, format="WAV")
            pack.writestr(f"{row['clip_id']}.wav", sound.getvalue())
    with (folder / "speech" / "ravdess.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, ["clip_id", "split", "speaker", "sex", "emotion"])
        writer.writeheader()
        for row in rows:
            split = "val" if row["speaker"] >= "ravdess_18" else "train"
            writer.writerow({**row, "split": split, "sex": "F" if int(row["speaker"][-1]) % 2 == 0 else "M"})
    return folder


def test_folds_part_the_training_speakers_by_sex_too():
    parts = [fold_speakers(fold) for fold in range(1, FOLDS + 1)]
    everyone = frozenset().union(*parts)
    assert len(everyone) == sum(map(len, parts)) == 16
    assert not everyone & set(CALIBRATION_SPEAKERS)
    assert all(sum(int(name[-2:]) % 2 for name in part) == 2 for part in parts)
    assert fold_speakers(0) == frozenset()


def stand_ins(model: Path, nets: list[nn.Module], shape: tuple[int, int, int] = SHAPE) -> None:
    """Put the nets of all folds, as many of each, where they stand in for a model file."""
    for some, paths in zip(np.split(np.arange(len(nets)), FOLDS), net_files(model, len(nets) // FOLDS), strict=True):
        for number, path in zip(some, paths, strict=True):
            write_onnx(nets[number], shape, path)
    stand_in(model)


def test_each_speaker_is_judged_by_the_net_that_never_heard_them(tmp_path):
    nets, model = small_nets(8), tmp_path / "several.onnx"
    model.write_bytes(b"anything")
    stand_ins(model, nets)
    inputs = np.random.default_rng(0).normal(size=(3, *SHAPE[1:])).astype(np.float32)
    strangers = strangers_of(model)
    assert strangers.speakers == frozenset().union(*(fold_speakers(fold) for fold in range(1, 5)))
    with torch.no_grad():
        said = np.stack([net(torch.from_numpy(inputs)).numpy() for net in nets])
    # ravdess_17 is in fold 4, ravdess_06 in fold 2.
    wanted = [said[[6, 7], 0].mean(axis=0), said[[2, 3], 1].mean(axis=0), said[[6, 7], 2].mean(axis=0)]
    speakers = ["ravdess_17", "ravdess_06", "ravdess_17"]
    np.testing.assert_allclose(strangers.logits(inputs, speakers), wanted, atol=0.02)
    np.testing.assert_allclose(strangers.recognise(LOUD, speakers)(inputs), LOUD.calibrate(np.stack(wanted)), atol=0.02)
    for number, single in enumerate(strangers.singly()):
        alone = [said[6 + number, 0], said[2 + number, 1], said[6 + number, 2]]
        np.testing.assert_allclose(single.logits(inputs, speakers), alone, atol=0.02)


def test_stand_ins_count_for_the_very_file_that_they_were_made_for(tmp_path):
    model = tmp_path / "speech-edge.tflite"
    model.write_bytes(b"as it was")
    assert strangers_of(model) is None
    stand_ins(model, small_nets(4))
    assert strangers_of(model) is not None
    model.write_bytes(b"another")
    assert strangers_of(model) is None
    stand_in(model)
    net_files(model, 1)[2][0].write_bytes(b"no net")
    with pytest.raises(TrainingError, match=r"speech-edge-fold3-0\.onnx"):
        strangers_of(model)


def test_folds_are_no_members_of_what_ships_and_each_seed_needs_all(tmp_path):
    assert fold_nets(tmp_path, "edge") == []
    for seed in (0, 12):
        for fold in range(1, FOLDS + 1):
            if fold > 1:
                missing = run_folder(tmp_path, "speech", "edge", seed, fold)
                with pytest.raises(TrainingError, match=rf"{missing}, .* --seed {seed} --fold {fold},"):
                    fold_nets(tmp_path, "edge")
            torch.manual_seed(100 * seed + fold)
            folder = run_folder(tmp_path, "speech", "edge", seed, fold)
            Trainer(build("speech", "edge"), NoTask(), TrainConfig(epochs=0, fold=fold), folder).fit()
    assert run_folders(tmp_path, "speech", "edge") == []
    nets = fold_nets(tmp_path, "edge")
    assert [len(each) for each in nets] == [2] * FOLDS
    for number, name in enumerate(("speech-edge-fold3", "speech-edge-12-fold3")):
        wanted = load_checkpoint(tmp_path / name)["averaged"]["head.weight"]
        assert torch.equal(nets[2][number].state_dict()["head.weight"], wanted)


def test_a_run_leaves_its_fold_out_and_says_so(tmp_path, voices, monkeypatch):
    monkeypatch.setitem(speech_task.COPIES, "ravdess", 2)
    trainer = train(Order(task="speech", arch="full", data=voices, runs=tmp_path / "runs", epochs=1, fold=1, seed=3))
    speakers = training_speakers(voices)
    assert sorted(set(speakers)) == ["ravdess_02", "ravdess_03", "ravdess_06", "ravdess_17"]
    assert len(speakers) == len(training_set(voices, tmp_path / "runs" / "cache")) == 16
    assert len(trainer.task) == 8  # without actors 2 and 3
    assert trainer.folder.name == "speech-full-3-fold1"
    assert load_checkpoint(trainer.folder)["config"]["fold"] == 1


def test_gates_are_fitted_on_answers_to_strangers(tmp_path, voices):
    path = tmp_path / "speech-full.onnx"
    path.write_bytes(b"judges nobody here")
    stand_ins(path, small_nets(4, FRAMES * N_MELS), (1, FRAMES, N_MELS))
    manifest = load_manifest(FOLDERS["full"])
    content = path.read_bytes()
    speech = msgspec.structs.replace(
        manifest.model("speech"), sha256=hashlib.sha256(content).hexdigest(), bytes=len(content), outputs=(LOUD,)
    )
    write_manifest(msgspec.structs.replace(manifest, models=(manifest.model("face"), speech)), tmp_path)
    pack = voices / "speech" / "ravdess.zip"
    answers = stranger_answers(pack, tmp_path, None)
    assert sorted(set(answers.groups)) == ["ravdess_02", "ravdess_03", "ravdess_06", "ravdess_17"]
    assert answers.calibration.all()
    assert answers.probabilities.shape == (8, 7)  # calm counts as neutral
    inputs = read_clips(pack, split="train").pack().inputs
    clips = strangers_of(path).recognise(LOUD, list(answers.groups))(inputs)
    np.testing.assert_allclose(answers.probabilities, fold_calm(clips), atol=1e-5)
    assert stranger_answers(pack, FOLDERS["edge"], tmp_path) is None


def test_fusion_is_fitted_on_strangers_and_reported_without_them(tmp_path, voices):
    rng = np.random.default_rng(0)
    (voices / "face").mkdir()
    np.savez(
        voices / "face" / PACKS["validation"],
        images=rng.integers(0, 256, (16, 48, 48), dtype=np.uint8),
        labels=(np.arange(16) % 7).astype(np.int8),
        ferplus_votes=np.eye(10, dtype=np.uint8)[np.arange(16) % 6] * 10,
        dup_group=np.full(16, -1, dtype=np.int32),
    )
    (voices / "noise").mkdir()
    with zipfile.ZipFile(voices / "noise" / "noise.zip", "w") as pack:
        for name in ("one", "two"):
            sound = BytesIO()
            soundfile.write(sound, rng.normal(0, 0.1, 32_000).astype(np.float32), 16_000, format="WAV")
            pack.writestr(f"{name}.wav", sound.getvalue())
    (voices / "noise" / "noise.csv").write_text("file,kind\none.wav,noise\ntwo.wav,noise\n")

    def always(chosen: int, classes: int):
        return lambda inputs: np.tile(np.eye(classes, dtype=np.float32)[chosen], (len(inputs), 1))

    asked = []

    def strangers(speakers):
        asked.append(list(speakers))
        return always(2, 8)

    for which, expected in (("calibration", [1] * 4 + [2] * 8), ("held-back", [1] * 4)):
        side = load_side(voices, always(0, 7), always(1, 8), which, strangers)
        for voice in side.voices.values():
            assert voice.probabilities.argmax(axis=1).tolist() == expected
            assert len(voice.labels) == len(voice.measures["snr_db"]) == len(expected)
        assert side.faces[CLEAN].probabilities.argmax(axis=1).max() == 0
    assert asked == [[f"ravdess_{actor:02}" for actor in (2, 2, 3, 3, 6, 6, 17, 17)]]
