"""What `provisioning/install` asks and writes; what it does to a machine is in test_systemd.py."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import load_config

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / "provisioning" / "install"
DECISIONS = ("site.name", "device.name", "site.mode", "site.setting", "site.jurisdiction", "privacy.offload")


def install(*options: str) -> subprocess.CompletedProcess[str]:
    command = [INSTALL, "--dry-run", *options]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def write_settings(*given: str) -> subprocess.CompletedProcess[str]:
    program = ROOT / "provisioning" / "lib" / "write_settings.py"
    return subprocess.run([sys.executable, program, *given], capture_output=True, text=True, timeout=60)


def test_the_scripts_are_clean() -> None:
    files = [INSTALL, *(ROOT / "provisioning" / "lib").glob("*.sh")]
    done = subprocess.run(["shellcheck", "-x", *files], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == ""
    assert done.returncode == 0


def test_help_names_every_option() -> None:
    said = subprocess.run([INSTALL, "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    options = set(re.findall(r"--[a-z-]+(?=[ |)])", INSTALL.read_text().partition("parse() {")[2].partition("esac")[0]))
    assert {"--site", "--keep-data", "--wheels"} <= options
    assert {option for option in options if option not in said} == set()


def test_without_a_terminal_every_open_decision_is_named_at_once() -> None:
    done = install("--mode", "demo")
    assert done.returncode == 1
    assert all(key in done.stderr for key in DECISIONS if key != "site.mode")
    assert "site.mode" not in done.stderr


@pytest.mark.parametrize("options", [["--sight", "x"], ["--site"], ["--keep-data"], ["--set", "fps=3"]])
def test_wrong_options_change_nothing(options: list[str]) -> None:
    done = install(*options)
    assert done.returncode == 2
    assert "see --help" in done.stderr


def test_on_a_terminal_it_asks_until_the_answer_is_one() -> None:
    # Site, device, mode twice, setting, jurisdiction, offload, camera, microphone, broker.
    answers = ["school", "room", "spying", "vehicle", "workplace", "DE", "never", "none", "default", ""]
    ours, theirs = pty.openpty()
    os.write(ours, ("\n".join(answers) + "\n").encode())
    done = subprocess.run([INSTALL, "--dry-run"], stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0, done.stderr
    assert "that is none of these" in done.stderr
    for line in ("site.mode = vehicle", "device.name = room", "site.jurisdiction = DE", "microphone.card = "):
        assert line in done.stderr
    assert "camera.source" not in done.stderr


def test_given_settings_become_a_file_that_the_daemon_reads(tmp_path: Path) -> None:
    given = ["site.name=school", "site.mode=demo", "site.setting=private", "site.jurisdiction=US", "device.name=room"]
    given += ["privacy.offload=never", 'camera.source=a "b" \\c', "camera.fps=2.5", "camera.mirror=true"]
    path = tmp_path / "edge.toml"
    path.write_text(write_settings(*given, "microphone.card=").stdout)
    config = load_config(path, {})
    assert config.camera.source == 'a "b" \\c'
    assert (config.camera.fps, config.camera.mirror, config.microphone.card) == (2.5, True, "")


def test_wrong_settings_are_all_named_and_nothing_is_written() -> None:
    done = write_settings("camera.fps=many", "camera.colour=red")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "camera.fps = 'many'" in done.stderr
    assert "camera.colour" in done.stderr
