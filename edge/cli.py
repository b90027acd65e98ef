"""The command `mien-edge`."""

from __future__ import annotations

import argparse
import importlib
import logging
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

DESCRIPTION = """\
Mien reads facial expression and vocal tone on this device and publishes readings over MQTT.

  mien-edge replay clip.mp4               the readings of a clip, nothing leaves this machine
  mien-edge replay clip.mp4 --json        the same, one JSON object a line
  mien-edge devices                       which cameras and microphones are there
  mien-edge check --config edge.toml      is this configuration right, and what does it allow?
  mien-edge run --config edge.toml        the daemon: camera and microphone, until stopped
  mien-edge models fetch                  download and verify the better face detector
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 fine, 1 failed with one line on stderr, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        # Imported only now: after the thread limits above, and so that --help is quick.
        module = importlib.import_module(f"edge.commands.{options.command}")
        return int(module.execute(options))
    except MienError as error:
        print(f"mien-edge: {error}", file=sys.stderr)
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
    replay.set_defaults(command="replay")


def _add_check(commands: Commands[argparse.ArgumentParser]) -> None:
    check = commands.add_parser("check", help="check the configuration and say what it allows")
    _add_config(check)
    check.set_defaults(command="check")


def _add_models(commands: Commands[argparse.ArgumentParser]) -> None:
    models = commands.add_parser("models", help="fetch model files that do not come with the package")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    fetch = actions.add_parser("fetch", help="download YuNet's weights (MIT, 233 kB) and verify their sha256")
    fetch.add_argument("--url", help="where from; default: OpenCV Zoo")
    fetch.add_argument("--folder", type=Path, help="where to; default: where mien-edge looks for them")
    fetch.set_defaults(command="fetch")


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, help=f"settings; default {DEFAULT_PATH}")


if __name__ == "__main__":
    sys.exit(main())
