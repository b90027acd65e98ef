"""Any pack of the format is read; what is wrong with one is told in a line."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training.errors import TrainingError
from training.packs import read_clips, read_face_pack

RATE = 16_000


def faces(path: Path, count: int = 4, **keys: np.ndarray) -> Path:
    arrays = {"images": np.zeros((count, 48, 48), np.uint8), "ferplus_label": np.arange(count, dtype=np.int8)}
    np.savez(path, **(arrays | keys))  # type: ignore[arg-type]
    return path


def sound(samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype=subtype)
    return stream.getvalue()


def voices(path: Path, *clips: bytes, table: bytes | None = None, names: str = "{}.wav") -> Path:
    rows = "".join(f"{number},happy\n" for number in range(len(clips)))
    path.with_suffix(".csv").write_bytes(table or f"clip_id,emotion\n{rows}".encode())
    with zipfile.ZipFile(path, "w") as pack:
        for number, clip in enumerate(clips):
            pack.writestr(names.format(number), clip)
    return path


def test_faces_count_the_seven_alone_and_need_no_more_than_images_and_labels(tmp_path):
    labels = np.array([0, 6, 7, -1], np.int8)
    pack = read_face_pack(faces(tmp_path / "a.npz", ferplus_label=labels), labels="ferplus", split=None)
    assert pack.truth.tolist() == [0, 6]
    assert pack.leaked is None


def test_keys_that_mean_nothing_here_are_not_opened(tmp_path):
    strange = np.array(["a", None], dtype=object)
    pack = faces(tmp_path / "a.npz", class_names=strange, near_dup_in_train=np.array([0, 1, 0, 0], np.int8))
    assert read_face_pack(pack, labels="ferplus", split=None).leaked.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"ferplus_label": np.array([0.0, np.nan, 1.0, 2.0])}, "'ferplus_label' is float64"),
        ({"ferplus_label": np.array(list("abcd"))}, "'ferplus_label' is <U1"),
        ({"ferplus_label": np.zeros((4, 10), np.uint8)}, r"\(4, 10\), for 4 images"),
        ({"ferplus_label": np.zeros(3, np.int8)}, r"\(3,\), for 4 images"),
        ({"ferplus_label": np.full(4, -1, np.int8)}, "no row has ferplus labels"),
        ({"leak_in_train": np.zeros(2, bool)}, "'leak_in_train'"),
        ({"images": np.zeros((4, 48, 48), np.float32)}, "images are float32"),
        ({"images": np.zeros((0, 48, 48), np.uint8), "ferplus_label": np.zeros(0, np.int8)}, "no row"),
    ],
)
def test_wrong_arrays_of_faces_are_named(tmp_path, keys, part):
    with pytest.raises(TrainingError, match=part):
        read_face_pack(faces(tmp_path / "a.npz", **keys), labels="ferplus", split=None)


def test_files_that_are_no_npz_are_refused(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros(3))
    (tmp_path / "empty.npz").touch()
    for name in ("plain.npy", "empty.npz", "absent.npz", "."):
        with pytest.raises(TrainingError, match="no npz pack"):
            read_face_pack(tmp_path / name, labels="ferplus", split=None)


def test_speech_takes_any_rate_and_channels_and_a_table_from_a_spreadsheet(tmp_path):
    stereo = np.stack([np.full(4000, 0.5), np.full(4000, -0.25)], axis=1)
    table = "\ufeffclip_id,emotion,mood\r\n0,happy,ä\r\n1,calm,\r\n".encode()
    clips = read_clips(
        voices(tmp_path / "a.zip", sound(stereo), sound(np.full(4000, 0.1), 8000), table=table, names="../../x/{}.wav"),
        split=None,
    )
    assert [len(pcm) for pcm in clips.sounds] == [4000, 8000]
    assert clips.sounds[0][2000] == pytest.approx(0.125)
    assert clips.columns["mood"] == ["ä", ""]
    assert not list(tmp_path.parent.glob("x"))


@pytest.mark.parametrize(
    ("clip", "part"),
    [
        (sound(np.zeros(0)), "clip '0' holds no samples"),
        (sound(np.array([0.1, np.nan])), "clip '0' holds samples that are no numbers"),
        (b"", "clip '0' cannot be decoded"),
        (b"no sound", "clip '0' cannot be decoded: Format not recognised"),
    ],
    ids=["no samples", "no numbers", "nothing", "no sound"],
)
def test_a_clip_that_is_no_sound_is_named(tmp_path, clip, part):
    with pytest.raises(TrainingError, match=part):
        read_clips(voices(tmp_path / "a.zip", clip), split=None)


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (b"clip_id,emotion\n0\n", "is None, which is none of"),
        (b"clip_id,emotion\n1,happy\n", "no clip '1'"),
        (b"clip_id,emotion\n", "no rows"),
        (b"clip_id,emotion\n0,\xff\n", "cannot be read"),
        (b"clip_id,emotion\n0," + b"x" * 200_000, "cannot be read"),
    ],
)
def test_a_table_that_is_wrong_is_named(tmp_path, table, part):
    with pytest.raises(TrainingError, match=part):
        read_clips(voices(tmp_path / "a.zip", sound(np.full(100, 0.1)), table=table), split=None)


def test_a_member_that_was_damaged_is_named(tmp_path):
    path = voices(tmp_path / "a.zip")
    path.with_suffix(".csv").write_text("clip_id,emotion\n0,happy\n")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("0.wav", sound(np.random.default_rng(0).normal(size=4000)))
    content = bytearray(path.read_bytes())
    content[45:400] = b"\xff" * 355
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="clip '0' cannot be decoded"):
        read_clips(path, split=None)
