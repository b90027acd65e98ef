"""A Raspberry Pi without a board: a whole arm64 Debian is booted, Mien installed, run and taken away again.

scripts/test virtual-pi makes the environment and runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from edge.perception.fetched import YUNET_FILE
from virtual_pi.debian import CACHE, RELEASES, ROOT
from virtual_pi.image import boot_files
from virtual_pi.session import HOST, Seen, listening, qemu, run, say, write_payload
from virtual_pi.wheels import device_wheels, mien_wheel, tflite_requirement

DOCTOR = ("config", "mode", "runtime", "models", "broker", "permissions")
"""Checks that have to come out well at any speed."""

DESCRIPTION = """\
Boots a Debian for arm64 with an emulated camera (vivid, to whose HDMI input a portrait is played) and sound card
(snd-aloop, to which a voice is played), installs Mien there by provisioning/install, lets `mien-edge doctor` look at
it, starts the service, and waits for readings of a face and of a voice at a broker here; then stops and purges it.

Every instruction is translated: this takes 9 minutes on two free cores and many times that on busy ones, and no time
measured there says anything about a Pi. The first run also downloads and installs a Debian. All that is kept lies in
.test/.
"""


def main() -> int:
    """Run it; 0 if everything went well, 1 if not, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="scripts/test virtual-pi", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=60.0, metavar="MINUTES", help="for the guest; default: 60")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if os.geteuid() != 0:
        say("this makes a Debian with files of many owners: run it as root")
        return 1
    try:
        return _live(CACHE / "virtual-pi", 60.0 * options.limit)
    except subprocess.CalledProcessError as error:
        say(f"{error.cmd[0]} failed with status {error.returncode}; the lines above say why")
        return 1
    except RuntimeError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("stopped; the virtual Pi is off")
        return 130


def _live(results: Path, limit_s: float) -> int:
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    release = RELEASES["bookworm"]
    say("the virtual Pi's Debian, kernel and card; made once, which takes some minutes")
    kernel, initrd, card = boot_files(release)
    say("wheels for arm64")
    wheels = device_wheels(release, "aarch64", tflite_requirement())
    with tempfile.TemporaryDirectory(prefix="mien-virtual-pi-") as scratch, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        build, payload = Path(scratch, "build"), Path(scratch, "payload")
        build.mkdir()
        payload.mkdir()
        write_payload(payload, mien_wheel(build), f"mqtt://{HOST}:{port}", _yunet())
        command = qemu(
            kernel, initrd, card, {"payload": (payload, False), "wheels": (wheels, False), "results": (results, True)}
        )
        console = results / "console.log"
        say(f"booting; all of its console is in {console}")
        with listening(results, port) as seen:
            told = run(command, console, seen, results, limit_s)
    return judge(told, seen, results)


def _yunet() -> Path | None:
    path = Path(os.environ.get("MIEN_MODELS_DIR", ROOT.parent / "shared" / "models")) / YUNET_FILE
    return path if path.exists() else None


def _doctor(results: Path) -> list[str]:
    """Tell what `mien-edge doctor` said in the guest, and return what of it must not be: the rest may just be slow."""
    path = results / "doctor.json"
    lines = json.loads(path.read_text())["checks"] if path.exists() else []
    for line in lines:
        say(f"  doctor: {line['check']} {line['status']}: {line['text']}")
    good = {line["check"] for line in lines if line["status"] in ("ok", "warn")}
    return [f"doctor does not find {each} to be right" for each in DOCTOR if each not in good]


def judge(told: list[str], seen: Seen, results: Path) -> int:
    """Say what came of it."""
    problems = [each for each in told if each.startswith("failed")] + seen.wrong + _doctor(results)
    if "complete" not in told and not problems:
        problems.append("the guest ended before its last step")
    if not seen.complete.is_set():
        problems.append(
            f"{len(seen.readings)} readings came, {len(seen.faces())} with a face, {len(seen.voices())} with a voice"
        )
    for each in problems:
        say(each)
    if problems:
        say(f"the virtual Pi FAILED; its journal and what each step said are in {results}")
        return 1
    birth, face, voice = seen.births[-1], seen.faces()[-1].face, seen.voices()[-1].speech
    say(f"birth: Mien {birth.software}, Python {birth.python}, {birth.models}, sources {birth.sources}")
    say(f"{len(seen.readings)} readings; a face: {face}; a voice: {voice}")
    say("the virtual Pi passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
