"""`mien-edge doctor`: what each check makes of what it finds, and that nothing can hang or hide the rest."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from sample import moving_portrait, voice

from edge.capture.fakes import FakeCamera, FakeMicrophone
from edge.commands import doctor as command
from edge.doctor import access, board, examine, probe, software
from edge.doctor.daemon import Daemon, check_daemon, find_daemon
from edge.doctor.ground import Ground, survey
from edge.doctor.report import CHECKS, EXIT_STATUS, Finding, Line, as_text, summary, worst
from edge.perception.detect import HaarDetector
from edge.perception.golden import TOLERANCE_STEPS, answers, load_golden, steps_off
from edge.perception.manifest import load_manifest

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models_tflite"

SETTINGS = """\
[site]
name = "school"
mode = "{mode}"
setting = "private"
jurisdiction = "US"
[privacy]
offload = "never"
[device]
name = "room"
[camera]
source = "/dev/null"
[microphone]
card = "no such card"
[outbox]
folder = "{folder}"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "edge.toml"
    path.write_text(SETTINGS.format(mode="demo", folder=tmp_path))
    return path


@pytest.fixture
def ground(path: Path) -> Ground:
    return survey(path, listen_s=None, look_s=None)


def doctor(path: Path, *arguments: str) -> tuple[int, dict]:
    line = [sys.executable, "-m", "edge.cli", "doctor", "--json", "--config", str(path), *arguments]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    return done.returncode, {each["check"]: each for each in report["checks"]}


def test_every_check_has_a_function_and_a_row_in_the_docs() -> None:
    assert set(examine.FUNCTIONS) == set(CHECKS)
    text = (ROOT / "docs" / "commands.md").read_text()
    assert [each for each in CHECKS if f"`{each}`" not in text] == []


@pytest.mark.parametrize(
    ("statuses", "expected"), [(["ok", "skip"], 0), (["ok", "warn"], 3), (["warn", "fail", "ok"], 1), (["skip"], 0)]
)
def test_the_worst_line_gives_the_exit_status(statuses: list, expected: int) -> None:
    lines = [Line("config", Finding(status, "text"), 0.0) for status in statuses]
    assert EXIT_STATUS[worst(lines)] == expected
    assert ("not fit" in summary(lines)) == (expected == 1)


def test_colours_only_where_asked_for() -> None:
    line = Line("clock", Finding("warn", "late " * 40, "wind it"), 0.0)
    assert "\x1b" in as_text(line, colour=True)
    plain = as_text(line, colour=False)
    assert "\x1b" not in plain
    assert plain.splitlines()[0].startswith("warn  clock")
    assert plain.splitlines()[-1].strip() == "-> wind it"


def test_what_hangs_or_breaks_does_not_hide_the_rest(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    monkeypatch.setitem(examine.FUNCTIONS, "clock", lambda _: stuck.wait(60) or Finding("ok", ""))
    monkeypatch.setitem(examine.FUNCTIONS, "memory", lambda _: 1 / 0)
    lines = list(examine.examine(ground, ["clock", "memory", "mode"], limit_s=0.2))
    stuck.set()
    found = {line.check: line.finding for line in lines}
    assert found["clock"].status == "fail"
    assert "no answer within 0.2 s" in found["clock"].text
    assert "ZeroDivisionError" in found["memory"].text
    assert found["mode"].status == "ok"


def test_with_wrong_settings_the_rest_is_still_looked_at(path: Path) -> None:
    path.write_text(path.read_text().replace('mode = "demo"', 'mode = "spy"'))
    status, found = doctor(path, "--skip", "disk")
    assert status == 1
    assert "site.mode = 'spy'" in found["config"]["text"]
    assert found["camera"]["status"] == "skip"
    assert found["runtime"]["status"] == "ok"
    assert found["models"]["detail"]["steps_off"]
    assert "disk" not in found


def test_sources_that_cannot_be_opened_say_what_to_do(path: Path) -> None:
    status, found = doctor(path, "--only", "camera", "microphone")
    assert status == 1
    assert "/dev/null cannot be opened" in found["camera"]["text"]
    assert found["microphone"]["status"] == "fail"
    assert found["microphone"]["fix"]


def test_devices_that_the_policy_closes_are_not_opened(path: Path) -> None:
    path.write_text(path.read_text().replace('mode = "demo"', 'mode = "off"'))
    status, found = doctor(path, "--only", "camera", "microphone", "mode")
    assert status == 0
    assert [found[each]["status"] for each in ("camera", "microphone")] == ["skip", "skip"]
    assert "mode off" in found["camera"]["text"]


def test_golden_outputs_tell_another_model_and_another_input() -> None:
    golden = load_golden(MODELS)
    for entry in load_manifest(MODELS).models:
        here = answers(MODELS, entry)
        assert steps_off(golden, here) <= TOLERANCE_STEPS
        turned = type(here)(here.name, here.sha256, here.step, here.outputs[1:] + here.outputs[:1])
        assert steps_off(golden, turned) > TOLERANCE_STEPS


def test_a_runtime_that_computes_something_else_fails(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    assert software.check_models(ground).status in ("ok", "warn")
    monkeypatch.setattr(software, "steps_off", lambda *_: 11.0)
    assert software.check_models(ground).status == "fail"


def test_a_camera_with_a_face() -> None:
    frames = [np.ascontiguousarray(image[:, :, ::-1]) for image in moving_portrait()[:10]]
    seen = probe.watch(FakeCamera(frames, fps=10.0, realtime=True), HaarDetector(), None)
    finding = probe.judge_camera(seen, "fake", 10.0, None)
    assert finding.status == "ok", finding
    assert finding.detail["faces"] == 1
    assert probe.judge_camera(seen, "fake", 25.0, None).status == "warn", "10 of 25 frames a second"


def test_cameras_that_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "GLANCE_S", 0.5)
    noise = np.random.default_rng(1).integers(60, 200, (4, 120, 160, 3)).astype(np.uint8)

    def judge(frames: list, wait_s: float | None) -> Finding:
        camera = FakeCamera(frames, fps=20.0, realtime=True)
        return probe.judge_camera(probe.watch(camera, HaarDetector(), wait_s), "fake", 20.0, wait_s)

    assert judge(list(noise), None).status == "ok", "nobody asked for a face"
    assert "hold a photo" in judge(list(noise), 0.6).fix
    assert "dark" in judge([frame // 40 for frame in noise], None).text
    assert "stands still" in judge([noise[0]], None).text


def test_microphones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "GLANCE_S", 0.5)

    def judge(pcm: np.ndarray, wait_s: float | None) -> Finding:
        heard, spoken = probe.listen(FakeMicrophone(pcm.astype(np.float32)), wait_s)
        return probe.judge_microphone(heard, "fake", voice=spoken, wait_s=wait_s, clipped=0, overflows=0)

    noise = 0.003 * np.random.default_rng(1).standard_normal(16_000)
    assert judge(noise, None).status == "ok"
    assert "Speak" in judge(noise, 0.7).fix
    assert judge(np.zeros(16_000), None).status == "warn"
    assert "clipped" in judge(noise * 1000, None).text
    assert judge(0.3 * voice(), 5.0).detail["voice"]


def test_a_running_daemon_is_found_by_its_settings(path: Path, tmp_path: Path) -> None:
    assert find_daemon(path).pid is None
    script = tmp_path / "mien-edge"
    script.write_text("import sys; sys.stdout.write('up'); sys.stdout.flush(); sys.stdin.read()")
    line = [sys.executable, str(script), "-v", "run", "--config", path.name]
    with subprocess.Popen(line, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"up"
        assert find_daemon(path).pid == process.pid
        assert find_daemon(tmp_path / "other.toml").pid is None
        _, found = doctor(path, "--only", "camera", "daemon")
        assert found["camera"]["status"] == "skip"
        assert f"pid {process.pid}" in found["camera"]["text"]
        process.communicate()


@pytest.mark.parametrize(
    ("daemon", "status"),
    [
        (Daemon(), "skip"),
        (Daemon(7), "ok"),
        (Daemon(7, {"ActiveState": "active", "NRestarts": "2"}), "warn"),
        (Daemon(None, {"ActiveState": "inactive"}), "warn"),
        (Daemon(None, {"ActiveState": "failed", "Result": "watchdog"}), "fail"),
    ],
)
def test_the_service(daemon: Daemon, status: str) -> None:
    assert check_daemon(daemon).status == status


def test_a_hot_board_without_enough_voltage(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "SYS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert board.check_temperature(ground).status == "skip"
    assert board.check_power(ground).status == "skip"
    zone, volt = tmp_path / "thermal" / "thermal_zone0", tmp_path / "hwmon" / "hwmon1"
    for folder in (zone, volt):
        folder.mkdir(parents=True)
    (volt / "name").write_text("rpi_volt\n")
    for alarm, celsius, statuses in ((0, 51, ("ok", "ok")), (1, 78, ("fail", "warn")), (0, 86, ("ok", "fail"))):
        (volt / "in0_lcrit_alarm").write_text(f"{alarm}\n")
        (zone / "temp").write_text(f"{celsius}000\n")
        assert (board.check_power(ground).status, board.check_temperature(ground).status) == statuses
    tool = tmp_path / "vcgencmd"
    tool.write_text("#!/bin/sh\necho throttled=0x50000\n")
    tool.chmod(0o755)
    finding = board.check_power(ground)
    assert finding.status == "warn"
    assert "voltage was too low since boot" in finding.text


def test_a_full_or_missing_disk(path: Path, ground: Ground, tmp_path: Path) -> None:
    finding = board.check_disk(ground)
    assert finding.status in ("ok", "warn")
    assert 0 < finding.detail["fsync_p50_ms"] <= finding.detail["fsync_p95_ms"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["edge.toml", "xdg"] or not list(tmp_path.glob("tmp*"))
    path.write_text(path.read_text() + "max_mb = 1e9\n")
    assert board.check_disk(survey(path, listen_s=None, look_s=None)).status == "fail"
    path.write_text(SETTINGS.format(mode="demo", folder=tmp_path / "not" / "there"))
    assert "does not exist" in board.check_disk(survey(path, listen_s=None, look_s=None)).text


def test_memory(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "MEMINFO", tmp_path / "meminfo")
    for available, status in ((900_000, "ok"), (200_000, "warn"), (50_000, "fail")):
        board.MEMINFO.write_text(f"MemTotal:  1000000 kB\nMemAvailable:  {available} kB\n")
        assert board.check_memory(ground).status == status


def test_settings_and_secrets_that_others_can_reach(path: Path, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    path.write_text(path.read_text() + f'[mqtt]\nusername = "u"\npassword_file = "{password}"\n')
    path.chmod(0o666)
    password.chmod(0o644)
    text = access.check_permissions(survey(path, listen_s=None, look_s=None)).text
    assert f"{path} can be changed by others" in text
    assert f"{password} can be read by everybody" in text
    path.chmod(0o644)
    password.chmod(0o600)
    assert access.check_permissions(survey(path, listen_s=None, look_s=None)).status == "ok"


def test_rights_follow_owner_group_and_others(tmp_path: Path) -> None:
    node = tmp_path / "video0"
    node.touch()
    found = node.stat()
    inside, outside = (access.User("mien", 12345, frozenset({gid})) for gid in (found.st_gid, 54321))
    node.chmod(0o660)
    assert inside.may(node, write=True)
    assert not outside.may(node)
    node.chmod(0o644)
    assert outside.may(node)
    assert not outside.may(node, write=True)


def test_the_report_is_plain_text_where_it_is_no_terminal(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from edge.cli import _parser

    status = command.execute(_parser().parse_args(["doctor", "--config", str(path), "--only", "mode", "memory"]))
    said = capsys.readouterr().out.splitlines()
    assert status in (0, 3)
    assert said[0].startswith("ok    mode")
    assert "\x1b" not in "".join(said)
