"""Pictures in folders, and mixes of packs of faces."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from training.cli import main
from training.packs import read_face_pack
from training.prepare.face_names import class_of, own_classes

from edge.emotions import EMOTIONS


def picture(path: Path, side: int = 48, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def problems(path: Path) -> dict[str, str]:
    with path.open(newline="") as table:
        return {row["file"]: row["detail"] for row in csv.DictReader(table)}


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def test_ckplus_keeps_contempt_apart_and_knows_subjects(tmp_path, capsys):
    for number, emotion in enumerate(("anger", "contempt", "sadness")):
        picture(tmp_path / f"CK+48/{emotion}/S0{number}0_004_00000017.png", seed=number)
    assert prepare("ckplus", tmp_path / "CK+48", "--out", tmp_path) == 2
    with np.load(tmp_path / "face" / "ckplus.npz") as pack:
        assert pack["labels"].tolist() == [0, -1, 4]
        assert pack["ferplus_label"].tolist() == [0, 7, 4]
        assert pack["subject"].tolist() == ["S000", "S010", "S020"]
        assert pack["source"][0] == "anger/S000_004_00000017.png"
        assert pack["dup_group"].tolist() == [-1, -1, -1]
    assert "1 pictures of contempt" in capsys.readouterr().err
    found = problems(tmp_path / "face" / "ckplus.problems.csv")
    assert "1 of 135 pictures are there; 134 are missing" in found["CK+48, angry"]
    for labels in ("fer2013", "ferplus"):
        assert read_face_pack(tmp_path / "face" / "ckplus.npz", labels=labels, split=None).truth.tolist() == [0, 4]


def test_jaffe_reads_tiff_by_name(tmp_path):
    picture(tmp_path / "j/KA.AN1.39.tiff", 60)
    picture(tmp_path / "j/KR.SU2.81.tiff", 60, seed=1)
    picture(tmp_path / "j/KR.XX2.82.tiff", 60, seed=2)
    assert prepare("jaffe", tmp_path / "j", "--out", tmp_path) == 2
    with np.load(tmp_path / "face" / "jaffe.npz") as pack:
        assert pack["labels"].tolist() == [0, 5]
        assert pack["subject"].tolist() == ["KA", "KR"]
    assert "class XX is none of" in problems(tmp_path / "face" / "jaffe.problems.csv")["KR.XX2.82.tiff"]


def test_folder_damaged_strange_and_faceless_pictures_are_named(tmp_path):
    release = tmp_path / "r"
    picture(release / "Happiness/a.png", 48)
    picture(release / "3_sad/b.jpg", 48, seed=1)
    picture(release / "test/fearful/someone/c.bmp", 48, seed=2)
    picture(release / "sleepy/d.png")
    picture(release / "e.png")
    picture(release / "happy/big.png", 200, seed=3)
    whole = picture(release / "happy/cut.png", 40, seed=4).read_bytes()
    (release / "happy/cut.png").write_bytes(whole[: len(whole) // 2])
    (release / "happy/text.jpg").write_text("no picture")
    assert prepare("folder", release, "--out", tmp_path, "--name", "mine") == 2
    with np.load(tmp_path / "face" / "mine.npz") as pack:
        assert [EMOTIONS[label] for label in pack["labels"]] == ["sad", "happy", "fear"]
    found = problems(tmp_path / "face" / "mine.problems.csv")
    assert "'sleepy' is no class" in found["sleepy/d.png"]
    assert "no folder" in found["e.png"]
    assert "no face found" in found["happy/big.png"]
    assert "truncated" in found["happy/cut.png"]
    assert "no picture" in found["happy/text.jpg"]


def test_folder_good_pictures_are_exit_0_and_cropped_ones_only_resized(tmp_path):
    picture(tmp_path / "r/joie/big.png", 200)
    picture(tmp_path / "r/happy/big.png", 200)
    arguments = ["folder", tmp_path / "r", "--out", tmp_path, "--classes", "happy=joie", "--cropped"]
    assert prepare(*arguments) == 0
    with np.load(tmp_path / "face" / "folder.npz") as pack:
        assert pack["labels"].tolist() == [3, 3]
        assert pack["dup_group"].tolist() == [0, 0]


def test_large_picture_is_cut_to_its_face(tmp_path):
    data = pytest.importorskip("skimage.data", reason="needs scikit-image for a portrait")
    (tmp_path / "r/happy").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "r/happy/portrait.png"), data.astronaut()[..., ::-1])
    assert prepare("folder", tmp_path / "r", "--out", tmp_path) == 0


def test_cfe_leaves_compound_expressions_out(tmp_path, capsys):
    for number, name in enumerate(("Happy", "Happily surprised", "sadly_angry", "Appalled")):
        picture(tmp_path / f"r/{name}/x.png", seed=number)
    assert prepare("cfe", tmp_path / "r", "--out", tmp_path) == 0
    assert "3 pictures of compound expressions" in capsys.readouterr().err


def test_class_names():
    assert class_of("Happiness", {}) == class_of("03_happy", {}) == class_of("happy2", {}) == "happy"
    assert class_of("01", own_classes("neutral=01")) == "neutral"
    assert class_of("colere", own_classes("anger=colère,anger=colere")) == "angry"
    assert class_of("unhappy", {}) is None


@pytest.mark.parametrize("classes", ["angry", "angry=", "bored=ennui"])
def test_classes_that_make_no_sense_are_one_line(classes, tmp_path, capsys):
    picture(tmp_path / "r/happy/x.png")
    assert prepare("folder", tmp_path / "r", "--out", tmp_path, "--classes", classes) == 1
    assert "--classes" in capsys.readouterr().err


def test_mix_fills_what_a_pack_lacks_and_finds_duplicates_across_packs(tmp_path):
    picture(tmp_path / "a/happy/x.png", seed=1)
    picture(tmp_path / "b/anger/S010_001_00000001.png", seed=1)
    picture(tmp_path / "b/anger/S010_001_00000002.png", seed=2)
    prepare("folder", tmp_path / "a", "--out", tmp_path, "--name", "fer2013_public")
    prepare("ckplus", tmp_path / "b", "--out", tmp_path)
    packs = [tmp_path / "face" / name for name in ("fer2013_public.npz", "ckplus.npz")]
    assert prepare("mix", *packs, "--out", tmp_path / "all.npz") == 0
    with np.load(tmp_path / "all.npz") as pack:
        assert pack["corpus"].tolist() == ["fer2013", "ckplus", "ckplus"]
        assert pack["split"].tolist() == ["val", "train", "train"]
        assert pack["dup_group"].tolist() == [0, 0, -1]
        assert pack["labels"].tolist() == [3, 0, 0]
    assert len(read_face_pack(tmp_path / "all.npz", labels="ferplus", split="train").truth) == 2


def test_mix_of_two_kinds_is_refused(tmp_path, capsys):
    assert prepare("mix", "a.npz", "b.zip", "--out", tmp_path / "c.npz") == 1
    assert "must all be" in capsys.readouterr().err
