"""What the policy says on a running device: time passes, clocks are set, switches are thrown."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.clock import FakeClock
from edge.errors import PolicyError
from edge.gpio import FakeSwitch
from edge.mute import Mute, remove
from edge.permit import Permit
from edge.policy import Consent, Site

WALL = 1_700_000_000.0
OPEN = Site(mode="vehicle", setting="private", jurisdiction="US", offload="never")


def study(expires: float) -> Site:
    consent = Consent(id="c-17", expires=expires, ethics_reference="EC 4/26")
    return Site(mode="research", setting="private", jurisdiction="US", offload="never", consent=consent)


def test_a_consent_ends_while_the_device_runs() -> None:
    clock = FakeClock(wall=WALL)
    permit = Permit(study(WALL + 10.0), clock=clock, mute=Mute(None))
    assert permit().infer
    permit.news()
    clock.advance(9.9)
    assert permit.news() is None
    clock.advance(0.2)
    assert not permit().open_devices
    assert "consent" in str(permit.news())


def test_no_consent_counts_before_the_clock_was_right() -> None:
    clock = FakeClock(wall=0.0, synced=False)
    permit = Permit(study(WALL + 10.0), clock=clock, mute=Mute(None))
    assert not permit().open_devices
    assert "not synchronised" in permit().why
    clock.synchronise(WALL)
    assert permit().infer


def test_a_clock_that_was_right_once_is_carried_on_and_cannot_be_set_back() -> None:
    clock = FakeClock(wall=WALL)
    permit = Permit(study(WALL + 10.0), clock=clock, mute=Mute(None))
    assert permit().infer
    clock.reboot(boot="boot-1", synced=False, wall=0.0)  # somebody sets it back, and NTP is gone
    clock.advance(1000.0 + 9.0)
    assert permit().infer
    clock.advance(2.0)
    assert not permit().open_devices


def test_a_switch_mutes_as_long_as_it_is_on_and_when_it_cannot_be_read() -> None:
    switch = FakeSwitch()
    permit = Permit(OPEN, clock=FakeClock(), mute=Mute(None, switch))
    assert permit().open_devices
    switch.on = True
    assert not permit().open_devices
    assert permit().why == "muted by the switch: devices closed"
    switch.on = False
    assert permit().open_devices
    switch.broken = True
    assert not permit().open_devices


def test_a_mute_outlives_a_restart_until_it_is_taken_back_at_the_device(tmp_path: Path) -> None:
    file = tmp_path / "state" / "muted"
    assert Mute(file).set()
    after_restart = Permit(OPEN, clock=FakeClock(), mute=Mute(file))
    assert not after_restart().open_devices
    assert remove(file)
    assert after_restart().open_devices
    assert not remove(file)


def test_a_mute_that_cannot_be_stored_holds_until_the_restart(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    mute = Mute(tmp_path / "state" / "muted")
    assert mute.why() == ""
    assert not mute.set()
    assert mute.why()
    with pytest.raises(PolicyError):
        remove(tmp_path / "state" / "muted" / "x")


def test_whether_a_file_is_there_that_cannot_be_looked_at_counts_as_muted(tmp_path: Path) -> None:
    assert Mute(tmp_path / ("x" * 300)).why()  # ENAMETOOLONG stands for any error of the disk


def test_mute_and_unmute_at_the_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge.toml"
    config.write_text(
        '[site]\nname="a"\nmode="off"\nsetting="private"\njurisdiction="US"\n[privacy]\noffload="never"\n'
        f'[device]\nname="a"\n[outbox]\nfolder="{tmp_path / "state"}"\n'
    )
    mute = Mute(tmp_path / "state" / "muted")
    assert main(["mute", "--config", str(config)]) == 0
    assert mute.why()
    assert main(["unmute", "--config", str(config)]) == 0
    assert not mute.why()
    assert main(["unmute", "--config", str(config)]) == 0
    assert "was not muted" in capsys.readouterr().out
