"""`mien-edge mute` and `mien-edge unmute`: close the devices of this machine's daemon, or let it open them again."""

from __future__ import annotations

import argparse

from edge.config import load_config
from edge.errors import ConfigError
from edge.mute import mute_file, remove, write


def execute(options: argparse.Namespace) -> int:
    """Leave or remove the file that mutes. Raises PolicyError if that is not allowed."""
    file = mute_file(load_config(options.config).outbox.folder)
    if file is None:
        raise ConfigError("outbox.folder is empty: the device has nowhere to note that it is muted", fix="Name one.")
    if options.mute:
        write(file)
        print(f"muted: {file} keeps camera and microphone closed, also after a restart; mien-edge unmute ends it")
    elif remove(file):
        print("not muted any more, unless by the switch; what may run is said by mien-edge check")
    else:
        print("was not muted by a command")
    return 0
