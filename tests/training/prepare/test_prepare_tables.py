"""FER2013 with FER+, and GoEmotions: tables that are joined, checked row by row, and packed."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
from training.cli import main
from training.faces import VOTE_NAMES, load_faces
from training.packs import read_face_pack

HAPPY = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0]


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 48)).astype(np.uint8)


def fer2013(folder: Path, rows: list[tuple[int, np.ndarray, str]], votes: list[list[int]] | None = None) -> None:
    folder.mkdir(parents=True)
    lines = [f"{emotion},{' '.join(map(str, pixels.reshape(-1)))},{usage}" for emotion, pixels, usage in rows]
    (folder / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]) + "\n")
    votes = votes or [HAPPY] * len(rows)
    table = [",".join([row[2], "x.png", *map(str, vote)]) for row, vote in zip(rows, votes, strict=False)]
    (folder / "fer2013new.csv").write_text("\n".join([",".join(["Usage", "Image name", *VOTE_NAMES]), *table]) + "\n")


def problems(path: Path) -> dict[str, str]:
    with path.open(newline="") as table:
        return {row["file"]: row["detail"] for row in csv.DictReader(table)}


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def brighter(pixels: np.ndarray) -> np.ndarray:
    return (pixels // 2 + 90).astype(np.uint8)


def test_fer2013_becomes_three_packs_with_duplicates_and_leaks(tmp_path):
    rows = [
        (3, image(0), "Training"),
        (0, image(1), "Training"),
        (3, image(0), "Training"),
        (3, image(2), "PublicTest"),
        (6, image(1), "PublicTest"),
        (6, brighter(image(0)), "PrivateTest"),
    ]
    contempt = [0, 0, 0, 0, 0, 0, 0, 9, 1, 0]
    fer2013(tmp_path / "r", rows, [HAPPY, contempt, HAPPY, HAPPY, [5, 5, *[0] * 8], HAPPY])
    assert prepare("fer2013", tmp_path / "r", "--out", tmp_path) == 2
    with np.load(tmp_path / "face" / "fer2013_train.npz") as train:
        assert train["labels"].tolist() == [3, 0, 3]
        assert train["csv_row"].tolist() == [0, 1, 2]
        assert train["dup_group"].tolist() == [0, 1, 0]
        assert train["ferplus_label"].tolist() == [3, 7, 3]
        assert (train["images"][1] == image(1)).all()
    with np.load(tmp_path / "face" / "fer2013_public.npz") as public:
        assert public["dup_group"].tolist() == [-1, 1]
        assert public["leak_in_train"].tolist() == public["near_dup_in_train"].tolist() == [False, True]
        assert public["ferplus_label"].tolist() == [3, -1]
    with np.load(tmp_path / "face" / "fer2013_private.npz") as private:
        assert (private["leak_in_train"].tolist(), private["near_dup_in_train"].tolist()) == ([False], [True])
    faces = load_faces(tmp_path, "validation")
    assert faces.leaked.tolist() == [False, True]
    pack = read_face_pack(tmp_path / "face" / "fer2013_public.npz", labels="ferplus", split=None)
    assert pack.truth.tolist() == [3]


def test_fer2013_bad_rows_are_named(tmp_path, capsys):
    fer2013(tmp_path / "r", [(3, image(n), "Training") for n in range(5)], [HAPPY] * 4)
    table = tmp_path / "r" / "fer2013.csv"
    lines = table.read_text().split("\n")
    lines[2] = lines[2].replace("3,", "7,", 1)
    lines[3] = "3,1 2 3,Training"
    lines[4] = lines[4].replace("Training", "Trainin")
    table.write_text("\n".join(lines))
    assert prepare("fer2013", tmp_path / "r", "--out", tmp_path) == 2
    found = problems(tmp_path / "face" / "fer2013.problems.csv")
    assert "emotion '7' is none of 0 to 6" in found["fer2013.csv:3"]
    assert "3 pixels, not 2304" in found["fer2013.csv:4"]
    assert "usage 'Trainin' is none" in found["fer2013.csv:5"]
    assert "too short" in found["fer2013new.csv:6"]
    assert "2 of 28709 images; 28707 are missing" in found["fer2013.csv, Training"]
    assert "fer2013.csv:3: emotion '7'" in capsys.readouterr().err
    assert len(load_faces(tmp_path, "train")) == 2


def test_fer2013_without_votes_is_packed_and_said(tmp_path):
    fer2013(tmp_path / "r", [(3, image(0), "Training")])
    (tmp_path / "r" / "fer2013new.csv").unlink()
    assert prepare("fer2013", tmp_path / "r", "--out", tmp_path) == 2
    assert "FERPlus" in problems(tmp_path / "face" / "fer2013.problems.csv")["fer2013new.csv"]
    assert load_faces(tmp_path, "train").majority.tolist() == [-1]


def test_fer2013_tables_of_two_releases_are_refused(tmp_path, capsys):
    fer2013(tmp_path / "r", [(3, image(n), "Training") for n in range(10)])
    votes = tmp_path / "r" / "fer2013new.csv"
    votes.write_text(votes.read_text().replace("Training", "PublicTest"))
    assert prepare("fer2013", tmp_path / "r", "--out", tmp_path) == 1
    assert "does not belong to" in capsys.readouterr().err


def test_goemotions_maps_28_to_7_and_marks_overlaps(tmp_path):
    release = tmp_path / "r"
    release.mkdir()
    (release / "train.tsv").write_text('Oh no!\t25\ta\nyes, "well"\t2,27\tb\nwow\t3,10\tc\n\t27\td\nx\t28\te\nx\t27\n')
    (release / "dev.tsv").write_text("OH, no\t14\tf\n")
    (release / "test.tsv").write_text("oh no\t27\tg\n")
    assert prepare("goemotions", release, "--out", tmp_path) == 2
    lines = gzip.decompress((tmp_path / "text" / "goemotions.tsv.gz").read_bytes()).decode().split("\n")
    assert lines == [
        "id\tsplit\tlabel7\traw_label\tgroup\toverlaps\ttext",
        "a\ttrain\tsad\tsadness\t\ttest\tOh no!",
        'b\ttrain\tMULTI:angry+neutral\tanger,neutral\t\t\tyes, "well"',
        "c\ttrain\tangry\tannoyance,disapproval\t\t\twow",
        "f\tdev\tfear\tfear\t\ttest\tOH, no",
        "g\ttest\tneutral\tneutral\t\t\toh no",
        "",
    ]
    found = problems(tmp_path / "text" / "goemotions.problems.csv")
    assert "empty" in found["train.tsv:4"]
    assert "'28' is none of 0 to 27" in found["train.tsv:5"]
    assert "2 fields" in found["train.tsv:6"]
