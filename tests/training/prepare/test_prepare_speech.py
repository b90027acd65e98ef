"""`scripts/train prepare` on small made-up speech releases: every layout, and everything that can be wrong with one."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training.cli import main
from training.packs import read_speech_pack
from training.prepare.output import Output
from training.speech_data import load_clips

from edge.emotions import SPEECH_EMOTIONS

RATE = 16_000


def wav(path: Path, *, hz: float = 300.0, rate: int = RATE, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.5 * np.sin(2 * np.pi * hz * np.arange(rate) / rate)
    pcm = np.concatenate([np.zeros(rate), tone, np.zeros(rate)])
    soundfile.write(path, np.stack([pcm] * channels, axis=1), rate, subtype="PCM_16")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table))


def problems(folder: Path, corpus: str) -> dict[str, tuple[str, str]]:
    return {row["file"]: (row["kind"], row["detail"]) for row in rows(folder / "speech" / f"{corpus}.problems.csv")}


def prepare(*arguments: object) -> int:
    return main(["prepare", *map(str, arguments)])


def test_ravdess_is_split_by_actor_trimmed_and_resampled(tmp_path):
    release, out = tmp_path / "release", tmp_path / "out"
    for actor, hz in ((1, 200), (2, 300), (18, 400), (24, 500)):
        wav(release / f"Actor_{actor:02}/03-01-02-02-01-01-{actor:02}.wav", hz=hz, rate=48_000)
    wav(release / "Actor_02/03-02-02-02-01-01-02.wav")
    assert prepare("ravdess", release, "--out", out) == 2  # 1436 are missing
    table = rows(out / "speech" / "ravdess.csv")
    assert [row["split"] for row in table] == ["test", "train", "val", "test"]
    first = table[0]
    assert (first["clip_id"], first["speaker"], first["sex"]) == ("ravdess_03-01-02-02-01-01-01", "ravdess_01", "M")
    assert (first["emotion"], first["intensity"], first["statement"]) == ("calm", "strong", "s01")
    assert float(first["dur"]) == pytest.approx(1.2, abs=0.05)
    assert float(first["rms_dbfs"]) == pytest.approx(20 * np.log10(0.5 / np.sqrt(2) * np.sqrt(1 / 1.2)), abs=0.2)
    with zipfile.ZipFile(out / "speech" / "ravdess.zip") as pack:
        info = soundfile.info(io.BytesIO(pack.read("ravdess_03-01-02-02-01-01-01.flac")))
    assert (info.samplerate, info.channels, info.format, info.subtype) == (RATE, 1, "FLAC", "PCM_16")


def test_ravdess_pack_is_read_by_training_and_by_evaluate(tmp_path):
    release = tmp_path / "release"
    wav(release / "Actor_02/03-01-05-01-01-01-02.wav")
    wav(release / "Actor_19/03-01-02-01-01-01-19.wav")
    prepare("ravdess", release, "--out", tmp_path)
    (train,), (validation,) = load_clips(tmp_path, "train"), load_clips(tmp_path, "validation")
    assert (train.speaker, train.sex, SPEECH_EMOTIONS[train.emotion]) == ("ravdess_02", "F", "angry")
    assert (validation.sex, SPEECH_EMOTIONS[validation.emotion]) == ("M", "calm")
    pack = read_speech_pack(tmp_path / "speech" / "ravdess.zip", split="val")
    assert pack.inputs.shape == (1, 186, 64)


def test_whole_ravdess_is_exit_0_and_clears_old_problems(tmp_path, capsys):
    release = tmp_path / "release"
    template = wav(tmp_path / "tone.wav", rate=8_000).read_bytes()
    wav(release / "Actor_01/03-01-01-01-01-01-01.wav")
    assert prepare("ravdess", release, "--out", tmp_path) == 2
    assert (tmp_path / "speech" / "ravdess.problems.csv").exists()
    for actor in range(1, 25):
        (release / f"Actor_{actor:02}").mkdir(exist_ok=True)
        for emotion in range(1, 9):
            for rest in (f"{i:02}-{s:02}-{r:02}" for i in (1, 2) for s in (1, 2) for r in (1, 2)):
                if not (emotion == 1 and rest.startswith("02")):
                    name = f"03-01-{emotion:02}-{rest}-{actor:02}.wav"
                    (release / f"Actor_{actor:02}" / name).write_bytes(template)
    capsys.readouterr()
    assert prepare("ravdess", release, "--out", tmp_path) == 0
    said = capsys.readouterr()
    assert "1440 clips" in said.out
    assert "all 1440 files of the official release are there" in said.err
    assert sorted(path.name for path in (tmp_path / "speech").iterdir()) == ["ravdess.csv", "ravdess.zip"]


def test_every_bad_file_is_named_and_the_good_ones_are_packed(tmp_path, capsys):
    folder = tmp_path / "release" / "Actor_02"
    wav(folder / "03-01-05-01-01-01-02.wav")
    content = (folder / "03-01-05-01-01-01-02.wav").read_bytes()
    (folder / "03-01-05-01-01-02-02.wav").write_bytes(content[: len(content) // 2])
    (folder / "03-01-05-01-02-01-02.wav").write_bytes(b"")
    (folder / "03-01-05-01-02-02-02.wav").write_bytes(b"no sound at all" * 10)
    (folder / "03-01-05-02-02-02-02.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    (folder / "03-01-09-01-01-01-02.wav").write_bytes(content)
    (folder / "03-01-03-01-01-01-03.wav").write_bytes(content)
    (folder / "evil\n\x1b[31m.wav").write_bytes(content)
    soundfile.write(folder / "03-01-04-01-01-01-02.wav", np.zeros(RATE), RATE)
    (folder / "03-01-04-01-01-02-02.wav").symlink_to("nowhere.wav")
    os.mkfifo(folder / "03-01-04-01-02-02-02.wav")
    assert prepare("ravdess", tmp_path / "release", "--out", tmp_path) == 2
    found = problems(tmp_path, "ravdess")
    for name, kind, words in (
        ("03-01-05-01-01-02-02.wav", "unreadable", "truncated"),
        ("03-01-05-01-02-01-02.wav", "unreadable", "empty"),
        ("03-01-05-01-02-02-02.wav", "unreadable", "cannot be decoded"),
        ("03-01-05-02-02-02-02.wav", "unreadable", "git lfs pull"),
        ("03-01-09-01-01-01-02.wav", "unknown-emotion", "09 is none of 01 to 08"),
        ("03-01-03-01-01-01-03.wav", "misnamed", "named for actor 03 but lies in Actor_02"),
        ("evil\\n\\x1b[31m.wav", "misnamed", "not named 03-01-"),
        ("03-01-04-01-01-01-02.wav", "unreadable", "all samples are 0"),
        ("03-01-04-01-01-02-02.wav", "unreadable", "link to nothing"),
        ("03-01-04-01-02-02-02.wav", "unreadable", "no plain file"),
    ):
        assert found[f"Actor_02/{name}"][0] == kind
        assert words in found[f"Actor_02/{name}"][1]
    assert found["Actor_03/03-01-01-01-01-01-03.wav"][0] == "missing"
    assert [row["clip_id"] for row in rows(tmp_path / "speech" / "ravdess.csv")] == ["ravdess_03-01-05-01-01-01-02"]
    said = capsys.readouterr().err
    assert "Actor_02/03-01-05-01-02-01-02.wav: is empty" in said
    assert "Actor_03: 60 files missing" in said
    assert "\x1b[31m" not in said


@pytest.mark.parametrize("corpus", ["ravdess", "tess", "cremad", "savee", "ckplus", "jaffe", "folder", "goemotions"])
def test_nothing_to_pack_is_one_line_and_leaves_nothing(corpus, tmp_path, capsys):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "x.wav").write_bytes(b"x")
    assert prepare(corpus, tmp_path / "release", "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert said.err.startswith("train: ")
    assert said.err.count("\n") == 1
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_no_such_folder_and_no_zip_are_one_line(tmp_path, capsys):
    assert prepare("tess", tmp_path / "nowhere", "--out", tmp_path) == 1
    assert "nowhere does not exist" in capsys.readouterr().err
    (tmp_path / "a.zip").write_bytes(b"no zip")
    assert prepare("tess", tmp_path / "a.zip", "--out", tmp_path) == 1
    assert "neither a folder nor a zip" in capsys.readouterr().err


def test_zip_with_a_damaged_member_and_a_path_upwards(tmp_path):
    good = wav(tmp_path / "a.wav").read_bytes()
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w") as release:
        release.writestr("Actor_02/03-01-05-01-01-01-02.wav", good)
        release.writestr("../../Actor_02/03-01-05-01-01-02-02.wav", good[:-2] + b"\x01\x02")
        release.writestr("Actor_02/03-01-05-01-02-01-02.wav", b"DAMAGE" * 1000)
        release.writestr("__MACOSX/Actor_02/._03-01-05-01-01-01-02.wav", b"x")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"DAMAGEDAMAGE", b"DAMAGEDAMAGF", 1))
    assert prepare("ravdess", path, "--out", tmp_path / "out") == 2
    found = problems(tmp_path / "out", "ravdess")
    assert "Bad CRC" in found["Actor_02/03-01-05-01-02-01-02.wav"][1]
    assert len(rows(tmp_path / "out" / "speech" / "ravdess.csv")) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.wav", "out", "release.zip"]


def test_tess_folder_variants_and_copies(tmp_path, capsys):
    release = tmp_path / "release"
    wav(release / "OAF_Pleasant_surprise/OAF_back_ps.wav", rate=24_414)
    wav(release / "YAF_pleasant_surprised/YAF_back_ps.wav", hz=400)
    wav(release / "OAF_Fear/OAF_back_fear.wav", hz=500)
    wav(release / "OAF_neutral/OA_back_neutral.wav", hz=600)
    wav(release / "OAF_angry/OAF_back_sad.wav", hz=700)
    wav(release / "OAF_angry/OAF_back_bored.wav", hz=700)
    wav(release / "again/OAF_Fear/OAF_back_fear.wav", hz=500)
    assert prepare("tess", release, "--out", tmp_path) == 2
    emotions = {row["clip_id"]: row["emotion"] for row in rows(tmp_path / "speech" / "tess.csv")}
    assert emotions == {
        "tess_OAF_back_fear": "fear",
        "tess_OAF_back_neutral": "neutral",
        "tess_OAF_back_surprise": "surprise",
        "tess_YAF_back_surprise": "surprise",
    }
    found = problems(tmp_path, "tess")
    assert found["OAF_angry/OAF_back_sad.wav"][0] == "misnamed"
    assert found["OAF_angry/OAF_back_bored.wav"][0] == "unknown-emotion"
    assert "4 of 2800 files are there" in found["tess release"][1]
    assert "1 wav files are copies" in capsys.readouterr().err


def test_cremad_takes_sex_from_the_demographics_beside_it(tmp_path):
    release = tmp_path / "CREMA-D"
    wav(release / "AudioWAV/1001_DFA_ANG_XX.wav")
    wav(release / "AudioWAV/1002_IEO_SAD_HI.wav", hz=500)
    wav(release / "AudioWAV/1002_IEO_SUR_HI.wav", hz=500)
    (release / "VideoDemographics.csv").write_text(
        "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,x,y\n1002,21,Female,x,y\n"
    )
    assert prepare("cremad", release / "AudioWAV", "--out", tmp_path) == 2
    table = rows(tmp_path / "speech" / "cremad.csv")
    assert [(row["speaker"], row["sex"], row["emotion"], row["intensity"]) for row in table] == [
        ("cremad_1001", "M", "angry", ""),
        ("cremad_1002", "F", "sad", "high"),
    ]
    found = problems(tmp_path, "cremad")
    assert found["1002_IEO_SUR_HI.wav"][0] == "unknown-emotion"
    assert "2 of 7442" in found["cremad release"][1]


def test_savee_both_layouts_name_the_same_clip(tmp_path):
    for number, name in enumerate(
        ["AudioData/DC/a01.wav", "AudioData/DC/su15.wav", "DC_a01.wav", "JE_n30.wav", "x01.wav"]
    ):
        wav(tmp_path / "release" / name, hz=300 + 50 * number)
    assert prepare("savee", tmp_path / "release", "--out", tmp_path) == 2
    table = rows(tmp_path / "speech" / "savee.csv")
    assert [(row["clip_id"], row["emotion"]) for row in table] == [
        ("savee_DC_a01", "angry"),
        ("savee_DC_su15", "surprise"),
        ("savee_JE_n30", "neutral"),
    ]
    found = problems(tmp_path, "savee")
    assert found["DC_a01.wav"][0] == "duplicate"
    assert found["x01.wav"][0] == "misnamed"
    assert "KL_sa15.wav" in found


def test_same_sound_under_two_names_is_flagged_and_stereo_is_mixed_down(tmp_path):
    wav(tmp_path / "release/DC_a01.wav", channels=2)
    wav(tmp_path / "release/DC_a02.wav")
    prepare("savee", tmp_path / "release", "--out", tmp_path)
    assert [row["flags"] for row in rows(tmp_path / "speech" / "savee.csv")] == ["stereo_src", "dup_of:savee_DC_a01"]


def test_cremad_and_savee_are_trained_on_where_they_are(tmp_path):
    wav(tmp_path / "r/Actor_02/03-01-05-01-01-01-02.wav")
    wav(tmp_path / "s/DC_a01.wav")
    wav(tmp_path / "c/1001_DFA_ANG_XX.wav")
    for corpus, release in (("ravdess", "r"), ("savee", "s"), ("cremad", "c")):
        prepare(corpus, tmp_path / release, "--out", tmp_path)
    assert [clip.corpus for clip in load_clips(tmp_path, "train")] == ["ravdess", "cremad", "savee"]


def test_interrupted_leaves_the_old_pack(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"old")

    def interrupted() -> None:
        with Output(tmp_path) as output:
            output.partial("a.zip").write_bytes(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert (tmp_path / "a.zip").read_bytes() == b"old"


def test_mix_keeps_splits_and_names_corpora(tmp_path):
    wav(tmp_path / "r/Actor_19/03-01-05-01-01-01-19.wav")
    wav(tmp_path / "s/DC_a01.wav")
    prepare("ravdess", tmp_path / "r", "--out", tmp_path)
    prepare("savee", tmp_path / "s", "--out", tmp_path)
    packs = [tmp_path / "speech" / name for name in ("ravdess.zip", "savee.zip")]
    assert prepare("mix", *packs, "--out", tmp_path / "both.zip") == 0
    table = rows(tmp_path / "both.csv")
    assert [(row["corpus"], row["split"]) for row in table] == [("ravdess", "val"), ("savee", "train")]
    assert len(read_speech_pack(tmp_path / "both.zip", split=None).truth) == 2
    assert prepare("mix", packs[0], packs[0], packs[0], "--out", tmp_path / "thrice.zip") == 1
    assert not (tmp_path / "thrice.zip").exists()
    assert prepare("mix", packs[1], tmp_path / "both.zip", "--out", tmp_path / "more.zip") == 0
    assert [row["clip_id"] for row in rows(tmp_path / "more.csv")][-1] == "both_savee_DC_a01"
