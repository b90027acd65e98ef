from __future__ import annotations

from pathlib import Path

import pytest

from edge.config import load_config
from edge.errors import ConfigError
from edge.policy import decide

GOOD = """\
[site]
name = "school-1"
mode = "demo"
setting = "private"
jurisdiction = "DE"

[privacy]
offload = "crops"

[device]
name = "room-4"

[camera]
fps = 4
"""


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None):
    path = tmp_path / "edge.toml"
    path.write_text(text)
    return load_config(path, environment or {})


def message(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, environment)
    return str(caught.value)


def test_good_settings(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert config.camera.fps == 4
    assert config.camera.width == 640
    assert config.declared_site().jurisdiction == "DE"


def test_environment_overrides_file(tmp_path: Path) -> None:
    environment = {"MIEN__CAMERA__FPS": "2.5", "MIEN__MQTT__BROKER": "mqtt://b:1883", "PATH": "x"}
    environment |= {"MIEN__CAMERA__MIRROR": "true", "MIEN__CAMERA__ROTATION": "90", "MIEN__MICROPHONE__CARD": "USB"}
    config = load(tmp_path, GOOD, environment)
    assert config.camera.fps == 2.5
    assert config.mqtt.broker == "mqtt://b:1883"
    assert (config.camera.mirror, config.camera.rotation, config.microphone.card) == (True, 90, "USB")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("fps = 4", "fpss = 4", ["line 14", "camera.fpss", "Did you mean fps?"]),
        ("fps = 4", "fps = 400", ["line 14", "camera.fps = 400", "<= 30"]),
        ("fps = 4", 'fps = "four"', ["line 14", "camera.fps", "got `str`"]),
        ("[camera]", "[camra]", ["line 13", "[camra]", "Did you mean camera?"]),
        ('mode = "demo"\n', "", ["line 1", "site.mode is missing"]),
        ('mode = "demo"', 'mode = "spy"', ["line 3", "site.mode = 'spy'"]),
        ('[privacy]\noffload = "crops"\n', "", ["privacy", "is missing"]),
        ('"room-4"', '"cloud"', ["line 11", "reserved"]),
        ('"room-4"', '"Room 4"', ["line 11", "device.name = 'Room 4'"]),
        ("[site]", "site = 3\n[x]", ["outside any section"]),
        ("[site]", "[site", ["edge.toml", "line 1"]),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert old in GOOD
    text = message(tmp_path, GOOD.replace(old, new))
    for part in parts:
        assert part in text


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    assert "Did you mean MIEN__CAMERA__FPS?" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPSS": "3"})
    assert "MIEN__CAMERA__FPS is 'x'" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPS": "x"})
    assert "environment variable MIEN__CAMERA__FPS" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPS": "300"})


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_config(tmp_path / "nowhere.toml", {})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.toml"):
        load_config(tmp_path / "binary.toml", {})


def test_the_example_is_right_and_strict() -> None:
    example = Path(__file__).resolve().parents[1] / "provisioning" / "edge.example.toml"
    config = load_config(example, {})
    allowed = decide(config.declared_site(), now=0.0)
    assert allowed.detect
    assert not allowed.infer
