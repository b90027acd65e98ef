"""A Debian that is really booted, by systemd-nspawn, with the network of this machine: for tests of the service.

The root is made once by mmdebstrap and kept in .test/ (400 MB), as are the wheels of what a device needs (140 MB): only
the first run needs a Debian mirror (`MIEN_DEBIAN_MIRROR`) and a package index. What a test changes in the container
lies in memory and is gone with it. Needs root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from brokers import eventually
from virtual_pi.debian import RELEASES, debian_root, installer_packages, with_downloads

RELEASE = RELEASES[os.environ.get("MIEN_TEST_RELEASE", "bookworm")]
NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay")


def needs_containers() -> None:
    """Skip where no container can be booted."""
    if os.geteuid() != 0:
        pytest.skip("booting a container needs root")
    missing = [name for name in ("mmdebstrap", "systemd-nspawn", "nsenter") if shutil.which(name) is None]
    assert not missing, f"{missing} missing; scripts/test installs them (apt-get install mmdebstrap systemd-container)"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "usr").mkdir()
        for name in ("bin", "sbin", "lib", "lib64"):
            (Path(folder) / name).symlink_to(f"usr/{name}")
        command = [*NSPAWN, f"--directory={folder}", "--bind-ro=/usr", "--pipe", "true"]
        probe = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if probe.returncode != 0:
        pytest.skip(f"no container can run here: {probe.stderr.strip().rpartition(chr(10))[2]}")


def container_root() -> Path:
    """Return a fresh Debian, with the packages that the installer wants downloaded, not installed."""
    return debian_root(
        "container",
        RELEASE,
        "--variant=apt",
        # passwd: required on every Debian, but on Trixie not by what mmdebstrap calls minimal.
        "--include=systemd,systemd-sysv,dbus,udev,python3,passwd",
        *with_downloads(installer_packages()),
    )


class Container:
    """A booted container. `binds`: what of this machine it sees, read-only, path in it -> path here."""

    def __init__(self, root: Path, binds: dict[str, Path], log: Path) -> None:
        # Told to shut down, too, when the tests themselves are killed.
        command = ["setpriv", "--pdeathsig", "TERM", *NSPAWN, "--boot", f"--directory={root}"]
        command += [f"--machine=mien-{os.getpid()}", "--kill-signal=SIGRTMIN+3", "--console=read-only"]
        command += [f"--bind-ro={here}:{there}" for there, here in binds.items()]
        with log.open("wb") as output:
            self._nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        self._log = log
        try:
            eventually(self._booted, within_s=60.0, what="the container has booted")
        except BaseException:
            self.stop()
            raise

    def run(self, *command: str, check: bool = True, timeout_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a command in the container as root."""
        enter = ["nsenter", "-t", str(self._init()), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            [*enter, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=environment,
            cwd="/",
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a script of bash and return what it prints."""
        return self.run("bash", "-c", script, check=check).stdout

    def write(self, path: str, text: str) -> None:
        """Replace the content of a file."""
        self.run("bash", "-c", 'printf %s "$2" >"$1"', "bash", path, text)

    def show(self, name: str) -> str:
        """Return a property of the service."""
        return self.run("systemctl", "show", "-p", name, "--value", "mien-edge").stdout.strip()

    def journal(self, *match: str) -> str:
        """Return the service's lines in the journal."""
        return self.run("journalctl", "-q", "--no-pager", "-o", "cat", "-u", "mien-edge", *match).stdout

    def wait_for(self, name: str, *values: str, within_s: float = 60.0) -> None:
        """Wait until a property of the service has one of these values."""
        until = time.monotonic() + within_s
        while (now := self.show(name)) not in values:
            assert time.monotonic() < until, f"{name} is {now}, not {values}\n{self.journal()[-4000:]}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Shut it down."""
        self._nspawn.send_signal(signal.SIGTERM)
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()

    def _init(self) -> int:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        return int(children[0])

    def _booted(self) -> bool:
        assert self._nspawn.poll() is None, self._log.read_text(errors="replace")
        try:
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        except (IndexError, OSError):
            return False
        return state in ("running", "degraded")
