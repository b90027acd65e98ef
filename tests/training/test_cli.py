"""`scripts/train` teaches, and answers mistakes with one line."""

import pytest
from training.cli import main


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["face", "--epochs", "0"], "--epochs"),
        (["voice"], "voice"),
        (["speech", "--arch", "huge"], "huge"),
        (["face", "--data", "/does/not/exist"], "/does/not/exist"),
        (["face", "--arch", "kottayam-cnn", "--start", "runs/x", "--data", "."], "--start"),
        (["speech", "--arch", "mlp", "--fold", "1", "--data", "."], "--fold is for --arch edge and full"),
        (["speech", "--arch", "full", "--fold", "5", "--data", "."], "--fold"),
        (["speech", "--fold", "1", "--distil", "--data", "."], "--fold without --distil"),
        (["speech", "--fold", "1", "--start", "runs/x", "--data", "."], "--fold without --distil and --start"),
        (["face", "--arch", "full", "--fold", "1", "--data", "."], "--fold"),
        ([], "face|speech|text|export|golden|fusion|gates|temporal|compare|prepare"),
    ],
)
def test_mistakes_are_one_line_and_exit_1(arguments, names, capsys):
    assert main(arguments) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("train: ")
    assert complaint.count("\n") == 1
    assert names in complaint


@pytest.mark.parametrize("command", [[], ["face"], ["speech"], ["export"]])
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert "--data" in text
    assert "calibrat" in text
