"""The wheel on arm64, emulated: `scripts/test arm64`. Every model's golden outputs, and a whole look and listen.

What is expected of the latter is what the same pictures and sound give on this machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample import moving_portrait, voice
from virtual_pi.debian import RELEASES, ROOT, Release
from virtual_pi.emulated import PI_4, PI_5, QEMU, Board, Emulated, install
from virtual_pi.wheels import mien_wheel

from edge.perception.golden import TOLERANCE_STEPS
from edge.perception.runtime import RuntimeName

# Emulated on a busy machine these take minutes at worst, each many times what a Raspberry Pi takes.
pytestmark = [pytest.mark.emulated, pytest.mark.slow, pytest.mark.timeout(1200)]
LIMIT_S = 600.0

PROBE = ROOT / "scripts" / "virtual_pi" / "probe.py"
CONFIG = """\
[site]
name = "s"
mode = "demo"
setting = "private"
jurisdiction = "unknown"
[privacy]
offload = "never"
[device]
name = "d"
[models]
runtime = "{runtime}"
"""
NEAR = 0.08
"""Of a probability: some int8 steps in the model, and some in what it sees, as the detectors too compute otherwise."""


@dataclass(frozen=True)
class Case:
    release: Release
    runtime: RuntimeName
    board: Board

    def __str__(self) -> str:
        return f"{self.release.name}-{self.runtime}-{self.board.name.replace(' ', '')}"


CASES = [
    Case(RELEASES["bookworm"], "litert", PI_4),
    Case(RELEASES["bookworm"], "litert", PI_5),
    Case(RELEASES["bookworm"], "tflite", PI_4),
    Case(RELEASES["trixie"], "litert", PI_5),  # tflite-runtime has no wheel for its Python
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [name for name in ("mmdebstrap", QEMU) if shutil.which(name) is None]
    assert not missing, f"{missing} missing; scripts/test arm64 installs them (apt-get install qemu-user-static)"
    return mien_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def machine(case: Case, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    site = install(case.release, wheel, tmp_path_factory.mktemp("mien"))
    return Emulated(case.release, case.board, site, tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("media") / "media.npz"
    frames = np.stack([np.ascontiguousarray(each[:, :, ::-1]) for each in moving_portrait()[:4]])
    np.savez(path, frames=frames, voice=voice()[: 3 * 16_000])
    return path


def test_models_give_their_golden_outputs(case: Case, machine: Emulated, tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(CONFIG.format(runtime=case.runtime))
    doctor = ("-m", "edge.cli", "doctor", "--config", str(config), "--only", "runtime", "models", "--json")
    done = machine.python(*doctor, timeout_s=LIMIT_S)
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: YuNet's weights were not fetched there
    runtime, models = (each["detail"] for each in json.loads(done.stdout)["checks"])
    assert runtime["machine"] == "aarch64"
    assert runtime["runtime"] == case.runtime
    assert runtime["python"].startswith(case.release.python)
    manifest = json.loads((ROOT / "models_tflite" / "manifest.json").read_text())
    assert set(models["steps_off"]) == {each["name"] for each in manifest["models"]}
    assert max(models["steps_off"].values()) <= TOLERANCE_STEPS
    print(case, runtime, models["steps_off"])


def test_it_sees_and_hears_what_this_machine_does(case: Case, machine: Emulated, media: Path, yunet: Path) -> None:
    here = [sys.executable, PROBE, media, "litert", yunet]
    expected = json.loads(subprocess.run(here, capture_output=True, check=True, timeout=LIMIT_S).stdout)
    done = machine.python(str(PROBE), str(media), case.runtime, str(yunet), timeout_s=LIMIT_S)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["machine"] == "aarch64"
    for detector in ("haar", "yunet"):
        assert found[detector]["count"] == expected[detector]["count"] == 1
        alike(found[detector]["probs"], expected[detector]["probs"])
        alike(found[detector]["quality"], expected[detector]["quality"])
    alike(found["speech"]["probs"], expected["speech"]["probs"])
    assert found["speech"]["voiced_share"] > 0.5
    alike(found["speech"]["voiced_share"], expected["speech"]["voiced_share"])


def test_sound_and_the_journal_can_be_imported_from_apt(machine: Emulated) -> None:
    done = machine.python("-c", "import pyaudio, systemd.daemon, systemd.journal", timeout_s=LIMIT_S)
    assert done.returncode == 0, done.stderr


def alike(found: Any, expected: Any) -> None:
    assert np.abs(np.asarray(found) - np.asarray(expected)).max() <= NEAR, (found, expected)
