"""What `scripts/test virtual-pi` calls a success; the virtual Pi itself takes too long for here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from golden import GOLDEN
from virtual_pi.__main__ import DOCTOR, judge
from virtual_pi.debian import ROOT
from virtual_pi.session import Seen

from edge.protocol import Reading, encode

TOLD = ["done serve after 9 s", "complete", "end"]


def seen(*, face: bool = True, voice: bool = True) -> Seen:
    found = Seen()
    found.add("mien/v1/virtual/pi/birth", encode(GOLDEN["birth"]))
    reading = GOLDEN["reading"]
    assert isinstance(reading, Reading)
    if not face:
        reading = msgspec.structs.replace(reading, faces=0, face=None)
    if not voice:
        reading = msgspec.structs.replace(reading, speech=None)
    found.add("mien/v1/virtual/pi/reading", encode(reading))
    return found


@pytest.fixture
def results(tmp_path: Path) -> Path:
    checks = [{"check": each, "status": "ok", "text": ""} for each in DOCTOR]
    (tmp_path / "doctor.json").write_text(json.dumps({"checks": checks}))
    return tmp_path


def test_a_whole_life_with_a_face_and_a_voice_passes(results: Path) -> None:
    assert judge(TOLD, seen(), results) == 0


@pytest.mark.parametrize("found", [Seen(), seen(face=False), seen(voice=False)], ids=["nothing", "no face", "no voice"])
def test_without_them_it_fails(found: Seen, results: Path) -> None:
    assert not found.complete.is_set()
    assert judge(TOLD, found, results) == 1


def test_a_failed_or_missing_step_fails(results: Path) -> None:
    assert judge(["failed install: no wheel", "end"], seen(), results) == 1
    assert judge(["done serve after 9 s"], seen(), results) == 1


def test_a_message_that_cannot_be_read_fails(results: Path) -> None:
    found = seen()
    found.add("mien/v1/virtual/pi/reading", b"{}")
    assert judge(TOLD, found, results) == 1


def test_what_doctor_calls_wrong_fails(results: Path) -> None:
    text = (results / "doctor.json").read_text()
    (results / "doctor.json").write_text(text.replace('"models", "status": "ok"', '"models", "status": "fail"'))
    assert judge(TOLD, seen(), results) == 1
    (results / "doctor.json").unlink()
    assert judge(TOLD, seen(), results) == 1


def test_the_guests_script_is_clean() -> None:
    done = subprocess.run(["shellcheck", ROOT / "scripts/virtual_pi/guest.sh"], capture_output=True, text=True)
    assert done.stdout == ""
