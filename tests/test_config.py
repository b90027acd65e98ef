from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.advice import advise
from edge.config import build_config, load_config
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
        ("fps = 4", "fps = 400", ["line 14", "camera.fps = 400", "above 0, at most 30"]),
        ("fps = 4", 'fps = "four"', ["line 14", "camera.fps = 'four'", "must be a number"]),
        ("[camera]", "[camra]", ["line 13", "[camra]", "Did you mean camera?"]),
        ('mode = "demo"\n', "", ["line 1", "site.mode is missing"]),
        ("fps = 4", "fps = nan", ["line 14", "camera.fps = nan", "must be a number"]),
        ("fps = 4", "fps = 2026-01-01", ["line 14", "camera.fps", "must be a number"]),
        ('mode = "demo"', 'mode = "spy"', ["line 3", "site.mode = 'spy'", '"classroom"']),
        ('mode = "demo"', 'mode = "classrom"', ["line 3", "Did you mean classroom?"]),
        ("[site]", "gate.deadline = 1\n[site]", ["line 1: unknown key gate.deadline", "Did you mean deadline_ms?"]),
        ("[camera]", '[mqtt]\nkey_file = "k"\n[camera]', ["line 14", "without mqtt.certificate_file"]),
        ('[privacy]\noffload = "crops"\n', "", ["privacy", "is missing"]),
        ('"room-4"', '"cloud"', ["line 11", "reserved"]),
        ('"room-4"', '"Room 4"', ["line 11", "device.name = 'Room 4'"]),
        ("[site]", "site = 3\n[x]", ["outside any section"]),
        ("[site]", "[site", ["edge.toml, line 1:", "    [site\n         ^"]),
    ],
)
def test_errors_say_where_and_what(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    assert old in GOOD
    text = message(tmp_path, GOOD.replace(old, new))
    for part in parts:
        assert part in text


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    assert "environment variable MIEN__CAMERA__FPSS: " in message(tmp_path, GOOD, {"MIEN__CAMERA__FPSS": "3"})
    assert "Did you mean MIEN__CAMERA__FPS?" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPSS": "3"})
    assert "MIEN__CAMERA__FPS: camera.fps = 'x'" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPS": "x"})
    assert "environment variable MIEN__CAMERA__FPS" in message(tmp_path, GOOD, {"MIEN__CAMERA__FPS": "300"})


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("fps = 4", "fps = 400\nwidht = 3").replace('"demo"', '"spy"') + '[mqtt]\nbroker = "http://x"\n'
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, {"MIEN__WINDOW__STAY": "2"})
    found = {(each.section, each.key): each for each in caught.value.problems}
    assert set(found) == {
        ("site", "mode"),
        ("camera", "fps"),
        ("camera", "widht"),
        ("mqtt", "broker"),
        ("window", "stay"),
    }
    assert found["camera", "widht"].fix == "Did you mean width?"
    assert found["window", "stay"].place == "environment variable MIEN__WINDOW__STAY"
    assert all(str(each) in str(caught.value) for each in found.values())


def test_a_misspelt_name_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace("mode =", "moed =").replace("[privacy]", "[privcy]"))
    assert [(each.section, each.key) for each in caught.value.problems] == [("site", "moed"), ("privcy", "")]


def test_the_environment_mends_what_is_wrong_in_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD.replace("fps = 4", "fps = 400"), {"MIEN__CAMERA__FPS": "3"}).camera.fps == 3


def test_messages_hold_no_password(tmp_path: Path) -> None:
    broker = '[mqtt]\nbroker = "mqtt://mien:hunter2@host/path"\n'
    assert "hunter2" not in message(tmp_path, GOOD + broker)
    assert "hunter2" not in message(tmp_path, GOOD + broker.replace('path"', "path"))


@pytest.mark.parametrize(
    ("changes", "key", "words"),
    [
        ({("site", "mode"): "classroom", ("mqtt", "broker"): "mqtts://b"}, "offload", "declared basis"),
        ({("site", "mode"): "classroom", ("site", "setting"): "education"}, "basis", "presence and voice only"),
        ({("site", "mode"): "research"}, "consent_id", "stay closed"),
        ({("mqtt", "broker"): "mqtt://u:p@b"}, "broker", "clear text"),
        ({("camera", "source"): ""}, "source", "nothing to read"),
        ({("camera", "flicker_hz"): 50}, "flicker_hz", "no effect"),
    ],
)
def test_what_several_settings_mean_together_is_explained(changes: dict, key: str, words: str) -> None:
    values = {"site": {"name": "a", "mode": "demo", "setting": "private", "jurisdiction": "DE"}}
    values |= {"privacy": {"offload": "crops"}, "device": {"name": "d"}, "camera": {"source": "0"}}
    assert [each.key for each in advise(build_config(values, environment={}), now=0.0)] == ["offload"]  # no broker
    for (section, name), value in changes.items():
        values.setdefault(section, {})[name] = value
    found = [(each.key, each.what) for each in advise(build_config(values, environment={}), now=0.0)]
    assert any(key == name and words in what for name, what in found), found


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


def test_every_line_of_the_example_that_is_commented_out_could_be_used(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[1] / "provisioning" / "edge.example.toml"
    used = re.sub(r"(?m)^# ?(\w+ = |\[)", r"\1", example.read_text())
    assert used != example.read_text()
    load(tmp_path, used)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SITE__MODE", "demo"),
        ("SITE__JURISDICTION", "US"),
        ("SITE__OPERATOR", "someone"),
        ("PRIVACY__OFFLOAD", "crops"),
        ("PRIVACY__CONSENT_EXPIRES", "9e9"),
    ],
)
def test_no_variable_says_anything_of_the_policy(tmp_path: Path, key: str, value: str) -> None:
    said = message(tmp_path, GOOD, {f"MIEN__{key}": value})
    assert said.startswith(f"environment variable MIEN__{key}: ")
    assert "is policy, which no variable may change" in said


def test_a_policy_that_only_variables_give_is_missing(tmp_path: Path) -> None:
    text = GOOD.replace('mode = "demo"', "")
    assert "site.mode is missing" in message(tmp_path, text, {"MIEN__SITE__MODE": "demo"})
