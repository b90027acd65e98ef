"""The page is made of figures, between its marks."""

import pytest

pytest.importorskip("matplotlib")

from training.baselines.plot import plot_splits
from training.baselines.report import BEGIN, END, replace_section, section
from training.cli import main
from training.errors import TrainingError


def right(accuracy: float, uar: float) -> dict[str, float]:
    return {"n": 100, "accuracy": accuracy, "uar": uar}


def row(name: str, figures: dict, *, ours: bool = False, **more) -> dict:
    cost = {"parameters": 1234, "bytes": 4936, "ms": 0.25, "features_ms": 1.5, "note": "", "about": "a net"}
    return {"name": name, "ours": ours, "figures": figures, **cost, **more}


def faces(accuracy: float) -> dict:
    return {
        key: right(accuracy, accuracy - 0.1) for key in ("fer2013", "ferplus", "fer2013_held_back", "ferplus_held_back")
    }


@pytest.fixture
def results():
    independent = right(0.4, 0.35) | {"ravdess": right(0.4, 0.35), "held_back": right(0.3, 0.25)}
    random = right(0.9, 0.85) | {"ravdess": right(0.7, 0.65)}
    per_protocol = {
        "epochs": {"independent": "9/9", "random": "8/9", "leak": "7/9"},
        "seconds": {"independent": 1, "random": 2, "leak": 3},
    }
    mlp = row("mlp", {"independent": independent, "random": random, "leak": right(0.95, 0.9)}, **per_protocol)
    return {
        "face": [
            row("vgg16", faces(0.5), epochs="3/30", seconds=61, note="half the channels"),
            row("face-edge", faces(0.8), ours=True),
        ],
        "speech": [mlp, row("speech-edge", {"independent": independent}, ours=True)],
    }


def test_section_has_every_figure_in_its_place(results):
    text = section(results)
    assert "| vgg16 | 50.0 % | 50.0 % | 40.0 % | 50.0 % | 1,234 | 4,936 | 0.25 | 3/30 | 61 s |" in text
    assert "| **face-edge** | 80.0 % | 80.0 % | 70.0 % | 80.0 % | 1,234 | 4,936 | 0.25 |  |  |" in text
    assert "| mlp | 35.0 % | 25.0 % | 40.0 % | 90.0 % | 70.0 % | 95.0 % |" in text
    assert "| **speech-edge** | 35.0 % | 25.0 % | 40.0 % |  |  |  |" in text
    assert "| mlp | 1,234 | 4,936 | 1.50 | 0.25 | 9/9, 8/9, 7/9 | 6 s |" in text
    assert "(here: half the channels)" in text


def test_section_reads_the_gap_from_the_figures(results):
    text = section(results)
    assert "+50.0 points on average" in text
    assert "on RAVDESS clips alone: +30.0 points" in text
    assert "face-edge 80.0 %; best of the papers' nets vgg16 50.0 %" in text


def test_tables_have_as_many_cells_as_heads(results):
    widths = [line.count("|") for line in section(results).splitlines() if line.startswith("|")]
    tables = [widths[0:4], widths[4:8], widths[8:12]]
    assert all(len(set(table)) == 1 for table in tables)


def test_section_replaces_only_what_is_between_the_marks():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replace_section(page, "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(TrainingError, match="once each"):
        replace_section("no marks", "new")


def test_picture_is_drawn(results, tmp_path):
    plot_splits(results["speech"], tmp_path / "splits.png")
    assert (tmp_path / "splits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["face", "--minutes", "3"], "--minutes is for the baselines"),
        (["speech", "--arch", "mlp", "--minutes", "0"], "--minutes"),
        (["speech", "--arch", "vgg16"], "vgg16"),
        (["speech", "--arch", "mlp", "--protocol", "lucky"], "lucky"),
    ],
)
def test_mistakes_are_one_line_and_exit_1(arguments, names, capsys, tmp_path):
    assert main([*arguments, "--data", str(tmp_path)]) == 1
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert names in complaint
