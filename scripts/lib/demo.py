"""The whole system on one machine: starts the cloud and a device beside it, shows both, stops both.

scripts/demo makes the environment and runs this.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Self

from edge.commands.fetch import install_yunet
from edge.errors import MienError
from edge.perception.fetched import YUNET_FILE, data_folder

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
READY_S = 60.0
MAX_RESTARTS = 5
STOP_S = 10.0

DESCRIPTION = """\
Runs Mien's cloud and a device on this machine. Without CLIP the device reads the camera and the microphone if there
are any, else a sample that it makes itself. Open the printed address to watch.

  scripts/demo                          until Ctrl-C, with the live page
  scripts/demo clip.mp4                 the clip again and again, at its own pace
  scripts/demo --once *.mp4             the clips once, as fast as they can be read: a table, then the end
  scripts/demo --once --json *.mp4      the same as one JSON object a line; progress goes to stderr
"""

LIVE_CONFIG = """\
[site]
name = "demo"
mode = "demo"
setting = "private"
jurisdiction = "unknown"
[privacy]
offload = "crops"
[device]
name = "live"
[camera]
source = "{camera}"
{microphone}
[outbox]
folder = "{folder}"
[mqtt]
broker = "{broker}"
"""


def main() -> int:
    """Run the demo; 0 fine, 1 where a clip or a part failed, 2 wrong usage."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(_store())
            cloud = stack.enter_context(Cloud(folder, options.port))  # ends after the device, which needs it
            if not cloud.start():
                return 1
            say(f"the store is {folder / 'cloud'}")
            say(f"the live page is {cloud.web}" + ("" if options.once else "   (Ctrl-C ends the demo)"))
            edge = _start_edge(_edge_command(options, cloud.broker, folder), stack)
            return _watch(edge, cloud)
    except KeyboardInterrupt:
        return 130 if options.once else 0


class Cloud:
    """The cloud's process, ended with the block. After a crash it can be started again, on the same ports and store."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._ports = ["--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None
        self.web = self.broker = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> bool:
        """Start it and wait until it is ready; False, with the reason on stderr, if it does not get there."""
        self._stack.close()
        path = self._folder / "ready.json"
        path.unlink(missing_ok=True)
        command = [str(BIN / "mien-cloud"), "serve", "--no-accounts", *self._ports, "--ready-file", str(path)]
        self._process = self._stack.enter_context(
            _process([*command, "--data", str(self._folder / "cloud")], quiet=True)
        )
        ready = _await_ready(self._process, path)
        if ready is None:
            return False
        self.web, self.broker = ready["web"], ready["broker"]
        self._ports = ["--port", _port(self.web), "--broker-port", _port(self.broker)]
        return True

    @property
    def gone(self) -> bool:
        """Whether it has ended by itself, or been killed."""
        return self._process is not None and self._process.poll() is not None


def say(text: str) -> None:
    """Tell the user something without touching stdout, which may be JSON."""
    print(f"mien: {text}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="video or sound file")
    parser.add_argument("--once", action="store_true", help="play once, wait for every verdict, end")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else")
    parser.add_argument("--port", type=int, default=0, help="of the live page; default: a free one")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"--port {options.port} is no port: 0 to 65535")
    return options


@contextmanager
def _store() -> Iterator[Path]:
    """Give the folder of the store: .demo, which stays for a look, or one that goes if another demo uses that."""
    folder = ROOT / ".demo"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with tempfile.TemporaryDirectory(prefix="mien-demo-") as other:
                yield Path(other)
            return
        for name in ("cloud", "edge"):
            shutil.rmtree(folder / name, ignore_errors=True)
        yield folder


def _port(url: str) -> str:
    return url.rpartition(":")[2]


def _await_ready(cloud: subprocess.Popen[bytes], path: Path) -> dict[str, str] | None:
    until = time.monotonic() + READY_S
    while time.monotonic() < until:
        if path.exists():
            ready: dict[str, str] = json.loads(path.read_text())
            return ready
        if cloud.poll() is not None:
            say("the cloud did not start; it says:")
            return None
        time.sleep(0.05)
    say(f"the cloud was not ready within {READY_S:g} s")
    return None


def _edge_command(options: argparse.Namespace, broker: str, folder: Path) -> list[str]:
    edge = [str(BIN / "mien-edge"), "--quiet"]
    shape = ["--json"] if options.json else []
    clips = list(options.clips)
    if not clips and not options.once and (config := _live_config(broker, folder)):
        return [*edge, "run", "--config", str(config), *(shape or ["--table"])]
    pace = [] if options.once else ["--realtime", "--loop"]
    return [*edge, "replay", "--broker", broker, *shape, *pace, "--", *(clips or [_sample(folder)])]


def _live_config(broker: str, folder: Path) -> Path | None:
    """Write the settings of a device that reads this machine's camera and microphone; None if it has neither."""
    found = subprocess.run([BIN / "mien-edge", "devices", "--json"], capture_output=True, check=False)
    if found.returncode != 0:
        return None
    devices = json.loads(found.stdout)
    cameras, microphones = devices["cameras"]["devices"], devices["microphones"]["devices"]
    if not cameras and not microphones:
        return None
    names = [cameras[0]["name"] if cameras else "no camera", microphones[0]["name"] if microphones else "no microphone"]
    say(f"reading {names[0]} and {names[1]}; the recording light is yours to watch")
    path = folder / "edge.toml"
    path.write_text(
        LIVE_CONFIG.format(
            camera=cameras[0]["id"] if cameras else "",
            microphone='[microphone]\ncard = ""' if microphones else "",
            folder=folder / "edge",
            broker=broker,
        )
    )
    return path


def _sample(folder: Path) -> str:
    from sample import make_sample

    say("no clip named, no camera, no microphone: playing a SAMPLE, a photo that moves and a made-up voice")
    return make_sample(folder / "sample.mp4")


def _start_edge(command: Sequence[str], stack: ExitStack) -> subprocess.Popen[bytes]:
    _install_detector()
    return stack.enter_context(_process(command))


def _install_detector() -> None:
    """Put YuNet's weights where `mien-edge` looks for them, if they lie about; say how to get them if they do not."""
    if "MIEN__FACE__DETECTOR_MODEL" in os.environ or (data_folder() / YUNET_FILE).exists():
        return
    beside = Path(os.environ.get("MIEN_MODELS_DIR", ROOT.parent / "shared" / "models")) / YUNET_FILE
    try:
        if beside.exists():
            say(f"{install_yunet(beside.read_bytes(), data_folder(), str(beside))}: faces are found with YuNet")
            return
    except (MienError, OSError) as error:
        say(f"YuNet cannot be used: {error}")
    say("faces are found with the Haar cascade; `.venv/bin/mien-edge models fetch` gets a better detector")


def _watch(edge: subprocess.Popen[bytes], cloud: Cloud) -> int:
    """Wait for the device to end and return its exit status; bring the cloud back if it goes first."""
    restarts = 0
    while edge.poll() is None:
        if cloud.gone and restarts < MAX_RESTARTS:
            say("the cloud ended; the device goes on, and the cloud is started again")
            restarts += 1
            cloud.start()
        time.sleep(0.1)
    return edge.returncode


@contextmanager
def _process(command: Sequence[str], *, quiet: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a part, in a session of its own so that Ctrl-C reaches this script first; it ends with the block.

    Should this script be killed, the kernel ends the part (PR_SET_PDEATHSIG). `quiet` keeps its log out of sight
    unless it fails.
    """
    log: IO[bytes] | None = tempfile.TemporaryFile() if quiet else None  # noqa: SIM115 - closed below
    out = {"stdout": log, "stderr": log} if log else {}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - there are no threads here
        **out,
    )
    try:
        yield process
    finally:
        _end(process)
        if log is not None:
            if process.returncode not in (0, -signal.SIGTERM):
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace"))
            log.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        say(f"{process.args[0]!s} did not stop and is killed")  # type: ignore[index]
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
