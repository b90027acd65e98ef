"""The last good settings: when they are used, and that they never loosen what the broken file says of privacy."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import load_config
from edge.errors import ConfigError
from edge.last_good import choose_config, keep_last_good
from edge.policy import decide

GOOD = """\
[site]
name = "school-1"
mode = "demo"
setting = "private"
jurisdiction = "DE"

[privacy]
offload = "crops"
k = 4

[device]
name = "room-4"

[camera]
source = "/dev/video0"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(GOOD)
    keep_last_good(load_config(path, {}), path, tmp_path / "state")
    return path


def choose(path: Path, text: str, environment: dict[str, str] | None = None):
    path.write_text(text)
    return choose_config(path, path.parent / "state", environment or {})


def test_right_settings_are_used_and_kept_readable_by_their_owner_only(path: Path) -> None:
    (kept,) = (path.parent / "state").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    before = kept.stat().st_mtime_ns
    chosen = choose(path, GOOD)
    assert chosen.problem is None
    keep_last_good(chosen.config, path, path.parent / "state")
    assert kept.stat().st_mtime_ns == before, "the same settings are not written again"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('source = "/dev/video0"', "source = 3"),
        ('source = "/dev/video0"', 'source = "/dev/video0'),
        ("[camera]", "[camra]"),
        ("[camera]", "[camera"),
    ],
)
def test_a_mistake_elsewhere_starts_the_last_good_ones(path: Path, old: str, new: str) -> None:
    assert old in GOOD
    chosen = choose(path, GOOD.replace(old, new))
    assert chosen.problem is not None
    assert not chosen.closed
    assert chosen.config.camera.source == "/dev/video0"
    assert "going on with the last good settings" in chosen.warning()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('mode = "demo"', 'mode = "off"'),
        ('mode = "demo"', "mode = off"),
        ('mode = "demo"', 'mode = "demo"\nmode = "off"'),
        ('offload = "crops"', 'offload = "never"'),
        ('offload = "crops"\n', ""),
        ("k = 4", "k = 1O"),
        ("k = 4", "k = 10"),
        ("k = 4", "k = 4\nmute everything"),
        ("[privacy]", "[privcy]"),
        ("[privacy]", "[privacy"),
        (GOOD, ""),
    ],
)
def test_where_privacy_is_not_surely_the_same_the_devices_stay_closed(path: Path, old: str, new: str) -> None:
    assert old in GOOD
    chosen = choose(path, GOOD.replace(old, new).replace('"/dev/video0"', "3"))
    assert chosen.problem is not None
    assert chosen.closed
    assert not decide(chosen.config.declared_site(), now=0.0).open_devices
    assert chosen.config.device.name == "room-4", "it stays in reach"


def test_the_environment_counts(path: Path) -> None:
    broken = GOOD.replace('"/dev/video0"', "3")
    assert choose(path, broken, {"MIEN__SITE__MODE": "research"}).closed
    assert choose(path, broken, {"MIEN__PRIVCY__OFFLOAD": "never"}).closed
    assert choose(path, broken, {"MIEN__SITE__MODE": "demo"}).closed, "what the file says, but no variable may say it"
    assert choose(path, GOOD, {"MIEN__PRIVACY__OFFLOAD": "never"}).closed
    assert not choose(path, broken, {"MIEN__WINDOW__STAY": "x"}).closed


def test_there_is_none_without_a_file_or_for_another_file(path: Path) -> None:
    other = path.with_name("other.toml")
    with pytest.raises(ConfigError):
        choose(other, GOOD.replace('"/dev/video0"', "3"))
    path.unlink()
    with pytest.raises(ConfigError):
        choose_config(path, path.parent / "state", {})


def test_a_damaged_copy_is_no_copy(path: Path) -> None:
    (kept,) = (path.parent / "state").iterdir()
    kept.write_bytes(kept.read_bytes()[:-9])
    with pytest.raises(ConfigError):
        choose(path, GOOD.replace('"/dev/video0"', "3"))


LINES = GOOD.splitlines()


@given(st.integers(0, len(LINES) - 1), st.text(st.sampled_from("=[]\"'#.abk0123 \t"), max_size=12))
def test_no_change_of_one_line_runs_what_the_file_does_not_say(tmp_path_factory, number: int, line: str) -> None:
    """Whatever one line becomes: devices open only if the policy is as the file says, as a whole or line by line."""
    folder = tmp_path_factory.mktemp("last")
    path = folder / "edge.toml"
    path.write_text(GOOD)
    last = load_config(path, {})
    keep_last_good(last, path, folder)
    text = "\n".join([*LINES[:number], line, *LINES[number + 1 :]]) + "\n"
    path.write_text(text)
    chosen = choose_config(path, folder, {})
    if chosen.problem is not None and not chosen.closed:
        policy = [each for each in LINES[:9] if "=" in each]
        assert all(each in text.splitlines() for each in policy), f"line {number} became {line!r}"
