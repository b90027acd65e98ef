"""The installer and the service in a Debian that is really booted: `provisioning/install` from end to end.

One container serves all tests of this file, in their order: it is installed for the first and cleaned by the last.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from brokers import Mosquitto, eventually
from containers import RELEASE, Container, container_root, needs_containers
from link_rig import Subscriber, subscriber
from network_camera import camera
from test_run import events, messages
from virtual_pi.debian import ROOT
from virtual_pi.wheels import device_wheels

from edge.protocol import Birth, Event, Reading

pytestmark = [pytest.mark.patient, pytest.mark.timeout(1200)]

CONFIG = "/etc/mien/edge.toml"
INSTALL = "/opt/src/provisioning/install"
KEPT_INSTALL = "/opt/mien/provisioning/install"
CHECKOUT = (
    "provisioning",
    "docs",
    "edge",
    "cloud",
    "models_tflite",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)
DROP_IN = "/run/systemd/system/mien-edge.service.d/test.conf"
# Every file with its type, mode and owner, the content of those in /etc, packages and why they are there. Left out:
# apt's lists, which any other use of apt fetches, too, and copies that useradd and the like leave of the files before.
STATE = r"""
find / -xdev -path /var/lib/apt/lists -prune -o -not -path '/etc/*-' -printf '%y %m %u:%g %p\n' | sort
find /etc -type f -not -name '*-' -exec sha256sum {} + | sort
dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n'; apt-mark showauto
find /run /tmp /dev/shm -name '*mien*' -not -path '/run/systemd/nspawn/*'
"""


class Device:
    """An installed device, its broker, and what the installer said."""

    def __init__(self, box: Container, broker: Mosquitto, options: list[str]) -> None:
        self.box, self.broker, self._options = box, broker, options
        self.before = box.shell(STATE)
        self.said = self.install()

    def install(self) -> str:
        return self.box.run(INSTALL, *self._options).stderr

    def edit(self, pattern: str, text: str) -> None:
        """Change the settings as an editor does."""
        content = self.box.run("cat", CONFIG).stdout
        changed = re.sub(pattern, text, content)
        assert changed != content
        self.box.write(CONFIG, changed)

    @contextmanager
    def unit_with(self, *lines: str) -> Iterator[None]:
        """Put these lines over the installed unit's; afterwards it runs as installed again."""
        self.box.shell(f"mkdir -p {DROP_IN.rpartition('/')[0]}")
        self.box.write(DROP_IN, "\n".join(["[Service]", *lines, ""]))
        self.box.shell("systemctl daemon-reload")
        try:
            yield
        finally:
            self.box.shell(
                f"rm -r {DROP_IN.rpartition('/')[0]}; systemctl daemon-reload; systemctl reset-failed mien-edge"
            )
            self.box.run("systemctl", "restart", "mien-edge")


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    needs_containers()
    folder = tmp_path_factory.mktemp("systemd")
    binds = {f"/opt/src/{name}": ROOT / name for name in CHECKOUT}
    binds |= {"/opt/wheels": device_wheels(RELEASE, os.uname().machine), "/opt/tests": ROOT / "tests" / "integration"}
    with ExitStack() as stack:
        broker = Mosquitto(folder)
        stack.callback(broker.kill)
        broker.start()
        port = stack.enter_context(camera())
        box = Container(container_root(), binds, folder / "console.log")
        stack.callback(box.stop)
        # A device of nobody's: one reading a second, a camera by HTTP.
        options = "--site school --device room --mode demo --setting private --jurisdiction US --offload never"
        options += f" --camera http://127.0.0.1:{port}/ --broker {broker.url} --set window.length_s=1"
        options += " --wheels /opt/wheels --yunet no"
        yield Device(box, broker, options.split())


@pytest.fixture
def seen(device: Device) -> Iterator[Subscriber]:
    with subscriber(device.broker) as listening:
        yield listening


def running(device: Device, seen: Subscriber) -> None:
    """Wait until readings of a face come in."""
    device.box.wait_for("ActiveState", "active")
    known = len(seen.on("reading"))
    seen.wait_for(lambda: any(each.faces for each in messages(seen, "reading", Reading)[known:]), within_s=60)


def test_one_command_makes_a_device_that_publishes(device: Device, seen: Subscriber) -> None:
    assert "change(s)" in device.said
    running(device, seen)
    assert device.box.show("SubState") == "running"
    status = device.box.show("StatusText")
    assert "camera ok" in status
    assert "broker connected" in status
    assert device.box.shell(f"stat -c '%a %U:%G' {CONFIG}") == "640 root:mien\n"
    assert {"mien", "video", "render", "audio", "gpio"} == set(device.box.shell("id -Gn mien").split())
    assert "demo" in device.box.run("mien-edge", "check").stdout
    # numpy is apt's, not one that pip has put over it.
    origin = device.box.run("/opt/mien/venv/bin/python", "-c", "import numpy; print(numpy.__file__)").stdout
    assert origin.startswith("/usr/lib/python3/dist-packages/")
    assert messages(seen, "birth", Birth)[-1].sources == {"camera": "stream"}


def test_the_sign_for_the_door_can_be_made_on_the_device(device: Device) -> None:
    device.box.run("mien-edge", "notice", "--out", "/run/sign.pdf")
    assert device.box.shell("head -c 5 /run/sign.pdf; rm /run/sign.pdf") == "%PDF-"


def test_a_second_run_changes_nothing(device: Device) -> None:
    pid = device.box.show("MainPID")
    device.box.shell("touch /run/marker; sleep 0.1")
    assert "nothing to do" in device.install()
    assert device.box.show("MainPID") == pid
    # The running service's own files and the journal are not the installer's.
    others = "-path /var/log -o -path /var/lib/mien -o -path /tmp"
    newer = rf"find / -xdev \( {others} \) -prune -o -newer /run/marker -print"
    assert device.box.shell(newer + "; rm /run/marker") == ""


def test_settings_that_are_there_are_kept_unless_told_otherwise(device: Device) -> None:
    content = device.box.run("cat", CONFIG).stdout
    refused = device.box.run(INSTALL, "--mode", "off", check=False)
    assert refused.returncode == 1
    assert "not decided yet: site.name" in refused.stderr
    assert device.box.run("cat", CONFIG).stdout == content


def test_the_sandbox_is_strict_enough(device: Device) -> None:
    assert device.box.run("systemd-analyze", "verify", "/etc/systemd/system/mien-edge.service").stderr == ""
    said = device.box.run("systemd-analyze", "security", "--no-pager", "mien-edge.service").stdout
    exposure = re.search(r"Overall exposure level for mien-edge.service: ([0-9.]+)", said)
    assert exposure is not None, said
    assert float(exposure[1]) <= 3.0


def test_the_journal_has_fields_to_search_by(device: Device, seen: Subscriber) -> None:
    running(device, seen)
    lines = device.box.journal("-o", "json", "MIEN_SOURCE=camera", "MIEN_CODE=camera-ok").splitlines()
    entry = json.loads(lines[-1])
    assert "camera is ok" in entry["MESSAGE"]
    assert entry["_SYSTEMD_UNIT"] == "mien-edge.service"
    assert entry["_SOURCE_REALTIME_TIMESTAMP"]
    assert (entry["SYSLOG_IDENTIFIER"], entry["PRIORITY"], entry["LOGGER"]) == ("mien-edge", "6", "edge.supervise")


def test_a_killed_daemon_is_started_again(device: Device, seen: Subscriber) -> None:
    restarts, pid = int(device.box.show("NRestarts")), device.box.show("MainPID")
    device.box.run("systemctl", "kill", "--signal=KILL", "mien-edge")
    device.box.wait_for("NRestarts", str(restarts + 1))
    running(device, seen)
    assert device.box.show("MainPID") != pid


def test_a_worker_that_hangs_is_killed_by_the_watchdog(device: Device) -> None:
    command = f"/opt/mien/venv/bin/python /opt/tests/hanging.py run --config {CONFIG}"
    lines = ("ExecStart=", f"ExecStart={command}", "Environment=HANG=/run/mien/hang", "WatchdogSec=4", "RestartSec=0")
    with device.unit_with(*lines):
        device.box.run("systemctl", "restart", "mien-edge")
        time.sleep(8.0)  # longer than the watchdog: a camera that gives nothing but keeps its promises is no reason
        assert device.box.show("NRestarts") == "0"
        assert device.box.show("ActiveState") == "active"
        device.box.shell("touch /run/mien/hang")
        device.box.wait_for("NRestarts", "1", within_s=60)
    journal = device.box.journal()
    assert "Watchdog timeout" in journal
    assert "hanging.py" in journal, "faulthandler shows where each thread stood"
    assert "camera hangs" in device.box.journal("MIEN_CODE=stuck", "MIEN_SOURCE=camera")


def test_a_daemon_that_stands_still_is_killed_by_the_watchdog(device: Device, seen: Subscriber) -> None:
    with device.unit_with("WatchdogSec=4", "RestartSec=0", "TimeoutAbortSec=1"):  # it cannot even take the signal
        device.box.run("systemctl", "restart", "mien-edge")
        running(device, seen)
        device.box.run("systemctl", "kill", "--signal=STOP", "mien-edge")
        device.box.wait_for("NRestarts", "1", within_s=60)
        running(device, seen)


def test_a_daemon_that_always_fails_is_not_restarted_for_ever(device: Device) -> None:
    assert (device.box.show("StartLimitBurst"), device.box.show("StartLimitIntervalUSec")) == ("60", "30min")
    lines = ("ExecStart=", "ExecStart=/bin/false", "RestartSec=0", "RestartSteps=0", "[Unit]", "StartLimitBurst=5")
    with device.unit_with(*lines):  # five starts instead of sixty
        device.box.run("systemctl", "stop", "mien-edge")
        device.box.run("systemctl", "reset-failed", "mien-edge", check=False)
        device.box.run("systemctl", "start", "mien-edge", check=False)
        eventually(
            lambda: "repeated too quickly" in device.box.journal("-n", "5"), within_s=60, what="systemd gives up"
        )
        assert device.box.show("ActiveState") == "failed"
        assert device.box.show("NRestarts") == "5"


def test_a_reload_takes_what_it_can_and_names_the_rest(device: Device, seen: Subscriber) -> None:
    running(device, seen)
    pid, session = device.box.show("MainPID"), messages(seen, "birth", Birth)[-1].session
    last = messages(seen, "reading", Reading)[-1]
    device.edit("length_s = .*", "length_s = 2.0")
    device.edit('name = "room"', 'name = "hall"')
    device.box.run("systemctl", "reload", "mien-edge")
    seen.wait_for(lambda: "config-reloaded" in events(seen))
    told = next(each for each in messages(seen, "event", Event) if each.type == "config-reloaded")
    assert told.detail == {"changed": "window.length_s", "restart": "device.name"}
    running(device, seen)
    after = messages(seen, "reading", Reading)[-1]
    assert after.end_s - after.start_s == pytest.approx(2.0)
    assert after.start_s >= last.end_s, "the session's time goes on"
    assert (device.box.show("MainPID"), after.session) == (pid, session)
    assert "restart needed for device.name" in device.box.show("StatusText")
    device.edit('name = "hall"', 'name = "room"')


def test_a_reload_of_wrong_settings_keeps_the_old_ones(device: Device, seen: Subscriber) -> None:
    running(device, seen)
    pid, content = device.box.show("MainPID"), device.box.run("cat", CONFIG).stdout
    device.edit("length_s = .*", "length = 3.0")
    device.box.run("systemctl", "reload", "mien-edge")
    seen.wait_for(lambda: "config-refused" in events(seen))
    running(device, seen)
    assert device.box.show("MainPID") == pid
    assert "window.length" in device.box.journal("MIEN_CODE=config")
    assert "settings not reloaded" in device.box.show("StatusText")
    device.box.write(CONFIG, content)
    device.box.run("systemctl", "reload", "mien-edge")
    seen.wait_for(lambda: events(seen)[-1] == "config-reloaded")


def test_it_stops_within_five_seconds(device: Device, seen: Subscriber) -> None:
    for _ in range(3):  # other work on the machine can only make it longer
        device.box.run("systemctl", "start", "mien-edge")
        running(device, seen)
        began = time.monotonic()
        device.box.run("systemctl", "stop", "mien-edge")
        took_s, result = time.monotonic() - began, device.box.show("Result")
        if took_s < 5.0:
            break
    assert took_s < 5.0
    assert result == "success", "it ended by itself; systemd did not have to kill it"


def test_wrong_settings_fail_once_and_say_why(device: Device) -> None:
    content = device.box.run("cat", CONFIG).stdout
    device.box.shell("rm -f /var/lib/mien/last-good-*")  # with those it would start, and say so
    device.edit('mode = "demo"', 'mode = "demonstration"')
    device.box.run("systemctl", "start", "mien-edge", check=False)
    device.box.wait_for("ActiveState", "failed")
    restarts = device.box.show("NRestarts")
    time.sleep(7.0)  # longer than RestartSec
    assert device.box.show("ActiveState") == "failed"
    assert device.box.show("NRestarts") == restarts
    assert device.box.show("ExecMainStatus") == "78"
    line = device.box.journal("MIEN_CODE=config", "-p", "crit", "-n", "1")
    assert f"{CONFIG}, line" in line
    assert "demonstration" in line
    device.box.write(CONFIG, content)
    device.box.run("systemctl", "start", "mien-edge")


def test_uninstalling_keeps_data_where_told_and_else_leaves_nothing(device: Device) -> None:
    dry = device.box.run(KEPT_INSTALL, "--uninstall", "--dry-run").stderr
    assert "would: stop and disable" in dry
    assert device.box.show("ActiveState") == "active"
    device.box.run(KEPT_INSTALL, "--uninstall", "--keep-data")
    assert device.box.run("systemctl", "cat", "mien-edge", check=False).returncode != 0
    assert device.box.shell(f"ls {CONFIG} /var/lib/mien") != ""
    device.box.run(KEPT_INSTALL, "--uninstall")
    before, after = set(device.before.splitlines()), set(device.box.shell(STATE).splitlines())
    assert (after - before, before - after) == (set(), set())
    assert "nothing to do" in device.box.run(INSTALL, "--uninstall").stderr
