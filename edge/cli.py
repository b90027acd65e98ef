"""The command `mien-edge`."""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# One thread is what a Pi can spare; numpy's BLAS would take all cores for 64x513 matrices. Set before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from edge import __version__
from edge.config import DEFAULT_PATH
from edge.errors import MienError
from edge.journal import report, start_logging

DESCRIPTION = """\
Mien reads facial expression and vocal tone on this device and publishes readings over MQTT.

  mien-edge replay clip.mp4               the readings of a clip, nothing leaves this machine
  mien-edge replay clip.mp4 --json        the same, one JSON object a line
  mien-edge devices                       which cameras and microphones are there
  mien-edge check --config edge.toml      is this configuration right, and what does it allow?
  mien-edge config show                   the settings in effect, and where each comes from
  mien-edge doctor                        is this device fit to work? what to do where it is not
  mien-edge run --config edge.toml        the daemon: camera and microphone, until stopped
  mien-edge mute                          close camera and microphone until mien-edge unmute
  mien-edge notice --out sign.pdf         the sign for the door: what runs, what leaves, who answers
  mien-edge models fetch                  download and verify the better face detector
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 fine, 1 failed with one line on stderr, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    start_logging(logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO)
    try:
        # Imported only now: after the thread limits above, and so that --help is quick.
        module = importlib.import_module(f"edge.commands.{options.command}")
        return int(module.execute(options))
    except MienError as error:
        report(error)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `mien-edge replay ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mien-edge", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"mien-edge {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    parser.add_argument("-q", "--quiet", action="store_true", help="log only warnings")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_replay(commands)
    _add_check(commands)
    _add_config_command(commands)
    _add_doctor(commands)
    _add_mute(commands)
    _add_notice(commands)
    devices = commands.add_parser("devices", help="list cameras and microphones")
    devices.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    devices.set_defaults(command="devices")
    _add_models(commands)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for what add_subparsers returns


def _add_run(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="read the camera and the microphone until stopped")
    _add_config(run)
    output = run.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="also print each reading as a line of JSON")
    output.add_argument("--table", action="store_true", help="also print each reading as a row of a table")
    run.set_defaults(command="run")


def _add_replay(commands: Commands[argparse.ArgumentParser]) -> None:
    replay = commands.add_parser(
        "replay",
        help="read media files in media time, no frame dropped",
        description="Read media files as a device would read its camera and microphone. Without --broker nothing "
        "leaves this machine. A clip that cannot be read costs one line on stderr and exit status 1; the others run.",
    )
    replay.add_argument("clips", nargs="+", metavar="CLIP", help="video or sound file")
    replay.add_argument("--json", action="store_true", help="one JSON object a line on stdout, nothing else")
    replay.add_argument("--config", type=Path, help="settings; default: a demo device that publishes only to --broker")
    replay.add_argument("--broker", metavar="URL", help="publish the readings and ask the cloud, mqtt://host:port")
    replay.add_argument("--realtime", action="store_true", help="play by the clock instead of as fast as possible")
    replay.add_argument("--loop", action="store_true", help="start again after the last clip, until stopped")
    replay.add_argument("--wait-cloud", type=float, default=15.0, metavar="S", help="seconds to wait for the cloud")
    _add_alpha(replay)
    replay.set_defaults(command="replay")


def _add_check(commands: Commands[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        help="check the configuration and say what it allows",
        description="Name everything that is wrong in the configuration: file, line, key, value, and what to write. If "
        "nothing is, say what the policy lets run and leave, and warn of settings that do less than they seem.",
    )
    _add_config(check)
    check.add_argument("--json", action="store_true", help="one JSON object on stdout, also for what is wrong")
    _add_alpha(check)
    check.set_defaults(command="check")


def _add_config_command(commands: Commands[argparse.ArgumentParser]) -> None:
    config = commands.add_parser("config", help="show the settings in effect")
    actions = config.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser(
        "show",
        help="all settings with their origin, without secrets",
        description="Print every setting as it is in effect, and whether it comes from the file (with its line), an "
        "environment variable or a default. Passwords, tokens and users in URLs are shown as ***.",
    )
    _add_config(show)
    show.add_argument("--json", action="store_true", help="one JSON object instead of TOML")
    show.set_defaults(command="config")


def _add_doctor(commands: Commands[argparse.ArgumentParser]) -> None:
    from edge.doctor.report import CHECKS, EXIT_HELP

    doctor = commands.add_parser(
        "doctor",
        help="is this device fit to work, and what to do where it is not",
        description="Look at everything that a device needs and say of each ok, warn, fail or skip, and what to do. "
        "Nothing seen or heard is stored or sent. While the daemon runs, what it holds is left to it.",
        epilog=f"Checks: {', '.join(CHECKS)}. {EXIT_HELP}",
    )
    _add_config(doctor)
    doctor.add_argument("--json", action="store_true", help="one JSON object on stdout instead of the table")
    doctor.add_argument(
        "--listen", type=float, metavar="S", help="wait up to S seconds for a voice: speak into the microphone"
    )
    doctor.add_argument(
        "--look",
        type=float,
        metavar="S",
        help="wait up to S seconds for a face: stand, or hold a photo, before the camera",
    )
    doctor.add_argument("--only", nargs="+", choices=CHECKS, metavar="CHECK", help="do only these checks")
    doctor.add_argument("--skip", nargs="+", choices=CHECKS, default=[], metavar="CHECK", help="leave these out")
    doctor.set_defaults(command="doctor")


def _add_mute(commands: Commands[argparse.ArgumentParser]) -> None:
    for name, mute, text in (
        ("mute", True, "close camera and microphone of this machine's daemon, also after a restart"),
        ("unmute", False, "end what mien-edge mute, or the cloud, began"),
    ):
        parser = commands.add_parser(name, help=text, description=f"{text.capitalize()}. Takes effect within a second.")
        _add_config(parser)
        parser.set_defaults(command="mute", mute=mute)


def _add_notice(commands: Commands[argparse.ArgumentParser]) -> None:
    notice = commands.add_parser(
        "notice",
        help="make the sign for the door as a PDF",
        description="Make the sign for the door (A4, one page): what runs, what leaves the device, who answers. The "
        "wording follows from the configuration as the policy reads it; site.operator and site.contact name people.",
    )
    _add_config(notice)
    notice.add_argument("--out", type=Path, required=True, metavar="FILE.pdf", help="where to")
    notice.add_argument("--lang", choices=("en", "de", "fr"), default="en", help="language; default en")
    notice.add_argument("--font", type=Path, metavar="FILE.ttf", help="font for names that Helvetica cannot write")
    notice.set_defaults(command="notice")


def _add_models(commands: Commands[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="fetch model files that do not come with the package")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download YuNet's weights (MIT, 233 kB) and verify their sha256")
    fetch.add_argument("--url", metavar="URL|FILE", help="where from; default: OpenCV Zoo")
    fetch.add_argument("--folder", type=Path, help="where to; default: where mien-edge looks for them")
    fetch.set_defaults(command="fetch")


def _add_alpha(parser: argparse.ArgumentParser) -> None:
    about = "error rate of readings that are kept on the device, instead of gate.alpha, e.g. 0.05"
    parser.add_argument("--alpha", type=_rate, metavar="RATE", help=about)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0.0 < rate < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate between 0 and 1")
    return rate


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help=f"settings; default {DEFAULT_PATH}")


if __name__ == "__main__":
    sys.exit(main())
