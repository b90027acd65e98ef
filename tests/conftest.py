"""What tests share: where real data is, if it is anywhere. Without it, tests that need it say that they skip."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow without anything being wrong.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Who starts this in the background of a script has SIGINT ignored, and all that tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def _folder(variable: str, name: str) -> Path | None:
    path = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    return path if path.is_dir() else None


@pytest.fixture(autouse=True)
def own_data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is fetched on this machine out of the tests, and what tests fetch off it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the data packs."""
    folder = _folder("MIEN_DATA_DIR", "data")
    if folder is None:
        pytest.skip("needs the data packs: set MIEN_DATA_DIR (docs/data.md)")
    return folder


@pytest.fixture(scope="session")
def clips(data_dir: Path) -> list[Path]:
    """The six CREMA-D clips: one talking face with its voice each."""
    return sorted((data_dir / "clips").glob("*.mp4"))


@pytest.fixture(scope="session")
def yunet() -> Path:
    """YuNet's weights."""
    folder = _folder("MIEN_MODELS_DIR", "models")
    if folder is None:
        pytest.skip("needs YuNet's weights: set MIEN_MODELS_DIR to the folder where `mien-edge models fetch` put them")
    return folder / "face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's own clip: a moving portrait with a made-up voice, 9 s."""
    from sample import make_sample

    return Path(make_sample(tmp_path_factory.mktemp("sample") / "sample.mp4"))
